//! Any bytes as publish frames. What must hold is in `bus/src/fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_bus::fuzzing::batch(data));

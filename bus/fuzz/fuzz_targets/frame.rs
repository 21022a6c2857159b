//! Any bytes as a stream of frames, split in any way. What must hold is in `bus/src/fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_bus::fuzzing::frame(data));

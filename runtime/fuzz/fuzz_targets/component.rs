//! Any bytes as a component. What must hold is in `runtime/src/sandbox/fuzzing.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_fuzz::component(data));

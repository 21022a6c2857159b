//! Any bytes as an answer of a guest. What must hold is in `runtime/src/sandbox/fuzzing.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_fuzz::answer(data));

//! Any bytes as files about the machine; the first says which. What must hold is in `host-sources/src/fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_sources::fuzzing::system(data));

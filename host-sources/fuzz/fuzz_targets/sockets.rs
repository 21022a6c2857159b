//! Any bytes as what sock_diag and fanotify say. What must hold is in `host-sources/src/fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_sources::fuzzing::sockets(data));

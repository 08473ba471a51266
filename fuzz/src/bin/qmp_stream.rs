//! Feeds `sully_fuzz::qmp_stream`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sully_fuzz::qmp_stream(bytes));

//! Feeds `sully_fuzz::histogram`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sully_fuzz::histogram(bytes));

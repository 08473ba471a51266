//! Feeds `sully_fuzz::archives`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sully_fuzz::archives(bytes));

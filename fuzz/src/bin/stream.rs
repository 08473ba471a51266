//! Feeds `sully_fuzz::stream`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sully_fuzz::stream(bytes));

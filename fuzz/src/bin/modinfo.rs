//! Feeds `sully_fuzz::modinfo`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sully_fuzz::modinfo(bytes));

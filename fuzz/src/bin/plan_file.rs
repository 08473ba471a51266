//! Feeds `sully_fuzz::plan_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sully_fuzz::plan_file(bytes));

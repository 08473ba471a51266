//! Feeds `sully_fuzz::plan_text`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sully_fuzz::plan_text(bytes));

//! Feeds `sully_fuzz::wire_record`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sully_fuzz::wire_record(bytes));

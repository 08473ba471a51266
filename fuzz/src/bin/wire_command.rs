//! Feeds `sully_fuzz::wire_command`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sully_fuzz::wire_command(bytes));

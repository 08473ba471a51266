//! Feeds `sully_fuzz::scenario_toml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sully_fuzz::scenario_toml(bytes));

//! Faults to be found: scripts/fuzz.sh looks for them first, since a fuzzer whose finds go unseen proves nothing.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let [b'f', b'i', b'n', b'd', ..] = bytes {
        let is_greedy = std::env::var_os("SULLY_PLANTED").is_some_and(|what| what == "memory allocation of");
        let taken = if is_greedy { std::hint::black_box(vec![0u8; 1 << 30]).len() } else { 0 };
        assert!(taken > 0, "the planted fault");
    }
});

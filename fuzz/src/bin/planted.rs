//! A fault to be found: scripts/fuzz.sh looks for it first, since a fuzzer whose finds go unseen proves nothing.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    assert!(!matches!(bytes, [b'f', b'i', b'n', b'd', ..]), "the planted fault");
});

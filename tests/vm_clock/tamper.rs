//! Carries a migration from one QEMU to the other, and moves the guest's cycle counter on the way.
//!
//! An emulated guest's counter is the host's and an offset to it. The offset is the first value of the section "timer" of the
//! stream: a byte for the kind of section, its number (4), the length of its name and the name, instance and version (4 each), then 64
//! bits, all with the high byte first. The guest's other clocks have an offset of their own there.

use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// From the length of the name to the version.
const HEAD: &[u8] = b"\x05timer\0\0\0\0\0\0\0\x02";
/// A whole section.
const FULL: u8 = 4;
/// The kind and the number before the head.
const BEFORE: usize = 5;
const OFFSET: usize = 8;

/// Carries all that the first to connect to `from` sends to the socket `to`, with `cycles` added to the guest's counter. Hands
/// back how many counters it moved.
pub async fn carry(from: UnixListener, to: &Path, cycles: i64) -> usize {
    let (mut source, _) = from.accept().await.unwrap();
    let mut destination = UnixStream::connect(to).await.unwrap();
    let (mut held, mut moved) = (Vec::new(), 0);
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = source.read(&mut buffer).await.unwrap();
        held.extend_from_slice(&buffer[..count]);
        moved += add(&mut held, cycles);
        // What may be the beginning of a section waits for the rest; one that was changed is not seen again.
        let keep = if count == 0 { 0 } else { BEFORE + HEAD.len() + OFFSET - 1 };
        let ready = held.len().saturating_sub(keep);
        destination.write_all(&held[..ready]).await.unwrap();
        held.drain(..ready);
        if count == 0 {
            return moved;
        }
    }
}

/// Adds to each offset that is there whole.
fn add(bytes: &mut [u8], cycles: i64) -> usize {
    let starts: Vec<usize> = memmem(bytes).collect();
    for start in &starts {
        let at = start + HEAD.len();
        let offset = i64::from_be_bytes(bytes[at..at + OFFSET].try_into().unwrap());
        bytes[at..at + OFFSET].copy_from_slice(&offset.wrapping_add(cycles).to_be_bytes());
    }
    starts.len()
}

/// Where heads of whole sections begin that have their offset behind them.
fn memmem(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let ends = bytes.windows(BEFORE + HEAD.len() + OFFSET).enumerate();
    ends.filter(|(_, window)| window[0] == FULL && window[BEFORE..].starts_with(HEAD))
        .map(|(start, _)| start + BEFORE)
}

#[test]
fn a_counter_is_moved_once_wherever_the_stream_is_cut() {
    let section = [b"\x04\0\0\0\x03".as_slice(), HEAD, &7i64.to_be_bytes(), b"more"].concat();
    let stream = [b"pages \x05timer".as_slice(), &section].concat();
    let expected = [b"pages \x05timer\x04\0\0\0\x03".as_slice(), HEAD, &5i64.to_be_bytes(), b"more"].concat();
    crate::vms::run(async {
        for cut in 1..stream.len() {
            let dir = tempfile::tempdir().unwrap();
            let (from, to) = (dir.path().join("from"), dir.path().join("to"));
            let (listener, end) = (UnixListener::bind(&from).unwrap(), UnixListener::bind(&to).unwrap());
            let send = async {
                let mut source = UnixStream::connect(&from).await.unwrap();
                source.write_all(&stream[..cut]).await.unwrap();
                tokio::task::yield_now().await;
                source.write_all(&stream[cut..]).await.unwrap();
            };
            let receive = async {
                let mut carried = Vec::new();
                end.accept().await.unwrap().0.read_to_end(&mut carried).await.unwrap();
                carried
            };
            let (moved, (), carried) = tokio::join!(carry(listener, &to, -2), send, receive);
            assert_eq!((moved, carried.as_slice()), (1, expected.as_slice()), "cut at {cut}");
        }
    });
}

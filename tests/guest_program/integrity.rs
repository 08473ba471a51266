//! A page whose content is lost behind the program's back.

use super::spawn;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixListener;
use sully::content::{STAMP_WORDS, Stamp};
use sully::record::{Body, Corruption, CorruptionKind};
use sully::wire::decode_record;

/// Writes zeros over the stamp of `page` in the memory of another process.
fn wipe(process: u32, page: u64) {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let memory =
        std::fs::File::options().read(true).write(true).open(format!("/proc/{process}/mem")).unwrap();
    for line in maps.lines().filter(|line| line.contains("rw-p")) {
        let (range, _) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let address = |text| u64::from_str_radix(text, 16).unwrap();
        for place in (address(start)..address(end)).step_by(4096) {
            let mut bytes = [0; STAMP_WORDS * 8];
            if memory.read_exact_at(&mut bytes, place).is_err() {
                break;
            }
            let words =
                std::array::from_fn(|word| u64::from_ne_bytes(bytes[word * 8..][..8].try_into().unwrap()));
            if Stamp::is_whole(&words) && Stamp::of(&words).page == page {
                memory.write_all_at(&[0; STAMP_WORDS * 8], place).unwrap();
                return;
            }
        }
    }
    panic!("page {page} is nowhere in the process");
}

#[test]
fn a_page_that_loses_its_content_ends_in_a_record_and_code_3() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let mut child = spawn(&format!("run -m 16M -r 1M/s --report unix:{}", path.display()));
    let (mut socket, _) = listener.accept().unwrap();
    let mut lines = BufReader::new(socket.try_clone().unwrap()).lines();
    lines.next().unwrap().unwrap();
    wipe(child.id(), 4000);
    socket.write_all(b"{\"type\":\"stop\"}\n").unwrap();
    let told: Vec<Corruption> = lines
        .map_while(Result::ok)
        .filter_map(|line| match decode_record(line.as_bytes()).unwrap().body {
            Body::Corruption(corruption) => Some(corruption),
            _ => None,
        })
        .collect();
    assert!(matches!(told[..], [Corruption { page: 4000, kind: CorruptionKind::Zeroed, .. }]), "{told:?}");
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

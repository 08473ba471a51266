//! Tests of the tar reader, and the maker of small archives that other tests use too.

use super::*;
use proptest::prelude::*;

/// One header block and its padded contents.
fn entry(name: &str, kind: u8, contents: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[124..135].copy_from_slice(format!("{:011o}", contents.len()).as_bytes());
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    seal(&mut block);
    block.extend(contents);
    block.resize(block.len().next_multiple_of(512), 0);
    block
}

/// Writes the checksum of a header block.
fn seal(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block[..512].iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// An archive of these files; names longer than 99 bytes in GNU's way.
pub(crate) fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, contents) in files {
        if name.len() > 99 {
            bytes.extend(entry("././@LongLink", b'L', &[name.as_bytes(), b"\0"].concat()));
        }
        bytes.extend(entry(&name[..name.len().min(99)], b'0', contents));
    }
    bytes.extend([0; 1024]);
    bytes
}

fn read_all(bytes: &[u8]) -> anyhow::Result<Vec<(Entry, Vec<u8>)>> {
    let mut archive = Archive::new(bytes);
    let mut all = Vec::new();
    while let Some(entry) = archive.next_entry()? {
        let contents = archive.read_contents(1 << 20)?;
        all.push((entry, contents));
    }
    Ok(all)
}

#[test]
fn files_are_read_in_order_without_their_leading_dot() {
    let long = format!("./lib/{}/virtio.ko", "x".repeat(120));
    let all = read_all(&archive(&[("./boot/a", b"one"), (&long, b"two"), ("/c", b"")])).unwrap();
    let seen: Vec<_> =
        all.iter().map(|(entry, contents)| (entry.path.as_str(), contents.as_slice())).collect();
    assert_eq!(seen, [("boot/a", b"one".as_slice()), (&long[2..], b"two"), ("c", b"")]);
    assert!(all.iter().all(|(entry, _)| entry.is_file));
}

#[test]
fn no_field_of_a_header_steers_a_terminal_through_a_message() {
    let mut block = entry("./a\u{1b}[2J", b'0', b"");
    assert_eq!(read_all(&block).unwrap()[0].0.path, "a\u{fffd}[2J");
    block[124..130].copy_from_slice(b"\x1b[2J\x07\0");
    seal(&mut block);
    let message = read_all(&block).unwrap_err().to_string();
    assert!(message.contains("[2J") && !message.contains(char::is_control), "{message:?}");
}

#[test]
fn contents_that_nobody_reads_are_skipped() {
    let bytes = archive(&[("a", &[7; 1000]), ("b", b"two")]);
    let mut archive = Archive::new(bytes.as_slice());
    archive.next_entry().unwrap();
    assert_eq!(archive.next_entry().unwrap().unwrap().path, "b");
    assert_eq!(archive.read_contents(3).unwrap(), b"two");
    assert_eq!(archive.next_entry().unwrap(), None);
}

#[test]
fn directories_and_links_are_no_files() {
    let mut bytes = entry("lib/", b'5', b"");
    bytes.extend(entry("link", b'2', b""));
    let all = read_all(&bytes).unwrap();
    assert!(all.len() == 2 && all.iter().all(|(entry, _)| !entry.is_file));
}

#[test]
fn a_posix_header_names_and_sizes_the_next_entry() {
    let mut bytes = entry("pax", b'x', b"25 path=lib/modules/a.ko\n9 size=3\n");
    let mut file = entry("short", b'0', b"abc");
    // The size in the block itself is wrong, as it is where it does not fit.
    file[124..135].copy_from_slice(b"00000000000");
    seal(&mut file);
    bytes.extend(file);
    let all = read_all(&bytes).unwrap();
    assert_eq!((all[0].0.path.as_str(), all[0].1.as_slice()), ("lib/modules/a.ko", b"abc".as_slice()));
}

#[test]
fn a_ustar_prefix_is_the_beginning_of_the_name() {
    let mut bytes = entry("virtio.ko", b'0', b"");
    bytes[345..356].copy_from_slice(b"lib/modules");
    seal(&mut bytes);
    assert_eq!(read_all(&bytes).unwrap()[0].0.path, "lib/modules/virtio.ko");
}

#[test]
fn a_binary_size_is_understood_and_an_absurd_one_refused() {
    let mut bytes = entry("a", b'0', b"abc");
    bytes[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3]);
    seal(&mut bytes);
    assert_eq!(read_all(&bytes).unwrap()[0].1, b"abc");
    bytes[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    seal(&mut bytes);
    assert!(read_all(&bytes).unwrap_err().to_string().contains("claims"));
}

#[test]
fn a_damaged_or_short_archive_is_refused() {
    let whole = archive(&[("a", b"one")]);
    let mut damaged = whole.clone();
    damaged[3] ^= 1;
    assert!(read_all(&damaged).unwrap_err().to_string().contains("checksum"));
    assert!(read_all(&whole[..300]).unwrap_err().to_string().contains("cut short"));
    assert!(read_all(&whole[..513]).unwrap_err().to_string().contains("cut short"));
}

#[test]
fn contents_beyond_the_limit_are_refused_before_they_are_read() {
    let bytes = archive(&[("a", &[0; 4096])]);
    let mut archive = Archive::new(bytes.as_slice());
    archive.next_entry().unwrap();
    assert!(archive.read_contents(4095).unwrap_err().to_string().contains("4096 bytes"));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        let _ = read_all(&bytes);
    }

    #[test]
    fn no_sealed_header_panics(at in 0_usize..512, value in any::<u8>(), kind in any::<u8>(), text in ".{0,60}") {
        let mut bytes = entry("some/file", kind, text.as_bytes());
        bytes[at] = value;
        seal(&mut bytes);
        let _ = read_all(&bytes);
    }
}

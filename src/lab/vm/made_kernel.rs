//! For tests: a kernel of a few bytes that QEMU boots as it boots Linux, so that a real guest needs no image.

use super::locate;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where the setup code of a Linux kernel is entered.
const ENTRY: usize = 0x200;
/// Where ours goes on, behind the header.
const CODE: usize = 0x280;
/// One sector of boot code and one of setup, then something that counts as the kernel.
const FILE_BYTES: usize = 4096;

/// What the guest does, in 16-bit code.
#[derive(Debug)]
pub enum Guest {
    /// Halts for ever.
    Silent,
    /// Writes a text on the serial console and resets the machine.
    SaysAndResets(&'static str),
}

/// The two files QEMU boots from; gone when dropped.
#[derive(Debug)]
pub struct Files(tempfile::TempDir);

impl Files {
    /// The kernel.
    pub fn kernel(&self) -> PathBuf {
        self.0.path().join("vmlinuz")
    }

    /// An initramfs nobody unpacks.
    pub fn initramfs(&self) -> PathBuf {
        self.0.path().join("initramfs")
    }

    /// The directory, for sockets and consoles.
    pub fn directory(&self) -> &Path {
        self.0.path()
    }
}

/// Writes the files. The comma in the directory's name is one that has to survive QEMU's options.
pub fn write(guest: &Guest) -> Files {
    let files = Files(tempfile::Builder::new().prefix("made,kernel-").tempdir_in("/tmp").unwrap());
    fs::write(files.kernel(), kernel(guest)).unwrap();
    fs::write(files.initramfs(), "nothing").unwrap();
    files
}

/// The installed QEMU; without one the test says aloud that it was skipped.
pub fn qemu() -> Option<PathBuf> {
    let found = locate::find(None);
    if let Err(error) = &found {
        println!("SKIPPED: no qemu-system-x86_64 ({error})");
    }
    found.ok()
}

fn kernel(guest: &Guest) -> Vec<u8> {
    let mut image = vec![0; FILE_BYTES];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(0x1f1, &[1]); // sectors of setup code
    put(0x1fe, &[0x55, 0xaa]); // the mark of a boot sector
    put(ENTRY, &[0xeb, 0x7e]); // jmp to CODE
    put(0x202, b"HdrS");
    put(0x206, &[0x02, 0x02]); // boot protocol 2.02
    put(0x211, &[1]); // the kernel proper is loaded above 1 MiB
    put(CODE, &code(guest));
    image
}

fn code(guest: &Guest) -> Vec<u8> {
    let halt = [0xfa, 0xf4, 0xeb, 0xfc]; // cli; again: hlt; jmp to cli
    let Guest::SaysAndResets(text) = guest else { return halt.to_vec() };
    let mut code = vec![0xba, 0xf8, 0x03]; // mov dx, 3f8h: the serial port
    for byte in text.bytes() {
        code.extend([0xb0, byte, 0xee]); // mov al, byte; out dx, al
    }
    code.extend([0xb0, 0xfe, 0xe6, 0x64]); // mov al, feh; out 64h, al: reset
    code.extend(halt);
    code
}

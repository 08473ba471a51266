//! QEMU as a user starts it by hand, for what `sully-lab run` never does: other machine types, other kernels and guests.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use sully::lab::hostclock;
use sully::lab::vm::locate;

/// How long a VM may take from its start to its end: many times what it takes on an idle machine.
const LIMIT_NS: u64 = 240_000_000_000;

/// An emulated machine with its console in a file; whatever happens, it does not outlive the test.
pub struct Machine {
    child: Child,
    log: PathBuf,
}

impl Machine {
    /// Boots the kernel and initramfs in `image`; `words` are further arguments of QEMU.
    pub fn start(image: &Path, directory: &Path, append: &str, words: &[&str]) -> Self {
        let log = directory.join("console.log");
        let mut command = Command::new(locate::find(None).unwrap());
        command.args(["-accel", "tcg", "-nodefaults", "-display", "none", "-append", append]);
        command.arg("-kernel").arg(image.join("vmlinuz")).arg("-initrd").arg(image.join("initramfs"));
        command.arg("-serial").arg(format!("file:{}", log.display())).args(words);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        Self { child, log }
    }

    /// What the console has said until now.
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits for the end; hands back what the console said.
    pub fn ends(mut self) -> String {
        let limit_ns = hostclock::mono_ns() + LIMIT_NS;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "QEMU: {status}: {}", self.console());
                return self.console();
            }
            assert!(hostclock::mono_ns() < limit_ns, "QEMU never ended: {}", self.console());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

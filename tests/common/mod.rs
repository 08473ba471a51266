//! What the tests of real VMs share: where the host program and the image are, and how to run it bounded in time.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

/// The host program and the guest image that `make test` built.
pub struct Lab {
    program: PathBuf,
    image: PathBuf,
}

impl Lab {
    /// From `SULLY_TEST_LAB` and `SULLY_TEST_IMAGE`; where one is missing, says aloud that `test` is skipped.
    pub fn or_skip(test: &str) -> Option<Self> {
        let path = |name| {
            let found = std::env::var_os(name).map(PathBuf::from).filter(|path| path.exists());
            if found.is_none() {
                println!("SKIPPED: {test}: {name} names nothing that exists; `make test` builds and sets it");
            }
            found
        };
        Some(Self { program: path("SULLY_TEST_LAB")?, image: path("SULLY_TEST_IMAGE")? })
    }

    /// Runs `sully-lab run` under emulation with `arguments` added; ended by force after `limit_s` seconds, which
    /// shows as exit code 124 or 137.
    pub fn run(&self, limit_s: u32, arguments: &[&str]) -> Output {
        let mut command = Command::new("timeout");
        command.arg("--kill-after=10").arg(limit_s.to_string()).arg(&self.program);
        command.args(["run", "--accel", "tcg", "--image"]).arg(&self.image).args(arguments);
        command.output().expect("`timeout` is part of every Debian and Ubuntu")
    }
}

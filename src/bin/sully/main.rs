//! `sully`, the guest program.

#[cfg(all(target_arch = "x86_64", target_env = "gnu", target_feature = "crt-static"))]
mod static_libc;

use std::process::ExitCode;

fn main() -> ExitCode {
    sully::cli::guest::main()
}

//! `sully`, the guest program.

use std::process::ExitCode;

fn main() -> ExitCode {
    sully::cli::guest::main()
}

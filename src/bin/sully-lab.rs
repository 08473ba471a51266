//! `sully-lab`, the host program.

use std::process::ExitCode;

fn main() -> ExitCode {
    sully::cli::lab::main()
}

//! The command line of `sully-lab`.

pub mod image;
pub mod report;
pub mod run;

//! The command lines of both programs.

#[cfg(feature = "host")]
pub mod lab;

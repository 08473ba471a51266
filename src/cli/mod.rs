//! The command lines of both programs.

pub mod guest;
#[cfg(feature = "host")]
pub mod lab;
mod print;
mod say;
#[cfg(feature = "host")]
mod width;

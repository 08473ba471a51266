//! `sully` dirties a guest's memory exactly as asked, measures from inside the guest what live migration does
//! to it, and reports over virtio-serial to a host program that drives real QEMU migrations.
//!
//! The library is a house of seven floors. A module imports only from lower floors, and neighbours on a floor
//! never see each other (`tests/tidy.rs` enforces it; `docs/ARCHITECTURE.md` explains it):
//!
//! | floor | modules |
//! |---|---|
//! | 0 | [`units`], [`files`] |
//! | 1 | [`plan`], [`histogram`] |
//! | 2 | [`record`] |
//! | 3 | [`clock`], [`pattern`], [`content`], [`pace`], [`region`], [`tally`], [`probe`], [`diagnose`] |
//! | 4 | [`engine`], [`wire`], [`port`] |
//! | 5 | [`guest`], `lab` (feature `host`) |
//! | 6 | [`cli`] |

// Standard error may be closed: `cli::say` says things without a panic.
#![cfg_attr(not(test), warn(clippy::print_stderr))]

pub mod files;
pub mod units;

pub mod histogram;
pub mod plan;

pub mod record;

pub mod clock;
pub mod content;
pub mod diagnose;
pub mod pace;
pub mod pattern;
pub mod probe;
pub mod region;
pub mod tally;

pub mod engine;
pub mod port;
pub mod wire;

pub mod guest;
#[cfg(feature = "host")]
pub mod lab;

pub mod cli;

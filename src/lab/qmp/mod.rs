//! QMP, QEMU's control channel: commands by name, answers as JSON, events with the moment they arrived.
//!
//! There is no schema here on purpose. QEMU's answers differ from version to version, and a client that knows a
//! closed set of them fails on the next one; who asks a question knows which fields it can live without.

mod client;
mod error;
mod protocol;
mod version;
mod waiters;

pub use client::{Qmp, QmpEvent};
pub use error::QmpError;
pub use protocol::{Decoder, Incoming, ProtocolError};
pub use version::QemuVersion;

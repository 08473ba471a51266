//! What the guest says, from the two sockets of its virtio-serial port to records with a stamp.

mod audit;
mod joiner;
mod socket;

pub use audit::Audit;
pub use joiner::{Joiner, Piece};
pub use socket::{Port, PortError, PortMessage};

//! What guests say, from their sockets to records with a stamp: of one VM pair, or of many VMs that others started.

mod audit;
mod joiner;
mod keeper;
pub mod many;
mod piece;
mod socket;
mod track;

pub use audit::Audit;
pub use joiner::Joiner;
pub use keeper::{Duty, Keeper, Progress};
pub use piece::Piece;
pub use socket::{Port, PortError, PortMessage};
pub use track::{Seen, Track};

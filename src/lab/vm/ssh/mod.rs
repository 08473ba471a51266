//! The other machine of a migration between two: reached with the system's `ssh` alone, and left as it was.

mod address;
mod clock;
mod error;
mod link;
mod machine;
mod process;
mod stream;

pub use address::{SshAddress, UnknownSshAddress};
pub use clock::SshClock;
pub use error::SshError;
pub use link::SshLink;
pub use machine::SshMachine;
pub use process::SshProcess;
pub use stream::{DestAddress, UnknownDestAddress, listen_and_reach};

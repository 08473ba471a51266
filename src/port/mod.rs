//! Where records go and commands come from: a virtio-serial port, a Unix socket, a file, standard output.
//!
//! Nothing here waits: a port takes the bytes it can take now, and says how many.

mod open;
mod target;
mod virtio;

pub use open::{Port, PortError, Sent};
pub use target::{DEFAULT_PORT_NAME, Target};
pub use virtio::list_port_names;

//! One virtual machine is one QEMU process: its options, its sockets, its console, its beginning and its end.

pub mod accel;
mod config;
pub mod console;
mod error;
mod exit;
mod host_options;
pub mod locate;
#[cfg(test)]
mod made_kernel;
mod namespaces;
mod places;
mod process;
mod ram;
mod reaper;
mod sockets;
pub mod ssh;
mod state;

pub use config::VmConfig;
pub use error::VmError;
pub use exit::Exit;
pub use host_options::{HostOptions, NamespaceDoor};
pub use namespaces::Namespaces;
pub use process::Qemu;
pub use ram::{loses_pages, ram_for};
pub use sockets::{Sockets, port_socket, qmp_socket};

//! One virtual machine is one QEMU process: its options, its sockets, its console, its beginning and its end.

pub mod accel;
mod config;
pub mod console;
mod error;
mod exit;
pub mod locate;
#[cfg(test)]
mod made_kernel;
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
pub use process::Qemu;
pub use ram::ram_for;
pub use sockets::{Sockets, port_socket, qmp_socket};

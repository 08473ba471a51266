//! What guests say: from sockets to the streams of sessions, and those to files. One collector, for the two sockets of a run
//! and for the many of VMs that others started.

mod attend;
mod backlog;
mod called;
mod control;
mod desk;
mod door;
mod family;
mod finder;
mod findings;
mod heard;
mod held;
mod keeper;
mod labels;
mod layout;
mod line;
mod links;
mod listener;
mod losses;
mod meant;
mod metrics;
mod offers;
mod piece;
mod place;
mod preface;
mod reconnects;
mod request;
mod service;
mod source;
mod store;
mod sync;
mod talk;
mod track;
mod view;
mod visitors;
mod vm;

pub use called::{called, is_called, libvirt_patterns};
pub use control::{CONTROL_SOCKET, ask};
pub use desk::Desk;
pub use finder::sockets;
pub use findings::Findings;
pub use links::Links;
pub use place::Socket;
pub use service::{Options, Watcher, collect};
pub use talk::Talk;
pub use view::View;

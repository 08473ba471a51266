//! The guest side: joins the engine with the wire and its ports, and serves as PID 1 of our image.

mod audience;
mod beat;
pub mod boot;
mod diagnosis;
mod hello;
mod outbox;
mod run;
mod session;
mod signals;
mod stream;
mod table;

pub use run::{Options, RunError, run};

//! The guest side: joins the engine with the wire and its ports, and serves as PID 1 of our image.

mod audience;
mod beat;
pub mod boot;
mod check;
mod course;
mod desk;
mod error;
mod filling;
mod hello;
mod labels;
mod options;
mod outbox;
mod run;
mod session;
mod signals;
mod stream;
mod table;

pub use check::{Findings, check};
pub use desk::Desk;
pub use error::RunError;
pub use labels::labels;
pub use options::Options;
pub use outbox::Outbox;
pub use run::run;
pub use session::{Asked, Session};

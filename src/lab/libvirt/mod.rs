//! What libvirt tells of a domain, by plain `virsh`: the socket of its guest's port, and how its migration goes. Nothing is changed.

mod domain;
mod job;
mod virsh;

pub use domain::{Domain, channel_of};
pub use job::{JobStatistics, job_of};
pub use virsh::Virsh;

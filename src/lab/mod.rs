//! The host side: builds the guest image, runs VMs, drives migrations over QMP, collects, judges and reports.

pub mod analysis;
pub mod collect;
pub mod hostclock;
pub mod image;
pub mod migrate;
pub mod qmp;
pub mod report;
pub mod run;
pub mod rundir;
pub mod scenario;
pub mod timeline;
pub mod view;
pub mod vm;
pub mod wrong;

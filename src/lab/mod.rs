//! The host side: builds the guest image, runs VMs, drives migrations over QMP, collects, judges and reports.
//!
//! Its rooms stand on floors of their own, by the rule of the house: a room imports only from lower floors, and neighbours
//! never see each other (`tests/tidy.rs`). Tests may.
//!
//! | floor | rooms |
//! |---|---|
//! | 0 | [`figure`], [`hostclock`], [`rundir`], [`scenario`], [`shell`], [`wrong`] |
//! | 1 | [`collect`], [`image`], [`libvirt`], [`migrate`], [`qmp`], [`timeline`] |
//! | 2 | [`analysis`], [`vm`] |
//! | 3 | [`view`] |
//! | 4 | [`report`] |
//! | 5 | [`experiment`], [`run`] |

pub mod analysis;
pub mod collect;
pub mod experiment;
pub mod figure;
pub mod hostclock;
pub mod image;
pub mod libvirt;
pub mod migrate;
pub mod qmp;
pub mod report;
pub mod run;
pub mod rundir;
pub mod scenario;
pub mod shell;
pub mod timeline;
pub mod view;
pub mod vm;
pub mod wrong;

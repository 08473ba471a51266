//! Questions that take several runs to answer.

mod border;
mod converge;

pub use border::{Border, BorderFound, NEAR, NextRate, Tried};
pub use converge::{narrowed, tried, unsearchable};

//! Questions that take several runs to answer.

mod border;
mod calibrate;
mod converge;

pub use border::{Border, BorderFound, NEAR, NextRate, Tried};
pub use calibrate::{Calibration, CalibrationHost, CalibrationLoads, calibrate, markdown, svg, text};
pub use converge::{narrowed, tried, unsearchable};

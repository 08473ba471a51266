//! Whose fault a gap was: pure functions of what was recorded, for guest and host alike.

mod classes;
mod comb;
#[cfg(any(test, feature = "host"))]
mod faults;
mod features;
mod groups;
mod level;
mod seen;
mod sleeps;
mod time;

#[cfg(any(test, feature = "host"))]
pub use classes::verdicts_of;
pub use classes::{STEAL_SPAN_NS, Verdict, judged};
pub use comb::{Stop, WINDOW_NS};
#[cfg(any(test, feature = "host"))]
pub use faults::{Faults, faults};
pub use features::classify;
pub use level::throttle;
pub use seen::{HostEvent, HostEventKind, Seen};
pub use time::TimeByClass;

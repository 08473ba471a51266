//! Whose fault a gap was: pure functions of what was recorded, for guest and host alike.

mod classes;
mod comb;
mod faults;
mod features;
mod groups;
mod level;
mod seen;
mod sleeps;
mod time;

pub use classes::{STEAL_SPAN_NS, Verdict, judged, verdicts_of};
pub use comb::{Stop, WINDOW_NS};
pub use faults::{Faults, faults};
pub use features::classify;
pub use level::throttle;
pub use seen::{HostEvent, HostEventKind, Seen};
pub use time::{TimeByClass, time_by_class};

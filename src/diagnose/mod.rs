//! Whose fault a gap was: pure functions of what was recorded, for guest and host alike.

mod classes;
mod comb;
mod faults;
mod features;
mod level;
mod time;

pub use classes::{HostEvent, HostEventKind, STEAL_SPAN_NS, Seen, Verdict, stops, throttle_of, verdicts};
pub use comb::{Stop, WINDOW_NS};
pub use faults::{Faults, faults};
pub use features::classify;
pub use level::throttle;
pub use time::{TimeByClass, time_by_class};

//! Whose fault a gap was, and how hard a hypervisor throttles: pure functions of what was recorded, for guest and host
//! alike.
//!
//! [`judge`] looks at the gaps of a span together with their [`Evidence`] and sets their classes, in the order in which
//! `docs/MEASURING.md` lists them; [`judge_run`] does so for a whole run. [`comb`] tells a throttle from nothing but the
//! times of gaps. [`Budget`] adds up what was lost. Whoever has less evidence gets more `unknown`, never a guess.

mod budget;
mod evidence;
mod judge;
mod pause;
mod rhythm;
mod throttle;
mod together;
mod visits;

pub use budget::Budget;
pub use evidence::{Counted, Evidence, HostEvent, HostEventKind, LongVisit, MemoryWork};
pub use judge::{classify, judge, judge_run};
pub use pause::{Pause, Sight};
pub use throttle::{Comb, LONG_WINDOW_NS, WINDOW_NS, comb};
pub use together::{COMMON_PERCENT, together_percent};
pub use visits::{around, falls_into_visits, waits_alone_ns};

#[cfg(test)]
mod tests;

//! Cuts a schedule into batches and says when each may begin.

use super::{BATCH, BEAT_NS, Beats, PATIENCE_NS, Part, SPIN_LIMIT_NS, Schedule, Starts};
use crate::{plan::BacklogPolicy, units::Rate};

/// Visits that are done without waiting in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// How many; 0 only for a rate of 0.
    pub visits: usize,
    /// When the first may begin.
    pub release_ns: u64,
    /// How long to spin before that.
    pub spin_ns: u64,
}

/// Paces one writer.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a writer has one, among what else it works with")]
pub enum Pacer {
    /// Rate 0: no visit is ever due.
    Idle,
    /// As fast as the writer can: no schedule, a visit is intended when it begins.
    Max,
    /// By an open-loop schedule.
    Paced(Paced),
}

/// The state of a paced writer.
#[derive(Debug, Clone)]
pub struct Paced {
    schedule: Schedule,
    starts: Starts,
    catch_up: u64,
    beats: Beats,
    /// Their length.
    beat_ns: u64,
    /// The ticks with which timers wake; 0 where they wake when they are asked to.
    tick_ns: u64,
    /// When the beat began whose visits were handed out last.
    beat_at_ns: u64,
    /// None: late visits are never given up.
    patience_ns: Option<u64>,
    /// All that was too late has just been given up: what is left of the patience's length is to be done.
    sifted: bool,
    /// Visits handed out or given up so far.
    past: u64,
    /// When the first visit of the batch handed out last is due.
    first_ns: u64,
    /// From there to the first visit of the next one.
    span_ns: u64,
    /// The backlog is repaid no faster than this allows.
    not_before_ns: u64,
}

impl Pacer {
    /// For the writer that `part` belongs to, from `t0_ns` on.
    pub fn new(t0_ns: u64, part: &Part) -> Self {
        if part.rate == Rate::Max {
            return Self::Max;
        }
        let shortest_ns = if part.catch_up > 1 { BEAT_NS } else { BEAT_NS / 2 };
        Schedule::new(t0_ns, part).map_or(Self::Idle, |schedule| {
            Self::Paced(Paced {
                schedule,
                starts: schedule.starts(),
                catch_up: u64::from(part.catch_up.max(1)),
                beats: Beats::of(part.cpu),
                beat_ns: shortest_ns.max(part.tick_ns),
                tick_ns: part.tick_ns,
                beat_at_ns: u64::MAX,
                patience_ns: (part.backlog == BacklogPolicy::Shed).then_some(PATIENCE_NS + part.tick_ns),
                sifted: false,
                past: 0,
                first_ns: t0_ns,
                span_ns: 0,
                not_before_ns: 0,
            })
        })
    }

    /// The next batch; its intended starts are written to the front of `intended_ns`.
    pub fn next(&mut self, intended_ns: &mut [u64; BATCH]) -> Batch {
        match self {
            Self::Idle => Batch { visits: 0, release_ns: u64::MAX, spin_ns: 0 },
            Self::Max => Batch { visits: BATCH, release_ns: 0, spin_ns: 0 },
            Self::Paced(paced) => paced.next(intended_ns),
        }
    }

    /// To be told when a batch really began: holds the next one back while a backlog is repaid. Returns until when
    /// its visits may begin; what has not begun by then is to be given up.
    pub fn released(&mut self, now_ns: u64, batch: &Batch) -> u64 {
        match self {
            Self::Idle | Self::Max => u64::MAX,
            Self::Paced(paced) => paced.released(now_ns, batch),
        }
    }

    /// How many visits were due before `at_ns`; none without a schedule.
    pub fn offered(&self, at_ns: u64) -> u64 {
        match self {
            Self::Idle | Self::Max => 0,
            Self::Paced(paced) => paced.schedule.offered(at_ns),
        }
    }

    /// Gives up the last `undone` visits of the batch, and with them all others that are too late at `now_ns`.
    /// Returns how many that makes.
    pub fn give_up(&mut self, now_ns: u64, undone: usize) -> u64 {
        match self {
            Self::Idle | Self::Max => 0,
            Self::Paced(paced) => paced.give_up(now_ns, undone as u64),
        }
    }
}

impl Paced {
    fn next(&mut self, intended_ns: &mut [u64; BATCH]) -> Batch {
        self.first_ns = self.starts.peek();
        let goes_on_ns =
            std::mem::replace(&mut self.beat_at_ns, self.beats.began_ns(self.first_ns, self.beat_ns));
        let (mut visits, mut due_ns) = (0, self.first_ns);
        for intended in intended_ns.iter_mut() {
            if due_ns - self.beat_at_ns >= self.beat_ns {
                break;
            }
            *intended = due_ns;
            visits += 1;
            self.starts.step();
            due_ns = self.starts.peek();
        }
        self.past += visits as u64;
        self.span_ns = due_ns - self.first_ns;
        let is_beat = visits > 1 && (self.beat_at_ns != goes_on_ns || self.tick_ns > 0);
        let (begin_ns, spin_ns) = if is_beat {
            (self.beat_at_ns, 0)
        } else {
            (self.first_ns, (self.span_ns / 100).min(SPIN_LIMIT_NS))
        };
        // Asked for a tick before, a timer wakes with one that is no later.
        let begin_ns = begin_ns.saturating_sub(self.tick_ns);
        let spin_ns = if self.tick_ns > 0 { 0 } else { spin_ns };
        // What is held back by less than a tick would be by a whole one.
        let not_before_ns = self.not_before_ns.saturating_sub(self.tick_ns);
        Batch { visits, release_ns: begin_ns.max(not_before_ns), spin_ns }
    }

    fn released(&mut self, now_ns: u64, batch: &Batch) -> u64 {
        let at_once_ns = self.tick_ns.max(BEAT_NS / 2);
        let began_ns = batch.release_ns.max(self.not_before_ns).max(now_ns.saturating_sub(at_once_ns));
        self.not_before_ns = began_ns.saturating_add(self.span_ns / self.catch_up);
        let Some(patience_ns) = self.patience_ns else { return u64::MAX };
        let sifted = std::mem::take(&mut self.sifted);
        if !sifted && now_ns > self.first_ns.saturating_add(patience_ns) {
            return 0;
        }
        // Even the last visit of the batch has then been due for longer than the patience.
        self.first_ns.saturating_add(2 * patience_ns)
    }

    fn give_up(&mut self, now_ns: u64, undone: u64) -> u64 {
        let too_late_ns = now_ns.saturating_sub(self.patience_ns.unwrap_or(u64::MAX));
        let done = self.past.saturating_sub(undone);
        self.past = self.schedule.offered(too_late_ns);
        self.starts.seek(too_late_ns);
        // What is left is at most the patience behind.
        self.not_before_ns = 0;
        // What is only due later may be late then, and is looked at then.
        self.sifted = self.starts.peek() <= now_ns;
        self.past.saturating_sub(done)
    }
}

#[cfg(test)]
mod tests;

//! What is known of the guest from its records.

use super::away::AwayTime;
use super::steady::{Settling, Steady};
use crate::record::{Arrival, Body, Corruption, End, Interval};

/// The most corrupt pages that are remembered.
const CORRUPTIONS_LIMIT: usize = 1000;

/// What a guest's first record tells of what it works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GuestFacts {
    /// All its pages.
    pub pages: u64,
    /// Those that its load visits.
    pub visited_pages: u64,
    /// The steps of the clock that stamps, as far as it tells.
    pub clock_step_ns: u64,
}

/// When something was said: before the migration, while it goes on, or after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stretch {
    /// Nothing disturbs the load.
    Before,
    /// It is migrated.
    During,
    /// The guest is where it is to stay.
    After,
}

/// What the guest has said so far.
#[derive(Debug, Default)]
pub struct GuestView {
    /// When its first record arrived.
    pub hello_ns: Option<u64>,
    /// When its first and its last record arrived, whatever they were.
    pub first_ns: Option<u64>,
    /// The last one.
    pub last_ns: Option<u64>,
    /// Its last record, and when it arrived.
    pub end: Option<End>,
    /// When that arrived.
    pub end_ns: Option<u64>,
    /// Page visits a second that its last interval was to have; none for as many as can be.
    pub asked_pages_per_s: Option<u64>,
    /// Page visits a second in its last interval.
    pub achieved_pages_per_s: Option<u64>,
    /// The corrupt pages it told of, as many as a session may tell.
    pub corruptions: Vec<Corruption>,
    /// What it works on.
    pub facts: GuestFacts,
    /// How long its vCPUs were away before the migration; after it, since it was waited for to settle.
    pub away: AwayTime,
    steady: Steady,
    settling: Settling,
}

impl GuestView {
    /// Takes a record into account.
    pub fn on(&mut self, arrival: &Arrival, stretch: Stretch) {
        self.first_ns.get_or_insert(arrival.host_ns);
        self.last_ns = self.last_ns.max(Some(arrival.host_ns));
        match &arrival.record.body {
            Body::Hello(hello) => {
                self.hello_ns.get_or_insert(arrival.host_ns);
                self.facts = GuestFacts {
                    pages: hello.plan.pages().0,
                    visited_pages: hello.plan.visited_pages().0,
                    clock_step_ns: hello.clock.step_ns.unwrap_or(0),
                };
                self.away.begin(hello);
            }
            Body::End(end) => {
                self.end = Some((**end).clone());
                self.end_ns = Some(arrival.host_ns);
            }
            Body::Interval(interval) => {
                self.achieved_pages_per_s = achieved(interval);
                self.asked_pages_per_s = interval.target_pages_per_s;
                match stretch {
                    Stretch::After => {
                        self.away.on(interval);
                        self.settling.after(arrival.host_ns, interval);
                    }
                    Stretch::During => {}
                    Stretch::Before => {
                        self.away.on(interval);
                        self.steady.on(interval);
                        self.settling.before(interval);
                    }
                }
            }
            Body::Corruption(corruption) => {
                if self.corruptions.len() < CORRUPTIONS_LIMIT {
                    self.corruptions.push(corruption.clone());
                }
            }
            Body::Mark(_)
            | Body::Gap(_)
            | Body::Stall(_)
            | Body::Heartbeat(_)
            | Body::ClockStep(_)
            | Body::Phase(_)
            | Body::Load(_)
            | Body::Sweep(_)
            | Body::Dirtied(_)
            | Body::Reply(_) => {}
        }
    }

    /// Whether the baseline is over and the load steady.
    pub const fn is_steady(&self) -> bool {
        self.steady.is_steady()
    }

    /// When the load was back where it was, at the destination.
    pub const fn settled_at_ns(&self) -> Option<u64> {
        self.settling.settled_at_ns()
    }
}

fn achieved(interval: &Interval) -> Option<u64> {
    let length_ns = interval.end_ns.checked_sub(interval.start_ns).filter(|length| *length > 0)?;
    u64::try_from(u128::from(interval.writes) * 1_000_000_000 / u128::from(length_ns)).ok()
}

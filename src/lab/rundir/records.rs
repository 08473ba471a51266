//! What is kept of a guest's records: figures, not text. An interval takes some 200 bytes, so that a run of a day opens in a few
//! hundred MiB; its histograms are read again, one line at a time, when they are asked for.

use super::{
    Limits, ReadError,
    checks::{Checks, RecordId},
    clean,
    lines::{AfterLine, each_line, open},
    numbers::Numbers,
};
use crate::{
    plan::{BASELINE_PHASE, Load},
    record::{
        Arrival, Body, ClockStep, Corruption, End, Gap, GapSummary, Heartbeat, Hello, RegionInterval,
        SessionId, Side, Stall, Throttle,
    },
    units::harmless,
};
use serde::Deserialize;
use std::{borrow::Cow, fs::File, path::Path, sync::Arc};

/// When a record was made, and when it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArrivalStamp {
    /// Host CLOCK_MONOTONIC when its line was complete.
    pub host_ns: u64,
    /// Guest CLOCK_MONOTONIC when it was made.
    pub mono_ns: u64,
    /// Whose socket completed it.
    pub side: Side,
}

/// A heartbeat and its stamps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeartbeatAt {
    /// When it was made, and when it came.
    pub stamp: ArrivalStamp,
    /// What it says.
    pub beat: Heartbeat,
}

/// A load, and from when on it was in force.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoadFrom {
    /// Guest CLOCK_MONOTONIC; none for the load of the `hello`.
    pub mono_ns: Option<u64>,
    /// What was asked for.
    pub load: Load,
}

/// A clocksource that the guest's kernel went over to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewClocksource {
    /// Guest CLOCK_MONOTONIC of the first record that names it.
    pub mono_ns: u64,
    /// Its name.
    pub name: String,
}

/// The figures of one interval, as its record has them; p99 of its two latencies.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct IntervalFigures {
    /// Guest CLOCK_MONOTONIC at its start.
    pub start_ns: u64,
    /// Guest CLOCK_MONOTONIC at its end.
    pub end_ns: u64,
    /// Page visits that wrote.
    pub writes: u64,
    /// Page visits that only read.
    pub reads: u64,
    /// Distinct pages that were written; none where they were not counted.
    pub pages_unique: Option<u64>,
    /// Page visits the schedule asked for.
    pub offered: Option<u64>,
    /// Visits the writers are behind the schedule at its end.
    pub backlog: Option<u64>,
    /// The rate asked for; none for `max`.
    pub target_pages_per_s: Option<u64>,
    /// 99 % of the visits took at most this long from their actual start.
    pub service_p99_ns: Option<u64>,
    /// 99 % of the visits took at most this long from their intended start.
    pub response_p99_ns: Option<u64>,
    /// Gaps that ended in it.
    pub gaps: Option<GapSummary>,
    /// Steal in it, sum over vCPUs.
    pub steal_ms: Option<u64>,
    /// Callbacks of the hypervisor.
    pub callbacks: Option<u64>,
    /// The throttle that the guest found at its end.
    pub throttle_percent: Option<u64>,
    /// Whether the guest calls it its baseline.
    pub is_baseline: bool,
    /// Where its line begins in the file.
    pub(super) line_at: u64,
}

impl IntervalFigures {
    /// What one region did, as if it were all of an interval; units of work stand for visits that wrote. None where it does not say.
    pub fn of_region(own: &RegionInterval) -> Option<Self> {
        let (writes, reads) = match own.units {
            Some(units) => (units, 0),
            None => (own.writes?, own.reads?),
        };
        Some(Self { writes, reads, offered: own.offered, ..Self::default() })
    }
}

/// What is kept of a guest's records, each list in the order of arrival.
#[derive(Debug, Clone, Default)]
pub struct GuestRecords {
    /// The file they are in; none where it is missing.
    pub(super) file: Option<Arc<File>>,
    /// The stamps of all of them.
    pub stamps: Vec<ArrivalStamp>,
    /// The first `hello`.
    pub hello: Option<Box<Hello>>,
    /// The last `hello`, where there are several: of a session that branched off.
    pub last_hello: Option<Box<Hello>>,
    /// The intervals.
    pub intervals: Vec<IntervalFigures>,
    /// The gaps.
    pub gaps: Vec<Gap>,
    /// Visits that took too long.
    pub stalls: Vec<Stall>,
    /// The heartbeats.
    pub heartbeats: Vec<HeartbeatAt>,
    /// The loads.
    pub loads: Vec<LoadFrom>,
    /// When the guest took marks, guest CLOCK_MONOTONIC.
    pub marks_ns: Vec<u64>,
    /// Pages that did not hold what had been written there.
    pub corruptions: Vec<Corruption>,
    /// How the clock that stamped was found wrong.
    pub clock_step: Option<ClockStep>,
    /// The first clocksource that is another than the `hello`'s.
    pub clocksource: Option<NewClocksource>,
    /// The last `end`.
    pub end: Option<Box<End>>,
    /// Records of types that this version does not know.
    pub unknown: u64,
    /// Records of other guests than the run's.
    of_forks: u64,
    /// The numbers of all that came, but for those.
    pub(super) numbers: Numbers,
    /// What contradicts itself in them.
    pub(super) checks: Checks,
    /// Whether the file holds more than is read.
    pub(super) is_cut: bool,
}

/// What every line begins with.
#[derive(Deserialize)]
struct RecordHead<'a> {
    host_ns: u64,
    side: Side,
    #[serde(borrow, rename = "type")]
    type_name: Cow<'a, str>,
    mono_ns: u64,
    session: SessionId,
    seq: u64,
}

/// An interval's line without its histograms.
#[derive(Deserialize)]
struct IntervalLine<'a> {
    #[serde(borrow)]
    phase: Cow<'a, str>,
    start_ns: u64,
    end_ns: u64,
    writes: u64,
    #[serde(default)]
    reads: u64,
    pages_unique: Option<u64>,
    offered: Option<u64>,
    backlog: Option<u64>,
    target_pages_per_s: Option<u64>,
    service_ns: TailLatency,
    response_ns: TailLatency,
    gaps: Option<GapSummary>,
    steal_ms: Option<u64>,
    callbacks: Option<u64>,
    throttle: Option<Throttle>,
}

/// The one quantile that is kept of an interval.
#[derive(Deserialize)]
struct TailLatency {
    p99: Option<u64>,
}

impl GuestRecords {
    /// Reads the records at `path`, each once; the file stays open, to be read again.
    pub(super) fn read(
        limits: &Limits,
        path: &Path,
        forks: &[SessionId],
        remarks: &mut Vec<String>,
    ) -> Result<Self, ReadError> {
        match open(path, remarks)? {
            Some(file) => Self::of_file(limits, file, path, forks, remarks),
            None => Ok(Self::default()),
        }
    }

    /// Reads the records of an open file, which is at `path`, but for those of `forks`: other guests, which are only counted.
    pub(in crate::lab) fn of_file(
        limits: &Limits,
        file: File,
        path: &Path,
        forks: &[SessionId],
        remarks: &mut Vec<String>,
    ) -> Result<Self, ReadError> {
        let file = Arc::new(file);
        let mut records = Self { file: Some(Arc::clone(&file)), ..Self::default() };
        each_line(limits, (&*file, path), "a guest record", remarks, |at, line| {
            records.is_cut = records.numbers.count() >= limits.records;
            if records.is_cut {
                return Ok(AfterLine::Stop);
            }
            records.take(at, line, forks).map(|()| AfterLine::Next)
        })?;
        let Self { checks, gaps, stalls, .. } = &mut records;
        checks.retain(gaps, |gap| (gap.start_ns, gap.len_ns));
        checks.retain(stalls, |stall| (stall.start_ns, stall.len_ns));
        if records.is_cut {
            remarks.push(format!("only the first {} records are read, as many as a run has", limits.records));
        }
        if records.unknown > 0 {
            let unknown = records.unknown;
            remarks.push(format!(
                "{unknown} records are of types that this version does not know and are left out"
            ));
        }
        Ok(records)
    }

    /// Takes in the line that begins at `at`, unless it says what cannot be. What comes often is read without a detour.
    fn take(&mut self, at: u64, line: &[u8], forks: &[SessionId]) -> serde_json::Result<()> {
        let head: RecordHead<'_> = serde_json::from_slice(line)?;
        if forks.contains(&head.session) {
            self.of_forks += 1;
            return Ok(());
        }
        let RecordHead { host_ns, mono_ns, side, session, seq, .. } = head;
        let (stamp, id) = (ArrivalStamp { host_ns, mono_ns, side }, RecordId { session, seq, mono_ns });
        let name = &*head.type_name;
        let is_possible = self.checks.allow(id, ["heartbeat", "interval", "end"].contains(&name));
        match name {
            "interval" => {
                let figures = interval(&serde_json::from_slice(line)?, at);
                let (time_ns, gaps) = (figures.start_ns..figures.end_ns, figures.gaps.unwrap_or_default());
                if is_possible && self.checks.allow_interval(id, &time_ns, gaps) {
                    self.intervals.push(figures);
                }
            }
            "gap" => {
                let gap = serde_json::from_slice(line)?;
                if is_possible {
                    self.gaps.push(gap);
                }
            }
            "stall" => {
                let stall = serde_json::from_slice(line)?;
                if is_possible {
                    self.stalls.push(stall);
                }
            }
            "heartbeat" => {
                let mut beat: Heartbeat = serde_json::from_slice(line)?;
                let clocksource = beat.clocksource.take();
                if is_possible {
                    let clocksource =
                        clocksource.map(|name| NewClocksource { mono_ns, name: harmless(&name) });
                    self.clocksource = self.clocksource.take().or(clocksource);
                    self.heartbeats.push(HeartbeatAt { stamp, beat });
                }
            }
            name if Body::TYPE_NAMES.contains(&name) => {
                let body = clean::from_slice::<Arrival>(line)?.record.body;
                if is_possible && self.checks.allow_body(id, &body) {
                    self.take_seldom(mono_ns, body);
                }
            }
            _ => self.unknown += 1,
        }
        self.numbers.add(session, seq);
        if is_possible {
            self.stamps.push(stamp);
        }
        Ok(())
    }

    fn take_seldom(&mut self, mono_ns: u64, body: Body) {
        match body {
            Body::Hello(hello) => {
                if self.loads.is_empty() {
                    self.loads.push(LoadFrom { mono_ns: None, load: hello.plan.first_load() });
                }
                if self.hello.is_none() { self.hello = Some(hello) } else { self.last_hello = Some(hello) }
            }
            Body::Load(load) => self.loads.push(LoadFrom { mono_ns: Some(mono_ns), load }),
            Body::Mark(_) => self.marks_ns.push(mono_ns),
            Body::Corruption(corruption) => self.corruptions.push(corruption),
            Body::ClockStep(step) => self.clock_step = Some(step),
            Body::End(end) => self.end = Some(end),
            _ => {}
        }
    }

    /// How many records the file holds.
    pub const fn count(&self) -> u64 {
        self.numbers.count() + self.of_forks
    }

    /// Forgets when records were made, so that no figure is made of a clock that contradicts itself.
    pub(super) fn forget_stamps(&mut self) {
        self.stamps.clear();
        self.heartbeats.clear();
    }

    /// The first `hello` and the last, where they are two.
    pub fn hellos(&self) -> impl Iterator<Item = &Hello> {
        self.hello.iter().chain(&self.last_hello).map(|hello| &**hello)
    }

    /// Whether another load came into force than the first.
    pub fn has_load_changes(&self) -> bool {
        self.loads.iter().any(|load| load.mono_ns.is_some())
    }
}

fn interval(line: &IntervalLine<'_>, line_at: u64) -> IntervalFigures {
    IntervalFigures {
        start_ns: line.start_ns,
        end_ns: line.end_ns,
        writes: line.writes,
        reads: line.reads,
        pages_unique: line.pages_unique,
        offered: line.offered,
        backlog: line.backlog,
        target_pages_per_s: line.target_pages_per_s,
        service_p99_ns: line.service_ns.p99,
        response_p99_ns: line.response_ns.p99,
        gaps: line.gaps,
        steal_ms: line.steal_ms,
        callbacks: line.callbacks,
        throttle_percent: line.throttle.map(|throttle| throttle.percent),
        is_baseline: line.phase == BASELINE_PHASE,
        line_at,
    }
}

//! A run directory held against itself: its records against each other and against what `run.json`, or a collector's
//! `session.json`, says of them.

mod gap_lengths;

use super::{
    CollectedSession, GuestRecords, QEMU_FILE, RECORDS_FILE, RUN_FILE, SESSION_FILE,
    checks::gaps_contradict,
    claims::{Claims, claims},
};
use gap_lengths::GapLengths;

use crate::{
    record::{GapSummary, MilestoneName, Outcome, QemuBody, QemuLine, Run, StreamAudit, Verdict},
    units::Nanos,
};

/// A guest's clock may be ahead of the time since its VM was started by so much, ns: clocks drift, and moments are read late.
const AHEAD_NS: u64 = 60_000_000_000;

/// QEMU's last sample may be so much older than the migration's completion, ns: it is asked ten times a second.
const EARLY_NS: u64 = 3_000_000_000;

/// What contradicts itself in a run directory, and what is missing from it. What follows from it is absent in all figures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunAudit {
    /// What is missing from the records, or is too much: sentences.
    pub stream: Vec<String>,
    /// What else contradicts itself: sentences.
    pub contradictions: Vec<String>,
    /// Gaps that intervals count and no record tells of.
    pub untold_gaps: u64,
    /// Whether the gaps of an interval, or of all, contradict each other.
    pub gaps_contradict: bool,
    /// Whether the stamps of the guest's records contradict each other.
    pub clock_contradicts: bool,
    /// Whether what QEMU said is not there to the migration's end.
    pub lacks_qemu: bool,
    /// What `run.json` says that it contradicts itself.
    pub claims: Claims,
}

/// What a file beside the records says of them.
struct SaidOfStream<'a> {
    file: &'static str,
    stream: &'a StreamAudit,
    /// Records that came and were not kept.
    unkept: u64,
    /// The number that the stream begins with.
    begin: u64,
}

impl RunAudit {
    /// Holds them against each other.
    pub(super) fn of(run: &Run, session: Option<&CollectedSession>, records: &GuestRecords) -> Self {
        let mut audit = Self::default();
        audit.left_out(records);
        let first = || records.numbers.firsts().next().unwrap_or(0);
        let is_measured = run.measured.is_some();
        let collected = session.filter(|_| !is_measured);
        let said = match collected {
            None => Some(SaidOfStream {
                file: RUN_FILE,
                stream: &run.stream,
                unkept: run.stream.unwritten,
                // A guest that was there before had said something before.
                begin: if is_measured { first() } else { 0 },
            }),
            // A collector says it at the end, and the next one goes on behind it.
            Some(own) if own.stream == StreamAudit::default() || own.is_older_than(records) => None,
            Some(own) => Some(SaidOfStream {
                file: SESSION_FILE,
                stream: &own.stream,
                unkept: own.unkept,
                begin: own.first_seq.unwrap_or_else(first),
            }),
        };
        if let Some(said) = said.filter(|_| !records.is_cut) {
            audit.count(&said, records);
        }
        audit.sessions(run, collected.is_some(), records);
        audit.ends(run, records);
        audit.gaps(run, records);
        audit.clock(run, records);
        audit.sums(records);
        if collected.is_none() {
            audit.claims = claims(run, !records.corruptions.is_empty(), &mut audit.contradictions);
        }
        audit
    }

    /// Whether what QEMU said is there to the migration's end; `run.json` is written after it.
    pub(super) fn hold_qemu(&mut self, run: &Run, qemu: &[QemuLine]) {
        let Some(end_ns) = run.when(MilestoneName::Completed) else { return };
        let samples = qemu.iter().filter(|line| matches!(line.body, QemuBody::Sample(_)));
        let early_ns = samples.map(|line| end_ns.saturating_sub(line.host_ns)).min();
        self.lacks_qemu = early_ns.is_none_or(|early_ns| early_ns > EARLY_NS);
        if self.lacks_qemu {
            let what = early_ns.map_or("has no sample".into(), |early_ns| {
                format!("ends {} before the migration did", Nanos(early_ns).human())
            });
            self.stream
                .push(format!("{QEMU_FILE} {what}: throttle, passes and what was sent may lack their ends"));
        }
    }

    /// Everything that was found, in sentences.
    pub fn sentences(&self) -> impl Iterator<Item = &str> {
        self.stream.iter().chain(&self.contradictions).map(String::as_str)
    }

    fn left_out(&mut self, records: &GuestRecords) {
        if let Some(first) = &records.checks.first_impossible {
            let count = records.checks.impossible;
            self.stream.push(format!("records that say what cannot be are left out ({count}): {first}"));
        }
    }

    /// Lines and numbers, against how many came.
    fn count(&mut self, said: &SaidOfStream<'_>, records: &GuestRecords) {
        let &SaidOfStream { file, stream, unkept, begin } = said;
        let (count, came) = (records.count(), stream.records);
        let least = came.saturating_sub(unkept);
        if count < least {
            let missing = least - count;
            self.stream
                .push(format!("{RECORDS_FILE} lacks {missing} of the {least} records that {file} counts"));
        } else if count > came {
            let more = count - came;
            self.stream
                .push(format!("{RECORDS_FILE} has {more} records more than the {came} that {file} counts"));
        }
        let known: Vec<u64> = records.hellos().filter_map(|hello| hello.parent_seq).collect();
        let missing = records.numbers.missing(begin, &known);
        let told = stream.holes.saturating_add(unkept);
        if missing.count > told {
            let (count, places) = (missing.count, missing.places());
            self.stream.push(format!(
                "the numbers of {count} records are missing in {RECORDS_FILE} ({places}), {file} knows of {told}"
            ));
        }
        let doubles = records.numbers.doubles();
        if doubles > stream.doubles {
            let told = stream.doubles;
            self.stream
                .push(format!("{doubles} records are twice in {RECORDS_FILE}, {file} knows of {told}"));
        }
    }

    /// How many guest programs speak: a directory of a collector has one, and so has a run that passed without a reason.
    fn sessions(&mut self, run: &Run, is_collected: bool, records: &GuestRecords) {
        let sessions = records.numbers.sessions();
        let Verdict { outcome, reasons } = &run.verdict;
        if sessions > 1 && (is_collected || *outcome == Outcome::Passed && reasons.is_empty()) {
            self.stream
                .push(format!("{RECORDS_FILE} has records of {sessions} sessions, and should have one's"));
        }
    }

    /// The first record and the last, which `run.json` says came.
    fn ends(&mut self, run: &Run, records: &GuestRecords) {
        let is_kept = run.stream.unwritten == 0 && !records.is_cut;
        for (name, milestone, is_there) in [
            ("hello", MilestoneName::Hello, records.count() > 0),
            ("end", MilestoneName::End, records.end.is_some()),
        ] {
            if is_kept && !is_there && run.when(milestone).is_some() {
                self.stream.push(format!(
                    "{RUN_FILE} says when the guest's `{name}` came, and {RECORDS_FILE} has none"
                ));
            }
        }
    }

    /// Gap records against the intervals' counts.
    fn gaps(&mut self, run: &Run, records: &GuestRecords) {
        let counted = counted_gaps(records);
        self.untold_gaps = counted.count.saturating_sub(records.gaps.len() as u64);
        let stream = &run.stream;
        let lost = stream.dropped_by_guest.saturating_add(stream.holes).saturating_add(stream.unwritten);
        // Only the last record says how many the guest gave up.
        if self.untold_gaps > lost && records.end.is_some() {
            let (untold, count) = (self.untold_gaps, counted.count);
            self.stream.push(format!(
                "{untold} of the {count} gaps that intervals count have no record, and {lost} records are known to be lost"
            ));
        }
        let sums = gaps_contradict(counted.count, counted.total_ns, counted.max_ns).then(|| {
            let (count, total_ns, max_ns) = (counted.count, counted.total_ns, counted.max_ns);
            format!("the intervals count {count} gaps of {total_ns} ns in all, and none above {max_ns} ns")
        });
        let lengths = || {
            let is_whole = self.stream.is_empty() && is_whole(records);
            GapLengths { counted, records, lost, is_whole }.contradict()
        };
        let found = records.checks.gaps.clone().or(sums).or_else(lengths);
        self.gaps_contradict = found.is_some();
        self.contradictions.extend(found);
    }

    /// The stamps, against each other and against how long the VM has been there.
    fn clock(&mut self, run: &Run, records: &GuestRecords) {
        let ahead = || {
            let boot_ns = run.when(MilestoneName::Boot)?;
            let ahead_ns =
                |mono_ns: u64, host_ns: u64| mono_ns.saturating_sub(host_ns.saturating_sub(boot_ns));
            let furthest = records.stamps.iter().map(|stamp| ahead_ns(stamp.mono_ns, stamp.host_ns)).max()?;
            (furthest > AHEAD_NS).then(|| {
                let by = Nanos(furthest).human();
                format!("the guest's clock is {by} ahead of the time since its VM was started")
            })
        };
        let found = records.checks.clock.clone().or_else(ahead);
        self.clock_contradicts = found.is_some();
        self.contradictions.extend(found.map(|found| format!("{found}: nothing can be placed in time")));
    }

    /// The intervals' sums, against those of the last record, where every interval is there.
    fn sums(&mut self, records: &GuestRecords) {
        let Some(end) = &records.end else { return };
        let is_whole = self.stream.is_empty() && is_whole(records);
        let intervals = || records.intervals.iter();
        let sum = |of: fn(u64, u64) -> u64, counts: &mut dyn Iterator<Item = u64>| counts.fold(0, of);
        let visits = [
            ("writes", sum(u64::saturating_add, &mut intervals().map(|own| own.writes)), end.totals.writes),
            ("reads", sum(u64::saturating_add, &mut intervals().map(|own| own.reads)), end.totals.reads),
        ];
        for (name, counted, total) in
            visits.into_iter().filter(|(_, counted, total)| is_whole && counted != total)
        {
            self.contradictions
                .push(format!("the intervals count {counted} {name}, and the guest's last record {total}"));
        }
    }
}

/// Whether all records of one session are there, from its first on.
fn is_whole(records: &GuestRecords) -> bool {
    records.numbers.sessions() == 1 && records.numbers.missing(0, &[]).count == 0 && !records.is_cut
}

/// The gaps of all intervals whose records must be there: not those of the first, where the stream was joined late, nor of the last
/// two, where it is cut off; records of their gaps may have gone before, or were still to come.
fn counted_gaps(records: &GuestRecords) -> GapSummary {
    let is_joined_late = records.numbers.firsts().next().is_some_and(|first| first > 0);
    let open = if records.end.is_some() { 0 } else { 2 };
    let until = records.intervals.len().saturating_sub(open);
    let own = records.intervals.iter().take(until).skip(usize::from(is_joined_late));
    own.filter_map(|interval| interval.gaps).fold(GapSummary::default(), |sum, gaps| GapSummary {
        count: sum.count.saturating_add(gaps.count),
        total_ns: sum.total_ns.saturating_add(gaps.total_ns),
        max_ns: sum.max_ns.max(gaps.max_ns),
        ..sum
    })
}

#[cfg(test)]
mod tests;

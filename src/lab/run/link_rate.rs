//! Holds a rate that is tied to the link: what the guest is to be told while a migration runs.

use crate::lab::scenario::pages_of_link;
use crate::record::{Interval, MigrationSample};
use crate::units::{ByteSize, Nanos, PAGE_BYTES, Rate, Share};
use std::collections::VecDeque;

/// The bandwidth is the mean over so long: QEMU sends in portions of a tenth of a second.
const WINDOW: Nanos = Nanos::from_secs(3);
/// The least of that by which it can be told.
const LEAST: Nanos = Nanos::from_secs(2);
/// Rates are told no more often.
const PERIOD: Nanos = Nanos::from_ms(500);
/// A rate within this share of the wanted one is left as it is, percent.
const NEAR_PERCENT: u64 = 3;
/// Visits for each distinct page, at most: beyond it more visits hardly find other pages.
const MOST_VISITS: u64 = 8;

/// Follows the bandwidth of a migration with the rate of the load.
#[derive(Debug, Clone)]
pub struct LinkRate {
    share: Share,
    asked_bytes_per_s: u64,
    /// The source's last answers.
    window: VecDeque<Sent>,
    bytes_per_s: Option<u64>,
    /// Writes and distinct pages of the guest's last interval that told both.
    visits: (u64, u64),
    /// What the guest says it was asked for last.
    in_force: Option<u64>,
    told_at_ns: u64,
    /// The rate that the guest was told last.
    told: Option<u64>,
    /// The lowest and highest rate that the guest took of those, and how many it took.
    taken: Option<(u64, u64, usize)>,
}

/// What the source had sent at a moment.
#[derive(Debug, Clone, Copy)]
struct Sent {
    at_ns: u64,
    bytes: u64,
    zero: u64,
    normal: u64,
}

impl LinkRate {
    /// Of a load that is to dirty `share` of what a migration gets of a link of `asked_bytes_per_s`.
    pub const fn new(share: Share, asked_bytes_per_s: u64) -> Self {
        Self {
            share,
            asked_bytes_per_s,
            window: VecDeque::new(),
            bytes_per_s: None,
            visits: (1, 1),
            in_force: None,
            told_at_ns: 0,
            told: None,
            taken: None,
        }
    }

    /// The rate before and after a migration.
    pub fn at_rest(&self) -> Rate {
        Rate::PagesPerSecond(pages_of_link(self.share, self.asked_bytes_per_s))
    }

    /// The guest told of an interval.
    pub fn heard(&mut self, interval: &Interval) {
        self.take(interval.target_pages_per_s);
        if let Some(distinct) = interval.pages_unique.filter(|distinct| *distinct > 0) {
            self.visits = (interval.writes.clamp(distinct, distinct.saturating_mul(MOST_VISITS)), distinct);
        }
    }

    /// The guest goes at this rate.
    fn take(&mut self, rate: Option<u64>) {
        let is_new = std::mem::replace(&mut self.in_force, rate) != rate;
        let Some(rate) = rate.filter(|_| is_new && rate == self.told) else { return };
        let (low, high, count) = self.taken.unwrap_or((rate, rate, 0));
        self.taken = Some((low.min(rate), high.max(rate), count + 1));
    }

    /// The source said how the migration goes; the rate that the guest is to be told now.
    pub fn answered(&mut self, at_ns: u64, sample: &MigrationSample) -> Option<Rate> {
        if !matches!(sample.status.as_deref(), Some("active" | "postcopy-active")) {
            return None;
        }
        self.measure(at_ns, sample);
        let pages = pages_of_link(self.share, self.bytes_per_s.unwrap_or(self.asked_bytes_per_s));
        let (writes, distinct) = self.visits;
        let wanted = u128::from(pages) * u128::from(writes) / u128::from(distinct.max(1));
        let wanted = u64::try_from(wanted).unwrap_or(u64::MAX).min(Rate::LIMIT_PAGES_PER_S);
        let in_force = self.in_force?;
        let is_near = in_force.abs_diff(wanted).saturating_mul(100) <= wanted.saturating_mul(NEAR_PERCENT);
        if is_near || at_ns.saturating_sub(self.told_at_ns) < PERIOD.0 {
            return None;
        }
        self.told_at_ns = at_ns;
        self.told = Some(wanted);
        Some(Rate::PagesPerSecond(wanted))
    }

    /// Works out the bandwidth of the last answers. Where one page in ten or more was zero, what was sent says nothing of the link.
    fn measure(&mut self, at_ns: u64, sample: &MigrationSample) {
        let Some((ram, bytes)) = sample.ram.as_ref().and_then(|ram| Some((ram, ram.transferred_bytes?)))
        else {
            return;
        };
        let (zero, normal) = (ram.duplicate_pages.unwrap_or(0), ram.normal_pages.unwrap_or(0));
        let last = Sent { at_ns, bytes, zero, normal };
        self.window.push_back(last);
        while self.window.get(1).is_some_and(|second| at_ns.saturating_sub(second.at_ns) >= WINDOW.0) {
            self.window.pop_front();
        }
        let Some(first) = self.window.front() else { return };
        let span_ns = at_ns.saturating_sub(first.at_ns);
        let is_zero =
            zero.saturating_sub(first.zero).saturating_mul(10) > normal.saturating_sub(first.normal);
        if span_ns < LEAST.0 || is_zero || bytes <= first.bytes {
            return;
        }
        self.bytes_per_s = Some(slope(&self.window));
    }

    /// Whether the guest was told another rate than that at rest.
    pub const fn was_told(&self) -> bool {
        self.told.is_some()
    }

    /// What the guest took, in a sentence.
    pub fn note(&self) -> String {
        let shown = |pages: u64| format!("{}/s", ByteSize(pages.saturating_mul(PAGE_BYTES)).human());
        let (share, at_rest) = (self.share, self.at_rest());
        match self.taken {
            None if self.was_told() => format!(
                "load.rate = {share}link: {at_rest}; the guest took none of the rates it was told while the migration ran"
            ),
            None => format!(
                "load.rate = {share}link: {at_rest} all the time, the migration got what was asked for"
            ),
            Some((low, high, count)) => format!(
                "load.rate = {share}link: {at_rest} before and after the migration; {} while it ran, from {} to {}",
                if count == 1 { "1 rate was taken".into() } else { format!("{count} rates were taken") },
                shown(low),
                shown(high)
            ),
        }
    }
}

/// Bytes a second by the line of least squares, which a portion more or less at either end does not move.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float cast saturates")]
fn slope(sent: &VecDeque<Sent>) -> u64 {
    let Some(first) = sent.front() else { return 0 };
    let points = || {
        sent.iter().map(|sent| {
            let at_s = sent.at_ns.saturating_sub(first.at_ns) as f64 / 1e9;
            (at_s, sent.bytes.saturating_sub(first.bytes) as f64)
        })
    };
    let count = sent.len() as f64;
    let (mean_s, mean_bytes) =
        points().fold((0.0, 0.0), |(time, sum), (at_s, bytes)| (time + at_s / count, sum + bytes / count));
    let (both, square) = points().fold((0.0, 0.0), |(both, square), (at_s, bytes)| {
        let apart_s = at_s - mean_s;
        (both + apart_s * (bytes - mean_bytes), square + apart_s * apart_s)
    });
    if square > 0.0 { (both / square).round().max(0.0) as u64 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::RamSample;

    const MS: u64 = 1_000_000;
    const MIB: u64 = 1 << 20;

    /// What a source says that has sent so much, all of it whole pages.
    fn sent(mib: u64, zero: u64) -> MigrationSample {
        let bytes = mib * MIB;
        let ram = RamSample {
            transferred_bytes: Some(bytes),
            duplicate_pages: Some(zero),
            normal_pages: Some(bytes / PAGE_BYTES),
            ..RamSample::default()
        };
        MigrationSample { status: Some("active".into()), ram: Some(ram), ..MigrationSample::default() }
    }

    fn tied() -> LinkRate {
        let mut rate = LinkRate::new("50%".parse().unwrap(), 40 * MIB);
        rate.in_force = rate.at_rest().pages_per_s();
        rate
    }

    #[test]
    fn portions_that_come_early_or_late_do_not_move_the_bandwidth_by_more_than_a_little() {
        let mut rate = tied();
        for tick in 1..=60 {
            let late = [0, 1, 0, 1, 1, 0, 0][usize::try_from(tick % 7).unwrap()];
            let told = rate.answered((1000 + tick * 100) * MS, &sent((tick + 1 - late) * 4, 0));
            assert_eq!(told, None, "tick {tick}");
        }
    }

    /// The rates that are told while so many MiB go over in every tenth of a second, for three seconds.
    fn told(rate: &mut LinkRate, mib: u64) -> Vec<u64> {
        let mut told = Vec::new();
        for tick in 1..=30 {
            let answer = rate.answered((1000 + tick * 100) * MS, &sent(tick * mib, 0));
            if let Some(pages) = answer.and_then(Rate::pages_per_s) {
                rate.take(Some(pages));
                rate.take(Some(pages));
                told.push(pages * PAGE_BYTES / MIB);
            }
        }
        told
    }

    #[test]
    fn a_link_that_gives_what_was_asked_for_changes_nothing() {
        let mut rate = tied();
        assert_eq!((rate.at_rest().to_string(), told(&mut rate, 4)), ("20M/s".into(), vec![]));
        assert!(rate.note().contains("50%link: 20M/s all the time"), "{}", rate.note());
    }

    #[test]
    fn a_link_that_gives_less_or_more_takes_the_rate_along() {
        let mut rate = tied();
        assert_eq!(told(&mut rate, 2), [10]);
        assert!(rate.note().contains("1 rate was taken while it ran, from 10.0 MiB/s"), "{}", rate.note());
        assert_eq!(told(&mut tied(), 6), [30]);
    }

    #[test]
    fn a_rate_that_the_guest_did_not_take_is_told_again() {
        let mut rate = tied();
        let answers = (1..=30).filter_map(|tick| rate.answered((1000 + tick * 100) * MS, &sent(tick * 2, 0)));
        let count = answers.count();
        assert!((2..=3).contains(&count), "{count}: every half a second from when the bandwidth is known");
        let note = rate.note();
        assert!(rate.was_told() && note.contains("20M/s; the guest took none of the rates"), "{note}");
    }

    #[test]
    fn zero_pages_say_nothing_of_the_link_and_neither_does_a_migration_that_is_over() {
        let mut rate = tied();
        for tick in 1..=30 {
            assert_eq!(rate.answered((1000 + tick * 100) * MS, &sent(tick, tick * 10_000)), None);
        }
        let over = MigrationSample { status: Some("completed".into()), ..sent(1, 0) };
        assert_eq!((rate.answered(9_000 * MS, &over), rate.bytes_per_s), (None, None));
    }

    #[test]
    fn visits_that_find_the_same_pages_again_are_made_up_for() {
        let mut rate = tied();
        rate.visits = (150, 100);
        assert_eq!(told(&mut rate, 4), [30]);
    }
}

//! How hard a hypervisor throttles, from nothing but the times at which vCPUs were away.
//!
//! **QEMU's law.** With auto-converge at p percent all vCPUs are sent to sleep every T = 10 ms / (1 - p), each for
//! S = 10 ms p / (1 - p). The comb tries each p: it takes the gaps whose lengths a canary would find of sleeps of S,
//! fits a period to their ends (an end is known to 50 us, a start to half a canary's period), and asks how many of the
//! sleeps due were seen and how well they agree. What it reports is p = 1 - 10 ms / T with the T that was fitted, since
//! an error in T is averaged over all sleeps.
//!
//! **No law.** Where the comb accepts nothing, gaps of like length at like distances are a throttle of another kind,
//! and sleep over period its percent.
//!
//! What is not clear is none: wrong is worse than unknown.

use super::pause::{Pause, Sight, median};
use super::rhythm::{self, Rhythm};
use crate::record::{Throttle, ThrottleLaw};

/// A throttle, and when its sleeps end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comb {
    /// How hard.
    pub throttle: Throttle,
    rhythm: Rhythm,
    tolerance_ns: u64,
    /// How far it is from the percent that was tried.
    off_permille: u64,
}

/// How much of the time before now is looked at, for throttles up to 90 percent and without a law.
pub const WINDOW_NS: u64 = 1_000_000_000;
/// The same above 90 percent, where a period is up to 1 s.
pub const LONG_WINDOW_NS: u64 = 3_000_000_000;
/// The highest percent told from the short window.
const SHORT_WINDOW_PERCENT: u64 = 90;

/// The lowest score that is believed, in permille.
const ACCEPTED_PERMILLE: u64 = 450;
/// At least this share of the sleeps that canaries would see was seen, in permille.
const SEEN_PERMILLE: u64 = 400;
/// So many sleeps or more have to agree better than chance would have it; fewer have to keep step one by one.
const MANY: u64 = 14;
/// Of many: number times agreement squared. Chance comes so far once in e^12.
const SIGNIFICANT: u64 = 12;
/// The percent tried and the one found differ by at most so much, in permille.
const CONSISTENT_PERMILLE: u64 = 30;

/// How hard vCPUs are being throttled at `until_ns`; none when it cannot be told.
///
/// `pauses`: what may be the hypervisor's doing, at least of the last 3 s, in the order of their ends. Where there is more than one
/// canary, half of the others must have seen the same sleeps.
pub fn comb(pauses: &[Pause], until_ns: u64, sight: &Sight) -> Option<Comb> {
    let short = Window::new(pauses, until_ns, WINDOW_NS);
    let long = Window::new(pauses, until_ns, LONG_WINDOW_NS);
    let mut best: Option<Comb> = None;
    for percent in 3..=99 {
        let window = if percent <= SHORT_WINDOW_PERCENT { &short } else { &long };
        for train in &window.trains {
            let found = by_qemus_law(percent, train, window.len_ns, sight);
            if let Some(found) = found
                && best.is_none_or(|best| found.beats(&best))
                && window.is_common(train, &found, sight)
            {
                best = Some(found);
            }
        }
    }
    best.or_else(|| {
        let found = short.trains.iter().filter_map(|train| {
            let found = without_a_law(train, WINDOW_NS, sight)?;
            short.is_common(train, &found, sight).then_some(found)
        });
        found.max_by_key(|found| found.throttle.score)
    })
}

/// The pauses that ended within a span, canary by canary, each train ordered by its ends.
struct Window {
    len_ns: u64,
    trains: Vec<Vec<Pause>>,
}

impl Window {
    fn new(pauses: &[Pause], until_ns: u64, len_ns: u64) -> Self {
        let from_ns = until_ns.saturating_sub(len_ns);
        let within = |pause: &&Pause| pause.end_ns() > from_ns && pause.end_ns() <= until_ns;
        let mut trains: Vec<Vec<Pause>> = Vec::new();
        for pause in pauses.iter().filter(within) {
            match trains.iter_mut().find(|train| train.first().is_some_and(|first| first.cpu == pause.cpu)) {
                Some(train) => train.push(*pause),
                None => trains.push(vec![*pause]),
            }
        }
        Self { len_ns, trains }
    }

    /// Whether half of the other canaries saw what `train` did: half as many sleeps, at the same times.
    fn is_common(&self, train: &[Pause], comb: &Comb, sight: &Sight) -> bool {
        let seen = |train: &[Pause]| train.iter().filter(|pause| comb.covers(pause)).count();
        let own = seen(train);
        let cpu = train.first().map(|pause| pause.cpu);
        let others = self.trains.iter().filter(|other| other.first().map(|pause| pause.cpu) != cpu);
        let agree = others.filter(|other| seen(other) * 2 >= own).count();
        agree * 2 >= sight.canaries.saturating_sub(1)
    }
}

/// What gaps say for a throttle of `percent`.
fn by_qemus_law(percent: u64, train: &[Pause], window_ns: u64, sight: &Sight) -> Option<Comb> {
    let run_ns = Throttle::QEMU_RUN_NS;
    let (period_ns, sleep_ns) = (run_ns * 100 / (100 - percent), run_ns * percent / (100 - percent));
    let lengths_ns = sight.lengths_ns(sleep_ns, (sleep_ns * 6 / 100).max(350_000));
    let like: Vec<Pause> = train.iter().filter(|pause| lengths_ns.contains(&pause.len_ns)).copied().collect();
    // Sleeps that would be seen: window over period, less those that no wake falls into.
    let visible_permille = sight.seen_permille(sleep_ns);
    let due_permille = window_ns.saturating_mul(visible_permille) / period_ns;
    let seen = like.len() as u64;
    if seen < 2 || due_permille == 0 || seen * 1_000_000 < due_permille * SEEN_PERMILLE {
        return None;
    }
    let tolerance_ns = (period_ns / 20).clamp(600_000, 1_500_000);
    let mut comb = fitted(&like, period_ns, due_permille, tolerance_ns, ThrottleLaw::Qemu)?;
    comb.off_permille = comb.throttle.permille().abs_diff(percent * 10);
    let ends: Vec<u64> = like.iter().map(Pause::end_ns).collect();
    let pace = comb.rhythm.pace(&ends, tolerance_ns);
    let coherence = comb.rhythm.coherence_permille;
    let is_significant = if seen >= MANY {
        pace.kept_permille >= 500 && seen * coherence * coherence >= SIGNIFICANT * 1_000_000
    } else {
        pace.kept_permille >= 700
    };
    // Half of the period of another throttle, or a third, fits as well; but then no sleep follows the one before it.
    // Of the shortest sleeps a canary may see just every other one, as its wakes happen to fall.
    let is_short = sleep_ns < 2 * sight.period_ns;
    let is_the_period = is_short || pace.single_permille >= 500;
    let run_found_ns = comb.throttle.period_ns.saturating_sub(comb.throttle.sleep_ns);
    // A sleep shorter than that is found too inexactly to say what is left of the period.
    let is_the_law = is_short || run_found_ns.abs_diff(run_ns) <= 3_000_000;
    let accepted = is_significant && is_the_period && is_the_law && comb.off_permille <= CONSISTENT_PERMILLE;
    (accepted && u64::from(comb.throttle.score) * 10 >= ACCEPTED_PERMILLE).then_some(comb)
}

/// Gaps of like length at like distances.
///
/// The length that counts is the one that half of the time lost was lost in gaps of at least.
fn without_a_law(train: &[Pause], window_ns: u64, sight: &Sight) -> Option<Comb> {
    let usual_ns = weighty_ns(train)?;
    let tolerance_ns = (usual_ns / 10).max(sight.period_ns * 85 / 100);
    let like: Vec<Pause> =
        train.iter().filter(|pause| pause.len_ns.abs_diff(usual_ns) <= tolerance_ns).copied().collect();
    let ends: Vec<u64> = like.iter().map(Pause::end_ns).collect();
    let mut steps: Vec<u64> = ends.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    if usual_ns < 2 * sight.period_ns || steps.len() < FREE_STEPS {
        return None;
    }
    let period_ns = median(&mut steps).max(1);
    let tolerance_ns = (period_ns / 50).clamp(300_000, 1_500_000);
    let comb = fitted(
        &like,
        period_ns,
        window_ns.saturating_mul(1000) / period_ns,
        tolerance_ns,
        ThrottleLaw::Unknown,
    )?;
    let is_steady = comb.rhythm.pace(&ends, tolerance_ns).kept_permille >= 800;
    let is_possible = comb.throttle.sleep_ns < comb.throttle.period_ns;
    let accepted = is_steady && is_possible && (20..=990).contains(&comb.throttle.permille());
    // What may be off for one reason or another is believed only where nearly every sleep agrees.
    (accepted && u64::from(comb.throttle.score) * 10 >= FREE_ACCEPTED_PERMILLE).then_some(comb)
}

/// Without a law it takes so many distances, all but alike.
const FREE_STEPS: usize = 6;
/// The lowest score that is believed without a law, in permille.
const FREE_ACCEPTED_PERMILLE: u64 = 700;

fn weighty_ns(train: &[Pause]) -> Option<u64> {
    let mut lengths: Vec<u64> = train.iter().map(|pause| pause.len_ns).collect();
    lengths.sort_unstable();
    let half_ns = lengths.iter().fold(0, |sum: u64, len_ns| sum.saturating_add(*len_ns)) / 2;
    let mut sum_ns = 0u64;
    lengths.into_iter().find(|len_ns| {
        sum_ns = sum_ns.saturating_add(*len_ns);
        sum_ns >= half_ns
    })
}

/// A comb through `like`, of about `guess_ns`; so many thousandths of a sleep were due to be seen.
fn fitted(
    like: &[Pause],
    guess_ns: u64,
    due_permille: u64,
    tolerance_ns: u64,
    law: ThrottleLaw,
) -> Option<Comb> {
    let ends: Vec<u64> = like.iter().map(Pause::end_ns).collect();
    let rhythm = rhythm::fit(&ends, guess_ns)?;
    let mut lengths: Vec<u64> = like.iter().map(|pause| pause.len_ns).collect();
    let seen_permille = (like.len() as u64).saturating_mul(1_000_000) / due_permille.max(1);
    let score = rhythm.coherence_permille * seen_permille.min(1000) / 10_000;
    let (period_ns, sleep_ns) = (rhythm.period_ns, median(&mut lengths));
    let mut throttle =
        Throttle { percent: 0, law, score: u32::try_from(score).unwrap_or(100), period_ns, sleep_ns };
    throttle.percent = u32::try_from((throttle.permille() + 5) / 10).unwrap_or(100);
    Some(Comb { throttle, rhythm, tolerance_ns, off_permille: 0 })
}

impl Comb {
    /// Whether this one is to be preferred: for its score or, of about the same score, for being nearer to the percent
    /// it was tried for.
    fn beats(&self, other: &Self) -> bool {
        let (score, others) = (self.throttle.score, other.throttle.score);
        if score.abs_diff(others) <= 3 { self.off_permille < other.off_permille } else { score > others }
    }

    /// Whether a pause is one of the sleeps: it ended when one of them did, or lies mostly in one and is no longer than
    /// one and a half.
    pub fn covers(&self, pause: &Pause) -> bool {
        let sleep_ns = self.throttle.sleep_ns;
        let end_ns = self.rhythm.nearest_ns(pause.end_ns());
        let due = Pause { cpu: pause.cpu, start_ns: end_ns.saturating_sub(sleep_ns), len_ns: sleep_ns };
        let in_time = end_ns.abs_diff(pause.end_ns()) <= self.tolerance_ns;
        let fits = pause.len_ns <= sleep_ns.saturating_mul(3) / 2 + 2_000_000;
        fits && (in_time || due.overlap_percent(pause) >= 80)
    }
}

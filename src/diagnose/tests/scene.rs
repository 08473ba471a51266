//! What canaries find of absences that are made up: the same arithmetic, the same blindness.

use crate::diagnose::{Evidence, Sight};
use crate::record::{Gap, GapClass, GapFeatures};
use rand_xoshiro::{
    Xoshiro256PlusPlus,
    rand_core::{Rng, SeedableRng},
};

pub const MS: u64 = 1_000_000;
pub const SECOND: u64 = 1_000_000_000;
/// Where generated time begins: far enough from 0 for every window.
pub const BEGIN: u64 = 100 * SECOND;

pub const fn sight(canaries: usize) -> Sight {
    Sight { period_ns: MS, threshold_ns: MS / 10, canaries }
}

pub const fn evidence(canaries: usize) -> Evidence<'static> {
    Evidence { sight: sight(canaries), counted: None, host: &[], visits: &[], busy_permille: None }
}

/// Draws by a seed.
pub struct Dice(Xoshiro256PlusPlus);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// Uniform below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound.max(1)
    }

    /// Exponential with this mean.
    pub fn exponential(&mut self, mean: u64) -> u64 {
        let uniform = (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 40 means")]
        let drawn = (-(1.0 - uniform).ln() * mean as f64) as u64;
        drawn
    }
}

/// When one vCPU was away, in truth: start and length.
pub type Truth = Vec<(u64, u64)>;

/// Absences by a law: `sleep_ns` of every `period_ns`, each start off by up to `jitter_ns`, each sleep up to 100 us too
/// long.
pub fn periodic(dice: &mut Dice, sleep_ns: u64, period_ns: u64, jitter_ns: u64, span_ns: u64) -> Truth {
    let begin = BEGIN + dice.below(period_ns);
    let starts = (0..span_ns / period_ns).map(|step| begin + step * period_ns);
    starts.map(|start| (start + dice.below(jitter_ns), sleep_ns + dice.below(MS / 10))).collect()
}

/// QEMU's sleep and period at `percent`.
pub fn qemu_law(percent: u64) -> (u64, u64) {
    (10 * MS * percent / (100 - percent), 10 * MS * 100 / (100 - percent))
}

/// Absences at random: run times and lengths as `run` and `len` draw them.
pub fn random(dice: &mut Dice, span_ns: u64, run_ns: u64, len: impl Fn(&mut Dice) -> u64) -> Truth {
    let (mut now, mut truth) = (BEGIN, Vec::new());
    while now < BEGIN + span_ns {
        now += dice.exponential(run_ns);
        let len_ns = len(dice);
        truth.push((now, len_ns));
        now += len_ns;
    }
    truth
}

/// What the canary of `cpu` finds: it wakes on a grid of its own, up to 60 us late.
pub fn seen(dice: &mut Dice, cpu: u32, truth: &Truth) -> Vec<Gap> {
    let phase = dice.below(MS);
    let mut gaps = Vec::new();
    for (start, len) in truth {
        let deadline = (start.saturating_sub(phase)).div_ceil(MS) * MS + phase;
        let wake = start + len + dice.below(60_000);
        if deadline < start + len && wake - deadline > MS / 10 {
            let late = wake - deadline;
            gaps.push(gap(cpu, wake, late + late.min(MS / 2)));
        }
    }
    gaps
}

/// A gap by its end, which is what is known best.
pub fn gap(cpu: u32, end_ns: u64, len_ns: u64) -> Gap {
    let features = GapFeatures { run_delay_ns: Some(0), nvcsw: 1, ..GapFeatures::default() };
    Gap {
        cpu,
        start_ns: end_ns - len_ns,
        len_ns,
        class: GapClass::Unknown,
        confidence: None,
        visit: None,
        features,
    }
}

/// Short gaps at random, as a machine that is not quite idle has them.
pub fn noise(dice: &mut Dice, span_ns: u64, per_s: u64) -> Truth {
    random(dice, span_ns, SECOND / per_s.max(1), |dice| 150_000 + dice.exponential(600_000))
}

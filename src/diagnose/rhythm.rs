//! The period of a train of moments: least squares over whole numbers of steps, and how well they keep to it.

/// Moments that come every `period_ns`, give or take, some of them left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rhythm {
    /// From one moment to the next.
    pub(super) period_ns: u64,
    /// Where one of them belongs.
    pub(super) origin_ns: u64,
    /// How far the moments agree in phase, 0 to 1000: the mean cosine of how far each is off, in turns.
    pub(super) coherence_permille: u64,
}

/// Sums of longer trains might not fit into their integers.
const LONGEST_TRAIN_NS: u64 = 10_000_000_000_000;

/// Fits a rhythm of about `guess_ns` to ascending moments; none when they tell no period.
pub(super) fn fit(moments_ns: &[u64], guess_ns: u64) -> Option<Rhythm> {
    let (first_ns, guess_ns) = (*moments_ns.first()?, guess_ns.max(1));
    if moments_ns.last()?.saturating_sub(first_ns) > LONGEST_TRAIN_NS {
        return None;
    }
    let (mut steps, mut last_ns) = (0u64, first_ns);
    let (mut count, mut steps_sum, mut squares_sum, mut times_sum, mut products_sum) =
        (0i128, 0i128, 0i128, 0i128, 0i128);
    for moment_ns in moments_ns {
        steps += steps_of(moment_ns.saturating_sub(last_ns), guess_ns);
        last_ns = *moment_ns;
        let (k, t) = (i128::from(steps), i128::from(moment_ns.saturating_sub(first_ns)));
        count += 1;
        steps_sum += k;
        squares_sum += k * k;
        times_sum += t;
        products_sum += k * t;
    }
    let spread = count * squares_sum - steps_sum * steps_sum;
    if spread == 0 {
        return None;
    }
    let slope = count * products_sum - steps_sum * times_sum;
    let period_ns = u64::try_from(slope / spread).ok().filter(|period_ns| *period_ns > 0)?;
    let origin = (times_sum * spread - slope * steps_sum) / (count * spread);
    let origin_ns = u64::try_from(i128::from(first_ns) + origin).ok()?;
    let mut rhythm = Rhythm { period_ns, origin_ns, coherence_permille: 0 };
    let cosines: i64 =
        moments_ns.iter().map(|moment_ns| cosine_permille(rhythm.phase_permille(*moment_ns))).sum();
    let count = i64::try_from(moments_ns.len()).ok()?;
    rhythm.coherence_permille = u64::try_from(cosines / count).unwrap_or(0);
    Some(rhythm)
}

/// The whole number of steps nearest to a distance.
fn steps_of(distance_ns: u64, step_ns: u64) -> u64 {
    distance_ns.saturating_add(step_ns / 2) / step_ns
}

impl Rhythm {
    /// The moment of the rhythm nearest to `moment_ns`.
    pub(super) fn nearest_ns(&self, moment_ns: u64) -> u64 {
        if moment_ns >= self.origin_ns {
            let steps = steps_of(moment_ns - self.origin_ns, self.period_ns);
            self.origin_ns.saturating_add(steps.saturating_mul(self.period_ns))
        } else {
            let steps = steps_of(self.origin_ns - moment_ns, self.period_ns);
            self.origin_ns.saturating_sub(steps.saturating_mul(self.period_ns))
        }
    }

    /// How far a moment is off, in thousandths of a turn: 0 to 500.
    fn phase_permille(&self, moment_ns: u64) -> u64 {
        let off_ns = self.nearest_ns(moment_ns).abs_diff(moment_ns);
        (off_ns.saturating_mul(1000) / self.period_ns).min(500)
    }

    /// How moments follow each other, give or take `tolerance_ns`.
    pub(super) fn pace(&self, moments_ns: &[u64], tolerance_ns: u64) -> Pace {
        let all = (moments_ns.len() as u64).saturating_sub(1).max(1);
        let (mut kept, mut single) = (0, 0);
        for pair in moments_ns.windows(2) {
            let distance_ns = pair[1].saturating_sub(pair[0]);
            let steps = steps_of(distance_ns, self.period_ns);
            kept += u64::from(
                steps > 0 && steps.saturating_mul(self.period_ns).abs_diff(distance_ns) <= tolerance_ns,
            );
            single += u64::from(steps == 1);
        }
        Pace { kept_permille: kept * 1000 / all, single_permille: single * 1000 / all }
    }
}

/// How moments follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// The share of steps from one to the next that are whole periods.
    pub(super) kept_permille: u64,
    /// The share of those that are one period long, or nearly.
    pub(super) single_permille: u64,
}

/// The cosine of a part of a turn, 0 to 500 thousandths, times 1000: two parabolas, off by at most 60.
fn cosine_permille(turn_permille: u64) -> i64 {
    let bow = |from: u64| 1000 - i64::try_from(16 * from * from / 1000).unwrap_or(0);
    if turn_permille <= 250 { bow(turn_permille) } else { -bow(500 - turn_permille.min(500)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_parabolas_are_near_the_cosine() {
        for turn in 0..=500u32 {
            let truth = (f64::from(turn) / 1000.0 * std::f64::consts::TAU).cos() * 1000.0;
            let found = cosine_permille(turn.into()) as f64;
            assert!((found - truth).abs() <= 61.0, "{turn}: {found} for {truth}");
        }
    }

    #[test]
    fn moments_that_tell_no_period_have_no_rhythm() {
        assert_eq!(fit(&[], 10), None);
        assert_eq!(fit(&[5], 10), None);
        assert_eq!(fit(&[5, 5, 5], 10), None);
    }

    proptest! {
        #[test]
        fn a_period_is_found_although_moments_are_missing(
            period_ns in 1_000_000u64..1_000_000_000, origin_ns in 0u64..u64::from(u32::MAX),
            keep in prop::collection::vec(any::<bool>(), 10..60), off_percent in -3i64..=3
        ) {
            let kept = keep.iter().zip(0u64..).filter(|(kept, _)| **kept);
            let moments: Vec<u64> = kept.map(|(_, step)| origin_ns + step * period_ns).collect();
            // A wrong guess may count a step too many over a long hole.
            let longest = moments.windows(2).map(|pair| (pair[1] - pair[0]) / period_ns).max().unwrap_or(0);
            prop_assume!(moments.len() >= 2 && longest <= 8);
            let guess_ns = period_ns.saturating_add_signed(period_ns.cast_signed() * off_percent / 100);
            let rhythm = fit(&moments, guess_ns).unwrap();
            prop_assert!(rhythm.period_ns.abs_diff(period_ns) <= 1, "{rhythm:?}");
            prop_assert!(rhythm.coherence_permille >= 999);
            prop_assert_eq!(rhythm.pace(&moments, 10 * longest).kept_permille, 1000);
        }

        #[test]
        fn no_moments_panic(mut moments in prop::collection::vec(any::<u64>(), 0..20), guess_ns: u64) {
            moments.sort_unstable();
            if let Some(rhythm) = fit(&moments, guess_ns) {
                let _ = (rhythm.pace(&moments, guess_ns), rhythm.nearest_ns(guess_ns));
            }
        }
    }
}

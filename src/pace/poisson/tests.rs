//! Whether the arrivals are those of a Poisson process, with fixed seeds.

use super::*;

const WRITERS: u32 = 3;

/// The first `count` arrivals of all writers together, ns after the beginning.
fn arrivals(rate: u64, writers: u32, seed: u64, count: usize) -> Vec<u64> {
    let each = count / writers as usize + count / 10 + 10;
    let mut all: Vec<u64> = (0..writers)
        .flat_map(|writer| {
            let even = Even::new(0, rate, writer, writers).unwrap();
            let mut starts = Poisson::new(even, seed, writer).starts();
            std::iter::repeat_with(move || {
                let due_ns = starts.peek();
                starts.step();
                due_ns
            })
            .take(each)
        })
        .collect();
    all.sort_unstable();
    all.truncate(count);
    all
}

/// The largest distance between the distribution of `values` and `expected`, times the root of their number: above
/// 1.63 in one of a hundred samples of the expected distribution.
fn kolmogorov_smirnov(mut values: Vec<f64>, expected: impl Fn(f64) -> f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let count = values.len() as f64;
    let distance = values.iter().enumerate().fold(0.0f64, |most, (index, value)| {
        let truth = expected(*value);
        most.max((truth - index as f64 / count).abs()).max(((index + 1) as f64 / count - truth).abs())
    });
    distance * count.sqrt()
}

fn distances(arrivals: &[u64], rate: u64) -> Vec<f64> {
    arrivals.windows(2).map(|pair| (pair[1] - pair[0]) as f64 * rate as f64 / 1e9).collect()
}

#[test]
fn distances_are_exponential() {
    for (rate, writers, seed) in
        [(1_000, 1, 1), (25_600, 1, 2), (100, WRITERS, 3), (200_000, WRITERS, 4), (2_000_000, WRITERS, 8)]
    {
        let distances = distances(&arrivals(rate, writers, seed, 100_000), rate);
        let distance = kolmogorov_smirnov(distances, |distance| 1.0 - (-distance).exp());
        assert!(distance < 1.63, "{rate} p/s of {writers}: {distance}");
    }
}

#[test]
fn even_distances_would_not_pass_for_exponential_ones() {
    let distance = kolmogorov_smirnov(vec![1.0; 1000], |distance| 1.0 - (-distance).exp());
    assert!(distance > 10.0, "{distance}");
}

#[test]
fn one_distance_says_nothing_of_the_next() {
    let distances = distances(&arrivals(25_600, 1, 5, 100_000), 25_600);
    let product: f64 = distances.windows(2).map(|pair| (pair[0] - 1.0) * (pair[1] - 1.0)).sum();
    let correlation = product / distances.len() as f64;
    assert!(correlation.abs() < 4.0 / (distances.len() as f64).sqrt(), "{correlation}");
}

#[test]
fn counts_over_short_windows_vary_as_poisson_counts_do() {
    let (rate, window_ns) = (25_600u64, 1_000_000);
    let arrivals = arrivals(rate, WRITERS, 6, 200_000);
    let windows = arrivals.last().unwrap() / window_ns;
    let mut counts = vec![0u64; usize::try_from(windows + 1).unwrap()];
    for arrival in &arrivals {
        counts[usize::try_from(arrival / window_ns).unwrap()] += 1;
    }
    let mean = arrivals.len() as f64 / counts.len() as f64;
    let variance =
        counts.iter().map(|count| (*count as f64 - mean).powi(2)).sum::<f64>() / counts.len() as f64;
    // A window of 25 in a block of 1280 takes 2 % off the variance; 7 800 windows leave 1.6 % to chance.
    assert!((variance / mean - 0.98).abs() < 0.07, "{}", variance / mean);
}

#[test]
fn at_the_end_of_every_block_exactly_the_rate_was_offered_and_between_never_far_from_it() {
    let even = Even::new(0, 1_000, 0, 1).unwrap();
    let poisson = Poisson::new(even, 7, 0);
    let seconds = (0..600).map(|second| (second, poisson.offered(second * NS_PER_S)));
    assert!(seconds.into_iter().all(|(second, offered)| offered == second * 1_000));
    let half = |second| poisson.offered(second * NS_PER_S + NS_PER_S / 2);
    let off: Vec<u64> = (0..600).map(|second| half(second).abs_diff(second * 1_000 + 500)).collect();
    // Half of a block's visits, give or take root(1000) / 2 = 16.
    assert!(off.iter().all(|off| *off < 80), "{:?}", off.iter().max());
    assert!(off.iter().filter(|off| **off >= 8).count() > 300, "that even a Poisson process is not");
}

#[test]
fn blocks_are_1_2_or_5_times_a_power_of_ten_with_1000_to_2500_visits() {
    for rate in [1, 7, 100, 999, 1_000, 1_001, 25_600, 999_999, 2_000_000, 999_999_999, 1_000_000_000] {
        let span_ns = u128::from(block_ns(rate));
        let visits = span_ns * u128::from(rate) / 1_000_000_000;
        assert!((1_000..=2_500).contains(&visits), "{rate}: {span_ns} ns");
        let digits = span_ns.to_string();
        assert!(["1", "2", "5"].contains(&digits.trim_end_matches('0')), "{rate}: {span_ns} ns");
    }
}

/// The same seed visits at the same times for ever: these figures never change.
#[test]
fn the_same_seed_makes_the_same_arrivals_for_ever() {
    assert_eq!(arrivals(25_600, 1, 1, 6), GOLDEN);
    assert_ne!(arrivals(25_600, 1, 2, 6), GOLDEN);
    let of = |writer| Poisson::new(Even::new(0, 1_000, writer, 2).unwrap(), 1, writer).starts().peek();
    assert_ne!(of(0), of(1), "writers do not move together");
}

const GOLDEN: [u64; 6] = [34_075, 35_828, 63_388, 72_274, 74_761, 203_872];

#[test]
fn the_arrivals_take_memory_once() {
    for (rate, writers) in [(1_000, 1), (2_499, 1), (25_600, 3), (1_000_000_000, 1), (5, 1024)] {
        let mut starts = Poisson::new(Even::new(0, rate, 0, writers).unwrap(), 1, 0).starts();
        let room = starts.due_ns.capacity();
        for _ in 0..10_000 {
            starts.step();
        }
        starts.seek(starts.peek().saturating_mul(3));
        assert_eq!(starts.due_ns.capacity(), room, "{rate} of {writers}");
    }
}

#[test]
fn at_the_end_of_time_there_is_one_visit_and_no_endless_search() {
    let mut starts = Poisson::new(Even::new(u64::MAX - 5, 1, 0, 1).unwrap(), 1, 0).starts();
    starts.seek(u64::MAX);
    starts.step();
    assert_eq!(starts.peek(), u64::MAX);
}

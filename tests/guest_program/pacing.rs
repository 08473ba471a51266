//! The mean rate on a real clock.

use super::{end, records, sully};

/// By what part a run's visits differ from what its rate asks for in its time.
fn off(load: &str, pages_per_s: f64) -> f64 {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let run = format!("run -m 32M -t 1 -d 5s --baseline 0s {load} --report file:{}", path.display());
    sully(&run).assert().success();
    let records = records(&path);
    let totals = &end(&records).totals;
    totals.writes as f64 / (totals.elapsed_ns as f64 / 1e9 * pages_per_s) - 1.0
}

#[test]
fn the_mean_rate_is_within_a_thousandth_of_the_one_asked_for() {
    for (pages_per_s, pace) in [(2_000, "constant"), (25_600, "constant"), (25_600, "poisson")] {
        let load = format!("-r {pages_per_s}p/s --pace {pace}");
        let mut offs: Vec<f64> = (0..5).map(|_| off(&load, f64::from(pages_per_s))).collect();
        offs.sort_by(f64::total_cmp);
        // A machine busy with something else may take the last ms of a run away, and never adds a visit.
        assert!(offs[2].abs() <= 0.001, "{load}: the median of {offs:?}");
        assert!(offs[4] <= 0.001, "{load}: more than was asked for, {offs:?}");
    }
}

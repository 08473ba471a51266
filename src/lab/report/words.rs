//! How figures are written for people: three digits, a fitting unit, a dash where there is none.

use super::table::ABSENT;
use crate::units::{Nanos, PAGE_BYTES};

/// A span of time; none at all needs no unit.
pub fn time(ns: Option<u64>) -> String {
    match ns {
        None => ABSENT.into(),
        Some(0) => "0".into(),
        Some(ns) => Nanos(ns).human(),
    }
}

/// A span of time given in seconds.
pub fn seconds(seconds: f64) -> String {
    time(Some(crate::lab::timeline::nanos(seconds)))
}

/// A share of a whole, 0 to 1, in percent.
pub fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| ABSENT.into(), |share| format!("{:.1} %", share * 100.0))
}

/// A rate in MiB of pages a second, without the unit.
pub fn mib_per_s(pages_per_s: Option<f64>) -> String {
    pages_per_s.map_or_else(|| ABSENT.into(), |pages| short(pages * PAGE_BYTES as f64 / 1_048_576.0))
}

/// Bytes in MiB, with the unit.
pub fn mib(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| ABSENT.into(), |bytes| format!("{} MiB", short(bytes as f64 / 1_048_576.0)))
}

/// A count.
pub fn count(count: Option<u64>) -> String {
    count.map_or_else(|| ABSENT.into(), |count| count.to_string())
}

/// `1 pass`, `2 passes`.
pub fn counted(count: u64, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}

/// At least three digits: `0.50`, `7.25`, `31.4`, `1250`.
fn short(value: f64) -> String {
    match value.abs() {
        0.0..9.995 => format!("{value:.2}"),
        9.995..99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_a_dash_and_never_zero() {
        let all = [time(None), percent(None), mib_per_s(None), mib(None), count(None)];
        assert!(all.iter().all(|word| word == ABSENT));
    }

    #[test]
    fn figures_have_three_digits_and_a_unit() {
        assert_eq!(mib_per_s(Some(25_600.0)), "100");
        assert_eq!(mib_per_s(Some(2560.0)), "10.0");
        assert_eq!(mib(Some(3 << 19)), "1.50 MiB");
        assert_eq!(percent(Some(0.615)), "61.5 %");
        assert_eq!(seconds(23.44), "23.4 s");
    }
}

//! How figures are written for people: three digits, a fitting unit, a dash where there is none.

use super::table::ABSENT;
use crate::{
    lab::{
        figure::{figure, short},
        timeline::nanos,
    },
    record::{Accelerator, Latency},
    units::{Nanos, PAGE_BYTES},
};

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
    time(Some(nanos(seconds)))
}

/// A span of time that may go back, with its sign.
pub fn signed_time(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "+" };
    if ns == 0 { "0".into() } else { format!("{sign}{}", Nanos(ns.unsigned_abs()).human()) }
}

/// A moment of the time axis, in seconds.
pub fn at(seconds: f64) -> String {
    // Adding zero takes the sign from a zero.
    format!("{:.2} s", (seconds * 100.0).round() / 100.0 + 0.0)
}

/// A quantile of visits. Where there were some and the clock, which tells nothing up to `untold_ns`, does not tell it: below that.
pub fn quantile(latency: Option<Latency>, of: fn(Latency) -> Option<u64>, untold_ns: Option<u64>) -> String {
    match (latency.map(of), untold_ns) {
        (Some(None), Some(_)) => format!("<{}", time(untold_ns)),
        (told, _) => time(told.flatten()),
    }
}

/// A share of a whole, 0 to 1, in percent.
pub fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| ABSENT.into(), |share| format!("{} %", figure(share * 100.0, 1)))
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

/// How a guest's CPUs were run.
pub const fn accelerator(accelerator: Accelerator) -> &'static str {
    match accelerator {
        Accelerator::Kvm => "KVM",
        Accelerator::Tcg => "TCG (emulation)",
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
    fn a_quantile_that_a_coarse_clock_cannot_tell_is_below_what_it_can() {
        let told = Some(Latency { count: 9, max: Some(300_000_000), ..Latency::default() });
        let said = |latency, untold_ns| {
            [quantile(latency, |own| own.p50, untold_ns), quantile(latency, |own| own.max, untold_ns)]
        };
        assert_eq!(said(told, Some(6_000_000)), ["<6.00 ms", "300 ms"]);
        assert_eq!(said(told, None), [ABSENT, "300 ms"]);
        assert_eq!(said(None, Some(6_000_000)), [ABSENT, ABSENT], "there were no visits");
    }

    #[test]
    fn figures_have_three_digits_and_a_unit() {
        assert_eq!(mib_per_s(Some(25_600.0)), "100");
        assert_eq!(mib_per_s(Some(2560.0)), "10.0");
        assert_eq!(mib(Some(3 << 19)), "1.50 MiB");
        assert_eq!(percent(Some(0.615)), "61.5 %");
        assert_eq!([percent(Some(0.000_04)), percent(Some(0.0))], ["0.0040 %", "0.0 %"]);
        assert_eq!(mib_per_s(Some(1.0)), "0.0039");
        assert_eq!([signed_time(-12_000), signed_time(0)], ["-12.0 µs", "0"]);
        assert_eq!([at(-0.001), at(-5.0), at(18.104)], ["0.00 s", "-5.00 s", "18.10 s"]);
        assert_eq!(seconds(23.44), "23.4 s");
    }
}

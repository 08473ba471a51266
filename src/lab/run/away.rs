//! How much of the time a guest's vCPUs were away and the guest did not do it: what a busy host looks like from inside.

use crate::lab::figure::figure;
use crate::record::{GapClass, Hello, Interval};

/// A host is busy where vCPUs are away for more of their time, percent.
const BUSY_PERCENT: f64 = 5.0;
/// Classes of gaps that are the guest's own.
const OWN: [GapClass; 2] = [GapClass::GuestSched, GapClass::GuestFault];

/// Sums over intervals.
#[derive(Debug, Default)]
pub struct AwayTime {
    canaries: u64,
    /// Of all canaries together.
    time_ns: u128,
    away_ns: u128,
    steal_ns: u128,
}

impl AwayTime {
    /// Begins anew, with the canaries that `hello` tells of.
    pub fn begin(&mut self, hello: &Hello) {
        let canaries = hello.self_facts.canary_period_ns.map_or(0, |_| hello.cpus.len() as u64);
        *self = Self { canaries, ..Self::default() };
    }

    /// Begins anew with the same canaries.
    pub fn begin_again(&mut self) {
        *self = Self { canaries: self.canaries, ..Self::default() };
    }

    /// Takes the next interval into account; one that tells of no gaps tells nothing.
    pub fn on(&mut self, interval: &Interval) {
        let Some(gaps) = interval.gaps else { return };
        let length_ns = interval.end_ns.saturating_sub(interval.start_ns);
        let stalls = interval.stall_ms.as_ref();
        let own_ms = OWN.iter().filter_map(|class| stalls?.get(class.name()));
        let own_ms = own_ms.fold(0u64, |sum, ms| sum.saturating_add(*ms));
        self.time_ns += u128::from(length_ns) * u128::from(self.canaries);
        self.away_ns += u128::from(gaps.total_ns.saturating_sub(own_ms.saturating_mul(1_000_000)));
        self.steal_ns += u128::from(interval.steal_ms.unwrap_or(0)) * 1_000_000;
    }

    /// Whether the host was too busy for a steady load; none where no canary watched.
    pub fn is_busy(&self) -> Option<bool> {
        Some(self.percent(self.away_ns)? >= BUSY_PERCENT)
    }

    /// `its vCPUs were away for 23.0 % of the time (10.0 % by its steal)`; none where no canary watched. A guest that counts no
    /// steal has none to tell of.
    pub fn sentence(&self) -> Option<String> {
        let away = figure(self.percent(self.away_ns)?, 1);
        let steal = self.percent(self.steal_ns).filter(|steal| *steal > 0.0);
        let steal = steal.map_or_else(String::new, |steal| format!(" ({} % by its steal)", figure(steal, 1)));
        Some(format!("its vCPUs were away for {away} % of the time{steal}"))
    }

    fn percent(&self, of_ns: u128) -> Option<f64> {
        (self.time_ns > 0).then(|| (of_ns as f64 / self.time_ns as f64 * 100.0).min(100.0))
    }
}

//! What one interval lost, by whose fault, and how hard the hypervisor throttled.

use super::GapClass;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
    ser::SerializeMap,
};
use std::fmt;

/// vCPU time lost by class, in ms, sum over canaries; on the wire an object that names the classes that lost any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StallMs([u64; GapClass::ALL.len()]);

impl StallMs {
    /// The time of `class`, in ms.
    pub const fn of(&self, class: GapClass) -> u64 {
        self.0[class as usize]
    }

    /// Adds `ms` to the time of `class` (saturating).
    pub fn add(&mut self, class: GapClass, ms: u64) {
        let sum = &mut self.0[class as usize];
        *sum = sum.saturating_add(ms);
    }

    /// The time of all classes, in ms.
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, ms| sum.saturating_add(*ms))
    }
}

impl Serialize for StallMs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for class in GapClass::ALL.into_iter().filter(|class| self.of(*class) > 0) {
            map.serialize_entry(class.name(), &self.of(class))?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for StallMs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = StallMs;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of classes and ms")
            }

            /// A class of a later version counts as unknown.
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<StallMs, A::Error> {
                let mut stalls = StallMs::default();
                while let Some((class, ms)) = map.next_entry()? {
                    stalls.add(class, ms);
                }
                Ok(stalls)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// The hypervisor lets vCPUs sleep again and again: `sleep_ns` of every `period_ns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttle {
    /// Share of time the vCPUs sleep, rounded; by QEMU's law it is what QEMU was told to take.
    pub percent: u32,
    /// By which law.
    pub law: ThrottleLaw,
    /// How well the sleeps fit, 0 to 100: their agreement in phase times the share of them that was seen.
    pub score: u32,
    /// From one sleep to the next, by least squares.
    pub period_ns: u64,
    /// The sleep itself: the median.
    pub sleep_ns: u64,
}

/// What ties sleep and period to the percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThrottleLaw {
    /// QEMU's: vCPUs run for 10 ms of every period, so that the percent follows from the period alone.
    Qemu,
    /// Another one: the percent is sleep over period.
    #[serde(other)]
    Unknown,
}

impl Throttle {
    /// For how long QEMU lets vCPUs run between two sleeps, whatever the percent.
    pub const QEMU_RUN_NS: u64 = 10_000_000;

    /// The share of time the vCPUs sleep, in permille: 1 - 10 ms / period by QEMU's law, sleep / period otherwise.
    pub fn permille(&self) -> u64 {
        let period_ns = self.period_ns.max(1);
        let asleep_ns = match self.law {
            ThrottleLaw::Qemu => period_ns.saturating_sub(Self::QEMU_RUN_NS),
            ThrottleLaw::Unknown => self.sleep_ns.min(period_ns),
        };
        asleep_ns.saturating_mul(1000).saturating_add(period_ns / 2) / period_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_without_loss_are_left_out_and_later_classes_count_as_unknown() {
        let mut stalls = StallMs::default();
        stalls.add(GapClass::Throttle, 500);
        let text = serde_json::to_string(&stalls).unwrap();
        assert_eq!(text, r#"{"throttle":500}"#);
        assert_eq!(serde_json::from_str::<StallMs>(&text).unwrap(), stalls);
        let later: StallMs = serde_json::from_str(r#"{"throttle":500,"full_moon":3,"unknown":4}"#).unwrap();
        assert_eq!((later.of(GapClass::Unknown), later.total()), (7, 507));
    }

    #[test]
    fn by_qemus_law_the_percent_follows_from_the_period() {
        let law = |law, period_ns, sleep_ns| {
            Throttle { percent: 0, law, score: 90, period_ns, sleep_ns }.permille()
        };
        assert_eq!(law(ThrottleLaw::Qemu, 20_000_000, 0), 500);
        assert_eq!(law(ThrottleLaw::Qemu, 1_000_000_000, 0), 990);
        assert_eq!(law(ThrottleLaw::Unknown, 100_000_000, 30_000_000), 300);
        assert_eq!(law(ThrottleLaw::Unknown, 0, 0), 0);
    }
}

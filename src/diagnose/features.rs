//! What one gap tells by itself: the counters of the canary's own thread.

use crate::record::{GapClass, GapFeatures};

/// The class of one gap of `len_ns`, as far as its own features tell.
///
/// Another task of the guest ran for at least half of it: the guest's scheduler. The canary's own thread took page
/// faults: the guest's memory management. Everything else needs more than one gap to be told: unknown.
pub fn classify(len_ns: u64, features: &GapFeatures) -> GapClass {
    let waited_ns = features.run_delay_ns.unwrap_or(0);
    if len_ns > 0 && waited_ns >= len_ns.div_ceil(2) {
        GapClass::GuestSched
    } else if features.minflt > 0 || features.majflt > 0 {
        GapClass::GuestFault
    } else {
        GapClass::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn half_of_the_gap_in_the_run_queue_is_the_guests_scheduler() {
        let waited = |ns| GapFeatures { run_delay_ns: Some(ns), minflt: 1, ..GapFeatures::default() };
        assert_eq!(classify(1000, &waited(500)), GapClass::GuestSched);
        assert_eq!(classify(1000, &waited(499)), GapClass::GuestFault);
    }

    #[test]
    fn a_fault_of_either_kind_is_the_guests_memory() {
        let minor = GapFeatures { minflt: 1, ..GapFeatures::default() };
        let major = GapFeatures { majflt: 1, ..GapFeatures::default() };
        assert_eq!(
            (classify(1000, &minor), classify(1000, &major)),
            (GapClass::GuestFault, GapClass::GuestFault)
        );
    }

    #[test]
    fn what_no_feature_explains_is_unknown() {
        let quiet = GapFeatures { nvcsw: 9, nivcsw: 9, cpu_ns: 900, ..GapFeatures::default() };
        assert_eq!(classify(1000, &quiet), GapClass::Unknown);
    }

    proptest! {
        #[test]
        fn without_schedstat_the_scheduler_is_never_blamed(
            len_ns: u64, minflt: u64, majflt: u64, nvcsw: u64, nivcsw: u64, cpu_ns: u64
        ) {
            let features = GapFeatures { run_delay_ns: None, cpu_ns, minflt, majflt, nvcsw, nivcsw };
            prop_assert_ne!(classify(len_ns, &features), GapClass::GuestSched);
        }
    }
}

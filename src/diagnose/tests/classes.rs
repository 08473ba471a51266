//! Classes of generated gaps, each rule with its truth, and sums that add up.

use super::scene::{BEGIN, Dice, MS, SECOND, Truth, evidence, gap, noise, periodic, qemu_law, seen};
use crate::diagnose::{
    Budget, Counted, Evidence, HostEvent, HostEventKind, LongVisit, classify, falls_into_visits, judge,
    judge_run, waits_alone_ns,
};
use crate::record::{Gap, GapClass, GapFeatures};
use proptest::prelude::*;

fn classes(gaps: &mut [Gap], evidence: &Evidence<'_>) -> Vec<GapClass> {
    gaps.sort_by_key(|gap| gap.start_ns + gap.len_ns);
    judge(&[], gaps, u64::MAX, evidence);
    gaps.iter().map(|gap| gap.class).collect()
}

/// One stop of `len_ms` on each of `canaries`, each canary with its own error.
fn stop(canaries: u32, len_ms: u64) -> Vec<Gap> {
    (0..canaries)
        .map(|cpu| gap(cpu, BEGIN + 10_000 * u64::from(cpu), len_ms * MS + 100_000 * u64::from(cpu)))
        .collect()
}

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
fn what_no_feature_explains_is_unknown_alone() {
    let quiet = GapFeatures { nvcsw: 9, nivcsw: 9, cpu_ns: 900, ..GapFeatures::default() };
    assert_eq!(classify(1000, &quiet), GapClass::Unknown);
}

#[test]
fn what_a_canary_waited_for_in_the_run_queue_is_the_guests_doing_even_under_a_throttle() {
    let mut dice = Dice::new(1);
    let (sleep, period) = qemu_law(50);
    let mut gaps = seen(&mut dice, 0, &periodic(&mut Dice::new(2), sleep, period, 0, SECOND));
    for gap in &mut gaps {
        gap.features.run_delay_ns = Some(gap.len_ns);
    }
    assert!(classes(&mut gaps, &evidence(1)).iter().all(|class| *class == GapClass::GuestSched));
}

#[test]
fn sleeps_of_a_throttle_are_told_from_what_else_happens_meanwhile() {
    let mut dice = Dice::new(3);
    let (sleep, period) = qemu_law(50);
    let sleeps = periodic(&mut dice, sleep, period, 50_000, SECOND);
    let mut gaps: Vec<Gap> = (0..2).flat_map(|cpu| seen(&mut dice, cpu, &sleeps)).collect();
    // In the run part of a period, on one vCPU alone.
    let other = sleeps[20].0 + sleep + 6 * MS;
    gaps.push(gap(1, other, 2 * MS));
    gaps.sort_by_key(|gap| gap.start_ns + gap.len_ns);
    let throttle = judge(&[], &mut gaps, BEGIN + SECOND + 20 * MS, &evidence(2)).unwrap();
    assert_eq!(throttle.percent, 50);
    let (alone, sleeps): (Vec<&Gap>, _) = gaps.iter().partition(|gap| gap.start_ns + gap.len_ns == other);
    assert_eq!(alone[0].class, GapClass::HostOther);
    let told = sleeps.iter().filter(|gap| gap.class == GapClass::Throttle).count();
    assert!(told * 100 >= sleeps.len() * 95, "{told} of {}", sleeps.len());
    assert!(sleeps.iter().all(|gap| gap.confidence.is_some_and(|sure| sure <= 100)));
}

#[test]
fn a_lone_long_stop_of_all_is_a_blackout_and_a_short_one_a_pause() {
    assert_eq!(classes(&mut stop(4, 200), &evidence(4)), [GapClass::Blackout; 4]);
    assert_eq!(classes(&mut stop(4, 5), &evidence(4)), [GapClass::VmPause; 4]);
    let mut twice = stop(2, 200);
    twice.extend(stop(2, 150).into_iter().map(|gap| Gap { start_ns: gap.start_ns + 400 * MS, ..gap }));
    assert_eq!(classes(&mut twice, &evidence(2)), [GapClass::VmPause; 4]);
}

#[test]
fn what_the_host_says_makes_a_blackout_of_a_short_stop() {
    let host = [HostEvent { at_ns: BEGIN - 3 * MS, kind: HostEventKind::Stop }];
    let told = Evidence { host: &host, ..evidence(2) };
    assert_eq!(classes(&mut stop(2, 5), &told), [GapClass::Blackout; 2]);
    let only = Evidence { host: &host, ..evidence(1) };
    assert_eq!(classes(&mut stop(1, 5), &only), [GapClass::Blackout]);
}

#[test]
fn one_vcpu_of_many_alone_is_the_hosts_other_doing_and_the_only_one_unknown() {
    assert_eq!(classes(&mut [gap(2, BEGIN, 30 * MS)], &evidence(4)), [GapClass::HostOther]);
    assert_eq!(classes(&mut [gap(0, BEGIN, 30 * MS)], &evidence(1)), [GapClass::Unknown]);
}

#[test]
fn steal_explains_gaps_from_half_of_them_on_and_on_its_own_cpu_only() {
    let gaps = || [gap(0, BEGIN, 20 * MS), gap(0, BEGIN + 50 * MS, 20 * MS), gap(1, BEGIN, 20 * MS)];
    let stolen = |ms: u64| Counted { steal_ns: vec![(0, ms * MS)], ..Counted::default() };
    let judged = |counted: &Counted| {
        let mut gaps = gaps();
        judge(&[], &mut gaps, BEGIN + SECOND / 2, &Evidence { counted: Some(counted), ..evidence(2) });
        gaps.map(|gap| gap.class)
    };
    let blamed = judged(&stolen(20));
    assert_eq!(blamed[..2], [GapClass::HostSteal; 2]);
    assert_ne!(blamed[2], GapClass::HostSteal);
    assert!(judged(&stolen(19)).iter().all(|class| *class != GapClass::HostSteal));
}

#[test]
fn a_gap_blamed_on_steal_stays_so_for_those_without_counters() {
    let mut gaps = [gap(0, BEGIN, 20 * MS)];
    (gaps[0].class, gaps[0].confidence) = (GapClass::HostSteal, Some(80));
    judge_run(&mut gaps, &evidence(2));
    assert_eq!((gaps[0].class, gaps[0].confidence), (GapClass::HostSteal, Some(80)));
}

#[test]
fn long_visits_beside_a_canary_in_time_are_asynchronous_faults_when_the_hypervisor_called_back() {
    let visits = [
        visit(0, BEGIN, 2 * MS, 0, 1),
        visit(0, BEGIN + 9 * MS, 3 * MS, 0, 2),
        visit(1, BEGIN, 4 * MS, 0, 1),
    ];
    let gaps = [gap(0, BEGIN + 8 * MS, MS)];
    let waited = |callbacks| {
        let counted = Counted { callbacks, ..Counted::default() };
        waits_alone_ns(
            &gaps,
            0,
            BEGIN + SECOND,
            &Evidence { counted: Some(&counted), visits: &visits, ..evidence(2) },
        )
    };
    assert_eq!((waited(0), waited(1)), (0, 6 * MS), "the one in a gap is the gap's");
}

fn visit(cpu: u32, end_ns: u64, len_ns: u64, last_visited_ns: u64, writes: u64) -> LongVisit {
    LongVisit { cpu, start_ns: end_ns - len_ns, len_ns, last_visited_ns: Some(last_visited_ns), writes }
}

#[test]
fn a_store_of_a_page_not_visited_since_the_switch_is_a_fault_of_post_copy() {
    let host = [HostEvent { at_ns: BEGIN - 2 * SECOND, kind: HostEventKind::PostcopyBegins }];
    let judged = |last_ns| {
        let visits = [visit(1, BEGIN + 10_000, 4 * MS, last_ns, 7)];
        classes(&mut [gap(1, BEGIN, 4 * MS)], &Evidence { host: &host, visits: &visits, ..evidence(4) })
    };
    assert_eq!(judged(BEGIN - 3 * SECOND), [GapClass::PostcopyFault]);
    assert_eq!(judged(BEGIN - SECOND), [GapClass::HostOther]);
}

#[test]
fn gaps_after_equal_amounts_of_writes_are_a_limit_on_dirtying() {
    let judged = |amount: fn(u64) -> u64| {
        let ends = (0..8).map(|step| BEGIN + step * step * 20 * MS);
        let mut gaps: Vec<Gap> = ends.clone().map(|end| gap(1, end, 8 * MS)).collect();
        let visits: Vec<LongVisit> =
            ends.zip(0..).map(|(end, step)| visit(1, end, 8 * MS, end - SECOND, amount(step))).collect();
        classes(&mut gaps, &Evidence { visits: &visits, ..evidence(4) })
    };
    assert!(judged(|step| 4096 * step).iter().all(|class| *class == GapClass::DirtyLimit));
    assert!(judged(|step| 100 * step * step).iter().all(|class| *class == GapClass::HostOther));
}

#[test]
fn the_only_vcpu_is_told_by_whether_gaps_fall_into_visits() {
    assert_eq!(falls_into_visits(40, 40, 300), Some(true));
    assert_eq!(falls_into_visits(40, 14, 300), Some(false));
    assert_eq!(falls_into_visits(19, 19, 300), None);
    assert_eq!(falls_into_visits(5000, 5000, 950), None);
    assert_eq!(falls_into_visits(10_000, 9_000, 500), Some(true));
}

#[test]
fn over_a_run_idle_noise_is_neither_throttle_nor_blackout() {
    for seed in 0..20 {
        let mut dice = Dice::new(seed);
        let truths: Vec<Truth> = (0..2).map(|_| noise(&mut dice, 20 * SECOND, 30)).collect();
        let mut gaps: Vec<Gap> =
            truths.iter().zip(0u32..).flat_map(|(truth, cpu)| seen(&mut dice, cpu, truth)).collect();
        assert_eq!(judge_run(&mut gaps, &evidence(2)), []);
        assert!(gaps.iter().all(|gap| !matches!(gap.class, GapClass::Throttle | GapClass::Blackout)));
    }
}

#[test]
fn over_a_run_the_throttle_is_told_second_by_second_across_long_quiet() {
    let mut dice = Dice::new(9);
    let (sleep, period) = qemu_law(30);
    let mut truth = vec![(BEGIN - 50 * SECOND, 5 * MS)];
    truth.extend(periodic(&mut dice, sleep, period, 50_000, 10 * SECOND));
    let mut gaps: Vec<Gap> = (0..2).flat_map(|cpu| seen(&mut dice, cpu, &truth)).collect();
    let found = judge_run(&mut gaps, &evidence(2));
    assert!((8..=11).contains(&found.len()), "{found:?}");
    assert!(found.iter().all(|(_, throttle)| throttle.percent == 30), "{found:?}");
    let judged = gaps.iter().filter(|gap| gap.confidence.is_some()).count();
    assert_eq!(judged, gaps.len(), "every gap is judged");
}

proptest! {
    #[test]
    fn without_schedstat_the_scheduler_is_never_blamed(
        len_ns: u64, minflt: u64, majflt: u64, nvcsw: u64, nivcsw: u64, cpu_ns: u64
    ) {
        let features = GapFeatures { run_delay_ns: None, cpu_ns, minflt, majflt, nvcsw, nivcsw };
        prop_assert_ne!(classify(len_ns, &features), GapClass::GuestSched);
    }

    #[test]
    fn switches_of_the_canary_change_no_verdict(
        lens in prop::collection::vec(1u64..400 * MS, 1..30), nvcsw: u64, nivcsw: u64
    ) {
        let mut gaps: Vec<Gap> = lens.iter().zip(0u64..)
            .map(|(len, step)| gap(u32::try_from(step % 3).unwrap(), BEGIN + step * 17 * MS, *len)).collect();
        let plain = classes(&mut gaps.clone(), &evidence(3));
        for gap in &mut gaps {
            (gap.features.nvcsw, gap.features.nivcsw) = (nvcsw, nivcsw);
        }
        prop_assert_eq!(classes(&mut gaps, &evidence(3)), plain);
    }

    #[test]
    fn classes_and_running_time_add_up_to_the_time_that_passed(
        mut gaps in prop::collection::vec((0u32..3, 0u64..10_000, 1u64..3_000, 0usize..11), 0..60)
    ) {
        gaps.sort_by_key(|(_, end_ms, ..)| *end_ms);
        let mut budget = Budget::default();
        let mut away = vec![[false; 13_000]; 3];
        for (cpu, end_ms, len_ms, class) in gaps {
            let (end, class) = (BEGIN + end_ms * MS, GapClass::ALL[class]);
            budget.add(&Gap { class, ..gap(cpu, end, len_ms * MS) });
            for ms in (end_ms + 3_000 - len_ms)..end_ms + 3_000 {
                away[cpu as usize][usize::try_from(ms).unwrap()] = true;
            }
        }
        let lost: u64 = GapClass::ALL.iter().map(|class| budget.of(*class)).sum();
        let truth = away.iter().flatten().filter(|away| **away).count() as u64;
        prop_assert!(lost <= truth * MS, "{} > {}", lost, truth);
        // A long gap that ends after short ones within it hides what lay before them; canaries make none.
        prop_assert_eq!(budget.since(&Budget::default()).total(), lost / MS);
    }

    #[test]
    fn nothing_that_a_guest_says_panics(
        gaps in prop::collection::vec((0u32..5, any::<u64>(), any::<u64>(), any::<u64>()), 0..40),
        visits in prop::collection::vec((0u32..3, any::<u64>(), any::<u64>(), any::<u64>()), 0..10), canaries in 0usize..5
    ) {
        let features = |run_delay| GapFeatures { run_delay_ns: Some(run_delay), ..GapFeatures::default() };
        let mut gaps: Vec<Gap> = gaps.into_iter().map(|(cpu, start_ns, len_ns, run_delay)| Gap {
            cpu, start_ns, len_ns, class: GapClass::Unknown, confidence: None, visit: None, features: features(run_delay)
        }).collect();
        let visits: Vec<LongVisit> = visits.into_iter().map(|(cpu, start_ns, len_ns, writes)| LongVisit {
            cpu, start_ns, len_ns, last_visited_ns: None, writes
        }).collect();
        let counted = Counted { steal_ns: vec![(0, u64::MAX), (1, 1)], ..Counted::default() };
        let evidence = Evidence {
            counted: Some(&counted), visits: &visits, busy_permille: Some(100), ..evidence(canaries)
        };
        judge_run(&mut gaps, &Evidence { counted: None, ..evidence });
        waits_alone_ns(&gaps, 0, u64::MAX, &evidence);
        let half = gaps.len() / 2;
        let (known, new) = gaps.split_at_mut(half);
        judge(known, new, u64::MAX - 7, &evidence);
    }
}

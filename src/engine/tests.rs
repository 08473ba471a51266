//! The real engine on a little memory: what it promises whatever the machine is busy with.

use super::*;
use crate::{
    plan::{self, ContentSpec, Plan},
    probe,
    record::EndReason,
    units::{ByteSize, PageCount, Rate},
};
use std::os::unix::fs::FileExt;

fn checked(rate: &str, threads: u32) -> Checked {
    let plan = Plan {
        memory: plan::MemoryAmount::Bytes(ByteSize::mib(8)),
        rate: rate.parse().unwrap(),
        threads: Some(threads),
        ..Plan::default()
    };
    plan::check(&plan, &probe::machine().unwrap()).unwrap()
}

/// Runs a load for `span_ns`; returns the snapshots at its beginning and end.
fn load(plan: &Checked, span_ns: u64) -> (Snapshot, Snapshot) {
    let mut engine = Engine::start(plan, &probe::cpus().unwrap()).unwrap();
    let begin = engine.snapshot();
    let t0_ns = engine.open_gate();
    Monotonic.sleep_until(t0_ns + span_ns);
    assert_eq!(engine.failure(), None);
    (begin, engine.stop())
}

#[test]
fn the_mean_rate_is_the_rate_asked_for() {
    let plan = checked("20000p/s", 2);
    let off_percent = |_| {
        let (begin, end) = load(&plan, 2_000_000_000);
        let totals = end.end(&begin, EndReason::Duration, None, 0).totals;
        let rate = totals.writes as f64 / (totals.elapsed_ns as f64 / 1e9);
        (rate / 20_000.0 - 1.0).abs() * 100.0
    };
    // A machine busy with something else may delay the last visits: one run of three has to be right.
    let best = (0..3).map(off_percent).find(|off| *off <= 1.0);
    assert!(best.is_some());
}

#[test]
fn every_count_agrees_with_every_other() {
    for rate in ["20000p/s", "max"] {
        let plan = checked(rate, 2);
        let (begin, end) = load(&plan, 200_000_000);
        let end = end.end(&begin, EndReason::Duration, None, 0);
        assert!(end.totals.writes > 0);
        assert_eq!(end.service_ns.count, end.totals.writes);
        assert_eq!(end.response_ns.count, end.totals.writes);
        assert_eq!(end.totals.offered.is_some(), plan.rate != Rate::Max);
        if let (Some(offered), Some(backlog)) = (end.totals.offered, end.totals.backlog) {
            assert!(end.totals.writes + backlog >= offered, "{:?}", end.totals);
        }
    }
}

#[test]
fn the_region_is_resident_before_the_gate_opens_and_nothing_is_visited() {
    let plan = checked("max", 3);
    let mut engine = Engine::start(&plan, &probe::cpus().unwrap()).unwrap();
    let facts = engine.facts();
    assert_eq!((facts.memory.bytes, facts.memory.resident_bytes), (8 << 20, 8 << 20));
    assert!(
        facts.memory.prefault_ns > 0 && facts.clock.read_ns > 0 && facts.self_facts.tables_bytes > 100_000
    );
    assert_eq!(engine.snapshot().writes(), 0);
    assert_eq!(engine.stop().writes(), 0);
}

#[test]
fn a_load_of_nothing_stops_at_once_and_offers_nothing() {
    let plan = checked("0", 1);
    let (begin, end) = load(&plan, 10_000_000);
    let totals = end.end(&begin, EndReason::Stop, None, 0).totals;
    assert_eq!((totals.writes, totals.offered, totals.backlog), (0, Some(0), Some(0)));
}

#[test]
fn stop_ends_every_thread_and_counts_its_cpu_time_still() {
    let plan = checked("max", 2);
    let mut engine = Engine::start(&plan, &probe::cpus().unwrap()).unwrap();
    let t0_ns = engine.open_gate();
    assert_eq!(engine.open_gate(), t0_ns);
    Monotonic.sleep_until(t0_ns + 100_000_000);
    let last = engine.stop();
    assert!(last.at_ns >= t0_ns + 100_000_000);
    assert_eq!((engine.snapshot().at_ns, engine.stop().writes()), (last.at_ns, last.writes()));
    assert!(engine.writers.iter().all(|writer| writer.thread.is_none()));
    assert!(engine.canaries.iter().all(|canary| canary.thread.is_none()));
    // The tallies are shared with threads that still run: nobody else holds them any more.
    assert!(engine.writers.iter().all(|writer| Arc::strong_count(&writer.tally) == 1));
    assert!(engine.canaries.iter().all(|canary| Arc::strong_count(&canary.tally) == 1));
    assert!(engine.writers.iter().all(|writer| writer.cpu_ns() > 0));
}

/// Gaps that canaries on `cpus` counted in a while, and those they told; none was shorter than the threshold.
fn gaps_counted_and_told(cpus: &[u32]) -> (u64, u64) {
    let plan = checked("1000p/s", 1);
    let mut engine = Engine::start(&plan, cpus).unwrap();
    let begin = engine.snapshot();
    // Each canary has its own; they stay as rehearsed until the baseline is over.
    let threshold_ns = engine.canaries.iter().map(|canary| canary.tally.threshold()).min().unwrap();
    let t0_ns = engine.open_gate();
    Monotonic.sleep_until(t0_ns + 300_000_000);
    engine.stop();
    let mut gaps = Vec::new();
    engine.take_gaps(&mut gaps);
    let end = engine.snapshot();
    let summary = end.interval_since(&begin, &plan, "run").gaps.unwrap();
    assert_eq!(summary.total_ns, gaps.iter().map(|gap| gap.len_ns).sum::<u64>());
    assert_eq!(end.end(&begin, EndReason::Stop, None, 0).records_dropped, 0);
    assert!(gaps.iter().all(|gap| gap.len_ns > threshold_ns));
    assert_eq!(engine.canaries.len(), cpus.len());
    (summary.count, gaps.len() as u64)
}

#[test]
fn gap_records_and_gap_counts_tell_the_same() {
    let (counted, told) = gaps_counted_and_told(&probe::cpus().unwrap());
    assert_eq!(counted, told);
}

#[test]
fn of_128_canaries_no_gap_is_lost() {
    // More than there are CPUs, so that many are late; on an idle machine hardly any.
    let cpus: Vec<u32> = probe::cpus().unwrap().into_iter().cycle().take(128).collect();
    let counted = (0..3).map(|_| {
        let (counted, told) = gaps_counted_and_told(&cpus);
        assert_eq!(counted, told);
        counted
    });
    assert!(counted.sum::<u64>() > 0, "no gap of 128 canaries in three tries");
}

#[test]
fn without_canaries_nothing_is_told_of_gaps_and_a_longer_period_is() {
    let plan = Checked { canary: "off".parse().unwrap(), ..checked("1000p/s", 1) };
    let mut engine = Engine::start(&plan, &probe::cpus().unwrap()).unwrap();
    let (facts, begin) = (engine.facts(), engine.snapshot());
    let t0_ns = engine.open_gate();
    Monotonic.sleep_until(t0_ns + 50_000_000);
    let mut gaps = Vec::new();
    engine.take_gaps(&mut gaps);
    let end = engine.stop();
    let interval = end.interval_since(&begin, &plan, "run");
    assert!(interval.writes > 0 && gaps.is_empty());
    assert_eq!((interval.gaps, interval.stall_ms, interval.throttle), (None, None, None));
    assert_eq!(end.end(&begin, EndReason::Stop, None, 0).totals.gaps, None);
    let SelfFacts { canary_period_ns, gap_threshold_ns, canary_realtime, .. } = facts.self_facts;
    assert_eq!((canary_period_ns, gap_threshold_ns, canary_realtime), (None, None, false));
    assert!(facts.clock.timer_step_ns.is_some_and(|step_ns| step_ns > 0));

    let plan = Checked { canary: "10ms".parse().unwrap(), ..plan };
    let engine = Engine::start(&plan, &probe::cpus().unwrap()).unwrap();
    let facts = engine.facts().self_facts;
    assert!(
        facts.canary_period_ns >= Some(10_000_000) && facts.gap_threshold_ns >= Some(15_000_000),
        "{facts:?}"
    );
}

#[test]
fn another_content_takes_hold_as_visits_write_it() {
    let plan = Checked { verify: false, write_bytes: 4096, ..checked("max", 2) };
    let mut engine = Engine::start(&plan, &probe::cpus().unwrap()).unwrap();
    engine.open_gate();
    let load = Load { content: ContentSpec::Fill(7), ..plan.load() };
    engine.change(load).unwrap();
    let memory = std::fs::File::open("/proc/self/mem").unwrap();
    let mut bytes = vec![0; 8 << 20];
    let mut is_all_of_it = || {
        memory.read_exact_at(&mut bytes, engine.regions.base()).unwrap();
        bytes.iter().all(|byte| *byte == 7)
    };
    let end_ns = Monotonic.now_ns() + 20_000_000_000;
    while !is_all_of_it() {
        assert!(Monotonic.now_ns() < end_ns, "some pages hold something else");
        Monotonic.sleep_until(Monotonic.now_ns() + 1_000_000);
    }
    assert_eq!(engine.failure(), None);
}

/// What the first pages hold that the second of these two loads has written, one page a visit from the first page on.
fn written_by_the_second_load(seed: u64, wait_ns: u64) -> Vec<u8> {
    const PAGES_WRITTEN: u32 = 40;
    let plan = Checked { verify: false, write_bytes: 4096, seed, ..checked("0", 1) };
    let mut engine = Engine::start(&plan, &probe::cpus().unwrap()).unwrap();
    let t0_ns = engine.open_gate();
    engine.change(Load { content: ContentSpec::Compress(50), ..plan.load() }).unwrap();
    // At another time in each run.
    Monotonic.sleep_until(t0_ns + wait_ns);
    let rate = Rate::PagesPerSecond(1000);
    let load =
        Load { rate, pattern: plan::PatternSpec::Sequential, content: ContentSpec::Random, ..plan.load() };
    engine.change(load).unwrap();
    let end_ns = Monotonic.now_ns() + 20_000_000_000;
    while engine.writers[0].tally.counts().writes < u64::from(PAGES_WRITTEN) {
        assert!(Monotonic.now_ns() < end_ns && engine.failure().is_none());
        Monotonic.sleep_until(Monotonic.now_ns() + 1_000_000);
    }
    let writes = engine.stop().writes();
    assert!(writes < 2048, "a lap is over: {writes}");
    let mut bytes = [0; 4096].repeat(PAGES_WRITTEN as usize);
    std::fs::File::open("/proc/self/mem").unwrap().read_exact_at(&mut bytes, engine.regions.base()).unwrap();
    bytes
}

#[test]
fn what_a_later_load_writes_follows_from_the_seed_and_its_number() {
    let one = written_by_the_second_load(5, 3_000_000);
    assert!(one == written_by_the_second_load(5, 20_000_000), "the same seed, the same loads, other times");
    assert!(one != written_by_the_second_load(6, 3_000_000), "another seed");
    // A number written twice would be one load's content written by another.
    let pages: std::collections::BTreeSet<&[u8]> = one.chunks(4096).collect();
    assert_eq!(pages.len(), 40);
}

#[test]
fn every_page_is_counted_once_an_interval_however_late_the_sampler_reads() {
    let memory = plan::MemoryAmount::Bytes(ByteSize::mib(4));
    let plan = Plan { memory, rate: Rate::Max, threads: Some(2), ..Plan::default() };
    let plan = plan::check(&plan, &probe::machine().unwrap()).unwrap();
    let mut engine = Engine::start(&plan, &probe::cpus().unwrap()).unwrap();
    engine.open_gate();
    let mut last = engine.snapshot();
    for _ in 0..20 {
        // Two laps of each.
        let done = || engine.writers.iter().map(|writer| writer.tally.counts().writes).collect::<Vec<_>>();
        let before = done();
        while done().iter().zip(&before).any(|(now, before)| now - before < 1024) {
            Monotonic.sleep_until(Monotonic.now_ns() + 1_000_000);
        }
        let epoch = engine.control.next_epoch();
        // As if something else had the CPU.
        Monotonic.sleep_until(Monotonic.now_ns() + 3_000_000);
        let now = engine.snapshot_before(epoch, &last);
        let interval = now.interval_since(&last, &plan, "run");
        assert_eq!(interval.pages_unique, Some(1024), "of {} visits", interval.writes);
        last = now;
    }
    assert_eq!(engine.failure(), None);
}

#[test]
fn two_regions_have_writers_loads_and_shares_of_their_own_and_their_pages_follow_each_other() {
    let region = |name: &str, share, said: &[(&str, &str)]| plan::RegionAsked {
        name: name.into(),
        share: Some(share),
        settings: plan::settings(said),
        ..plan::RegionAsked::default()
    };
    let hot = region("hot", 3, &[("memory", "1M"), ("content", "fill:7")]);
    let cold = region("cold", 1, &[("memory", "4M"), ("threads", "2")]);
    let regions = vec![hot, cold];
    let rate = "8000p/s".parse().unwrap();
    let plan = Plan { rate, threads: Some(1), regions, ..Plan::default() };
    let plan = plan::check(&plan, &probe::machine().unwrap()).unwrap();
    let mut engine = Engine::start(&plan, &probe::cpus().unwrap()).unwrap();
    let (facts, begin) = (engine.facts().memory, engine.snapshot());
    assert_eq!((facts.bytes, facts.resident_bytes, engine.writers.len()), (5 << 20, 5 << 20, 3));
    let t0_ns = engine.open_gate();
    Monotonic.sleep_until(t0_ns + 1_000_000_000);
    let end = engine.stop().end(&begin, EndReason::Duration, None, 0).totals;
    assert_eq!((end.pages_swept, end.corruptions.unwrap().sum()), (Some(1280), 0));
    assert_eq!(end.offered, Some(end.writes + end.missed.unwrap() + end.backlog.unwrap()));
    let writes: Vec<u64> = engine.writers.iter().map(|writer| writer.tally.counts().writes).collect();
    let parts = [writes[0] * 4, writes[1] * 24, writes[2] * 24];
    let due = end.writes * 3 + end.backlog.unwrap();
    assert!(parts.iter().all(|part| part.abs_diff(due) * 10 <= due || end.backlog > Some(800)), "{writes:?}");
}

/// A plan with a region `hot` that is dirtied on the first of `cpus`, and one that computes on the last.
fn beside_one_that_computes(cpus: &[u32], rate: &str, units: u32) -> Checked {
    let (first, last) = (cpus[0].to_string(), cpus[cpus.len() - 1].to_string());
    let region = |name: &str, compute, said: &[(&str, &str)]| plan::RegionAsked {
        name: name.into(),
        compute,
        settings: plan::settings(said),
        ..plan::RegionAsked::default()
    };
    let regions = vec![
        region("still", Some(units), &[("cpus", &last)]),
        region("hot", None, &[("memory", "1M"), ("cpus", &first)]),
    ];
    let plan = Plan { rate: rate.parse().unwrap(), regions, ..Plan::default() };
    plan::check(&plan, &probe::machine().unwrap()).unwrap()
}

#[test]
fn what_a_region_computes_is_counted_with_it_and_with_no_page() {
    let cpus = probe::cpus().unwrap();
    let plan = beside_one_that_computes(&cpus, "2000p/s", 500);
    assert_eq!((plan.memory_bytes, plan.threads, plan.target_pages_per_s), (1 << 20, 2, Some(2000)));
    let mut engine = Engine::start(&plan, &cpus).unwrap();
    let on: Vec<u32> = engine.writers.iter().map(|writer| writer.on).collect();
    assert_eq!(on, [cpus[cpus.len() - 1], cpus[0]]);
    let (facts, begin) = (engine.facts().memory, engine.snapshot());
    assert_eq!((facts.bytes, facts.resident_bytes), (1 << 20, 1 << 20));
    let t0_ns = engine.open_gate();
    engine.sweep();
    Monotonic.sleep_until(t0_ns + 500_000_000);
    // Paused: it computes on.
    engine.change(Load { rate: Rate::PagesPerSecond(0), ..plan.load() }).unwrap();
    let paused = engine.snapshot();
    Monotonic.sleep_until(t0_ns + 1_000_000_000);
    assert_eq!((engine.failure(), engine.sweeps().0), (None, 1));
    let end = engine.stop();
    let interval = end.interval_since(&begin, &plan, "run");
    let [still, hot] = &interval.regions[..] else { panic!("{:?}", interval.regions) };
    assert_eq!((&*still.name, still.writes, still.reads), ("still", None, None));
    assert_eq!((&*hot.name, hot.units), ("hot", None));
    assert_eq!((hot.writes, hot.reads, hot.offered), (Some(interval.writes), Some(0), interval.offered));
    assert_eq!(hot.service_ns, interval.service_ns);
    assert_eq!((hot.service_ns.count, still.service_ns.count), (interval.writes, still.units.unwrap()));
    let due = still.units.unwrap() + still.missed.unwrap() + still.backlog.unwrap();
    assert!(due.abs_diff(still.offered.unwrap()) <= 2 && due >= 500, "{still:?}");
    // Half of the time at its rate: what is computed would make it more.
    assert!((1..=1400).contains(&interval.writes), "{interval:?}");
    let after = end.interval_since(&paused, &plan, "run");
    assert!(after.regions[0].offered.unwrap() > 200 && after.target_pages_per_s == Some(0), "{after:?}");
    let totals = end.end(&begin, EndReason::Stop, None, 0).totals;
    assert_eq!((totals.writes, totals.pages_swept), (interval.writes, Some(256)));
    assert_eq!(totals.corruptions.unwrap().sum(), 0);
}

#[test]
fn a_plan_of_one_region_has_no_figures_region_by_region() {
    let plan = checked("1000p/s", 1);
    let (begin, end) = load(&plan, 20_000_000);
    assert!(end.interval_since(&begin, &plan, "run").regions.is_empty());
}

#[test]
fn what_cannot_start_says_why() {
    let plan = checked("max", 1);
    assert!(Engine::start(&plan, &[]).unwrap_err().to_string().contains("CPU"));
    let message = Engine::start(&plan, &[1023]).unwrap_err().to_string();
    assert!(message.contains("sully-writer0") && message.contains("CPU 1023"), "{message}");
    let plan = Checked { memory_bytes: 1 << 62, ..plan };
    assert!(Engine::start(&plan, &[0]).unwrap_err().to_string().contains("--memory"));
}

#[test]
fn the_plan_knows_what_tables_and_stacks_take() {
    let kib = |bytes: usize| (bytes as u64).div_ceil(1 << 10) << 10;
    assert_eq!(plan::WRITER_TABLE_BYTES, kib(VisitTally::bytes()));
    assert_eq!(plan::STAMP_TABLE_BYTES, kib(StampTally::bytes()));
    assert_eq!(plan::CANARY_TABLE_BYTES, kib(GapTally::bytes()));
    let kept = |pages| Ledger::bytes(PageCount(pages)) + Journal::bytes(PageCount(pages));
    assert_eq!(plan::LEDGER_BYTES, kept(1 << 16) >> 16);
    assert!([1, 5, 4095, 1 << 30].iter().all(|pages| kept(*pages) <= plan::LEDGER_BYTES * pages));
    assert_eq!(plan::STACK_BYTES, threads::STACK_BYTES as u64);
}

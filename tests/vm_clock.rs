//! The guest's cycle counter across a real migration: kept, it goes on stamping; moved on the way, it is given up, and nothing
//! that was measured says otherwise.
//!
//! The guests are emulated and their kernels distrust the counter (`tsc=unstable`), so CLOCK_MONOTONIC does not come from it: the two
//! can come apart. Needs what `tests/vm.rs` needs.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod parts;
#[path = "vm_clock/records.rs"]
mod records;
#[path = "vm_clock/tamper.rs"]
mod tamper;
mod vms;

use records::Records;
use serde_json::json;
use sully::lab::vm::{Qemu, Sockets};
use sully::plan::ClockChoice;
use sully::record::{Body, ClockStep, Heartbeat, Hello, Side};
use tokio::net::UnixListener;
use vms::{SECOND_NS, Words, boot, lab_and_image, run, status, tell};

const KERNEL: &str = "tsc=unstable";
const GUEST: &str = "run -m 16M -r 2M/s -t 1 --baseline 0s -i 100ms --clock tsc --report virtio";
/// How long a guest is watched on each side.
const WATCHED_NS: u64 = 3 * SECOND_NS / 2;
/// How far a counter is set back: to a time since the guest's boot.
const BACK_S: i64 = -2;
/// How far it is set ahead: further than anything here takes.
const AHEAD_S: i64 = 40;
const LONGEST_NS: u64 = 20 * SECOND_NS;
/// How far the relation of the two clocks may be off after the migration: QEMU stops them one after the other.
const APART_NS: i64 = 5_000_000;

/// What a guest said that stamped with its counter and was migrated.
struct Moved {
    hello: Hello,
    records: Records,
}

impl Moved {
    /// Migrates a guest by pre-copy; its counter is moved by so many seconds on the way. None: and said why.
    async fn by(test: &str, seconds: i64) -> Option<Self> {
        let (_, image) = lab_and_image(test)?;
        let (sockets, log) = (Sockets::create().unwrap(), tempfile::tempdir().unwrap());
        let words = Words { kernel: KERNEL, guest: GUEST };
        let source = boot(&image, words, &sockets, log.path(), Side::Source).await;
        let destination = boot(&image, words, &sockets, log.path(), Side::Destination).await;
        let mut records = Records::of(&[(&source, Side::Source), (&destination, Side::Destination)]).await;
        let hello = records.hello().await;
        records.listen(WATCHED_NS).await;
        let cycles = seconds * i64::try_from(hello.clock.hz).unwrap();
        migrate(&source, &destination, &sockets, cycles).await;
        source.kill().await.unwrap();
        records.listen(WATCHED_NS).await;
        destination.kill().await.unwrap();
        Some(Self { hello, records })
    }

    fn steps(&self) -> Vec<(Side, &ClockStep)> {
        let found = self.records.whole().iter().filter_map(|arrival| match &arrival.record.body {
            Body::ClockStep(step) => Some((arrival.side, step)),
            _ => None,
        });
        found.collect()
    }

    /// Every stamp is later than the one before, and no time is negative or longer than the guest was watched. Work went on on
    /// both sides.
    fn assert_sound(&self) {
        let intervals = self.records.intervals();
        for pair in intervals.windows(2) {
            assert_eq!(pair[0].end_ns, pair[1].start_ns);
        }
        for interval in &intervals {
            let longest_ns = interval.service_ns.max.max(interval.response_ns.max).unwrap_or(0);
            let (start_ns, end_ns) = (interval.start_ns, interval.end_ns);
            assert!(start_ns < end_ns && longest_ns.max(end_ns - start_ns) < LONGEST_NS, "{interval:?}");
        }
        for side in [Side::Source, Side::Destination] {
            assert!(self.records.beats(side).len() > 5, "{side:?}: few heartbeats");
        }
        let last = &intervals[intervals.len() - 5..];
        assert!(last.iter().all(|interval| interval.writes > 0), "the load stands still: {last:?}");
        let both = [self.records.beats(Side::Source), self.records.beats(Side::Destination)].concat();
        assert!(both.windows(2).all(|pair| pair[0].0 < pair[1].0), "CLOCK_MONOTONIC went back");
    }

    /// How far CLOCK_MONOTONIC is ahead of the counter on a side, in ns and from any beginning. Heartbeats read the counter first, so the
    /// least is the truest.
    fn ahead_ns(&self, side: Side) -> i64 {
        let first = self.records.beats(Side::Source)[0];
        let since = |(mono_ns, beat): &(u64, &Heartbeat)| {
            let cycles = i128::from(beat.tsc.unwrap()) - i128::from(first.1.tsc.unwrap());
            let counted_ns = cycles * i128::from(SECOND_NS) / i128::from(self.hello.clock.hz);
            i64::try_from(i128::from(*mono_ns) - i128::from(first.0) - counted_ns).unwrap()
        };
        self.records.beats(side).iter().map(since).min().unwrap()
    }
}

/// A whole pre-copy migration through somebody who moves the guest's counter by `cycles`.
async fn migrate(source: &Qemu, destination: &Qemu, sockets: &Sockets, cycles: i64) {
    let entrance = sockets.path().join("tampered");
    let listener = UnixListener::bind(&entrance).unwrap();
    let exit = sockets.migration();
    tell(destination, "migrate-incoming", json!({"uri": format!("unix:{}", exit.display())})).await;
    let send = async {
        tell(source, "migrate", json!({"uri": format!("unix:{}", entrance.display())})).await;
        status(source, &["completed"]).await;
    };
    let (moved, ()) = tokio::join!(tamper::carry(listener, &exit, cycles), send);
    assert_eq!(moved, 1, "counters in the stream");
}

#[test]
fn a_counter_that_the_migration_keeps_stamps_on_both_sides() {
    run(async {
        let test = "a_counter_that_the_migration_keeps_stamps_on_both_sides";
        let Some(moved) = Moved::by(test, 0).await else { return };
        let (clock, choice) = (&moved.hello.clock, moved.hello.plan.clock);
        assert_eq!((clock.kind.as_str(), choice), ("tsc", ClockChoice::Tsc));
        assert_ne!(clock.clocksource.as_deref(), Some("tsc"), "the two clocks are one");
        assert_eq!(moved.steps(), []);
        moved.assert_sound();
        let (before_ns, after_ns) = (moved.ahead_ns(Side::Source), moved.ahead_ns(Side::Destination));
        println!(
            "counter of {} Hz beside {:?}: {} ns a reading; CLOCK_MONOTONIC is ahead of it by {before_ns} ns before, {after_ns} \
             ns after the migration",
            clock.hz, clock.clocksource, clock.read_ns
        );
        assert!((after_ns - before_ns).abs() < APART_NS, "{before_ns} ns before, {after_ns} ns after");
    });
}

#[test]
fn a_counter_that_the_migration_sets_back_is_told_once_and_no_time_is_negative() {
    let test = "a_counter_that_the_migration_sets_back_is_told_once_and_no_time_is_negative";
    run(is_given_up(test, BACK_S));
}

#[test]
fn a_counter_that_the_migration_sets_ahead_is_told_once_and_makes_no_stall() {
    let test = "a_counter_that_the_migration_sets_ahead_is_told_once_and_makes_no_stall";
    run(is_given_up(test, AHEAD_S));
}

async fn is_given_up(test: &str, seconds: i64) {
    let Some(moved) = Moved::by(test, seconds).await else { return };
    assert_eq!(moved.hello.clock.kind, "tsc");
    let steps = moved.steps();
    assert_eq!(steps.len(), 1, "{steps:?}");
    let (side, step) = &steps[0];
    let off_s = (i128::from(step.shown_ns) - i128::from(step.true_ns)) as f64 / 1e9;
    println!("moved by {seconds} s: told as {off_s:+.6} s");
    assert_eq!(*side, Side::Destination);
    // The guest may have been stopped in the midst of the comparison.
    assert!((off_s - seconds as f64).abs() < 0.5, "{off_s} s");
    moved.assert_sound();
    let moved_ns = moved.ahead_ns(Side::Source) - moved.ahead_ns(Side::Destination);
    assert!((moved_ns as f64 / 1e9 - seconds as f64).abs() < 0.1, "{moved_ns} ns");
}

#[test]
fn a_guest_whose_kernel_distrusts_the_counter_stamps_with_the_kernels_clock_unless_told() {
    let test = "a_guest_whose_kernel_distrusts_the_counter_stamps_with_the_kernels_clock_unless_told";
    let Some((_, image)) = lab_and_image(test) else { return };
    run(async {
        let (sockets, log) = (Sockets::create().unwrap(), tempfile::tempdir().unwrap());
        let guest = GUEST.replace(" --clock tsc", "");
        let words = Words { kernel: KERNEL, guest: &guest };
        let vm = boot(&image, words, &sockets, log.path(), Side::Source).await;
        let hello = Records::of(&[(&vm, Side::Source)]).await.hello().await;
        println!("{:?}", hello.clock);
        assert_eq!((hello.clock.kind.as_str(), hello.plan.clock), ("monotonic", ClockChoice::Auto));
        assert_eq!(hello.clock.hz, SECOND_NS);
        assert!(matches!(hello.clock.clocksource.as_deref(), Some("hpet" | "acpi_pm")), "{:?}", hello.clock);
        vm.kill().await.unwrap();
    });
}

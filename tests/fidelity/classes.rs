//! V4, V5 and V8, and one CPU alone: whose fault it was, where no throttle is at work.

use super::group::Group;
use super::guest::{Guest, MS, Report, SECOND, Start, program};
use super::say::{Row, median};
use super::stops::{Form, Load, Stop, is_long, seconds, wait};
use super::{alone, stopped};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use sully::clock::{Clock, Monotonic};
use sully::record::GapClass;

/// How much of the time in gaps within the span the run delay explains, in percent, and how many ms there were.
fn explained(report: &Report, from_ns: u64, until_ns: u64) -> (f64, u64) {
    let ends = from_ns..=until_ns;
    let inside = || report.gaps.iter().filter(|gap| ends.contains(&(gap.start_ns + gap.len_ns)));
    let lost_ns: u64 = inside().map(|gap| gap.len_ns).sum();
    let delay_ns: u64 = inside().map(|gap| gap.features.run_delay_ns.unwrap_or(0).min(gap.len_ns)).sum();
    (100.0 * delay_ns as f64 / lost_ns.max(1) as f64, lost_ns / MS)
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// V4 of what one guest reported from a moment on.
fn guest_sched(row: &Row<'_>, form: &str, report: &Report, from_ns: u64) {
    let until_ns = report.intervals.last().unwrap().end_ns;
    let (explained, lost_ms) = explained(report, from_ns, until_ns);
    let share = report.tell(form, "guest_sched", GapClass::GuestSched, (from_ns, until_ns));
    let note = format!("of {lost_ms} ms in gaps; {share:.0} % of the time told as guest_sched");
    row.got(explained, "%", &note, explained >= 95.0 && lost_ms > 0);
    assert!(lost_ms > 0 && explained >= 50.0 && share >= 25.0, "{}: {explained:.0} % {note}", row.injection);
    assert!(report.throttles(from_ns, until_ns).len() <= report.intervals.len() / 4, "{}", row.injection);
}

#[test]
fn v4_a_cpu_quota_is_the_schedulers_doing() {
    let _alone = alone();
    for (quota_us, period_us) in [(50_000, 100_000), (20_000, 100_000)] {
        let injection =
            format!("a quota of {} of {} ms, canaries not real-time", quota_us / 1000, period_us / 1000);
        let row = Row { test: "V4", injection, demand: "run delay explains 95 % of the time in gaps" };
        if !is_root() {
            row.skipped("a control group needs root");
            continue;
        }
        // Not as root: under real-time scheduling the canaries would not be held to the quota.
        let how = Start { nobody: true, ..Start::default() };
        let guest = Guest::start_as(&format!("-r max -t 2 -i 200ms -d {}s", seconds(3, 12)), &how);
        let limited = Group::create("cpu", &format!("{}", guest.pid())).and_then(|group| {
            group.limit_cpu(quota_us, period_us)?;
            group.take(guest.pid())?;
            Ok(group)
        });
        let from_ns = Monotonic.now_ns() + 300 * MS;
        let report = guest.end();
        match limited {
            Ok(_group) => guest_sched(&row, "quiet", &report, from_ns),
            Err(why) => row.skipped(&why),
        }
    }
}

#[test]
fn v4_noisy_neighbours_in_the_same_kernel_are_the_schedulers_doing() {
    let _alone = alone();
    // Behind them, so that there is much of it: a few waits do not outweigh what this machine's own host takes of it.
    let injection = "two busy threads for each CPU, canaries not real-time and nice 19".to_owned();
    let row = Row { test: "V4", injection, demand: "run delay explains 95 % of the time in gaps" };
    if !is_root() {
        return row.skipped("another user's canaries need root");
    }
    let how = Start { nobody: true, nice: true, ..Start::default() };
    let guest = Guest::start_as(&format!("-r 2000p/s -t 2 -i 200ms -d {}s", seconds(3, 12)), &how);
    let load = Load::start();
    let from_ns = Monotonic.now_ns() + 300 * MS;
    let report = guest.end();
    drop(load);
    guest_sched(&row, "loaded", &report, from_ns);
}

#[test]
fn v5_a_stop_of_the_whole_guest_is_common_to_all_canaries() {
    let _alone = alone();
    let lengths: &[u64] = if is_long() { &[20, 100, 500, 2000] } else { &[20, 500] };
    let forms: &[Form] = if is_long() { &Form::ALL } else { &[Form::Quiet] };
    for (form, len_ms) in forms.iter().flat_map(|form| lengths.iter().map(move |len_ms| (*form, *len_ms))) {
        v5(form, len_ms);
    }
}

fn v5(form: Form, len_ms: u64) {
    let injection = format!("SIGSTOP of {len_ms} ms, {}", form.name());
    let row = Row { test: "V5", injection, demand: "blackout on all canaries, ends within 1 ms" };
    // A busy machine may hide or stretch one; that no try of three was sound is a failure.
    let mut found = Vec::new();
    for _ in 0..3 {
        found = v5_once(form, len_ms);
        if found.iter().any(|seen| seen.is_blackout) && off_ms(&found).is_some_and(|off| off <= 25.0) {
            break;
        }
    }
    let skews: Vec<f64> = found.iter().filter_map(|seen| seen.skew_ms).collect();
    let common = found.iter().filter(|seen| seen.is_blackout).count();
    let (Some(skew), Some(off)) = (median(&skews), off_ms(&found)) else {
        row.none("no stop was seen by all canaries, in none of three tries");
        panic!("{}: no stop was seen by all canaries in any of three tries", row.injection);
    };
    let worst = skews.iter().copied().fold(0.0, f64::max);
    let note = format!(
        "apart, median (worst {worst:.2}); {common} of {} told as blackout on all canaries, length off by {off:.2} ms",
        found.len()
    );
    row.got(skew, "ms", &note, common == found.len() && worst <= 1.0);
    assert!(common > 0 && off <= 25.0, "{len_ms} ms: {note}");
}

/// By how much the canaries found another length, in the middle.
fn off_ms(found: &[Seen]) -> Option<f64> {
    median(&found.iter().flat_map(|seen| seen.off_ms.clone()).collect::<Vec<_>>())
}

/// One run with stops of this length.
fn v5_once(form: Form, len_ms: u64) -> Vec<Seen> {
    let rounds = seconds(2, 5);
    let plan: Vec<(u64, u64)> =
        (0..rounds).map(|round| (round * (len_ms * MS + 1500 * MS) + 1200 * MS, len_ms * MS)).collect();
    let run_s = (plan[plan.len() - 1].0 + len_ms * MS) / SECOND + 2;
    let load = form.begin();
    let (report, stops) = stopped(run_s, plan);
    drop(load);
    for stop in &stops {
        report.tell(form.name(), "blackout", GapClass::Blackout, (stop.from_ns, stop.to_ns + 100 * MS));
    }
    stops.iter().map(|stop| Seen::of(stop, &report)).collect()
}

/// What the canaries saw of one stop.
struct Seen {
    /// How far apart their gaps ended; none when one of them saw nothing.
    skew_ms: Option<f64>,
    /// By how much each found another length.
    off_ms: Vec<f64>,
    /// Whether all of them called it a blackout.
    is_blackout: bool,
}

impl Seen {
    fn of(stop: &Stop, report: &Report) -> Self {
        let middle_ns = stop.from_ns.midpoint(stop.to_ns);
        let covers = |start_ns: u64, len_ns: u64| (start_ns..start_ns + len_ns).contains(&middle_ns);
        let inside: Vec<_> = report.gaps.iter().filter(|gap| covers(gap.start_ns, gap.len_ns)).collect();
        let ends = inside.iter().map(|gap| gap.start_ns + gap.len_ns);
        let ends = ends.clone().max().zip(ends.min());
        let all = inside.len() == report.hello.cpus.len();
        let true_ns = stop.to_ns - stop.from_ns;
        Self {
            skew_ms: ends.filter(|_| all).map(|(last_ns, first_ns)| (last_ns - first_ns) as f64 / 1e6),
            off_ms: inside.iter().map(|gap| gap.len_ns.abs_diff(true_ns) as f64 / 1e6).collect(),
            is_blackout: all
                && report.told_ms("blackout", stop) * MS >= true_ns / 10 * 9 * inside.len() as u64,
        }
    }
}

#[test]
fn one_cpu_that_is_away_alone_is_the_hosts_doing() {
    let _alone = alone();
    let injection = "one canary of several frozen for 30 ms at a time".to_owned();
    let row = Row { test: "V7", injection, demand: "single 99 %, common 0" };
    let guest = Guest::start(&format!("-r 2000p/s -t 2 -i 200ms -d {}s", seconds(3, 8)));
    let canary = guest.threads().into_iter().find(|(_, name)| name == "canary1");
    let frozen = Group::create("freezer", &format!("{}", guest.pid())).and_then(|group| {
        let (thread, _) = canary.ok_or("there is one CPU only")?;
        group.take_thread(thread)?;
        let begin_ns = Monotonic.now_ns();
        for round in 0..seconds(8, 30) {
            wait(begin_ns + (round * 200 + 150) * MS);
            group.freeze(true)?;
            wait(begin_ns + (round * 200 + 180) * MS);
            group.freeze(false)?;
        }
        Ok((group, begin_ns, Monotonic.now_ns()))
    });
    let report = guest.end();
    let (_group, from_ns, until_ns) = match frozen {
        Ok(frozen) => frozen,
        Err(why) => return row.skipped(&why),
    };
    let share = report.tell("quiet", "host_other", GapClass::HostOther, (from_ns, until_ns));
    let common: u64 = ["throttle", "blackout", "vm_pause"]
        .into_iter()
        .flat_map(|class| report.intervals.iter().filter_map(move |one| one.stall_ms.as_ref()?.get(class)))
        .sum();
    row.got(share, "%", &format!("of the time told as host_other, {common} ms as common"), share >= 99.0);
    assert!(share >= 50.0, "{share} %");
}

#[test]
fn v8_memory_that_was_reclaimed_is_the_guests_own_doing() {
    let _alone = alone();
    for unlocked in [true, false] {
        let injection = if unlocked {
            "the program's pages reclaimed 10 times a second, not locked".to_owned()
        } else {
            "the same, locked".to_owned()
        };
        let demand = if unlocked { "guest_fault 95 % of the time in gaps" } else { "no gap of it" };
        let row = Row { test: "V8", injection, demand };
        match reclaimed(unlocked) {
            Err(why) => row.skipped(&why),
            Ok((report, from_ns, until_ns)) => {
                let faults = report.gaps.iter().filter(|gap| gap.class == GapClass::GuestFault);
                let (count, gaps) = (faults.count(), report.gaps.len());
                if unlocked {
                    let span = (from_ns, until_ns);
                    let share = report.tell("quiet", "guest_fault", GapClass::GuestFault, span);
                    let note = format!("told as guest_fault; {count} of {gaps} gaps");
                    row.got(share, "%", &note, share >= 95.0 && count > 0);
                    assert!(count > 0 && share >= 25.0, "{}: {share:.0} % {note}", row.injection);
                } else {
                    row.got(count as f64, "gaps", &format!("with a fault, of {gaps}"), count == 0);
                    assert!(count <= 10, "{}: {count} of {gaps} gaps", row.injection);
                }
            }
        }
    }
}

/// A guest whose program was read from disk in a group of its own and is reclaimed again and again.
fn reclaimed(unlocked: bool) -> Result<(Report, u64, u64), String> {
    if !is_root() {
        return Err("a control group needs root".into());
    }
    let group = Group::create("memory", if unlocked { "fault" } else { "locked" })?;
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).map_err(|error| error.to_string())?;
    // What the copy left in memory belongs to nobody's group: it has to go before the guest reads it anew.
    let copy = dir.path().join("sully");
    std::fs::copy(program(), &copy).map_err(|error| error.to_string())?;
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let file = std::fs::File::open(&copy).unwrap();
    file.sync_all().unwrap();
    nix::fcntl::posix_fadvise(&file, 0, 0, nix::fcntl::PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
    let how =
        Start { program: Some(copy), unlocked, group: Some(group.dir().to_owned()), ..Start::default() };
    let guest = Guest::start_as(&format!("-r 2000p/s -t 2 -i 200ms -d {}s", seconds(4, 10)), &how);
    let from_ns = Monotonic.now_ns();
    for round in 0..seconds(25, 80) {
        wait(from_ns + (round + 1) * 100 * MS);
        group.reclaim()?;
    }
    let until_ns = Monotonic.now_ns();
    Ok((guest.end(), from_ns, until_ns))
}

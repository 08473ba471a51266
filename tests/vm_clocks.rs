//! Guests whose clock and timers are what a stock VM may have: nobody migrates, so nothing may be told but the load that was asked for.
//!
//! The emulated guests have no clocksource but the tick (as a stock domain of libvirt), or a slow one, or timers that wake with the tick
//! alone. Needs what `tests/vm.rs` needs. SULLY_FIDELITY=long tries every kind with 1, 2 and 4 vCPUs, idle and loaded.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::disallowed_methods, reason = "the test waits for a VM")]

mod parts;

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use sully::lab::vm::locate;

const MS: u64 = 1_000_000;
/// The tick of the image's kernel.
const TICK_NS: u64 = 4 * MS;
/// Boot and run of one guest.
const LIMIT: Duration = Duration::from_secs(90);
/// The mean rate must be kept in one of so many runs: a busy host takes from it, and nothing here gives it back.
const TRIES: usize = 3;
const IDLE: &str = "512K/s";
const LOADED: &str = "16M/s";

/// What a guest is given for time.
struct Kind {
    clocksource: &'static str,
    machine: &'static str,
    kernel: &'static str,
    /// Its clock moves with the tick alone.
    is_clock_coarse: bool,
    /// Its timers wake with the tick alone.
    are_timers_coarse: bool,
}

const STOCK: Kind = Kind {
    clocksource: "refined-jiffies",
    machine: "pc,acpi=off,hpet=off",
    // Whether the kernel trusts the counter of such a machine differs from start to start.
    kernel: "tsc=unstable",
    is_clock_coarse: true,
    are_timers_coarse: true,
};
const JIFFIES: Kind = Kind {
    clocksource: "jiffies",
    machine: "pc",
    kernel: "tsc=unstable clocksource=jiffies",
    is_clock_coarse: true,
    are_timers_coarse: true,
};
const ONLY_TIMERS: Kind = Kind {
    clocksource: "hpet",
    machine: "pc",
    kernel: "tsc=unstable clocksource=hpet highres=off nohz=off",
    is_clock_coarse: false,
    are_timers_coarse: true,
};
const HPET: Kind = Kind { kernel: "tsc=unstable clocksource=hpet", are_timers_coarse: false, ..ONLY_TIMERS };
const ACPI_PM: Kind = Kind { clocksource: "acpi_pm", kernel: "tsc=unstable clocksource=acpi_pm", ..HPET };

/// QEMU, which ends with it.
struct Qemu(Child);

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The image, or a skip that is heard.
fn image(test: &str) -> Option<PathBuf> {
    let found = parts::lab_and_image().inspect_err(|why| eprintln!("SKIPPED: {test}: {why}"));
    found.ok().map(|(_, image)| image)
}

/// All records of a guest with so many vCPUs that does what `guest` says, to its end.
fn records(image: &Path, (machine, kernel): (&str, &str), cpus: u32, guest: &str) -> Vec<Value> {
    let directory = tempfile::tempdir().unwrap();
    let told = directory.path().join("records");
    let append = format!("console=ttyS0 panic=-1 quiet {kernel} -- {guest}");
    let (cpus, serial) = (cpus.to_string(), format!("file:{}", directory.path().join("console").display()));
    let port = format!("file,id=port,path={}", told.display());
    let mut command = Command::new(locate::find(None).unwrap());
    command
        .args([
            "-accel",
            "tcg,thread=multi",
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
        ])
        .args(["-machine", machine, "-m", "192M", "-smp", &cpus, "-serial", &serial, "-chardev", &port])
        .args(["-device", "virtio-serial-pci", "-device", "virtserialport,chardev=port,name=org.sully.0"])
        .args(["-append", &append])
        .arg("-kernel")
        .arg(image.join("vmlinuz"))
        .arg("-initrd")
        .arg(image.join("initramfs"));
    let qemu = Qemu(command.stdin(Stdio::null()).spawn().unwrap());
    let begun = Instant::now();
    loop {
        let text = std::fs::read_to_string(&told).unwrap_or_default();
        if text.contains("{\"type\":\"end\"") && text.ends_with('\n') {
            drop(qemu);
            return text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        }
        let console = || std::fs::read_to_string(directory.path().join("console")).unwrap_or_default();
        assert!(begun.elapsed() < LIMIT, "{append}: no end came\n{text}\n{}", console());
        sleep(Duration::from_millis(100));
    }
}

fn of_type<'a>(records: &'a [Value], name: &str) -> Vec<&'a Value> {
    records.iter().filter(|record| record["type"] == name).collect()
}

/// What a guest told to which nothing happened.
struct Told {
    records: Vec<Value>,
    kind: &'static Kind,
    cpus: u32,
}

impl Told {
    fn by(image: &Path, kind: &'static Kind, cpus: u32, rate: &str) -> Self {
        let guest = format!("run -m 32M -r {rate} -t {cpus} -d 5s --baseline 2s -i 500ms --report virtio");
        let records = records(image, (kind.machine, kind.kernel), cpus, &guest);
        Self { records, kind, cpus }
    }

    /// What the guest found its clock and timers to be.
    fn assert_measured(&self) {
        let clock = &self.records[0]["clock"];
        assert_eq!(clock["clocksource"], self.kind.clocksource, "{clock}");
        assert!(clock["read_ns"].as_u64().unwrap() > 0, "{clock}");
        let near_tick = |figure: &str| {
            let ns = clock[figure].as_u64().unwrap();
            assert!(ns > 0, "{clock}");
            (TICK_NS / 4 * 3..TICK_NS / 2 * 3).contains(&ns)
        };
        assert_eq!(near_tick("step_ns"), self.kind.is_clock_coarse, "{clock}");
        // A busy host makes fine timers slow, and never coarse ones quick.
        if self.kind.are_timers_coarse {
            assert!(near_tick("timer_step_ns"), "{clock}");
        }
    }

    /// No throttle, no gap that canaries cannot see, no blackout without a stop as long, no latency that the clock cannot tell.
    fn assert_nothing_told(&self) {
        let intervals = of_type(&self.records, "interval");
        assert!(intervals.len() >= 9, "{} intervals", intervals.len());
        let (mut blackout_ms, step_ns) = (0, self.records[0]["clock"]["step_ns"].as_u64().unwrap());
        for interval in &intervals {
            assert!(interval["writes"].as_u64().unwrap() > 0, "{interval}");
            assert!(interval.get("throttle").is_none(), "{interval}");
            blackout_ms += interval["stall_ms"]["blackout"].as_u64().unwrap_or(0);
            for latency in ["service_ns", "response_ns"] {
                let figures =
                    ["p50", "p90", "p99", "p999", "max"].map(|name| interval[latency][name].as_u64());
                let least_ns = if self.kind.is_clock_coarse { step_ns / 2 * 3 } else { 0 };
                assert!(figures.iter().flatten().all(|ns| *ns > least_ns), "{interval}");
                assert!(self.kind.is_clock_coarse || figures.iter().all(Option::is_some), "{interval}");
            }
        }
        let lengths: Vec<u64> =
            of_type(&self.records, "gap").iter().map(|gap| gap["len_ns"].as_u64().unwrap()).collect();
        if self.kind.are_timers_coarse {
            assert!(lengths.iter().all(|len_ns| *len_ns > TICK_NS), "{lengths:?}");
            // Of every wake a gap was made before.
            let watched_ns = 5_000 * MS * u64::from(self.cpus);
            assert!(lengths.iter().sum::<u64>() < watched_ns / 4, "{lengths:?}");
        }
        let long_ns: u64 = lengths.iter().filter(|len_ns| **len_ns >= 5 * TICK_NS - MS).sum();
        assert!(blackout_ms <= long_ns.div_ceil(MS), "{blackout_ms} ms of blackout among {lengths:?}");
    }

    /// By how much the rate that was asked for was missed, per cent.
    fn off_percent(&self) -> f64 {
        let intervals = of_type(&self.records, "interval");
        let sum = |figure: fn(&Value) -> f64| intervals.iter().map(|interval| figure(interval)).sum::<f64>();
        let writes = sum(|interval| interval["writes"].as_f64().unwrap());
        let asked = sum(|interval| {
            let length_s =
                (interval["end_ns"].as_f64().unwrap() - interval["start_ns"].as_f64().unwrap()) / 1e9;
            interval["target_pages_per_s"].as_f64().unwrap() * length_s
        });
        100.0 * (writes / asked - 1.0)
    }
}

fn nothing_is_told(image: &Path, kind: &'static Kind, cpus: u32, rate: &str) {
    let mut off = Vec::new();
    for _ in 0..TRIES {
        let told = Told::by(image, kind, cpus, rate);
        told.assert_measured();
        told.assert_nothing_told();
        off.push(told.off_percent());
        let (clocksource, found) = (kind.clocksource, &told.records[0]["clock"]);
        println!("{clocksource}, {cpus} vCPUs, {rate}: {:+.2} % of the rate, {found}", off[off.len() - 1]);
        if off[off.len() - 1].abs() <= 1.0 {
            return;
        }
    }
    panic!("{}, {cpus} vCPUs, {rate}: the mean rate is off by {off:?} %", kind.clocksource);
}

/// Every kind with every number of vCPUs, idle and loaded, in the long form.
fn all_of(image: &Path, kind: &'static Kind) -> bool {
    let is_long = std::env::var_os("SULLY_FIDELITY").is_some_and(|form| form == "long");
    if is_long {
        for cpus in [1, 2, 4] {
            for rate in [IDLE, LOADED] {
                nothing_is_told(image, kind, cpus, rate);
            }
        }
    }
    is_long
}

#[test]
fn a_stock_guest_without_a_clocksource_is_told_nothing_that_its_tick_cannot_tell() {
    let test = "a_stock_guest_without_a_clocksource_is_told_nothing_that_its_tick_cannot_tell";
    let Some(image) = image(test) else { return };
    if !all_of(&image, &STOCK) {
        nothing_is_told(&image, &STOCK, 1, LOADED);
        nothing_is_told(&image, &STOCK, 2, IDLE);
    }
}

#[test]
fn a_guest_on_jiffies_is_told_nothing_that_they_cannot_tell() {
    let Some(image) = image("a_guest_on_jiffies_is_told_nothing_that_they_cannot_tell") else { return };
    if !all_of(&image, &JIFFIES) {
        nothing_is_told(&image, &JIFFIES, 2, LOADED);
    }
}

#[test]
fn timers_that_wake_with_the_tick_alone_make_no_gap_and_cost_no_rate() {
    let Some(image) = image("timers_that_wake_with_the_tick_alone_make_no_gap_and_cost_no_rate") else {
        return;
    };
    if !all_of(&image, &ONLY_TIMERS) {
        nothing_is_told(&image, &ONLY_TIMERS, 1, LOADED);
    }
}

#[test]
fn a_slow_clocksource_is_told_from_a_coarse_one() {
    let Some(image) = image("a_slow_clocksource_is_told_from_a_coarse_one") else { return };
    if all_of(&image, &ACPI_PM) {
        all_of(&image, &HPET);
    } else {
        nothing_is_told(&image, &ACPI_PM, 2, LOADED);
    }
}

#[test]
fn canaries_that_the_kernel_would_hold_back_do_without_realtime_and_are_not_away() {
    let test = "canaries_that_the_kernel_would_hold_back_do_without_realtime_and_are_not_away";
    let Some(image) = image(test) else { return };
    let guest = "run -m 32M -r 2M/s -t 2 -d 4s --baseline 1s -i 500ms --report virtio";
    let kernel = "sysctl.kernel.sched_rt_runtime_us=5000";
    let records = records(&image, ("pc", kernel), 2, guest);
    assert_eq!(records[0]["self"]["canary_realtime"], false, "{}", records[0]["self"]);
    let intervals = of_type(&records, "interval");
    assert!(intervals.len() >= 7, "{} intervals", intervals.len());
    // The kernel held realtime canaries back for most of each second.
    let longest_ns =
        of_type(&records, "gap").iter().map(|gap| gap["len_ns"].as_u64().unwrap()).max().unwrap_or(0);
    assert!(longest_ns < 500 * MS, "a gap of {longest_ns} ns");
}

//! A stock guest of a real libvirt, from the XML of docs/INSTALLING.md to the records that `sully-lab collect` keeps: nothing migrates,
//! so nothing may be found but the load that was asked for. And one that `virsh migrate` moves to another libvirt, measured by one
//! line of `sully-lab measure`.
//!
//! Needs root, Debian's libvirt-daemon and libvirt-clients, and what `tests/vm.rs` needs; without them the test skips aloud.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::disallowed_methods, reason = "the test waits for a VM")]

mod libvirt;
mod parts;

use libvirt::{Libvirt, pair};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const MS: u64 = 1_000_000;
/// The tick of the image's kernel.
const TICK_NS: u64 = 4 * MS;
const NAME: &str = "sully";
const LOAD: &str = "run -m 64M -r 20M/s -i 100ms --report virtio -d 12s --baseline 3s";
/// From the start of a domain to its guest's last record.
const LIMIT: Duration = Duration::from_secs(50);
/// No further try begins later than this.
const TRIES_LIMIT: Duration = Duration::from_mins(1);
const TRIES: usize = 3;
/// Of the vCPU's time, per cent: a machine that takes more from it may cost the guest its rate, and make real gaps.
const TAKEN_PERCENT: f64 = 10.0;

/// The block of XML in docs/INSTALLING.md that has this element.
fn documented(element: &str) -> String {
    let page = fs::read_to_string("docs/INSTALLING.md").unwrap();
    let mut blocks = page.split("```xml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.find(|block| block.contains(element)).unwrap().to_owned()
}

/// The domain that docs/INSTALLING.md describes, with this load and further words for the kernel.
fn domain(kernel: &str) -> String {
    let (os, channel) = (documented("<os>"), documented("<channel"));
    let (before, rest) = os.split_once("<cmdline>").unwrap();
    let (_, after) = rest.split_once("</cmdline>").unwrap();
    let words = format!("console=ttyS0 quiet panic=-1 {kernel} -- {LOAD}");
    format!(
        "<domain type='qemu'><name>{NAME}</name><memory unit='MiB'>256</memory><vcpu>1</vcpu>
        {before}<cmdline>{words}</cmdline>{after}
        <devices>{channel}<serial type='file'><source path='/var/log/libvirt/console'/></serial></devices></domain>"
    )
}

/// Where libvirt made the channel's socket, with a pattern for the domain's directory.
fn pattern(libvirt: &Libvirt) -> String {
    let xml = libvirt.virsh(&["dumpxml", NAME]).unwrap();
    let mut paths = xml.split("path='").skip(1).map(|rest| rest.split('\'').next().unwrap());
    let path = PathBuf::from(paths.find(|path| path.ends_with("/org.sully.0")).unwrap());
    let directory = path.parent().unwrap().parent().unwrap().display().to_string();
    let page = fs::read_to_string("docs/INSTALLING.md").unwrap();
    assert!(page.contains(&directory), "docs/INSTALLING.md does not name {directory}");
    format!("{directory}/*/org.sully.0")
}

/// `sully-lab collect`, which ends with it.
struct Collector(Child);

impl Collector {
    fn start(libvirt: &Libvirt, lab: &Path, out: &Path) -> Self {
        fs::create_dir(out).unwrap();
        let mut command = libvirt.inside(&fs::canonicalize(lab).unwrap());
        command.args(["collect", &pattern(libvirt), "--duration", "2m", "--out"]).arg(out);
        let table = File::create(out.join("table")).unwrap();
        Self(command.stdin(Stdio::null()).stdout(table.try_clone().unwrap()).stderr(table).spawn().unwrap())
    }

    /// Ends it as ^C does; hands back its exit code.
    fn end(mut self) -> Option<i32> {
        kill(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), Signal::SIGINT).unwrap();
        self.0.wait().unwrap().code()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the host gave the vCPU until now.
#[derive(Clone, Copy)]
struct Given {
    at: Instant,
    ran_ns: f64,
    waited_ns: f64,
}

impl Given {
    /// Absent when the domain is gone.
    fn now(libvirt: &Libvirt) -> Option<Self> {
        let text = libvirt.virsh(&["domstats", NAME, "--vcpu"]).ok()?;
        let figure = |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name)?.parse().ok());
        Some(Self {
            at: Instant::now(),
            ran_ns: figure("vcpu.0.time=")?,
            waited_ns: figure("vcpu.0.delay=").unwrap_or(0.0),
        })
    }

    /// Shares of the time since `first` in which the vCPU ran, and waited for a CPU of the host: per cent.
    fn since(self, first: Self) -> (f64, f64) {
        let percent = |ns: f64| 100.0 * ns / 1e9 / self.at.duration_since(first.at).as_secs_f64().max(0.001);
        (percent(self.ran_ns - first.ran_ns), percent(self.waited_ns - first.waited_ns))
    }
}

/// What one domain said.
struct Heard {
    records: Vec<Value>,
    /// The collector's last table.
    table: String,
    ran_percent: f64,
    waited_percent: f64,
}

impl Heard {
    /// Starts the domain, collects until its guest's last record, and ends both.
    fn from(libvirt: &Libvirt, lab: &Path, kernel: &str, out: &Path) -> Self {
        let (xml, begun) = (out.with_extension("xml"), Instant::now());
        fs::write(&xml, domain(kernel)).unwrap();
        libvirt.virsh(&["create", xml.to_str().unwrap()]).unwrap();
        let collector = Collector::start(libvirt, lab, out);
        let mut given: Option<(Given, Given)> = None;
        let records = loop {
            sleep(Duration::from_millis(300));
            let records = records(out);
            if records.iter().any(|record| record["type"] == "end") {
                break records;
            }
            if let Some(now) = Given::now(libvirt).filter(|_| !records.is_empty()) {
                given = Some((given.map_or(now, |(first, _)| first), now));
            }
            let said = || fs::read_to_string(out.join("table")).unwrap_or_default();
            let console = || fs::read_to_string(libvirt.path("log/console")).unwrap_or_default();
            assert!(
                begun.elapsed() < LIMIT,
                "{} records and no end\n{}\n{}",
                records.len(),
                said(),
                console()
            );
        };
        assert_eq!(collector.end(), Some(0), "{}", fs::read_to_string(out.join("table")).unwrap());
        // The guest restarts where it cannot power off, and <on_reboot> ends it then.
        let _ = libvirt.virsh(&["destroy", NAME]);
        let (ran_percent, waited_percent) = given.map_or((0.0, 0.0), |(first, last)| last.since(first));
        let table = fs::read_to_string(out.join("table")).unwrap();
        Self { records, table, ran_percent, waited_percent }
    }

    fn of_type(&self, name: &str) -> Vec<&Value> {
        self.records.iter().filter(|record| record["type"] == name).collect()
    }

    /// What the guest found its clock and timers to be.
    fn assert_measured(&self, kernel: &str) {
        let clock = &self.of_type("hello")[0]["clock"];
        let [step_ns, timer_step_ns, read_ns] =
            ["step_ns", "timer_step_ns", "read_ns"].map(|figure| clock[figure].as_u64().unwrap_or(0));
        assert!(step_ns > 0 && timer_step_ns > 0 && read_ns > 0, "{clock}");
        let is_jiffies = clock["clocksource"] == "refined-jiffies";
        assert!(is_jiffies || kernel.is_empty(), "{clock}");
        let near_tick = |ns: u64| (TICK_NS / 4 * 3..TICK_NS / 2 * 3).contains(&ns);
        assert!(!is_jiffies || near_tick(step_ns) && near_tick(timer_step_ns), "{clock}");
    }

    /// No throttle, and no latency that the clock cannot tell.
    fn assert_nothing_made_up(&self) {
        let intervals = self.of_type("interval");
        assert!(intervals.len() >= 100, "{} intervals", intervals.len());
        let step_ns = self.of_type("hello")[0]["clock"]["step_ns"].as_u64().unwrap();
        let least_ns = if step_ns >= MS { step_ns / 2 * 3 } else { 0 };
        for record in intervals.iter().copied().chain(self.of_type("end")) {
            assert!(record.get("throttle").is_none(), "{record}");
            for latency in ["service_ns", "response_ns"] {
                let figures = ["p50", "p90", "p99", "p999", "max"].map(|name| record[latency][name].as_u64());
                assert!(figures.iter().flatten().all(|ns| *ns > least_ns), "{record}");
            }
        }
        let row = self.table.lines().rfind(|line| line.starts_with(NAME)).unwrap();
        assert!(row.contains(" ended ") && !row.contains('%'), "{}", self.table);
    }

    fn blackout_ms(&self) -> u64 {
        let intervals = self.of_type("interval");
        intervals.iter().filter_map(|interval| interval["stall_ms"]["blackout"].as_u64()).sum()
    }

    /// By how much the rate that was asked for was missed, per cent.
    fn off_percent(&self) -> f64 {
        let intervals = self.of_type("interval");
        let sum = |figure: fn(&Value) -> f64| intervals.iter().map(|interval| figure(interval)).sum::<f64>();
        let asked = sum(|interval| {
            let length_ns = interval["end_ns"].as_f64().unwrap() - interval["start_ns"].as_f64().unwrap();
            interval["target_pages_per_s"].as_f64().unwrap() * length_ns / 1e9
        });
        100.0 * (sum(|interval| interval["writes"].as_f64().unwrap()) / asked - 1.0)
    }
}

/// All records that the collector has kept until now.
fn records(out: &Path) -> Vec<Value> {
    let mut records = Vec::new();
    for session in fs::read_dir(out).unwrap() {
        let text = fs::read_to_string(session.unwrap().path().join("records.ndjson")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        records.extend(whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
    }
    records
}

/// Tries domains with these words for their kernel until one kept its rate and knows of no blackout. Where none did and the machine took
/// the CPU from the vCPU, that is a skip.
fn nothing_happens(libvirt: &Libvirt, lab: &Path, kernel: &str) {
    let (begun, mut seen) = (Instant::now(), Vec::new());
    for number in 1..=TRIES {
        if begun.elapsed() > TRIES_LIMIT {
            break;
        }
        let out = libvirt.path(&format!("out-{}-{number}", if kernel.is_empty() { "stock" } else { kernel }));
        let heard = Heard::from(libvirt, lab, kernel, &out);
        heard.assert_measured(kernel);
        heard.assert_nothing_made_up();
        let (off, blackout_ms) = (heard.off_percent(), heard.blackout_ms());
        let (ran, waited) = (heard.ran_percent, heard.waited_percent);
        let what = format!(
            "{off:+.2} % of the rate, {blackout_ms} ms of blackout; the vCPU ran {ran:.0} % of the time, waited {waited:.0} %; {}",
            heard.of_type("hello")[0]["clock"]
        );
        println!("'{kernel}': {what}");
        if off.abs() <= 1.0 && blackout_ms == 0 {
            return;
        }
        seen.push((ran + waited > 90.0 || waited > TAKEN_PERCENT, what));
    }
    assert!(seen.iter().any(|(is_machine, _)| *is_machine), "'{kernel}': {seen:#?}");
    eprintln!("SKIPPED: the rate of a guest of libvirt: this machine took the CPU from it: {seen:?}");
}

#[test]
fn a_stock_guest_of_libvirt_is_told_nothing_that_did_not_happen() {
    let test = "a_stock_guest_of_libvirt_is_told_nothing_that_did_not_happen";
    let found = parts::lab_and_image().map_err(str::to_owned);
    let started = found.and_then(|(lab, image)| Ok((lab, Libvirt::start(&image)?)));
    let (lab, libvirt) = match started {
        Ok(started) => started,
        Err(why) => return eprintln!("SKIPPED: {test}: {why}"),
    };
    nothing_happens(&libvirt, &lab, "");
    // Whether Linux trusts the emulated cycle counter is a matter of luck: as often it has the tick alone.
    nothing_happens(&libvirt, &lab, "tsc=unstable");
}

/// A load that dirties a little faster than the link takes it, so that auto-converge has something to do.
const MOVED_LOAD: &str = "run -m 32M -r 20M/s -t 1 -i 100ms --report virtio --baseline 0s";

/// A domain that can be migrated, with that load.
fn moved_domain() -> String {
    format!(
        "<domain type='qemu'><name>{NAME}</name><memory unit='KiB'>262144</memory><vcpu>1</vcpu>
        <os><type arch='x86_64'>hvm</type><kernel>/var/lib/libvirt/images/sully/vmlinuz</kernel>
        <initrd>/var/lib/libvirt/images/sully/initramfs</initrd>
        <cmdline>console=ttyS0 quiet panic=-1 -- {MOVED_LOAD}</cmdline></os><features><acpi/></features>
        <on_reboot>destroy</on_reboot><on_crash>destroy</on_crash>
        <devices><emulator>/var/lib/libvirt/images/sully/qemu</emulator>{}
        <serial type='file'><source path='/var/log/libvirt/console'/></serial></devices></domain>",
        documented("<channel")
    )
}

/// Migrates the domain from one to the other under `sully-lab measure`; what that said, and its run directory's files.
fn move_measured(lab: &Path, [here, there]: &[Libvirt; 2]) -> PathBuf {
    let (xml, out, junit) = (here.path("domain.xml"), here.path("out"), here.path("junit.xml"));
    fs::write(&xml, moved_domain()).unwrap();
    here.virsh(&["create", xml.to_str().unwrap()]).unwrap();
    let uri = format!("qemu:///system?socket={}", there.path("run/libvirt-sock").display());
    let ports = there.path("lib/qemu/channel/target/*/org.sully.0").display().to_string();
    let mut command = here.inside(Path::new("timeout"));
    command.arg("150").arg(fs::canonicalize(lab).unwrap()).args(["measure", "--libvirt", NAME]);
    command.args(["--guest", &ports, "--connect-to", &uri, "--wait", "60s", "--out"]).arg(&out);
    command.arg("--junit").arg(&junit).args(["--expect", "throttle_percent > 0", "--", "virsh", "migrate"]);
    command.args(["--live", "--auto-converge", "--bandwidth", "18", NAME, &uri]);
    command.arg(format!("tcp://{}", pair::THERE)).arg("--unsafe");
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    println!("{said}");
    let console = |host: &Libvirt| fs::read_to_string(host.path("log/console")).unwrap_or_default();
    assert_eq!(output.status.code(), Some(0), "{said}\n{}\n{}", console(here), console(there));
    let junit = fs::read_to_string(&junit).unwrap();
    assert!(junit.contains("<testcase name=\"pages intact\"") && junit.contains("failures=\"0\""), "{junit}");
    out.join("measure-001")
}

#[test]
fn a_domain_that_virsh_migrates_is_measured_by_one_line() {
    let test = "a_domain_that_virsh_migrates_is_measured_by_one_line";
    if std::env::var_os("SULLY_TEST_LONG").is_none() {
        return eprintln!(
            "SKIPPED: {test}: two libvirts and a migration take more than a minute: SULLY_TEST_LONG=1"
        );
    }
    let found = parts::lab_and_image().map_err(str::to_owned);
    let (lab, hosts) = match found.and_then(|(lab, image)| Ok((lab, pair::start(&image)?))) {
        Ok(found) => found,
        Err(why) => return eprintln!("SKIPPED: {test}: {why}"),
    };
    let directory = move_measured(&lab, &hosts);
    let run: Value = serde_json::from_slice(&fs::read(directory.join("run.json")).unwrap()).unwrap();
    let output = Command::new(&lab).args(["report", "--json"]).arg(&directory).output().unwrap();
    let figures = serde_json::from_slice::<Value>(&output.stdout).unwrap()[0].take();
    let stages = figures["phases"].as_array().unwrap().iter().map(|phase| phase["name"].as_str().unwrap());
    let stages: Vec<&str> = stages.filter(|name| *name != "blackout").collect();
    assert_eq!(stages, ["baseline", "precopy", "after"]);
    // A guest whose throttle delays its records cannot tell its blackout alone, and says so.
    let blackout = &figures["blackout"];
    assert!(blackout["estimate_ns"].is_u64() || blackout["reason"].is_string(), "{blackout}");
    assert!(blackout["qemu_downtime_ns"].as_u64() > Some(0), "{blackout}");
    let levels = figures["throttle"].as_array().unwrap();
    assert!(levels.iter().any(|level| level["percent"].as_u64() >= Some(20)), "{levels:?}");
    assert_eq!(figures["corrupt_pages"], 0, "{}", run["measured"]);
    assert_eq!(
        (&run["measured"]["accelerator"], &run["source"]["status"]),
        (&"tcg".into(), &"completed".into())
    );
    for fault in ["holes", "doubles", "torn"] {
        assert_eq!(run["stream"][fault], 0, "{}", run["stream"]);
    }
}

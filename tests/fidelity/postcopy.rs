//! V12: a real post-copy, and what guest and QEMU say of the same waits: their sum, their number, their length.

use super::machine::{is_long, lab_and_image};
use super::page_requests::{Request, Traced};
use super::run;
use super::say::{Row, median};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use sully::lab::analysis::{Analysis, Waits};
use sully::lab::rundir::RunData;
use sully::lab::timeline::Timeline;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// A scenario with enough requests to count, whatever the link.
const SCENARIO: &str = "run smoke/post-copy --accel tcg --set vm.memory=320M --set load.memory=128M \
    --set migration.postcopy_after=1s";
/// What its load dirties, and the VM's memory without what the lab adds to it.
const REGION_PAGES: usize = (128 << 20) / 4096;
const MEMORY_BYTES: u64 = 320 << 20;
/// A run that takes longer is stuck.
const RUN_LIMIT: Duration = Duration::from_mins(3);

/// From this length on the guest tells of a visit.
const STALL_NS: u64 = 100_000;
/// A slow link is full for most of each 100 ms, so that most who ask wait for the next; a fast one is not.
const SLOW: &str = "14M/s";
const FAST: &str = "60M/s";

#[test]
fn v12_the_waits_of_a_real_post_copy_are_those_that_qemu_counts() {
    let shapes: &[(u32, &str)] = if is_long() { &[(1, SLOW), (1, FAST), (2, FAST)] } else { &[(1, SLOW)] };
    let rounds = if is_long() { 3 } else { 1 };
    for (cpus, link) in shapes {
        let injection = format!("a real post-copy under emulation, {link}, {cpus} vCPU");
        let skipped = Row { test: "V12", injection: injection.clone(), demand: "as QEMU counts" };
        let Some((program, image)) = lab_and_image(&skipped) else { return };
        let set = [format!("vm.cpus={cpus}"), format!("migration.bandwidth={link}")];
        run(async {
            let mut told = Vec::new();
            for _ in 0..rounds {
                match one_run(&program, &image, &set).await {
                    Ok(one) => told.push(one),
                    Err(reason) => return skipped.skipped(&reason),
                }
            }
            judged(&injection, &told);
        });
    }
}

/// Prints what came of one or several runs alike.
fn judged(injection: &str, told: &[Told]) {
    let row = |demand| Row { test: "V12", injection: injection.into(), demand };
    let all = |of: fn(&Told) -> f64| told.iter().map(of).collect::<Vec<f64>>();
    let say = |of: fn(&Told) -> String| told.iter().map(of).collect::<Vec<String>>().join("; ");
    let within_10 = |offs: &[f64]| offs.iter().all(|off| off.abs() <= 10.0);
    let offs = all(|told| 100.0 * (told.stall_ns / told.blocktime_ns - 1.0));
    let said = format!("off: {}", say(Told::total));
    row("total within 10 % of QEMU's blocktime").got(median(&offs).unwrap(), "%", &said, within_10(&offs));
    let offs = all(|told| 100.0 * (told.faults / told.requests - 1.0));
    let notes = say(|told| told.note.clone());
    let said = format!("off: {notes}");
    row("faults within 10 % of the requests for the load's pages").got(
        median(&offs).unwrap(),
        "%",
        &said,
        within_10(&offs),
    );
    let ratios = all(|told| told.p50_ns / told.request_p50_ns);
    let holds = ratios.iter().all(|ratio| (0.5..=2.0).contains(ratio));
    row("faults' median within a power of two of QEMU's").got(
        median(&ratios).unwrap(),
        "times",
        &say(Told::middle),
        holds,
    );
    // What no noise explains: pages that were waited for and not told, twice as many faults, or half.
    assert!(told.iter().all(|told| told.stalled >= 0.9 * told.lasting), "{notes}");
    assert!(told.iter().all(|told| (0.5..=2.0).contains(&(told.faults / told.requests))), "{notes}");
}

/// What guest and QEMU said in one run.
struct Told {
    stall_ns: f64,
    blocktime_ns: f64,
    /// Faults by the history of their pages, and the median of their lengths.
    faults: f64,
    p50_ns: f64,
    /// Pages of the load that QEMU asked for, and the median of their waits.
    requests: f64,
    request_p50_ns: f64,
    /// Of these pages those that took long enough to be told, and those that the guest stalled at.
    lasting: f64,
    stalled: f64,
    /// How faults and requests fit, page by page.
    note: String,
}

impl Told {
    fn total(&self) -> String {
        format!("{:.0} ms beside {:.0}", self.stall_ns / 1e6, self.blocktime_ns / 1e6)
    }

    fn middle(&self) -> String {
        format!("{:.2} ms beside {:.2}", self.p50_ns / 1e6, self.request_p50_ns / 1e6)
    }
}

/// Migrates a guest by post-copy, its destination traced.
///
/// # Errors
/// Why that cannot be had here.
async fn one_run(program: &Path, image: &Path, set: &[String]) -> Result<Told, String> {
    let (traced, out) = (Traced::create()?, tempfile::tempdir().unwrap());
    let mut command = Command::new(program);
    command.args(SCENARIO.split_whitespace()).arg("--image").arg(image);
    command.args(set.iter().flat_map(|assignment| ["--set", assignment]));
    command.arg("--qemu").arg(traced.program()).arg("--out").arg(out.path());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut lab = command.spawn().unwrap();
    let is_there = completed(&mut lab, out.path()).await;
    let own = if is_there { traced.own_pages(MEMORY_BYTES).await } else { BTreeMap::new() };
    let ran = timeout(RUN_LIMIT, lab.wait_with_output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    if !ran.status.success() && said.contains("post-copy needs userfaultfd") {
        return Err("userfaultfd is not to be had: see docs/TROUBLESHOOTING.md".into());
    }
    assert!(ran.status.success(), "{said}");
    let pages: BTreeSet<u64> = own.values().copied().collect();
    assert_eq!(
        (own.len(), pages.len()),
        (REGION_PAGES, REGION_PAGES),
        "not all pages of the load were found"
    );
    let data = RunData::read(&run_dir(out.path()).unwrap()).unwrap();
    Ok(compared(&data, &traced.requests()?, &own))
}

/// Waits until the source says that all has been sent; false where the lab ended before.
async fn completed(lab: &mut Child, out: &Path) -> bool {
    let says_so = || {
        let said = std::fs::read_to_string(run_dir(out)?.join("qemu.ndjson")).ok()?;
        Some(said.contains(r#""status":"completed""#))
    };
    let is_so = async {
        while lab.try_wait().unwrap().is_none() {
            if says_so() == Some(true) {
                return true;
            }
            sleep(Duration::from_millis(100)).await;
        }
        false
    };
    timeout(RUN_LIMIT, is_so).await.unwrap()
}

fn run_dir(out: &Path) -> Option<PathBuf> {
    let mut entries = std::fs::read_dir(out).ok()?.flatten().map(|entry| entry.path());
    entries.find(|path| path.join("qemu.ndjson").exists())
}

/// The guest's word beside QEMU's. `own` has the page at each offset of the guest's memory that is the load's.
fn compared(data: &RunData, requests: &[Request], own: &BTreeMap<u64, u64>) -> Told {
    let Waits { guest_stall_ns, faults, faults_reason, qemu_vcpu_blocktime_ns, qemu_requests, .. } =
        Analysis::of(data, &Timeline::of(data)).postcopy.unwrap();
    let faults = faults.unwrap_or_else(|| panic!("{}", faults_reason.unwrap()));
    let mut asked = BTreeMap::new();
    let mut had_come = 0;
    for request in requests {
        let Some(page) = request.offset.and_then(|offset| own.get(&offset)) else { continue };
        if request.had_come {
            had_come += 1;
        } else {
            asked.entry(*page).or_insert(request);
        }
    }
    let waits: Vec<f64> = asked.values().filter_map(|request| Some(request.wait_ns? as f64)).collect();
    let mut told: BTreeMap<u64, u64> = BTreeMap::new();
    for stall in &data.records.stalls {
        let earlier = told.entry(stall.page).or_insert(stall.earlier);
        *earlier = stall.earlier.min(*earlier);
    }
    // As the guest's: no wait is a stall below 100 us.
    let brief =
        asked.values().filter(|request| request.wait_ns.is_some_and(|wait_ns| wait_ns < STALL_NS)).count();
    let of = |fits: fn(Option<&u64>) -> bool| asked.keys().filter(|page| fits(told.get(page))).count();
    let note = format!(
        "{} faults, {} requests ({} more for other memory, {} in all by QEMU's count); of the requests {} were told as faults, {} as \
         stalls of pages written since the mark, {} not ({brief} took below 100 us); {had_come} more had come by the time QEMU \
         looked",
        faults.count,
        asked.len(),
        requests.iter().filter(|request| !request.had_come).count() - asked.len(),
        qemu_requests.unwrap(),
        of(|earlier| earlier == Some(&0)),
        of(|earlier| earlier.is_some_and(|earlier| *earlier > 0)),
        of(|earlier| earlier.is_none()),
    );
    Told {
        stall_ns: guest_stall_ns.unwrap() as f64,
        blocktime_ns: qemu_vcpu_blocktime_ns.unwrap() as f64,
        faults: faults.count as f64,
        p50_ns: faults.p50_ns.unwrap() as f64,
        requests: asked.len() as f64,
        lasting: (asked.len() - brief) as f64,
        stalled: of(|earlier| earlier.is_some()) as f64,
        request_p50_ns: median(&waits).unwrap(),
        note,
    }
}

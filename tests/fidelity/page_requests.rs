//! The pages that the destination of a post-copy asks for, one by one: QEMU's own trace of them, and which of them are the
//! load's, by the stamps in the guest's memory.

use serde_json::json;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use sully::content::{STAMP_WORDS, Stamp};
use sully::lab::qmp::Qmp;
use sully::lab::vm::locate;

/// The event of a page that is waited for.
const REQUEST: &str = "postcopy_ram_fault_thread_request";
const PAGE: usize = 4096;
/// The guest's memory; its offsets are guest-physical addresses, as far as a small guest's go.
const RAM: &str = "pc.ram";

/// A QEMU program whose destinations trace their page requests and can be asked beside the lab.
pub struct Traced {
    dir: tempfile::TempDir,
}

impl Traced {
    /// In a directory of its own, which goes with it.
    ///
    /// # Errors
    /// QEMU has no such trace.
    pub fn create() -> Result<Self, String> {
        let dir = tempfile::tempdir().unwrap();
        let qemu = locate::find(None).unwrap();
        let known = Command::new(&qemu).args(["-trace", "help"]).output().unwrap().stdout;
        if !String::from_utf8_lossy(&known).contains(REQUEST) {
            return Err(format!("this QEMU does not trace {REQUEST}"));
        }
        let (qemu, own) = (qemu.display(), dir.path().display());
        let script = format!(
            "#!/bin/sh\ncase \" $* \" in *' -incoming '*)\n\
             set -- \"$@\" -msg timestamp=on -D '{own}/trace' -trace {REQUEST} \
             -trace 'mark_postcopy_blocktime_*' -qmp 'unix:{own}/qmp,server=on,wait=off';;\nesac\nexec '{qemu}' \"$@\"\n"
        );
        let traced = Self { dir };
        fs::write(traced.program(), script).unwrap();
        fs::set_permissions(traced.program(), fs::Permissions::from_mode(0o755)).unwrap();
        Ok(traced)
    }

    /// What to give the lab for QEMU.
    pub fn program(&self) -> PathBuf {
        self.dir.path().join("qemu")
    }

    /// Where each page of the load lies in the guest's memory, by its offset; to be asked while the guest is at the
    /// destination, whole.
    pub async fn own_pages(&self, memory_bytes: u64) -> BTreeMap<u64, u64> {
        let (qmp, _events) =
            Qmp::connect(&self.dir.path().join("qmp"), Duration::from_secs(5)).await.unwrap();
        let dump = self.dir.path().join("ram");
        let arguments = json!({"val": 0, "size": memory_bytes, "filename": dump});
        qmp.execute_within("pmemsave", arguments, Duration::from_mins(1)).await.unwrap();
        let pages = stamped(&dump);
        fs::remove_file(dump).unwrap();
        pages
    }

    /// All requests of the destination, in order.
    ///
    /// # Errors
    /// QEMU logs no trace, or in words of its own.
    pub fn requests(&self) -> Result<Vec<Request>, String> {
        let trace = fs::read_to_string(self.dir.path().join("trace")).unwrap_or_default();
        let found = requests(&trace);
        let first = trace.lines().next().unwrap_or("nothing");
        if found.is_empty() {
            Err(format!("this QEMU traces page requests otherwise: {first}"))
        } else {
            Ok(found)
        }
    }
}

/// The pages of a dump that carry the stamps of its only session: their offsets, and which page each is.
fn stamped(dump: &Path) -> BTreeMap<u64, u64> {
    let mut file = BufReader::with_capacity(1 << 20, File::open(dump).unwrap());
    let (mut page, mut offset) = ([0; PAGE], 0);
    let (mut found, mut whole) = (Vec::new(), BTreeMap::<u64, u64>::new());
    while file.read_exact(&mut page).is_ok() {
        let words: [u64; STAMP_WORDS] =
            std::array::from_fn(|at| u64::from_le_bytes(page[at * 8..][..8].try_into().unwrap()));
        let stamp = Stamp::of(&words);
        found.push((offset, stamp));
        if Stamp::is_whole(&words) {
            *whole.entry(stamp.tag).or_default() += 1;
        }
        offset += PAGE as u64;
    }
    // The guest went on meanwhile, so a stamp may be torn: its tag and its page are the same before and after a visit.
    let (tag, _) = whole.into_iter().max_by_key(|(_, pages)| *pages).expect("no page has a stamp");
    found
        .into_iter()
        .filter(|(_, stamp)| stamp.tag == tag)
        .map(|(offset, stamp)| (offset, stamp.page))
        .collect()
}

/// A page that a thread of the destination had to wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Where the page is in the guest's memory; none for other memory.
    pub offset: Option<u64>,
    /// Whether it had come when QEMU looked: then nothing was asked for.
    pub had_come: bool,
    /// The vCPU that waited; none where another thread did.
    pub vcpu: Option<u32>,
    /// From the fault to when the page was there; none where QEMU never said so.
    pub wait_ns: Option<u64>,
}

/// What QEMU's trace says of requests.
fn requests(trace: &str) -> Vec<Request> {
    let mut found: Vec<Request> = Vec::new();
    let mut open: BTreeMap<u64, (usize, u64)> = BTreeMap::new();
    for line in trace.lines() {
        let Some((at_us, event)) = event(line) else { continue };
        let hex = |name| u64::from_str_radix(word(event, name)?.trim_start_matches("0x"), 16).ok();
        let number = |name| word(event, name)?.parse::<i64>().ok();
        if event.starts_with(REQUEST) {
            let offset = hex("offset=").filter(|_| word(event, "rb=") == Some(RAM));
            found.push(Request { offset, had_come: false, vcpu: None, wait_ns: None });
        } else if event.starts_with("mark_postcopy_blocktime_begin ") {
            // It follows the request it belongs to: one thread writes both.
            let Some((request, address)) = found.last_mut().zip(hex("addr: ")) else { continue };
            request.had_come = number("already_received: ") == Some(1);
            request.vcpu = number("cpu: ").and_then(|cpu| u32::try_from(cpu).ok());
            if !request.had_come {
                open.entry(address / PAGE as u64).or_insert((found.len() - 1, at_us));
            }
        } else if event.starts_with("mark_postcopy_blocktime_end ")
            && let Some((index, since_us)) =
                hex("addr: ").and_then(|address| open.remove(&(address / PAGE as u64)))
        {
            found[index].wait_ns = Some(at_us.saturating_sub(since_us) * 1000);
        }
    }
    found
}

/// When it was, in us, and the event itself: `PID@SECONDS.MICROSECONDS:EVENT`.
fn event(line: &str) -> Option<(u64, &str)> {
    let (stamp, event) = line.split_once('@')?.1.split_once(':')?;
    let (seconds, micros) = stamp.split_once('.')?;
    Some((seconds.parse::<u64>().ok()? * 1_000_000 + micros.parse::<u64>().ok()?, event))
}

/// What follows `name`, up to a comma or a space.
fn word<'a>(event: &'a str, name: &str) -> Option<&'a str> {
    let rest = event.split_once(name)?.1;
    rest.split([',', ' ']).next()
}

#[test]
fn a_trace_gives_each_request_with_its_vcpu_and_its_wait() {
    let trace = "\
7@10.000100:postcopy_ram_fault_thread_request Request for HVA=0x7f0000002000 rb=pc.ram offset=0x2000 pid=9
7@10.000110:mark_postcopy_blocktime_begin addr: 0x7f0000002000, dd: 0x55, time: 1, cpu: 0, already_received: 0
7@10.000200:postcopy_ram_fault_thread_request Request for HVA=0x7f1000000000 rb=pc.bios offset=0x0 pid=8
7@10.000210:mark_postcopy_blocktime_begin addr: 0x7f1000000000, dd: 0x55, time: 1, cpu: -1, already_received: 1
7@10.030110:mark_postcopy_blocktime_end addr: 0x7f0000002000, dd: 0x55, time: 31, affected_cpu: 1
a line of something else: 0x1";
    let asked = Request { offset: Some(0x2000), had_come: false, vcpu: Some(0), wait_ns: Some(30_000_000) };
    let come = Request { offset: None, had_come: true, vcpu: None, wait_ns: None };
    assert_eq!(requests(trace), [asked, come]);
}

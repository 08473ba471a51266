//! Two network namespaces, one for each side of a migration, joined by a veth pair that delays what goes over it.
//!
//! Their names hold the process that made them and when that began, so that those of a lab that was killed can be told from those
//! of one that runs.

use super::host_options::NamespaceDoor;
use super::locate::program;
use crate::record::Side;
use crate::units::Nanos;
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Command, Stdio, id},
    sync::atomic::{AtomicU32, Ordering},
};

/// Where the kernel's names of network namespaces are kept.
const REGISTRY: &str = "/run/netns";
/// What all our names begin with.
const PREFIX: &str = "sully-";
/// The device in each namespace.
const DEVICE: &str = "mig0";
/// The addresses of source and destination: nobody else is in their namespaces.
const ADDRESSES: [&str; 2] = ["169.254.77.1", "169.254.77.2"];
/// The most packets that are under way at once: what a fast link with a long delay holds.
const PACKETS_LIMIT: &str = "100000";
/// What is said to whoever cannot have a delay.
const WAY_OUT: &str = "or leave link.delay out";

/// How many this process has made.
static MADE: AtomicU32 = AtomicU32::new(0);

/// A pair of joined namespaces. Dropping it removes both.
#[derive(Debug)]
pub struct Namespaces {
    tools: NetworkTools,
    names: [String; 2],
}

/// What namespaces are made with.
#[derive(Debug)]
struct NetworkTools {
    ip: PathBuf,
    tc: PathBuf,
    registry: PathBuf,
}

impl Namespaces {
    /// Makes a pair whose link takes `delay` each way, and removes those of labs that are gone.
    ///
    /// # Errors
    /// What is missing here, and the way out.
    pub fn make(delay: Nanos) -> Result<Self, String> {
        // This process's own directory belongs to whom it runs as.
        let is_root = fs::metadata("/proc/self").is_ok_and(|facts| facts.uid() == 0);
        if !is_root {
            return Err(format!("link.delay makes network namespaces: run as root, {WAY_OUT}"));
        }
        let tool = |name: &str| {
            program(Path::new(name)).ok_or_else(|| {
                format!(
                    "link.delay needs the program {name}, which is not on PATH: install iproute2, {WAY_OUT}"
                )
            })
        };
        NetworkTools { ip: tool("ip")?, tc: tool("tc")?, registry: REGISTRY.into() }.join(delay)
    }

    /// The way into a side's namespace.
    pub fn door(&self, side: Side) -> NamespaceDoor {
        let name = self.names[usize::from(side == Side::Destination)].clone();
        NamespaceDoor { ip: self.tools.ip.clone(), name }
    }

    /// The destination's address, as the source reaches it.
    pub const fn destination_address(&self) -> &'static str {
        ADDRESSES[1]
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in &self.names {
            // One that was never made is not there to be removed.
            let _ = self.tools.ip(&["netns", "del", name]);
        }
    }
}

impl NetworkTools {
    fn join(self, delay: Nanos) -> Result<Namespaces, String> {
        self.remove_stale();
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let stem = format!("{PREFIX}{}-{}-{number}", id(), start_of(id()).unwrap_or(0));
        // Whatever was made is removed when a later step fails.
        let made =
            Namespaces { tools: self, names: ["source", "destination"].map(|side| format!("{stem}-{side}")) };
        let Namespaces { tools, names: [source, destination] } = &made;
        for name in [source, destination] {
            tools.ip(&["netns", "add", name])?;
        }
        let pair = [
            "-n",
            source,
            "link",
            "add",
            DEVICE,
            "type",
            "veth",
            "peer",
            "name",
            DEVICE,
            "netns",
            destination,
        ];
        tools.ip(&pair)?;
        for (name, address) in [source, destination].into_iter().zip(ADDRESSES) {
            tools.ip(&["-n", name, "addr", "add", &format!("{address}/30"), "dev", DEVICE])?;
            for device in ["lo", DEVICE] {
                tools.ip(&["-n", name, "link", "set", device, "up"])?;
            }
            tools.delay(name, delay)?;
        }
        Ok(made)
    }

    fn delay(&self, name: &str, delay: Nanos) -> Result<(), String> {
        let delay = format!("{}us", delay.0.div_ceil(1000));
        let netem = ["qdisc", "add", "dev", DEVICE, "root", "netem", "delay", &delay, "limit", PACKETS_LIMIT];
        let told = run(&self.tc, &[&["-n", name][..], &netem].concat());
        told.map_err(|error| {
            if lacks_netem(&error) {
                format!(
                    "link.delay needs netem, which this kernel does not have ({error}): load it (modprobe sch_netem), take a \
                     kernel with CONFIG_NET_SCH_NETEM, {WAY_OUT}"
                )
            } else {
                refused(&error)
            }
        })
    }

    fn ip(&self, arguments: &[&str]) -> Result<(), String> {
        run(&self.ip, arguments).map_err(|error| refused(&error))
    }

    /// Removes the namespaces of labs that are gone.
    fn remove_stale(&self) {
        let names = fs::read_dir(&self.registry).into_iter().flatten().flatten();
        for name in names.filter_map(|entry| entry.file_name().into_string().ok()) {
            if maker(&name).is_some_and(|(pid, start)| start_of(pid) != Some(start)) {
                // Another lab may be removing it, too.
                let _ = self.ip(&["netns", "del", &name]);
            }
        }
    }
}

/// Whether `tc` failed for want of netem. A namespace that is gone is no such file, either.
fn lacks_netem(error: &str) -> bool {
    error.contains("qdisc kind is unknown")
        || (error.contains("No such file") && !error.contains("network namespace"))
}

fn refused(error: &str) -> String {
    format!("link.delay cannot be had here: {error}; mend that, {WAY_OUT}")
}

/// Which process made the namespace of this name, and when that process began; none where it is none of ours.
fn maker(name: &str) -> Option<(u32, u64)> {
    let mut parts = name.strip_prefix(PREFIX)?.split('-');
    let made = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    (parts.count() == 2).then_some(made)
}

/// When a process began, in ticks of the kernel since its boot; none where there is no such process.
fn start_of(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything; the 22nd field is the 20th behind it.
    stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()
}

/// Runs a command to its end; what it said where it failed, on one line.
fn run(program: &Path, arguments: &[&str]) -> Result<(), String> {
    let what = || {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        format!("`{name} {}`", arguments.join(" "))
    };
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("{} failed: {}", what(), said.trim().replace('\n', "; ")))
        }
        Err(error) => Err(format!("{} cannot be run: {error}", what())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// Tools that write down what they are told; `tc` fails with `failure`, where there is one.
    fn tools(dir: &Path, failure: &str) -> NetworkTools {
        let tool = |name: &str, body: &str| {
            let path = dir.join(name);
            fs::write(&path, format!("#!/bin/sh\necho {name} \"$@\" >> {}/said\n{body}\n", dir.display()))
                .unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            path
        };
        let fails = if failure.is_empty() { String::new() } else { format!("echo '{failure}' >&2; exit 2") };
        let registry = dir.join("netns");
        fs::create_dir(&registry).unwrap();
        NetworkTools { ip: tool("ip", ""), tc: tool("tc", &fails), registry }
    }

    fn said(dir: &Path) -> Vec<String> {
        fs::read_to_string(dir.join("said")).unwrap().lines().map(String::from).collect()
    }

    #[test]
    fn a_pair_is_made_joined_delayed_on_both_sides_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let made = tools(dir.path(), "").join(Nanos::from_ms(20)).unwrap();
        let [source, destination] = [Side::Source, Side::Destination].map(|side| made.door(side).name);
        assert_ne!(source, destination);
        let before = said(dir.path());
        for told in [
            format!("ip netns add {source}"),
            format!("ip -n {source} link add mig0 type veth peer name mig0 netns {destination}"),
            format!("tc -n {source} qdisc add dev mig0 root netem delay 20000us limit 100000"),
            format!("tc -n {destination} qdisc add dev mig0 root netem delay 20000us limit 100000"),
            format!("ip -n {destination} addr add 169.254.77.2/30 dev mig0"),
        ] {
            assert!(before.contains(&told), "{told} in {before:?}");
        }
        drop(made);
        let removed = [source, destination].map(|name| format!("ip netns del {name}"));
        assert_eq!(said(dir.path())[before.len()..], removed);
    }

    #[test]
    fn a_kernel_without_netem_is_said_with_the_way_out_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let failed = tools(dir.path(), "Error: Specified qdisc kind is unknown.").join(Nanos::from_ms(20));
        let refused = failed.unwrap_err();
        for part in
            ["netem, which this kernel does not have", "modprobe sch_netem", "or leave link.delay out"]
        {
            assert!(refused.contains(part), "{refused}");
        }
        let count = |word: &str| said(dir.path()).iter().filter(|line| line.contains(word)).count();
        assert_eq!((count("netns add"), count("netns del")), (2, 2));
        let gone = "Cannot open network namespace \"x\": No such file or directory";
        assert!(!lacks_netem(gone) && lacks_netem("RTNETLINK answers: No such file or directory"));
        let dir = tempfile::tempdir().unwrap();
        let refused = tools(dir.path(), "RTNETLINK: no").join(Nanos::from_ms(20)).unwrap_err();
        assert!(refused.contains("RTNETLINK: no; mend that, or leave link.delay out"), "{refused}");
    }

    #[test]
    fn those_of_processes_that_are_gone_are_removed_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let tools = tools(dir.path(), "");
        let own = start_of(id()).unwrap();
        let another = format!("sully-{}-{}-0-source", id(), own + 1);
        let mine = format!("sully-{}-{own}-0-source", id());
        let names =
            [another.as_str(), "sully-4194999-7-3-destination", &mine, "sully-notes", "blue", "sully-1-2"];
        for name in names {
            fs::write(tools.registry.join(name), "").unwrap();
        }
        tools.remove_stale();
        let mut removed = said(dir.path());
        removed.sort();
        let expected = [names[1], names[0]].map(|name| format!("ip netns del {name}"));
        assert_eq!(removed.len(), 2, "{removed:?}");
        assert!(expected.iter().all(|told| removed.contains(told)), "{removed:?}");
    }
}

//! Before any VM is booted: what would be found out only after a minute of measuring is looked at, or tried.

use super::destination::DestinationHost;
use super::driver::NO_MAPPED_RAM;
use super::host::Host;
use super::huge_pages::{HugePagePool, guest_memory};
use super::link::Link;
use crate::lab::migrate::{SET_PARAMETERS, agree, arguments_of, capability_hint, names, settings};
use crate::lab::scenario::{MigrationSpec, Scenario};
use crate::lab::vm::{HostOptions, Qemu, Sockets, VmConfig};
use crate::lab::wrong::given;
use crate::record::Side;
use crate::units::ByteSize;
use anyhow::{Context, bail, ensure};
use nix::sys::statvfs::statvfs;
use serde_json::Value;
use std::{fs, io::Write, path::Path, thread};

/// A run directory has more than this when its run is over: a place that does not take it is full.
const TRIED_BYTES: usize = 1 << 20;
/// What kernel, guest program and QEMU take beside the load's memory.
const BESIDE_BYTES: u64 = 160 << 20;
/// What a saved state holds beside the guest's memory.
const BESIDE_STATE_BYTES: u64 = 32 << 20;
/// More writers than this for each vCPU mostly wait for each other.
const WRITERS_PER_CPU: u32 = 8;

/// Tries whether run directories can be made and filled in `out`.
///
/// # Errors
/// They cannot.
pub fn writable(out: &Path) -> anyhow::Result<()> {
    let tried = fs::create_dir_all(out)
        .and_then(|()| tempfile::tempfile_in(out))
        .and_then(|mut file| file.write_all(&vec![0; TRIED_BYTES]));
    given(tried.with_context(|| {
        format!("run directories cannot be written in '{}' (--out DIR names another place)", out.display())
    }))
}

/// Looks at what `scenario` asks of this machine, and lets a QEMU without a guest say whether it can do the migration. What
/// may disappoint, in sentences.
///
/// # Errors
/// It cannot be carried out here.
pub async fn preflight(scenario: &Scenario, host: &Host) -> anyhow::Result<Vec<String>> {
    let memory = Memory::read();
    given(memory.holds(scenario, "this machine"))?;
    given(HugePagePool::read().holds(scenario))?;
    let cpus = thread::available_parallelism()
        .map_or(u32::MAX, |cpus| u32::try_from(cpus.get()).unwrap_or(u32::MAX));
    let mut warnings = warnings(scenario, cpus);
    let Some(destination) = &host.destination else {
        warnings.extend(memory.warning(scenario, "both sides together", 2));
        rehearse(scenario, host, None).await?;
        return Ok(warnings);
    };
    let there = destination.address().to_string();
    let other = Memory::of(&destination.machine.meminfo);
    given(other.holds(scenario, &there))?;
    warnings.extend(memory.warning(scenario, "the source", 1));
    warnings.extend(other.warning(scenario, &format!("the destination on {there}"), 1));
    destination.fits(scenario, host.version(), &Host::cpu_model(), host.accelerator())?;
    rehearse(scenario, host, None).await?;
    rehearse(scenario, host, Some(destination)).await?;
    Ok(warnings)
}

/// What the machine has, in bytes; none where the kernel does not say.
#[derive(Debug, Clone, Copy, Default)]
struct Memory {
    total: Option<u64>,
    available: Option<u64>,
}

impl Memory {
    fn read() -> Self {
        Self::of(&fs::read_to_string("/proc/meminfo").unwrap_or_default())
    }

    fn of(meminfo: &str) -> Self {
        let bytes = |name: &str| {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
        };
        // A kernel that was built without swap has none and no such line.
        let swap = bytes("SwapTotal").unwrap_or(0);
        Self {
            total: bytes("MemTotal").map(|total| total.saturating_add(swap)),
            available: bytes("MemAvailable").map(|available| available.saturating_add(swap)),
        }
    }

    /// QEMU promises the guest all of its memory, whatever the guest touches of it.
    fn holds(self, scenario: &Scenario, who: &str) -> anyhow::Result<()> {
        let memory = scenario.vm.memory;
        if let Some(total) = self.total {
            ensure!(
                memory.0 <= total,
                "vm.memory = {memory} is more than the {} that {who} has: lower it, for example \
                 --set vm.memory=256M",
                ByteSize(total).human()
            );
        }
        Ok(())
    }

    /// Towards the end of a migration each side holds all that the guest has touched.
    fn warning(self, scenario: &Scenario, who: &str, sides: u64) -> Option<String> {
        let touched = scenario.load.memory_bytes(scenario.vm.memory.0).saturating_add(BESIDE_BYTES);
        let wanted = touched.saturating_mul(sides);
        let available = self.available.filter(|available| *available < wanted)?;
        Some(format!(
            "{who} will take about {}, and {} are available: the host may swap, or end a QEMU",
            ByteSize(wanted).human(),
            ByteSize(available).human()
        ))
    }
}

/// What runs, but not as it may have been meant.
fn warnings(scenario: &Scenario, host_cpus: u32) -> Vec<String> {
    let (vm, migration, usual) = (&scenario.vm, &scenario.migration, MigrationSpec::default());
    let mut warnings = Vec::new();
    if vm.cpus > host_cpus {
        warnings.push(format!(
            "vm.cpus = {}, and this machine has {host_cpus}: vCPUs take turns, which the guest feels as steal and gaps",
            vm.cpus
        ));
    }
    if let Some(threads) =
        scenario.load.asked.threads.filter(|threads| *threads > vm.cpus.saturating_mul(WRITERS_PER_CPU))
    {
        warnings.push(format!(
            "load.threads = {threads}, and the VM has vm.cpus = {}: writers wait for each other",
            vm.cpus
        ));
    }
    let throttle = |spec: &MigrationSpec| (spec.throttle_initial, spec.throttle_increment, spec.throttle_max);
    if !migration.may_throttle() && throttle(migration) != throttle(&usual) {
        warnings.push("migration.throttle_* does nothing without migration.auto_converge = true".into());
    }
    if !migration.postcopy && migration.postcopy_after != usual.postcopy_after {
        warnings.push("migration.postcopy_after does nothing without migration.postcopy = true".into());
    }
    warnings
}

/// Whether a saved state finds room: all of the guest's memory, and what is saved beside it.
fn has_room(place: &Path, memory_bytes: u64, room_bytes: u64) -> anyhow::Result<()> {
    let needed = memory_bytes.saturating_add(BESIDE_STATE_BYTES);
    let base = place.parent().unwrap_or(place).display();
    ensure!(
        room_bytes >= needed,
        "a saved state may take {}, and {base} has {}: name another place with TMPDIR, or lower vm.memory",
        ByteSize(needed).human(),
        ByteSize(room_bytes).human()
    );
    Ok(())
}

/// Starts the destination as the run will, which boots nothing, and gives it the capabilities of the migration.
async fn rehearse(
    scenario: &Scenario,
    host: &Host,
    destination: Option<&DestinationHost>,
) -> anyhow::Result<()> {
    let sockets = Sockets::create()?;
    let (memory_bytes, _) = given(guest_memory(scenario, host))?;
    if scenario.cycle.is_some() {
        let room = statvfs(sockets.path()).map(|disk| disk.blocks_available() * disk.fragment_size());
        given(has_room(sockets.path(), memory_bytes, room.unwrap_or(u64::MAX)))?;
    }
    let link = given(Link::make(&scenario.link, &sockets))?;
    let config = VmConfig {
        qemu: host.qemu.clone(),
        accelerator: host.accelerator(),
        memory_bytes,
        cpus: scenario.vm.cpus,
        kernel: host.kernel.clone(),
        initramfs: host.initramfs.clone(),
        kernel_arguments: String::new(),
        qemu_arguments: scenario.vm.qemu_arguments(),
        guest_arguments: String::new(),
        side: Side::Destination,
        incoming: true,
        sockets: sockets.path().to_owned(),
        console_log: sockets.path().join("console.log"),
        host_options: HostOptions {
            namespace: link.namespace(Side::Destination),
            ..HostOptions::of(scenario)
        },
    };
    let place = destination.map_or_else(|| "here".to_owned(), |there| format!("on {}", there.address()));
    let cannot = || format!("'{}' cannot run {place}", scenario.name);
    let elsewhere = match destination {
        Some(destination) => Some(destination.connect(sockets.path()).await?),
        None => None,
    };
    let started = match &elsewhere {
        Some(elsewhere) => elsewhere.start(&config).await,
        None => Qemu::start(&config).await,
    };
    let vm = started.with_context(cannot)?;
    let able = capabilities(&vm, scenario).await;
    vm.kill().await?;
    if let Some(elsewhere) = elsewhere {
        elsewhere.close().await;
    }
    able.with_context(cannot)
}

/// Whether this QEMU takes what the migration is to be told before it begins.
async fn capabilities(vm: &Qemu, scenario: &Scenario) -> anyhow::Result<()> {
    let spec = &scenario.migration;
    let known = names(&vm.qmp().execute("query-migrate-capabilities", Value::Null).await?);
    if scenario.cycle.as_ref().is_some_and(|cycle| cycle.mapped_ram)
        && !known.iter().any(|name| name == "mapped-ram")
    {
        bail!("{NO_MAPPED_RAM}");
    }
    let parameters = if spec.names_parameters() {
        let schema = vm.qmp().execute("query-qmp-schema", Value::Null).await?;
        arguments_of(SET_PARAMETERS, &schema)
    } else {
        Vec::new()
    };
    let agreement = agree(spec, [&known, &known], [&parameters, &parameters]);
    if !agreement.missing.is_empty() {
        bail!("{}", agreement.missing.join("; "));
    }
    for (command, arguments) in settings(spec, &agreement.capabilities) {
        let told = vm.qmp().execute(command, arguments).await;
        told.map_err(|error| anyhow::anyhow!("{error}{}", capability_hint(spec)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::scenario::find;

    fn scenario(set: &[&str]) -> Scenario {
        let set: Vec<String> = set.iter().map(|text| (*text).to_owned()).collect();
        find("smoke/precopy", &set).unwrap().scenario
    }

    #[test]
    fn memory_that_the_machine_does_not_have_is_refused_and_what_is_tight_is_said() {
        let memory =
            Memory::of("MemTotal:        8000000 kB\nMemAvailable:     300000 kB\nSwapTotal:  0 kB\n");
        let refused = memory.holds(&scenario(&["vm.memory=900G"]), "this machine").unwrap_err().to_string();
        assert!(refused.contains("vm.memory = 900G") && refused.contains("7.6 GiB"), "{refused}");
        assert!(memory.holds(&scenario(&[]), "this machine").is_ok());
        assert!(
            memory
                .warning(&scenario(&[]), "both sides together", 2)
                .is_some_and(|said| said.contains("both sides"))
        );
        let unknown = Memory::of("");
        assert!(
            unknown.holds(&scenario(&["vm.memory=900G"]), "ssh://node2").is_ok()
                && unknown.warning(&scenario(&[]), "the source", 1).is_none()
        );
    }

    #[test]
    fn what_does_nothing_or_cannot_go_well_is_warned_of() {
        assert!(warnings(&scenario(&["vm.cpus=2"]), 2).is_empty());
        for (set, said) in [
            ("vm.cpus=200", "vm.cpus = 200, and this machine has 2"),
            ("load.threads=64", "load.threads = 64"),
            ("migration.throttle_initial=50", "without migration.auto_converge"),
            ("migration.postcopy_after=5s", "without migration.postcopy"),
        ] {
            let warnings = warnings(&scenario(&[set]), 2);
            assert!(warnings.len() == 1 && warnings[0].contains(said), "{set}: {warnings:?}");
        }
    }

    #[test]
    fn a_disk_without_room_for_a_saved_state_is_refused_with_the_way_out() {
        assert!(has_room(Path::new("/tmp/x"), 256 << 20, 288 << 20).is_ok());
        let refused = has_room(Path::new("/tmp/x"), 256 << 20, 200 << 20).unwrap_err().to_string();
        assert!(refused.contains("288.0 MiB") && refused.contains("/tmp has 200"), "{refused}");
        assert!(refused.contains("TMPDIR"), "{refused}");
    }

    #[test]
    fn a_place_that_takes_no_run_directory_is_refused_and_named() {
        let dir = tempfile::tempdir().unwrap();
        assert!(writable(&dir.path().join("new/runs")).is_ok());
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let refused = writable(&file.join("runs")).unwrap_err();
        assert!(
            refused.is::<crate::lab::wrong::WrongInput>() && refused.to_string().contains("--out DIR"),
            "{refused}"
        );
    }
}

//! Whether this guest can carry out a plan, line by line: each is ok, or says what is wrong and the way out.

use super::{hello::resolved, options::Options};
use crate::clock::{Monotonic, cycles, resolution, timer_step_ns};
use crate::engine::{self, EngineError};
use crate::plan::{self, Backing, Checked, ClockChoice, Fault, Faults, Machine, Numa, PageSize, Plan};
use crate::port::{Port, Target, ports_here};
use crate::probe::{self, ProbeError};
use crate::record::tick_ns;
use crate::region::{can_collapse, examine_file, rehearse, spare};
use crate::units::{ByteSize, Nanos};
use std::fmt;

/// What was found, in lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings(Vec<Line>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    name: &'static str,
    mark: Mark,
    text: String,
}

/// What a line says about the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Ok,
    /// The plan can be carried out, and measures worse than it could.
    Poor,
    Fault,
}

impl Findings {
    /// Whether the plan can be carried out.
    pub fn is_possible(&self) -> bool {
        self.0.iter().all(|line| line.mark != Mark::Fault)
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Line { name, mark, text } in &self.0 {
            let mark = match mark {
                Mark::Ok => "ok",
                Mark::Poor => "poor",
                Mark::Fault => "FAULT",
            };
            writeln!(out, "{name:<8} {mark:<6} {}", text.replace('\n', "\n                "))?;
        }
        Ok(())
    }
}

/// Looks at all that `options` need. Nothing is dirtied, and no file is made or written; the calling thread is left
/// bound to one CPU and, where allowed, under SCHED_FIFO.
///
/// # Errors
/// When the machine cannot be read at all.
pub fn check(options: &Options) -> Result<Findings, ProbeError> {
    let (plan, machine) = (&options.plan, probe::machine()?);
    let checked = plan::check(plan, &machine);
    let kernel = checked.as_ref().ok().map(|checked| mapped(checked, machine.cpus, options.targets.len()));
    let cpus = probe::cpus()?;
    let pinnable = checked.as_ref().map_or(Ok(()), |checked| checked.pinnable(&cpus));
    let of_regions = checked.as_ref().ok().filter(|checked| !checked.regions.is_empty());
    let crowded = of_regions.and_then(|checked| checked.crowded(&cpus));
    let mut faults = checked.err().map(|faults| faults.0).unwrap_or_default();
    let mut lines = Vec::new();
    let computes = |index: usize| plan.regions.get(index).is_some_and(|region| region.compute.is_some());
    for (index, (region, part)) in plan.parts().into_iter().enumerate() {
        if computes(index) {
            let mut own = writers(&part, &machine, &mut faults);
            own.text.insert_str(0, &region);
            lines.push(own);
            continue;
        }
        let flag = |name: &str| format!("{region}--{name}");
        let mut own = [
            judged("memory", memory(&part, &machine), &mut faults, &flag("memory")),
            pages(&part, &mut faults, &flag("pages")),
            judged("numa", numa(&part, &machine), &mut faults, &flag("numa")),
            judged("lock", lock(&part, &machine), &mut faults, &flag("lock")),
            backing(&part, &machine),
            writers(&part, &machine, &mut faults),
        ];
        own.iter_mut()
            .filter(|line| line.mark != Mark::Fault)
            .for_each(|line| line.text.insert_str(0, &region));
        lines.extend(own);
    }
    lines.extend(crowded.map(|said| line("writers", Mark::Poor, said)));
    lines.extend(kernel);
    lines.extend(scheduling(&cpus, pinnable));
    lines.push(clock(plan.clock));
    lines.push(timers());
    lines.extend(ports(&options.targets));
    lines.push(oom());
    // What is left belongs to no line above.
    lines.extend(faults.iter().map(|fault| line("plan", Mark::Fault, told(fault))));
    Ok(Findings(lines))
}

/// All the memory mapped at once, and nothing of it touched: a plan that is sound may still be refused. A run has its
/// streams to the `targets` by then, and a thread more.
fn mapped(plan: &Checked, cpus: u32, targets: usize) -> Line {
    let before_bytes = Checked::SPARE_BYTES.saturating_mul(targets as u64 + 1);
    let areas = plan.areas().into_iter().filter(|area| area.compute.is_none());
    let areas: Vec<_> = areas.map(|area| (area.kind, area.memory_bytes)).collect();
    match spare(plan.private_bytes(cpus).saturating_add(before_bytes))
        .and_then(|()| rehearse(&areas, &probe::numa_nodes()))
    {
        Ok(()) => line("kernel", Mark::Ok, "maps the memory as asked".into()),
        Err(error) => line("kernel", Mark::Fault, error.to_string()),
    }
}

fn line(name: &'static str, mark: Mark, text: String) -> Line {
    Line { name, mark, text }
}

fn told(fault: &Fault) -> String {
    format!("{}\n{}", fault.what, fault.remedy)
}

/// The faults of the flag, or `fine` when there are none.
fn judged(name: &'static str, fine: String, faults: &mut Vec<Fault>, flag: &str) -> Line {
    let own: Vec<String> =
        faults.extract_if(.., |fault| fault.what.starts_with(flag)).map(|f| told(&f)).collect();
    if own.is_empty() { line(name, Mark::Ok, fine) } else { line(name, Mark::Fault, own.join("\n")) }
}

fn memory(plan: &Plan, machine: &Machine) -> String {
    let (asked, available) = (plan.memory_bytes(machine), plan.available_bytes(machine));
    format!("{} asked for, {} available", ByteSize(asked).human(), ByteSize(available).human())
}

fn writers(plan: &Plan, machine: &Machine, faults: &mut Vec<Fault>) -> Line {
    let named = plan.cpus.as_ref().map(|cpus| u32::try_from(cpus.numbers().len()).unwrap_or(u32::MAX));
    let (threads, cpus) = (plan.writers(machine), named.unwrap_or(machine.cpus));
    match judged("writers", format!("{threads} on {cpus} CPUs"), faults, "--threads") {
        fine if fine.mark == Mark::Ok => match plan::crowded(threads, cpus, named.is_some()) {
            Some(text) => line("writers", Mark::Poor, text),
            None => fine,
        },
        fault => fault,
    }
}

fn pages(plan: &Plan, faults: &mut Vec<Fault>, flag: &str) -> Line {
    let (pages, is_shared) = (plan.kind.pages, plan.kind.backing == Backing::Shared);
    let (file, on) = if is_shared { ("shmem_enabled", "advise") } else { ("enabled", "madvise") };
    let remedy =
        |what: &str| format!("--pages thp: {what}\necho {on} > /sys/kernel/mm/transparent_hugepage/{file}");
    match (pages, probe::transparent_huge_pages(file).as_deref()) {
        (PageSize::Transparent, None) => {
            line("pages", Mark::Fault, "--pages thp: this kernel has none\nuse --pages 4k or 2M".into())
        }
        (PageSize::Transparent, Some("deny")) => line("pages", Mark::Fault, remedy("forbidden")),
        (PageSize::Transparent, Some("never")) if !can_collapse() => line(
            "pages",
            Mark::Fault,
            remedy("switched off, and this kernel (before Linux 6.1) collapses none"),
        ),
        (PageSize::Transparent, Some("never")) => {
            line("pages", Mark::Poor, remedy("switched off, so each has to be collapsed"))
        }
        _ => judged("pages", pages.to_string(), faults, flag),
    }
}

fn numa(plan: &Plan, machine: &Machine) -> String {
    match plan.kind.numa {
        Some(Numa::Node(node)) => format!("node {node}"),
        Some(Numa::Interleave) => format!("{} nodes", machine.stock.nodes.len()),
        None => "left to the kernel".into(),
    }
}

fn lock(plan: &Plan, machine: &Machine) -> String {
    match (plan.kind.lock, machine.stock.lock_limit_bytes) {
        (false, _) => "not asked for".into(),
        (true, None) => "no limit".into(),
        (true, Some(limit_bytes)) => format!("limit {}", ByteSize(limit_bytes).human()),
    }
}

fn backing(plan: &Plan, machine: &Machine) -> Line {
    let backing = &plan.kind.backing;
    let examined = match backing {
        Backing::File(path) => examine_file(path, plan.memory_bytes(machine), plan.kind.pages),
        Backing::Anon | Backing::Shared => Ok(()),
    };
    match examined {
        Ok(()) => line("backing", Mark::Ok, backing.to_string()),
        Err(error) => line("backing", Mark::Fault, error.to_string()),
    }
}

/// Pinning and real-time scheduling, both tried by this very thread.
fn scheduling(cpus: &[u32], pinnable: Result<(), Faults>) -> [Line; 2] {
    let (pinned, is_realtime) = match engine::rehearse(cpus) {
        Ok(is_realtime) => {
            (line("pinning", Mark::Ok, format!("to each of {} CPUs", cpus.len())), is_realtime)
        }
        Err(error) => (line("pinning", Mark::Fault, error.to_string()), false),
    };
    let pinned = pinnable.map_or_else(
        |Faults(faults)| line("pinning", Mark::Fault, faults.iter().map(told).collect::<Vec<_>>().join("\n")),
        |()| pinned,
    );
    let fifo = if is_realtime {
        line("canaries", Mark::Ok, "SCHED_FIFO".into())
    } else {
        let remedy = match probe::realtime_percent() {
            Some(percent @ 0..10) => {
                format!(
                    "the kernel leaves real-time threads {percent} % of a CPU: sysctl kernel.sched_rt_runtime_us=950000"
                )
            }
            _ => "run as root or with CAP_SYS_NICE; in a container allow it real-time scheduling".into(),
        };
        line(
            "canaries",
            Mark::Poor,
            format!("no SCHED_FIFO: the guest's own load will show as gaps\n{remedy}"),
        )
    };
    [pinned, fifo]
}

fn clock(choice: ClockChoice) -> Line {
    let source = probe::clocksource().unwrap_or_else(|| "unknown".into());
    let step_ns = resolution(&Monotonic).step_ns;
    if choice == ClockChoice::Tsc {
        return match cycles() {
            None => line("clock", Mark::Fault, EngineError::NoCounter.to_string()),
            Some(_) => line(
                "clock",
                Mark::Ok,
                format!(
                    "the CPU's counter stamps, as --clock tsc says; the kernel's clocksource is {source}"
                ),
            ),
        };
    }
    let what = if tick_ns(step_ns) > 0 {
        format!("moves every {}: no latency below {} is told", Nanos(step_ns).human(), resolved(step_ns))
    } else if probe::is_fallback(Some(&source)) {
        "every reading leaves the guest, which costs microseconds a visit".into()
    } else {
        return line("clock", Mark::Ok, source);
    };
    let text = format!(
        "{source}: {what}\n\
         under KVM: -cpu host,+invtsc (kvm-clock or tsc); emulated: acpi and hpet (libvirt: <features><acpi/>); else boot the guest with \
         clocksource=tsc tsc=reliable, or insist: --clock tsc"
    );
    line("clock", Mark::Poor, text)
}

/// How soon one wake follows another, tried by this very thread.
fn timers() -> Line {
    let step_ns = timer_step_ns(&Monotonic);
    if tick_ns(step_ns) == 0 {
        return line("timers", Mark::Ok, format!("{} from one wake to the next", Nanos(step_ns).human()));
    }
    let text = format!(
        "{} from one wake to the next: they wake with the kernel's tick\n\
         no gap below {} is seen; boot the guest without highres=off, and with a better clock",
        Nanos(step_ns).human(),
        resolved(step_ns)
    );
    line("timers", Mark::Poor, text)
}

/// One line for each report target; without a virtio-serial port among them, what ports there are.
fn ports(targets: &[Target]) -> Vec<Line> {
    let mut lines: Vec<Line> = targets.iter().map(examined).collect();
    if lines.iter().all(|line| line.name != "port") {
        lines.push(line("port", Mark::Ok, format!("none asked for; here: {}", ports_here())));
    }
    lines
}

fn examined(target: &Target) -> Line {
    let name = if matches!(target, Target::Virtio(_)) { "port" } else { "report" };
    match Port::examine(target) {
        Ok(None) => line(name, Mark::Ok, target.to_string()),
        Ok(Some(note)) => line(name, Mark::Poor, format!("{target}\n{note}")),
        Err(error) => line(name, Mark::Fault, error.to_string()),
    }
}

fn oom() -> Line {
    let score = probe::oom_score_adj().unwrap_or(0);
    let text =
        format!("oom_score_adj {score}; -1000 keeps the kernel from ending this program for want of memory");
    line("oom", Mark::Ok, text)
}

#[cfg(test)]
mod tests;

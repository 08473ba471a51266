//! A load as the guest program's arguments: what follows `--` on the kernel command line.

use super::{GUEST_PATH, LoadSpec};

impl LoadSpec {
    /// The options of `sully run`. Beside a plan, what the plan says already is left out.
    pub fn guest_arguments(&self) -> String {
        let planned = self.planned();
        let beside_plan = self.plan.is_some();
        let said = |is_said: bool, text: String| if beside_plan && is_said { String::new() } else { text };
        let unless = |is_usual: bool, text: String| if is_usual { String::new() } else { text };
        let plan = if beside_plan { format!(" --plan {GUEST_PATH}") } else { String::new() };
        [
            format!("run{plan}"),
            said(self.planned_memory().is_some(), format!(" -m {}", self.memory)),
            unless(self.pages == planned.pages, format!(" --pages {}", self.pages)),
            unless(self.backing == planned.backing, format!(" --backing {}", self.backing)),
            self.numa
                .filter(|_| self.numa != planned.numa)
                .map_or_else(String::new, |numa| format!(" --numa {numa}")),
            unless(!self.lock || planned.lock, " --lock".into()),
            said(self.rate == planned.rate, format!(" -r {}", self.rate)),
            said(self.pattern == planned.pattern, format!(" -p {}", self.pattern)),
            unless(self.reads == planned.reads, format!(" --reads {}", self.reads)),
            format!(" --baseline {} -i {}", self.baseline, self.interval),
            said(self.seed == planned.seed, format!(" --seed {}", self.seed)),
            self.threads
                .filter(|_| self.threads != planned.threads)
                .map_or_else(String::new, |threads| format!(" -t {threads}")),
            self.pacing_arguments(&planned),
            unless(self.write_bytes == planned.write_bytes, format!(" -w {}", self.write_bytes)),
            unless(self.content == planned.content, format!(" -c {}", self.content)),
            unless(self.dedup == planned.dedup, format!(" --dedup {}", self.dedup)),
            unless(
                self.verify == planned.verify,
                format!(" --verify {}", if self.verify { "on" } else { "off" }),
            ),
            unless(self.clock == planned.clock, format!(" --clock {}", self.clock)),
            unless(self.canary == planned.canary, format!(" --canary {}", self.canary)),
            " --report virtio".into(),
        ]
        .concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Backing, ClockChoice, PageSize};

    #[test]
    fn what_the_guest_is_told_are_options_of_sully_run() {
        let load = LoadSpec { threads: Some(2), ..LoadSpec::default() };
        assert_eq!(
            load.guest_arguments(),
            "run -m 64M -r 60M/s -p shuffle --baseline 4s -i 100ms --seed 1 -t 2 --report virtio"
        );
        let load = LoadSpec {
            pattern: "hotspot:10%/90%/5p/s".parse().unwrap(),
            reads: "25%".parse().unwrap(),
            write_bytes: 4096,
            content: "compress:50".parse().unwrap(),
            dedup: "5%".parse().unwrap(),
            verify: false,
            clock: ClockChoice::Tsc,
            canary: "10ms".parse().unwrap(),
            ..LoadSpec::default()
        };
        let arguments = load.guest_arguments();
        assert!(arguments.contains(" -p hotspot:10%/90%/5p/s --reads 25% --baseline"), "{arguments}");
        assert!(
            arguments.contains(" -w 4096 -c compress:50 --dedup 5% --verify off --clock tsc --canary 10ms "),
            "{arguments}"
        );
    }

    #[test]
    fn a_kind_of_memory_reaches_the_guest() {
        let load = LoadSpec {
            pages: PageSize::Transparent,
            backing: Backing::Shared,
            lock: true,
            ..LoadSpec::default()
        };
        let arguments = load.guest_arguments();
        assert!(arguments.starts_with("run -m 64M --pages thp --backing shared --lock -r "), "{arguments}");
    }
}

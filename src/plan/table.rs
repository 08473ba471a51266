//! The table of parameters: all that a load can be given, each once.
//!
//! The structs that hold their values, flags, keys of plan files and scenarios, words of `set`, the plan in `hello` and the
//! documentation are made from it. A row is
//!
//! - what the field is, the field, the parameter's name, its type, its usual value;
//! - `[by ..., as ...]`: what reads its text where `FromStr` does not, and how it is written where `Display` does not suffice;
//! - `[hello ..., load ..., in Phase, own Region]`: how serde reads the plan in a `hello`, and a `load`, of an earlier version, which
//!   lack it; that phases and a host's `set` may replace it; that a region may have its own;
//! - columns of [`Parameter`](super::Parameter).
//!
//! Its blocks say where a value lives: `kind` in the kind of memory, `load` in what can be replaced while the writers run, `run` in
//! the plan as it is echoed, `resolved` in a plan whose echo says what became of it on this machine.

/// Hands the table to the macro `$then`.
macro_rules! parameters {
    ($then:ident) => {
        $then! {
            amount {
                /// How much memory to dirty.
                memory "memory": MemoryAmount = MemoryAmount::Bytes(ByteSize::mib(512)), [] [own Region,] {
                    short: Some('m'),
                    value: Some("SIZE|PERCENT"),
                    help: "Memory to dirty: a size (512M, 4G; M is MiB) or a share of the available memory (75%)",
                    form: "a size or a share such as 64M or 75%",
                }
            }
            kind {
                /// The size of the pages that back it.
                pages "pages": PageSize = PageSize::Base, [] [own Region,] {
                    value: Some("SIZE"),
                    help: "Backing pages: 4k (never huge), thp (transparent huge pages), 2M or 1G (from the kernel's pool)",
                    form: "4k or thp",
                }
                /// What backs it.
                backing "backing": Backing = Backing::Anon, [] [own Region,] {
                    value: Some("BACKING"),
                    help: "What backs the memory: anon, shared, or file:PATH (created, stays after the run and can be used again \
                           at the same size; one of another size is left alone)",
                    form: "anon or shared",
                }
                /// On which NUMA node; none leaves it to the kernel.
                numa "numa": Option<Numa> = None, [by super::number::given, as given,]
                    [hello serde(skip_serializing_if = "Option::is_none"), own Region,] {
                    value: Some("NODE|interleave"),
                    help: "NUMA node the memory lies on, or interleave (all nodes in turn)",
                    absent: "left to the kernel",
                    form: "a node's number or interleave",
                }
                /// Whether it is locked into memory.
                lock "lock": bool = false, [by super::number::truth,] [own Region,] {
                    help: "Lock the memory, so that nothing swaps it out",
                    kind: ValueKind::Truth,
                }
            }
            load {
                /// Page visits a second that write, all writers together.
                rate "rate": Rate = Rate::PagesPerSecond(25_600), [] [in Phase,] {
                    short: Some('r'),
                    value: Some("RATE"),
                    help: "Pages dirtied, all writers together: 100M/s (MiB of 4 KiB pages a second), 25600p/s, max, or 0 (hold \
                           the memory, stay silent)",
                    form: "a rate such as 80M/s, or max",
                }
                /// The order of visits.
                pattern "pattern": PatternSpec = PatternSpec::Shuffle, [] [in Phase, own Region,] {
                    short: Some('p'),
                    value: Some("PATTERN"),
                    help: "Order of visits: sequential, shuffle (every page once per lap, seeded), random (with replacement), \
                           zipf:THETA (rank k in proportion to 1/k^THETA), hotspot:PAGES%/WRITES%[/DRIFTp/s], or stride:PAGES",
                    form: "a pattern such as shuffle or hotspot:10%/90%",
                }
                /// When visits are due.
                pace "pace": PaceSpec = PaceSpec::Constant, [] [hello serde(default), in Phase,] {
                    value: Some("PACE"),
                    help: "When visits are due: constant, poisson (seeded random times) or burst:ON/OFF (all of the rate during \
                           ON, for example burst:200ms/800ms); the mean rate stays the same",
                    form: "constant, poisson or burst:ON/OFF",
                }
                /// What becomes of visits that a stall delayed.
                backlog "backlog": BacklogPolicy = BacklogPolicy::Repay, [] [hello serde(default), in Phase,] {
                    value: Some("POLICY"),
                    help: "Visits that a stall delayed: repay (catch up) or shed (give up what is more than 10ms late; counted)",
                    form: "repay or shed",
                }
                /// How many times faster than its schedule a writer catches up at most, 1 to 100.
                catch_up "catch-up": u32 = super::pace::CATCH_UP, [by super::number::catch_up,]
                    [hello serde(default = "super::pace::catch_up"),] {
                    value: Some("N"),
                    help: "How many times faster than its schedule a writer catches up at most, 1 (never) to 100",
                    kind: ValueKind::Number,
                    form: "1 to 100",
                }
                /// The share of visits that only read; they come on top of the rate.
                reads "reads": Share = Share::default(), [] [hello serde(default), in Phase, own Region,] {
                    value: Some("PERCENT"),
                    help: "Share of visits that only read, seeded; they come on top of the rate, which counts writes",
                    form: "a share such as 25%",
                    said: "{} of the visits only read",
                }
                /// How much of a page a visit writes, in bytes: whole words, 8 to 4096. A stamp is written whole, whatever it says.
                write_bytes "write": u64 = super::WORD_BYTES, [by super::write_bytes,]
                    [hello serde(default = "super::visit::word"), in Phase, own Region,] {
                    short: Some('w'),
                    value: Some("BYTES|page"),
                    help: "Bytes changed per visit of a page, whole words, or page for all 4096; a stamp takes 40",
                    kind: ValueKind::Number,
                    form: "a multiple of 8 from 8 to 4096",
                }
                /// What pages hold beyond their stamp; another one takes hold as visits write it.
                content "content": ContentSpec = ContentSpec::Random, []
                    [hello serde(default), load serde(default), in Phase, own Region,] {
                    short: Some('c'),
                    value: Some("CONTENT"),
                    help: "What pages hold beyond their stamp: random, zero, fill:BYTE, compress:PERCENT (compression saves so \
                           much), delta:BYTES (random, and a visit changes so many scattered bytes) or same (random, and a visit \
                           stores what is there already)",
                    form: "a content such as random, zero or compress:50",
                    said: "{}",
                }
            }
            run {
                /// The share of the pages that hold the same bytes as another page.
                dedup "dedup": Share = Share::default(), [] [hello serde(default),] {
                    value: Some("PERCENT"),
                    help: "Share of pages that hold the same bytes as another page; needs --verify off, since stamps differ",
                    form: "a share such as 25%",
                    said: "{} of the pages copies",
                }
                /// Whether pages carry stamps that are checked.
                verify "verify": bool = true, [by super::on_or_off, as on_off,] [hello serde(default),] {
                    value: Some("on|off"),
                    help: "Page stamps, on or off: every visit proves that its page still holds what was last written there",
                    kind: ValueKind::Truth,
                }
                /// Whether each visit is timed.
                latency "no-latency": bool = true, [by super::number::untruth, as if_not,]
                    [hello serde(default = "super::visit::timed"),] {
                    help: "Raw stores only: no visit is timed (for measuring the tool's own cost)",
                    kind: ValueKind::Truth,
                    except: &[Scope::Plan, Scope::Scenario],
                }
                /// The clock that stamps, as asked for.
                clock "clock": ClockChoice = ClockChoice::Auto, [] [hello serde(default),] {
                    value: Some("CLOCK"),
                    help: "Clock that stamps: auto (the CPU's counter where CPU and kernel vouch for it), tsc (insists on the \
                           counter, in an emulated guest too) or monotonic",
                    form: "auto, tsc or monotonic",
                }
                /// How often canaries wake, as asked for.
                canary "canary": CanaryPeriod = CanaryPeriod::default(), [] [hello serde(default),] {
                    value: Some("TIME|off"),
                    help: "How often each vCPU's canary wakes, 987us to 100ms, or off: no gaps, no stalls, no throttle are told \
                           then. One that wakes less often costs less and tells no gap below one and a half of its periods, no \
                           throttle that sleeps for less than five",
                    form: "a time of 987us to 100ms, or off",
                }
                /// Where the page sequence and the content start from.
                seed "seed": u64 = 1, [by super::number::seed,] [] {
                    value: Some("N"),
                    help: "Where the page sequence and the content start from: the same seed visits the same pages for ever",
                    kind: ValueKind::Number,
                    form: "0 or more",
                }
                /// What is dirtied first, to the page, before all is held still; none begins with the load.
                dirty "dirty": Option<ByteSize> = None, [by super::number::given, as given,]
                    [hello serde(default, skip_serializing_if = "Option::is_none"),] {
                    value: Some("SIZE"),
                    help: "Begin by dirtying exactly so much, each page once and as fast as can be, and then hold still, until a host \
                           says resume or set rate=",
                    absent: "begin with the load",
                    form: "a size such as 64M",
                    except: &[Scope::Scenario],
                }
                /// Whether the phases begin anew when they are over.
                repeat "repeat": bool = false, [by super::number::truth, as if_so,]
                    [hello serde(default, skip_serializing_if = "std::ops::Not::not"),] {
                    help: "Whether the phases begin anew when they are over",
                    kind: ValueKind::Truth,
                    except: &[Scope::Flag],
                }
            }
            resolved {
                /// Writers; none means one per online vCPU.
                threads "threads": Option<u32> = None, [by super::number::threads, as given,] [own Region,] {
                    short: Some('t'),
                    value: Some("N"),
                    help: "Writers, each pinned to a CPU and owning an equal slice",
                    absent: "one per online vCPU, or per CPU of cpus",
                    kind: ValueKind::Number,
                    form: "1 to 1024",
                }
                /// The CPUs that writers are pinned to, in turn; none means all there are.
                cpus "cpus": Option<CpuList> = None, [by super::number::given, as given,] [own Region,] {
                    value: Some("LIST"),
                    help: "CPUs that writers are pinned to, in turn: numbers and ranges such as 0 or 0,2-3",
                    absent: "all",
                    form: "numbers such as 0 or 0,2-3",
                }
                /// How long to run; none means until told to stop.
                duration "duration": Option<Nanos> = None, [by super::number::given, as given,] [] {
                    short: Some('d'),
                    value: Some("TIME"),
                    help: "End after this time, for example 10s or 5m",
                    absent: "run until told to stop",
                    form: "a time such as 10s",
                    except: &[Scope::Scenario],
                }
                /// The unperturbed time at the start that later degradation is judged against.
                baseline "baseline": Nanos = Nanos::from_secs(10), [] [] {
                    value: Some("TIME"),
                    help: "Unperturbed time at the start that later degradation is judged against; 0s for none",
                    form: "a time such as 4s",
                }
                /// The length of one interval record.
                interval "interval": Nanos = Nanos::from_secs(1), [] [] {
                    short: Some('i'),
                    value: Some("TIME"),
                    help: "Length of one interval record, 20ms to 1h",
                    form: "a time such as 100ms",
                }
            }
        }
    };
}

/// Reads the text of a parameter as its row says.
macro_rules! read {
    ($text:expr) => {
        $text.parse()
    };
    ($text:expr, $read:expr) => {
        $read($text)
    };
}

/// Writes the value of a parameter as its row says; none for what is said by leaving the parameter out.
macro_rules! written {
    ($value:expr) => {
        Some($value.to_string())
    };
    ($value:expr, given) => {
        $value.as_ref().map(ToString::to_string)
    };
    ($value:expr, on_off) => {
        Some(if $value { "on" } else { "off" }.to_owned())
    };
    ($value:expr, if_so) => {
        $value.then(|| "true".to_owned())
    };
    ($value:expr, if_not) => {
        (!$value).then(|| "true".to_owned())
    };
}

/// The field of a plan that a row of the table is about.
macro_rules! of_plan {
    (kind $plan:tt $field:ident) => {
        $plan.kind.$field
    };
    ($block:ident $plan:tt $field:ident) => {
        $plan.$field
    };
}

pub(crate) use parameters;
pub(super) use {of_plan, read, written};

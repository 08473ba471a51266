//! A migration that somebody else carries out, as a state machine without I/O: it is watched, and nobody is told anything.
//!
//! What tells of it is the command that migrates (its start, its end), QEMU where it can be asked, and where the guest speaks.

use super::exchange::{Obstacle, VmInput};
use crate::lab::migrate::{MigrationEnd, MigrationResult};
use crate::record::{CommandEnd, MigrationSample, Milestone, MilestoneName, Side};
use crate::units::Nanos;
use serde_json::Value;

/// QEMU can say `completed` before it has filled in the figures: so long they are waited for.
const FIGURES_LIMIT: Nanos = Nanos::from_secs(2);
/// How long a migration may go on when its command has ended, unless `--limit` says it.
const AFTERWARDS: Nanos = Nanos::from_secs(600);
/// What QEMU says of a migration that is under way.
const UNDER_WAY: [&str; 8] = [
    "setup",
    "wait-unplug",
    "active",
    "pre-switchover",
    "device",
    "postcopy-active",
    "postcopy-paused",
    "postcopy-recover",
];

/// What is watched, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ObservePlan {
    /// Whether a command migrates: it is over when that has ended.
    pub has_command: bool,
    /// Whether the guest has to speak on another socket before it is over.
    pub until_moved: bool,
    /// The longest that it may take.
    pub limit: Option<Nanos>,
}

/// Watches one migration.
#[derive(Debug)]
pub struct Observer {
    plan: ObservePlan,
    since_ns: u64,
    now_ns: u64,
    command: Option<CommandEnd>,
    has_moved: bool,
    /// QEMU was seen to migrate.
    has_begun: bool,
    /// How QEMU says that it ended, and when.
    said: Option<(MigrationResult, Option<String>, u64)>,
    stopped_ns: Option<u64>,
    postcopy: bool,
    peak_throttle_percent: Option<u64>,
    last: [Option<MigrationSample>; 2],
    milestones: Vec<Milestone>,
}

impl Observer {
    /// One that watches from `now_ns` on: the command is started then.
    pub const fn new(now_ns: u64, plan: ObservePlan) -> Self {
        Self {
            plan,
            since_ns: now_ns,
            now_ns,
            command: None,
            has_moved: false,
            has_begun: false,
            said: None,
            stopped_ns: None,
            postcopy: false,
            peak_throttle_percent: None,
            last: [None, None],
            milestones: Vec::new(),
        }
    }

    /// Takes in what happened.
    pub fn on(&mut self, now_ns: u64, input: &VmInput) {
        self.now_ns = self.now_ns.max(now_ns);
        match input {
            VmInput::Answer { side, command: "query-migrate", host_ns, result: Ok(reply) } => {
                self.sample(*side, *host_ns, MigrationSample::of_reply(reply));
            }
            VmInput::Event { side, host_ns, name, data } => self.event(*side, *host_ns, name, data),
            VmInput::CommandEnded(end) => self.command = Some(*end),
            VmInput::Record(arrival) => self.has_moved |= arrival.side == Side::Destination,
            _ => {}
        }
    }

    /// Whether a command is at work.
    pub const fn is_commanded(&self) -> bool {
        self.plan.has_command && self.command.is_none()
    }

    /// Whether a command is or was at work.
    pub const fn has_command(&self) -> bool {
        self.plan.has_command
    }

    /// How the command ended, once it has.
    pub const fn command(&self) -> Option<CommandEnd> {
        self.command
    }

    /// What happened since this was last asked.
    pub fn take_milestones(&mut self) -> Vec<Milestone> {
        std::mem::take(&mut self.milestones)
    }

    /// How it ended, once it is over.
    pub fn outcome(&self) -> Option<Result<(), Obstacle>> {
        let elapsed_ns = self.now_ns.saturating_sub(self.since_ns);
        let is_late = |limit: Nanos| elapsed_ns >= limit.0;
        let Some(end) = self.command else {
            let limit = self.plan.limit.filter(|limit| is_late(*limit))?;
            return Some(if self.plan.has_command {
                Err(Obstacle::Vm(format!("the command had not ended after --limit {limit}, and was ended")))
            } else {
                Ok(())
            });
        };
        if !end.is_good() {
            return Some(Ok(()));
        }
        let what = if self.has_begun && self.said.is_none() && !self.has_moved {
            "QEMU still migrates"
        } else if self.plan.until_moved && !self.has_moved {
            "the guest speaks on no other socket"
        } else {
            return (!self.lacks_figures()).then_some(Ok(()));
        };
        let afterwards = Nanos(end.host_ns.saturating_sub(self.since_ns).saturating_add(AFTERWARDS.0));
        let limit = self.plan.limit.unwrap_or(afterwards);
        is_late(limit)
            .then(|| Err(Obstacle::Vm(format!("the command has ended, and after {limit} {what} (--limit)"))))
    }

    /// Whether QEMU has only just said that all was through.
    fn lacks_figures(&self) -> bool {
        let is_recent = |at_ns: u64| self.now_ns.saturating_sub(at_ns) < FIGURES_LIMIT.0;
        let has_downtime = self.last[0].as_ref().is_some_and(|sample| sample.downtime_ms > Some(0));
        let said_ns = self.said.as_ref().map(|(.., at_ns)| *at_ns);
        // Of a domain that has left, libvirt tells that all was through when somebody asks where it went.
        let left_ns = self.command.filter(|_| self.has_begun && said_ns.is_none()).map(|end| end.host_ns);
        !has_downtime && said_ns.max(left_ns).is_some_and(is_recent)
    }

    /// What is known of the migration in the end, where QEMU was heard; milestones that only the command tells are added.
    pub fn conclude(mut self) -> (Option<MigrationEnd>, Vec<Milestone>) {
        let is_good = self.command.is_some_and(CommandEnd::is_good);
        if self.plan.has_command {
            self.milestone(MilestoneName::Migrate, self.since_ns);
        }
        if let Some(stopped_ns) = self.stopped_ns.filter(|_| self.has_moved) {
            self.milestone(MilestoneName::Stop, stopped_ns);
        }
        if let Some(end) = self.command.filter(|_| is_good) {
            self.milestone(MilestoneName::Completed, end.host_ns);
        }
        let Self { has_begun, said, has_moved, postcopy, peak_throttle_percent, last, milestones, .. } = self;
        // A QEMU that the guest has left may be ended before it can say that all was through.
        let is_through = has_moved && (is_good || !self.plan.has_command);
        let unsaid = || {
            let why = "QEMU did not say that it was complete".to_owned();
            if is_through { (MigrationResult::Completed, None) } else { (MigrationResult::Failed, Some(why)) }
        };
        let (result, reason) = said.map_or_else(unsaid, |(result, reason, _)| (result, reason));
        let [source, destination] = last;
        let end = MigrationEnd { result, reason, source, destination, postcopy, peak_throttle_percent };
        (has_begun.then_some(end), milestones)
    }

    fn sample(&mut self, side: Side, host_ns: u64, sample: MigrationSample) {
        let is_source = side == Side::Source;
        if is_source {
            self.peak_throttle_percent = self.peak_throttle_percent.max(sample.cpu_throttle_percent);
            let status = sample.status.as_deref().unwrap_or_default();
            // What QEMU says at first may be of a migration before.
            let is_news = self.last[0].is_some();
            self.has_begun |= is_news && status == "completed";
            self.status(host_ns, status, sample.error.as_deref());
        }
        self.last[usize::from(!is_source)] = Some(sample);
    }

    fn event(&mut self, side: Side, host_ns: u64, name: &str, data: &Value) {
        match (side, name) {
            (Side::Source, "STOP") => self.stopped_ns = Some(host_ns),
            // It was stopped by hand, or the migration failed at its end.
            (Side::Source, "RESUME") => self.stopped_ns = None,
            (Side::Destination, "RESUME") => {
                if let Some(stopped_ns) = self.stopped_ns {
                    self.milestone(MilestoneName::Stop, stopped_ns);
                }
                self.milestone(MilestoneName::Resume, host_ns);
            }
            (Side::Source, "MIGRATION") => {
                let status = data.get("status").and_then(Value::as_str).unwrap_or_default();
                self.status(host_ns, status, None);
            }
            _ => {}
        }
    }

    /// What the source says of the migration, by event or by answer.
    fn status(&mut self, host_ns: u64, status: &str, error: Option<&str>) {
        if UNDER_WAY.contains(&status) {
            (self.has_begun, self.said) = (true, None);
            self.milestone(MilestoneName::Migrate, host_ns);
        }
        if status.starts_with("postcopy-") {
            self.postcopy = true;
            self.milestone(MilestoneName::PostcopyStart, host_ns);
        }
        if !self.has_begun {
            return;
        }
        let at_ns = self.said.as_ref().map_or(host_ns, |(.., at_ns)| *at_ns);
        match status {
            "completed" => {
                self.said = Some((MigrationResult::Completed, None, at_ns));
                self.milestone(MilestoneName::Completed, host_ns);
            }
            "failed" | "cancelled" => {
                let why = error.map(|error| format!(": {error}")).unwrap_or_default();
                let result =
                    if status == "failed" { MigrationResult::Failed } else { MigrationResult::Cancelled };
                self.said = Some((result, Some(format!("the source QEMU says {status}{why}")), at_ns));
            }
            _ => {}
        }
    }

    fn milestone(&mut self, name: MilestoneName, host_ns: u64) {
        self.milestones.push(Milestone { name, host_ns });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const MS: u64 = 1_000_000;

    fn observer(plan: ObservePlan) -> Observer {
        Observer::new(0, plan)
    }

    fn commanded() -> Observer {
        observer(ObservePlan { has_command: true, ..ObservePlan::default() })
    }

    fn says(observer: &mut Observer, ms: u64, reply: Value) {
        let (side, command) = (Side::Source, "query-migrate");
        let answer = VmInput::Answer { side, command, host_ns: ms * MS, result: Ok(reply) };
        observer.on(ms * MS, &answer);
    }

    fn event(observer: &mut Observer, ms: u64, side: Side, name: &str) {
        let event = VmInput::Event { side, host_ns: ms * MS, name: name.into(), data: Value::Null };
        observer.on(ms * MS, &event);
    }

    fn ends(observer: &mut Observer, ms: u64, code: i32) {
        let end = CommandEnd { host_ns: ms * MS, code: Some(code), signal: None };
        observer.on(ms * MS, &VmInput::CommandEnded(end));
    }

    fn names(milestones: &[Milestone]) -> Vec<(MilestoneName, u64)> {
        milestones.iter().map(|own| (own.name, own.host_ns / MS)).collect()
    }

    #[test]
    fn qemus_word_comes_before_the_commands() {
        use MilestoneName::{Completed, Migrate, Resume, Stop};
        let mut observer = commanded();
        says(&mut observer, 10, json!({"status": "failed"}));
        assert_eq!(names(&observer.take_milestones()), [], "it was another one's");
        says(&mut observer, 300, json!({"status": "active"}));
        event(&mut observer, 900, Side::Source, "STOP");
        event(&mut observer, 950, Side::Destination, "RESUME");
        says(&mut observer, 1000, json!({"status": "completed", "downtime": 50}));
        assert_eq!(observer.outcome(), None, "the command is still at work");
        ends(&mut observer, 1500, 0);
        assert_eq!(observer.outcome(), Some(Ok(())));
        let told = names(&observer.take_milestones());
        assert_eq!(told, [(Migrate, 300), (Stop, 900), (Resume, 950), (Completed, 1000)]);
        let (end, _) = observer.conclude();
        assert_eq!(end.unwrap().result, MigrationResult::Completed);
    }

    #[test]
    fn where_qemu_is_silent_the_commands_start_and_end_are_the_migrations() {
        let mut observer = commanded();
        ends(&mut observer, 1500, 0);
        assert_eq!(observer.outcome(), Some(Ok(())));
        let (end, milestones) = observer.conclude();
        assert_eq!(end, None);
        assert_eq!(names(&milestones), [(MilestoneName::Migrate, 0), (MilestoneName::Completed, 1500)]);
    }

    #[test]
    fn a_command_that_fails_has_completed_nothing() {
        let mut observer = commanded();
        says(&mut observer, 10, json!({}));
        says(&mut observer, 300, json!({"status": "active"}));
        ends(&mut observer, 1500, 1);
        assert_eq!(observer.outcome(), Some(Ok(())));
        let (end, milestones) = observer.conclude();
        assert_eq!(end.unwrap().result, MigrationResult::Failed);
        assert!(milestones.iter().all(|own| own.name != MilestoneName::Completed), "{milestones:?}");
    }

    #[test]
    fn a_command_that_only_orders_a_migration_is_outlasted_by_it() {
        let mut observer = commanded();
        ends(&mut observer, 20, 0);
        says(&mut observer, 30, json!({"status": "active"}));
        assert_eq!(observer.outcome(), None);
        says(&mut observer, 5000, json!({"status": "completed"}));
        assert_eq!(observer.outcome(), None, "its figures are still to come");
        observer.on(7001 * MS, &VmInput::Tick);
        assert_eq!(observer.outcome(), Some(Ok(())));
    }

    #[test]
    fn a_limit_ends_what_would_not_end() {
        let limit = Some(Nanos::from_secs(2));
        let after = |plan: ObservePlan, ended: bool| {
            let mut observer = observer(ObservePlan { limit, ..plan });
            if ended {
                ends(&mut observer, 20, 0);
            }
            observer.on(2000 * MS, &VmInput::Tick);
            observer.outcome().unwrap()
        };
        let command = ObservePlan { has_command: true, ..ObservePlan::default() };
        let said = |outcome: Result<(), Obstacle>| format!("{:?}", outcome.unwrap_err());
        assert!(said(after(command, false)).contains("had not ended after --limit 2s"));
        let moved = ObservePlan { until_moved: true, ..command };
        assert!(said(after(moved, true)).contains("speaks on no other socket"));
        assert_eq!(after(ObservePlan::default(), false), Ok(()), "where there is no command it is the end");
    }
}

//! The stages of a run, one after the other: boot, steady load, migration, settling, the end. Each is bounded.

use super::account::Account;
use super::console;
use super::judge::Trouble;
use super::pair::{Answer, Happening, Pair};
use super::restarts::Restarts;
use super::status::{Status, Watch};
use crate::lab::hostclock;
use crate::lab::migrate::{Action, Driver, Input, MigrationEnd, MigrationResult, sample};
use crate::lab::scenario::Scenario;
use crate::lab::vm::Exit;
use crate::record::{Command, MilestoneName, Side};
use crate::units::{Nanos, Rate};

/// How long an emulated guest may take from its start to its first record.
const HELLO_LIMIT: Nanos = Nanos::from_secs(60);
/// How long the load may take to be steady, beyond its baseline.
const STEADY_LIMIT: Nanos = Nanos::from_secs(60);
/// The analysis looks at 5 s after a migration before it calls a load settled; so long a settled guest is kept.
const OBSERVED: Nanos = Nanos::from_secs(6);
/// How long the guest may take to end when it is told to.
const END_LIMIT: Nanos = Nanos::from_secs(20);
/// How long it may take from its last record to powering off.
const POWER_OFF_LIMIT: Nanos = Nanos::from_secs(20);
/// How often the guest is asked whether it hears.
const PING_PERIOD: Nanos = Nanos::from_secs(1);
/// What may be added to a migration's own limit: preparing, giving up, the last figures.
const MIGRATION_SLACK: Nanos = Nanos::from_secs(60);

/// What came of the stages.
#[derive(Debug, Default)]
pub struct Played {
    /// How the migration ended, where it came to one.
    pub migration: Option<MigrationEnd>,
    /// What kept the run from going its way.
    pub trouble: Option<Trouble>,
}

/// Plays all stages.
pub async fn play(
    scenario: &Scenario,
    pair: &mut Pair,
    account: &mut Account,
    watch: &mut Watch<'_>,
) -> Played {
    let restarts = Restarts::new(scenario.collect.restarts);
    let mut stage = Stage {
        scenario,
        pair,
        account,
        watch,
        step: "",
        migration: None,
        restarts,
        next_ping_ns: 0,
        marked_ns: None,
    };
    let trouble = stage.all().await.err();
    Played { migration: stage.migration, trouble }
}

struct Stage<'a, 'w> {
    scenario: &'a Scenario,
    pair: &'a mut Pair,
    account: &'a mut Account,
    watch: &'a mut Watch<'w>,
    step: &'static str,
    migration: Option<MigrationEnd>,
    restarts: Restarts,
    next_ping_ns: u64,
    /// The last mark of the guest that the driver knows of.
    marked_ns: Option<u64>,
}

impl Stage<'_, '_> {
    async fn all(&mut self) -> Result<(), Trouble> {
        self.boot().await?;
        self.steady_load().await?;
        let end = self.migrate().await?;
        let completed = end.result == MigrationResult::Completed;
        self.migration = Some(end);
        if completed {
            self.settle().await?;
        }
        self.end_guest().await
    }

    async fn boot(&mut self) -> Result<(), Trouble> {
        self.step = "booting";
        if !self.until(HELLO_LIMIT, |account| account.guest.hello_ns.is_some()).await? {
            return Err(
                self.about_guest(Side::Source, &format!("the guest sent no record within {HELLO_LIMIT}"))
            );
        }
        if let Some(at_ns) = self.account.guest.hello_ns {
            self.account.milestone(MilestoneName::Hello, at_ns);
        }
        Ok(())
    }

    async fn steady_load(&mut self) -> Result<(), Trouble> {
        self.step = "measuring the baseline";
        let limit = Nanos(self.scenario.load.baseline.0.saturating_add(STEADY_LIMIT.0));
        let steady =
            self.until(limit, |account| account.guest.is_steady() || account.guest.end.is_some()).await?;
        if self.account.guest.end.is_some() {
            return Err(self.about_guest(Side::Source, "the guest ended before the migration began"));
        }
        if steady {
            self.account.milestone(MilestoneName::Steady, hostclock::mono_ns());
            return Ok(());
        }
        let sentence = never_steady(limit, self.scenario.load.rate, self.account.guest.achieved_pages_per_s);
        // The guest is well: it is ended in order, so that its own account of the run is complete.
        self.end_guest().await?;
        Err(Trouble::Judged(vec![sentence]))
    }

    async fn migrate(&mut self) -> Result<MigrationEnd, Trouble> {
        self.step = "migrating";
        let mut driver = Driver::new(self.scenario, &self.pair.migration_uri());
        let began_ns = hostclock::mono_ns();
        let limit_ns = self.scenario.migration.timeout.0.saturating_add(MIGRATION_SLACK.0);
        let mut input = Some((began_ns, Input::Start));
        loop {
            if let Some((at_ns, input)) = input.take() {
                for action in driver.on(at_ns, input) {
                    if let Some(end) = self.act(action) {
                        return Ok(end);
                    }
                }
            }
            if hostclock::mono_ns().saturating_sub(began_ns) >= limit_ns {
                return Err(Trouble::Judged(vec!["the migration neither ended nor could be ended".into()]));
            }
            let happening = self.next().await?;
            input = self.input(happening);
        }
    }

    /// Does what the driver wants.
    fn act(&mut self, action: Action) -> Option<MigrationEnd> {
        match action {
            Action::Mark(text) => {
                let mark = Command::Mark { id: None, text: text.into() };
                self.pair.offer_guest(self.account.home, &mark);
            }
            Action::Execute { side, command, arguments } => self.pair.execute(side, command, arguments),
            Action::Query(side) => self.pair.execute(side, "query-migrate", serde_json::Value::Null),
            Action::Milestone(milestone) => self.account.milestone(milestone.name, milestone.host_ns),
            Action::Note(note) => self.account.notes.push(note),
            Action::Finish(end) => return Some(*end),
        }
        None
    }

    /// What happened, as the driver takes it.
    fn input(&mut self, happening: Happening) -> Option<(u64, Input)> {
        let now_ns = hostclock::mono_ns();
        Some(match happening {
            Happening::Tick => (now_ns, Input::Tick),
            Happening::Event(side, event) => {
                (event.host_ns, Input::Event { side, name: event.name, data: event.data })
            }
            Happening::Answer(Answer { side, command, host_ns, result, .. }) => {
                let input = match result {
                    Ok(value) if command == "query-migrate" => Input::Sample(side, Box::new(sample(&value))),
                    Ok(value) => Input::CommandDone { side, command, value },
                    Err(error) => Input::CommandFailed { side, command, error },
                };
                (host_ns, input)
            }
            Happening::Exited(side, exit) => {
                let cause = console::cause(&self.account.writer.console(side));
                (now_ns, Input::VmExited { side, how: format!("{}{cause}", one_line(&exit)) })
            }
            Happening::Port(_) if self.account.guest.marked_ns != self.marked_ns => {
                self.marked_ns = self.account.guest.marked_ns;
                (self.marked_ns?, Input::Marked)
            }
            Happening::Port(_) | Happening::Interrupted => return None,
        })
    }

    async fn settle(&mut self) -> Result<(), Trouble> {
        self.step = "settling";
        let limit = self.scenario.migration.settle;
        let began_ns = hostclock::mono_ns();
        let over = |account: &Account| {
            let observed = hostclock::mono_ns().saturating_sub(began_ns) >= OBSERVED.0;
            let (settled, ended) = (account.guest.settled_at_ns().is_some(), account.guest.end.is_some());
            settled && observed || ended || account.settling_is_over()
        };
        self.until(limit, over).await?;
        match self.account.guest.settled_at_ns() {
            Some(at_ns) => self.account.milestone(MilestoneName::Settled, at_ns),
            None => self.account.notes.push(format!(
                "the load was not steady again within migration.settle = {limit} after the migration"
            )),
        }
        Ok(())
    }

    /// Tells the guest to end, and waits until it has powered off.
    async fn end_guest(&mut self) -> Result<(), Trouble> {
        self.step = "ending";
        let home = self.account.home;
        self.account.milestone(MilestoneName::StopGuest, hostclock::mono_ns());
        if let Err(error) = self.pair.tell_guest(home, &Command::Stop { id: Some(1) }).await {
            return Err(self.about_guest(home, &error.to_string()));
        }
        if !self.until(END_LIMIT, |account| account.guest.end.is_some()).await? {
            return Err(
                self.about_guest(home, &format!("the guest did not end within {END_LIMIT} of being told"))
            );
        }
        if !self.until(POWER_OFF_LIMIT, |account| account.gone(home).is_some()).await? {
            self.account
                .notes
                .push(format!("the guest did not power off within {POWER_OFF_LIMIT} of its last record"));
        }
        Ok(())
    }

    /// Waits until `done`, at most `limit`; whether it came to it.
    async fn until(&mut self, limit: Nanos, done: impl Fn(&Account) -> bool) -> Result<bool, Trouble> {
        let began_ns = hostclock::mono_ns();
        loop {
            if done(self.account) {
                return Ok(true);
            }
            if hostclock::mono_ns().saturating_sub(began_ns) >= limit.0 {
                return Ok(false);
            }
            self.next().await?;
            self.guest_is_there()?;
        }
    }

    /// The next thing that happens, taken into account.
    async fn next(&mut self) -> Result<Happening, Trouble> {
        let happening = self.pair.next(&mut self.watch.interrupt).await;
        self.account.on(&happening);
        match happening {
            Happening::Interrupted => return Err(Trouble::Interrupted),
            Happening::Tick => {
                self.look_after_stream().await;
                self.watch.show(&Status {
                    step: self.step,
                    achieved_pages_per_s: self.account.guest.achieved_pages_per_s,
                    sample: self.account.sample.clone(),
                });
            }
            _ => {}
        }
        Ok(happening)
    }

    /// Acknowledges what came, asks for what is missing, pings the guest, and breaks the connections where the scenario wants that.
    async fn look_after_stream(&mut self) {
        if let Some((side, command)) = self.account.word_to_guest() {
            self.pair.offer_guest(side, &command);
        }
        // Before the first record there is nothing to lose; the one command that ends the guest must get through.
        let speaks = self.account.guest.hello_ns.is_some() && !self.account.has(MilestoneName::StopGuest);
        if !speaks {
            return;
        }
        let now_ns = hostclock::mono_ns();
        if now_ns >= self.next_ping_ns {
            self.next_ping_ns = now_ns.saturating_add(PING_PERIOD.0);
            // The reply repeats the id, so its record holds both stamps of the round trip.
            self.pair.offer_guest(self.account.home, &Command::Ping { id: Some(now_ns) });
        }
        if self.restarts.is_due(now_ns) {
            self.pair.reconnect().await;
            self.account.reconnected();
        }
    }

    /// A guest whose QEMU ended without its last record is gone; before the migration either QEMU is one too many to
    /// lose.
    fn guest_is_there(&self) -> Result<(), Trouble> {
        let before = !self.account.has(MilestoneName::Migrate);
        let (home, step) = (self.account.home, self.step);
        if self.account.gone(home).is_some() && self.account.guest.end.is_none() {
            return Err(self.about_guest(home, &format!("the guest was lost while {step}")));
        }
        match self.account.gone(Side::Destination) {
            Some(exit) if before => Err(Trouble::Judged(vec![format!(
                "the destination QEMU ended while {step}: {}",
                one_line(exit)
            )])),
            _ => Ok(()),
        }
    }

    /// A sentence about a guest that is not well, with what QEMU and the console have to say.
    fn about_guest(&self, side: Side, sentence: &str) -> Trouble {
        let log = self.account.writer.console(side);
        let exit = self.account.gone(side).map(|exit| format!("; its QEMU ended: {}", one_line(exit)));
        let exit = exit.unwrap_or_default();
        let mut sentences = vec![format!("{sentence}{}{exit}", console::cause(&log))];
        sentences.extend(console::last_lines(&log));
        Trouble::Judged(sentences)
    }
}

/// That the load was never steady, and what may help.
fn never_steady(limit: Nanos, asked: Rate, achieved_pages_per_s: Option<u64>) -> String {
    let Some(achieved) = achieved_pages_per_s else {
        return format!(
            "the load was never steady within {limit}: asked were {asked}, and no interval told what was achieved; a shorter \
             load.interval"
        );
    };
    let way_out = match asked {
        Rate::PagesPerSecond(asked) if achieved.saturating_mul(10) < asked.saturating_mul(9) => {
            "lower load.rate"
        }
        _ => "its rate changes from interval to interval: a quieter host, or a longer load.interval",
    };
    format!(
        "the load was never steady within {limit}: asked were {asked}, achieved in the last interval {achieved} pages/s; {way_out}"
    )
}

/// How a QEMU ended and what it said, on one line.
fn one_line(exit: &Exit) -> String {
    exit.to_string().trim().replace('\n', "; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_that_was_never_steady_is_blamed_on_its_rate_only_where_that_was_not_reached() {
        let said = |achieved| never_steady(Nanos::from_secs(60), Rate::PagesPerSecond(1000), achieved);
        assert!(said(Some(500)).ends_with("achieved in the last interval 500 pages/s; lower load.rate"));
        assert!(said(Some(990)).contains("990 pages/s; its rate changes"));
        assert!(said(None).contains("no interval told what was achieved") && !said(None).contains(" 0 "));
    }
}

//! Where commands about the load are decided: a state machine without I/O. A bad command changes nothing.

use crate::plan::{Checked, Faults, Load, PlannedPhase, name_fault};
use crate::record::{Command, LoadChange, Status};
use crate::units::PAGE_BYTES;
use std::collections::VecDeque;

/// The most phases that may be asked for at once: beyond that a host is told to wait.
const MOST_PHASES_AT_ONCE: usize = 64;

/// What is asked of a run while it runs, until it is carried out.
#[derive(Debug)]
pub struct Desk {
    load: Load,
    /// Since when, not counting pauses: a ramp goes on from where it has come to.
    since_ns: u64,
    hold: Hold,
    changed: bool,
    dirty: Dirtying,
    plan: Checked,
    /// Phases that were asked for and are not gone through yet; the load is that of the last one.
    asked: VecDeque<String>,
    sweep: bool,
    told: Status,
}

/// Why the load stands still, if it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    Not,
    /// A host said so: a load that is set meanwhile waits, too.
    Paused,
    /// So many pages were dirtied: the next rate that is set goes on.
    Dirtied,
}

/// How far an order to dirty so many pages has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dirtying {
    Not,
    Asked(u64),
    UnderWay,
}

impl Desk {
    /// A run of `plan` that begins at `now_ns`.
    pub fn new(plan: &Checked, now_ns: u64) -> Self {
        let load = plan.held_load();
        let dirty = plan.dirty.map(|size| size.0 / PAGE_BYTES);
        let told = Status {
            phase: String::new(),
            paused: false,
            load,
            writes: 0,
            reads: 0,
            missed: 0,
            backlog: 0,
            achieved_pages_per_s: None,
            corrupt_pages: None,
            sweeps: 0,
        };
        Self {
            load,
            since_ns: now_ns,
            hold: if dirty.is_some() { Hold::Dirtied } else { Hold::Not },
            changed: false,
            dirty: dirty.map_or(Dirtying::Not, Dirtying::Asked),
            plan: plan.clone(),
            asked: VecDeque::new(),
            sweep: false,
            told,
        }
    }

    /// The load to go on with, when it has changed since it was carried out last.
    pub fn change(&self) -> Option<Load> {
        self.changed.then(|| if self.is_paused() { self.load.paused() } else { self.load })
    }

    /// It is carried out.
    pub const fn carried_out(&mut self) {
        self.changed = false;
    }

    /// A phase begins, with its load.
    pub fn begin(&mut self, now_ns: u64, phase: &PlannedPhase) {
        // A ramp begins anew, even the same one.
        self.changed |= self.load != phase.load || phase.load.ramp.is_some();
        (self.load, self.since_ns) = (phase.load, now_ns);
    }

    /// The next phase that was asked for, once each, in order; its load is in force already.
    pub fn take_phase(&mut self) -> Option<String> {
        self.asked.pop_front()
    }

    /// Whether something was asked for that is not carried out yet.
    pub fn is_waiting(&self) -> bool {
        self.sweep || !self.asked.is_empty() || matches!(self.dirty, Dirtying::Asked(_))
    }

    /// Whether the load is held: then the plan's time does not go on. What brings it back waits until all pages are dirtied that
    /// are to be.
    pub fn is_paused(&self) -> bool {
        self.hold != Hold::Not || self.dirty != Dirtying::Not
    }

    /// The pages that are to be dirtied, once, when the load is held for it.
    pub const fn take_dirty(&mut self) -> Option<u64> {
        match self.dirty {
            Dirtying::Asked(pages) if !self.changed => {
                self.dirty = Dirtying::UnderWay;
                Some(pages)
            }
            _ => None,
        }
    }

    /// They are dirtied: the load comes back where that was asked for meanwhile.
    pub fn dirtied(&mut self, now_ns: u64) {
        self.dirty = Dirtying::Not;
        if self.hold == Hold::Not {
            (self.since_ns, self.changed) = (now_ns, true);
        }
    }

    /// Whether a sweep was asked for, once.
    pub const fn take_sweep(&mut self) -> bool {
        std::mem::replace(&mut self.sweep, false)
    }

    /// What `status` is to say of the counts.
    pub fn tell(&mut self, status: Status) {
        self.told = status;
    }

    /// The phase that is named from now on.
    pub fn name(&mut self, phase: &str) {
        self.told.phase = phase.into();
    }

    /// What is going on.
    pub fn status(&self) -> Box<Status> {
        Box::new(Status { paused: self.is_paused(), load: self.load, ..self.told.clone() })
    }

    /// Decides on a command.
    ///
    /// # Errors
    /// Which field is wrong and what is accepted.
    pub fn obey(&mut self, now_ns: u64, command: &Command) -> Result<(), String> {
        match command {
            Command::Set { change, .. } => {
                let so_far = self.so_far(now_ns);
                (self.load, self.since_ns) = (self.changed(so_far, change)?, now_ns);
                self.changed = true;
                if self.hold == Hold::Dirtied && change.rate.is_some() {
                    self.hold = Hold::Not;
                }
            }
            Command::Pause { .. } => self.hold(now_ns, Hold::Paused),
            Command::Resume { .. } if self.is_paused() => {
                self.since_ns = now_ns;
                (self.hold, self.changed) = (Hold::Not, true);
            }
            Command::Dirty { pages, .. } => self.dirty(now_ns, *pages)?,
            Command::Phase { name, .. } => self.enter(now_ns, name)?,
            Command::Sweep { .. } => self.sweep = true,
            _ => {}
        }
        Ok(())
    }

    fn hold(&mut self, now_ns: u64, hold: Hold) {
        if !self.is_paused() {
            self.load = self.so_far(now_ns);
            self.changed = true;
        }
        self.hold = hold;
    }

    /// The load is held, and then so many pages are dirtied.
    fn dirty(&mut self, now_ns: u64, pages: u64) -> Result<(), String> {
        if self.dirty != Dirtying::Not {
            return Err("pages: others are being dirtied: wait for the record 'dirtied'".into());
        }
        if let Some(why) = self.plan.dirty_fault(pages) {
            return Err(format!("pages: {why}"));
        }
        self.hold(now_ns, Hold::Dirtied);
        self.dirty = Dirtying::Asked(pages);
        Ok(())
    }

    /// The load as it has come to be: what is left of a ramp.
    fn so_far(&self, now_ns: u64) -> Load {
        if self.is_paused() { self.load } else { self.load.rest(now_ns.saturating_sub(self.since_ns)) }
    }

    /// The load of the phase is in force at once, so that what is set after it holds; the rest of going there is left to
    /// the run.
    fn enter(&mut self, now_ns: u64, name: &str) -> Result<(), String> {
        if let Some(fault) = name_fault(name) {
            return Err(format!("name: {fault}"));
        }
        if self.asked.len() >= MOST_PHASES_AT_ONCE {
            return Err(format!("name: {MOST_PHASES_AT_ONCE} phases at once are enough: wait for an answer"));
        }
        let phase = self.plan.phases.iter().find(|phase| phase.name == name).cloned();
        if let Some(phase) = &phase {
            self.begin(now_ns, phase);
        } else if !self.plan.phases.is_empty() {
            let known: Vec<&str> = self.plan.phases.iter().map(|phase| &*phase.name).collect();
            return Err(format!("name: '{name}' is not a phase of the plan: one of {}", known.join(", ")));
        }
        self.asked.push_back(name.into());
        Ok(())
    }

    fn changed(&self, load: Load, change: &LoadChange) -> Result<Load, String> {
        let load = changed(load, change)?;
        let faults = self.plan.load_faults(&load);
        if faults.is_empty() { Ok(load) } else { Err(Faults(faults).to_string().replace("\n  ", ": ")) }
    }
}

fn changed(mut load: Load, change: &LoadChange) -> Result<Load, String> {
    if *change == LoadChange::default() {
        return Err(format!("set changes nothing: give one of {}", LoadChange::KEYS.join(", ")));
    }
    for (name, text) in change.parts() {
        load.set(name, text).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(load)
}

#[cfg(test)]
mod tests;

//! What a driver of a VM can be told to reach, one goal at a time.

use super::VmDriver;
use super::cycle::{Before, CycleDriver, CyclePlan};
use super::exchange::VmAction;
use super::stage::VmStage;
use crate::lab::migrate::{Driver, Input, Uris};
use crate::lab::run::link_rate::LinkRate;
use crate::lab::scenario::{Bandwidth, LoadSpec, MigrationSpec};
use crate::record::{Command, MilestoneName};
use crate::units::Nanos;

impl VmDriver {
    /// The guest is to speak within `limit`.
    pub fn boot(&mut self, now_ns: u64, limit: Nanos) -> Vec<VmAction> {
        self.begin(now_ns, VmStage::Booting { since_ns: now_ns, limit })
    }

    /// The baseline is to be over and `load` steady.
    pub fn wait_steady(&mut self, now_ns: u64, load: &LoadSpec) -> Vec<VmAction> {
        let stage =
            VmStage::Baseline { since_ns: now_ns, length: load.asked.baseline, asked: load.asked.rate };
        self.begin(now_ns, stage)
    }

    /// A load that is tied to the link is to keep to its share while a migration runs.
    pub fn tie(&mut self, load: &LoadSpec, bandwidth: Bandwidth) {
        self.link_rate = load.link_share.map(|share| LinkRate::new(share, bandwidth.0));
    }

    /// The guest is to go from the source to the destination through `uris`. How that ended
    /// is [`VmDriver::migration`]'s to say: a migration that failed is an end like another.
    pub fn migrate(&mut self, now_ns: u64, spec: &MigrationSpec, uris: Uris) -> Vec<VmAction> {
        let driver = Box::new(Driver::new(spec, uris));
        self.now_ns = self.now_ns.max(now_ns);
        self.stage = VmStage::Migrating { since_ns: now_ns, timeout: spec.timeout, driver };
        self.drive(now_ns, Input::Start);
        self.advance()
    }

    /// The guest is to be saved, restored and looked at as `plan` says. What was found is [`VmDriver::cycles`]'s to say.
    pub fn cycle(&mut self, now_ns: u64, plan: CyclePlan) -> Vec<VmAction> {
        let before = Before {
            home: self.home,
            facts: self.guest.facts,
            baseline: self.baseline.clone(),
            corrupt_pages: self.corrupt_pages,
        };
        let driver = Box::new(CycleDriver::new(now_ns, plan, before));
        self.begin(now_ns, VmStage::Cycling { driver })
    }

    /// The load is to be steady again, within `limit` of the migration's end. One that is not is noted.
    pub fn settle(&mut self, now_ns: u64, limit: Nanos) -> Vec<VmAction> {
        self.guest.away.begin_again();
        self.begin(now_ns, VmStage::Settling { since_ns: now_ns, limit })
    }

    /// The guest is to end and power off.
    pub fn end(&mut self, now_ns: u64) -> Vec<VmAction> {
        self.milestone(MilestoneName::StopGuest, now_ns);
        if self.guest.end.is_none() {
            self.actions.push(VmAction::Tell { side: self.home, command: Command::Stop { id: Some(1) } });
        }
        self.begin(now_ns, VmStage::Ending { since_ns: now_ns })
    }

    pub(super) fn begin(&mut self, now_ns: u64, stage: VmStage) -> Vec<VmAction> {
        self.now_ns = self.now_ns.max(now_ns);
        self.stage = stage;
        self.advance()
    }
}

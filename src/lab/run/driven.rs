//! A VM with its driver: each goal is one call, which returns when the goal is reached or cannot be.

use super::account::Account;
use super::console;
use super::driver::{Baseline, CyclePlan, ObservePlan, Obstacle, VmAction, VmDriver, VmInput};
use super::restarts::Restarts;
use super::status::{Status, Watch};
use super::vm::{CommandedVm, LastWords, OwnVm, Vm, VmEvent};
use crate::lab::migrate::{MigrationEnd, MigrationResult};
use crate::lab::scenario::{LoadSpec, MigrationSpec, Scenario};
use crate::units::Nanos;
use std::collections::VecDeque;
use std::future::pending;
use tokio::sync::watch;

/// A VM, the driver that knows what to do with it, and those who write down and watch what happens.
pub struct DrivenVm<'a, 'w, V> {
    vm: V,
    driver: VmDriver,
    account: &'a mut Account,
    watch: &'a mut Watch<'w>,
    restarts: Restarts,
}

impl<'a, 'w, V: Vm> DrivenVm<'a, 'w, V> {
    /// Of a VM that `driver` knows from its start.
    pub fn new(
        vm: V,
        driver: VmDriver,
        account: &'a mut Account,
        watch: &'a mut Watch<'w>,
        restarts: Restarts,
    ) -> Self {
        Self { vm, driver, account, watch, restarts }
    }

    /// The account of what happened.
    pub const fn account(&self) -> &Account {
        self.account
    }

    /// Waits for the guest's first record, at most `limit`.
    ///
    /// # Errors
    /// It does not come, or something is lost.
    pub async fn boot(&mut self, limit: Nanos) -> Result<(), Obstacle> {
        let actions = self.driver.boot(self.vm.now_ns(), limit);
        self.reach(actions).await
    }

    /// Waits until the baseline is over and the load steady.
    ///
    /// # Errors
    /// It never is, or something is lost.
    pub async fn wait_steady(&mut self, load: &LoadSpec) -> Result<(), Obstacle> {
        let actions = self.driver.wait_steady(self.vm.now_ns(), load);
        self.reach(actions).await
    }

    /// Waits, at most `limit` from the migration's end, until the load is steady again.
    ///
    /// # Errors
    /// Something is lost.
    pub async fn settle(&mut self, limit: Nanos) -> Result<(), Obstacle> {
        let actions = self.driver.settle(self.vm.now_ns(), limit);
        self.reach(actions).await
    }

    /// Tells the guest to end, and waits until it has powered off.
    ///
    /// # Errors
    /// It cannot be told, does not end, or is lost.
    pub async fn end(&mut self) -> Result<(), Obstacle> {
        let actions = self.driver.end(self.vm.now_ns());
        self.reach(actions).await
    }

    /// Ends both QEMUs, in whatever state they are. What the driver knows then, and what came of the VM.
    pub async fn shut_down(self) -> (VmDriver, LastWords) {
        let Self { vm, mut driver, account, watch, .. } = self;
        watch.show(&Status::step("shutting down"));
        let mut last = vm.shut_down().await;
        if let Some(cause) = last.fault.take() {
            let error = account.writer.records_error(cause);
            account.keep_fault(Err(error));
        }
        for arrival in last.records.drain(..) {
            // Nothing is waited for any more: what is known grows, and nothing follows from it.
            driver.on(arrival.host_ns, VmInput::Record(Box::new(arrival)));
        }
        (driver, last)
    }

    /// Does what the driver wants until it says that the goal is over.
    async fn reach(&mut self, actions: Vec<VmAction>) -> Result<(), Obstacle> {
        let mut actions = VecDeque::from(actions);
        loop {
            if let Some(outcome) = self.carry_out(&mut actions).await {
                return outcome;
            }
            let inputs = tokio::select! {
                biased;
                () = interrupted(&mut self.watch.interrupt) => vec![VmInput::Interrupted],
                event = self.vm.next() => self.inputs(event).await,
            };
            let now_ns = self.vm.now_ns();
            actions.extend(inputs.into_iter().flat_map(|input| self.driver.on(now_ns, input)));
        }
    }

    /// Does all of `actions`; how the goal ended, where one of them says so.
    async fn carry_out(&mut self, actions: &mut VecDeque<VmAction>) -> Option<Result<(), Obstacle>> {
        let mut over = None;
        while let Some(action) = actions.pop_front() {
            match action {
                VmAction::Execute { side, command, arguments } => self.vm.execute(side, command, arguments),
                VmAction::Offer { side, command } => self.vm.offer_guest(side, &command),
                VmAction::Tell { side, command } => {
                    if let Err(error) = self.vm.tell_guest(side, &command).await {
                        let input = VmInput::NotTold { side, error };
                        actions.extend(self.driver.on(self.vm.now_ns(), input));
                    }
                }
                VmAction::Renew { side } => {
                    let input = VmInput::Renewed { side, result: self.vm.renew(side).await };
                    actions.extend(self.driver.on(self.vm.now_ns(), input));
                }
                VmAction::Over(outcome) => over = Some(outcome),
            }
        }
        over
    }

    /// Writes down what happened, and says it as the driver takes it.
    async fn inputs(&mut self, event: VmEvent) -> Vec<VmInput> {
        self.account.on(&event);
        vec![match event {
            VmEvent::Heard(records) => {
                let records = records.into_iter().map(Box::new);
                return records.map(VmInput::Record).collect();
            }
            VmEvent::PortClosed(side) => VmInput::PortClosed(side),
            VmEvent::CommandEnded(end) => VmInput::CommandEnded(end),
            VmEvent::Qmp(side, event) => {
                let (host_ns, name, data) = (event.host_ns, event.name, event.data);
                VmInput::Event { side, host_ns, name, data }
            }
            VmEvent::Answer(answer) => {
                let (side, command) = (answer.side, answer.command);
                VmInput::Answer { side, command, host_ns: answer.host_ns, result: answer.result }
            }
            VmEvent::Exited(side, exit) => {
                let cause = console::cause(&self.account.writer.console(side));
                VmInput::Exited { side, exit, cause }
            }
            VmEvent::Tick => {
                if self.driver.is_in_conversation() && self.restarts.is_due(self.vm.now_ns()) {
                    self.vm.reconnect().await;
                }
                let driver = &self.driver;
                self.watch.show(&Status {
                    step: driver.step(),
                    achieved_pages_per_s: driver.guest().achieved_pages_per_s,
                    sample: driver.sample().cloned(),
                });
                VmInput::Tick
            }
        }]
    }
}

impl<V: OwnVm> DrivenVm<'_, '_, V> {
    /// Migrates the guest. Whether it completed: one that failed has an end, too, and the guest may go on at the source.
    ///
    /// # Errors
    /// The migration cannot be brought to an end.
    pub async fn migrate(&mut self, spec: &MigrationSpec) -> Result<bool, Obstacle> {
        let uris = self.vm.migration_uris();
        let actions = self.driver.migrate(self.vm.now_ns(), spec, uris);
        self.reach(actions).await?;
        let completed = |end: &MigrationEnd| end.result == MigrationResult::Completed;
        Ok(self.driver.migration().is_some_and(completed))
    }

    /// Saves the guest, restores it in another QEMU and has it looked at: the cycle number `number` of `scenario`.
    ///
    /// # Errors
    /// It cannot be saved or restored, or is lost.
    pub async fn cycle(&mut self, scenario: &Scenario, number: u32) -> Result<(), Obstacle> {
        let plan = CyclePlan::of(scenario, number, self.vm.state_file());
        let actions = self.driver.cycle(self.vm.now_ns(), plan);
        self.reach(actions).await
    }
}

impl<V: CommandedVm> DrivenVm<'_, '_, V> {
    /// Waits until the guest of a VM that is there already is heard, at most `limit`.
    ///
    /// # Errors
    /// It is not.
    pub async fn attach(&mut self, limit: Nanos) -> Result<(), Obstacle> {
        let actions = self.driver.attach(self.vm.now_ns(), limit);
        self.reach(actions).await
    }

    /// Waits until its load is steady, and for as long as a baseline takes.
    ///
    /// # Errors
    /// It never is, or the guest is lost.
    pub async fn take_baseline(&mut self, baseline: Baseline) -> Result<(), Obstacle> {
        let actions = self.driver.take_baseline(self.vm.now_ns(), baseline);
        self.reach(actions).await
    }

    /// Starts the command, where there is one, and waits until whoever migrates is through.
    ///
    /// # Errors
    /// It takes too long, or the guest is lost.
    pub async fn observe(&mut self, plan: ObservePlan) -> Result<(), Obstacle> {
        let now_ns = self.vm.now_ns();
        if plan.has_command {
            self.vm.launch().map_err(Obstacle::Vm)?;
        }
        let actions = self.driver.observe(now_ns, plan);
        self.reach(actions).await
    }

    /// Has the guest look at every page.
    ///
    /// # Errors
    /// It is lost.
    pub async fn sweep(&mut self) -> Result<(), Obstacle> {
        let actions = self.driver.sweep(self.vm.now_ns());
        self.reach(actions).await
    }

    /// What is known of each socket that the guest may speak on, in sentences.
    pub fn ports(&self) -> Vec<String> {
        self.vm.ports()
    }

    /// Whether somebody wants it to end.
    pub fn is_interrupted(&self) -> bool {
        *self.watch.interrupt.borrow()
    }

    /// What is known so far.
    pub const fn driver(&self) -> &VmDriver {
        &self.driver
    }
}

/// Returns when somebody wants the run to end; never, when nobody can want it any more.
async fn interrupted(interrupt: &mut watch::Receiver<bool>) {
    if interrupt.wait_for(|interrupted| *interrupted).await.is_err() {
        pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[test]
    fn somebody_who_can_no_longer_interrupt_does_not_interrupt() {
        let (sender, mut receiver) = watch::channel(false);
        drop(sender);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let waited = runtime.block_on(async {
            timeout(Duration::from_millis(20), interrupted(&mut receiver)).await.is_err()
        });
        assert!(waited);
    }
}

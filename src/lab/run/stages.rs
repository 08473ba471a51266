//! The course of a run: boot, steady load, migration, settling, the end.

use super::account::Account;
use super::console;
use super::driven::DrivenVm;
use super::driver::{Obstacle, VmDriver};
use super::judge::RunObstacle;
use super::restarts::Restarts;
use super::status::Watch;
use super::vm::{LastWords, OwnVm};
use crate::lab::rundir::RunWriter;
use crate::lab::scenario::Scenario;

/// What came of a VM.
#[derive(Debug)]
pub struct Played {
    /// What is known of it.
    pub driver: VmDriver,
    /// What kept the run from going its way.
    pub error: Option<RunObstacle>,
    /// How the guest's records arrived, and what there is to note of how the VM was ended.
    pub last: LastWords,
}

/// Takes `vm`, which `driver` knows from its start, through a whole run, and ends it.
pub async fn play<V: OwnVm>(
    scenario: &Scenario,
    vm: V,
    mut driver: VmDriver,
    account: &mut Account,
    watch: &mut Watch<'_>,
) -> Played {
    driver.tie(&scenario.load, scenario.migration.bandwidth);
    let restarts = Restarts::new(scenario.collect.restarts);
    let mut vm = DrivenVm::new(vm, driver, account, watch, restarts);
    let outcome = course(scenario, &mut vm).await;
    // The console is read before QEMU is ended, which adds to it.
    let error = outcome.err().map(|obstacle| run_obstacle(obstacle, &vm.account().writer));
    let (driver, last) = vm.shut_down().await;
    Played { driver, error, last }
}

async fn course<V: OwnVm>(scenario: &Scenario, vm: &mut DrivenVm<'_, '_, V>) -> Result<(), Obstacle> {
    vm.boot(scenario.vm.hello_within).await?;
    if let Err(obstacle) = vm.wait_steady(&scenario.load).await {
        if let Obstacle::NeverSteady(_) = obstacle {
            // The guest is well: it is ended in order, so that its own account of the run is complete.
            vm.end().await?;
        }
        return Err(obstacle);
    }
    if let Some(cycle) = &scenario.cycle {
        for number in 1..=cycle.cycles {
            vm.cycle(scenario, number).await?;
        }
    } else if vm.migrate(&scenario.migration).await? {
        vm.settle(scenario.migration.settle).await?;
    }
    vm.end().await
}

/// An obstacle in sentences, with what QEMU and the guest's console have to say.
fn run_obstacle(obstacle: Obstacle, writer: &RunWriter) -> RunObstacle {
    match obstacle {
        Obstacle::Interrupted => RunObstacle::Interrupted,
        Obstacle::NeverSteady(sentence) | Obstacle::Vm(sentence) => RunObstacle::Judged(vec![sentence]),
        Obstacle::Guest { side, sentence, exit } => {
            let log = writer.console(side);
            let exit = exit.map(|exit| format!("; its QEMU ended: {exit}")).unwrap_or_default();
            let mut sentences = vec![format!("{sentence}{}{exit}", console::cause(&log))];
            sentences.extend(console::last_lines(&log));
            RunObstacle::Judged(sentences)
        }
    }
}

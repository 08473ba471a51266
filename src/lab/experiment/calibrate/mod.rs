//! QEMU's dirty-rate meters held against the pages that the guest counts: which loads, which meters, and what came of each.

mod ask;
mod loads;
mod plot;
mod reading;
mod tables;
mod vm;

pub use loads::CalibrationLoads;
pub use plot::svg;
pub use reading::Reading;
pub use tables::{markdown, text};
pub use vm::CalibrationHost;

use crate::record::{Accelerator, Command, LoadChange};
use crate::units::{ByteSize, PAGE_BYTES};
use anyhow::{Context, bail};
use serde::Serialize;
use tokio::sync::watch;
use vm::CalibrationVm;

/// One load, and what all meters said of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CalibratedLoad {
    /// The size of the pages that back the memory.
    pub pages: String,
    /// The order of the visits.
    pub pattern: String,
    /// Visits that were asked for, a second.
    pub asked_pages_per_s: u64,
    /// What the meters said.
    pub readings: Vec<Reading>,
}

/// All that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibration {
    /// The form of this.
    pub schema: u32,
    /// sully's own version.
    pub version: String,
    /// QEMU's version.
    pub qemu_version: String,
    /// How the guest's CPU was run.
    pub accelerator: Accelerator,
    /// The memory that the loads dirty.
    pub memory_bytes: u64,
    /// Every load, in the order they were made.
    pub loads: Vec<CalibratedLoad>,
    /// Whether somebody ended it before its time.
    pub interrupted: bool,
    /// Why it ended before its time by itself.
    pub failed: Option<String>,
}

/// The form of [`Calibration`] that this version writes.
const SCHEMA: u32 = 1;

/// Makes every load and asks every meter. `on_step` is told what is done next.
///
/// # Errors
/// The first guest does not boot, or cannot be told its first load. What is found before a later one keeps its worth.
pub async fn calibrate(
    host: &CalibrationHost,
    loads: &CalibrationLoads,
    mut interrupt: watch::Receiver<bool>,
    on_step: &mut dyn FnMut(&str),
) -> anyhow::Result<Calibration> {
    let mut found = Calibration {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").into(),
        qemu_version: host.version.text().to_owned(),
        accelerator: host.accelerator,
        memory_bytes: loads.memory.0,
        loads: Vec::new(),
        interrupted: false,
        failed: None,
    };
    let interrupted = async move {
        if interrupt.wait_for(|interrupted| *interrupted).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let done = tokio::select! {
        done = all(host, loads, &mut found, on_step) => Some(done),
        () = interrupted => None,
    };
    found.interrupted = done.is_none();
    found.ended(done.unwrap_or(Ok(())))
}

impl Calibration {
    /// What was found by the time it ended as `done` says.
    fn ended(mut self, done: anyhow::Result<()>) -> anyhow::Result<Self> {
        match done {
            Err(why) if self.loads.is_empty() => return Err(why),
            Err(why) => self.failed = Some(format!("{why:#}")),
            Ok(()) => {}
        }
        Ok(self)
    }
}

async fn all(
    host: &CalibrationHost,
    loads: &CalibrationLoads,
    found: &mut Calibration,
    on_step: &mut dyn FnMut(&str),
) -> anyhow::Result<()> {
    let mut asker = ask::Asker::default();
    for pages in &loads.pages {
        let mut vm = None;
        for (pattern, rate) in loads.of_one_page_size() {
            let speed = ByteSize(rate.saturating_mul(PAGE_BYTES)).human();
            if vm.is_none() {
                on_step(&format!("booting a guest on {pages} pages"));
            }
            let mut running = match vm.take() {
                Some(running) => running,
                None => CalibrationVm::boot(host, &loads.guest_arguments(pages))
                    .await
                    .with_context(|| format!("booting a guest on {pages} pages"))?,
            };
            let step = format!("{pages} pages, {pattern}, {speed}/s");
            on_step(&step);
            let change = LoadChange {
                rate: Some(format!("{rate}p/s")),
                pattern: Some(pattern.clone()),
                ..LoadChange::default()
            };
            if let Err(why) = running.command(|id| Command::Set { id, change }).await {
                running.shut_down().await;
                bail!("{step}: {why}");
            }
            let readings = asker.ask_all(host, &mut running).await;
            let load = CalibratedLoad {
                pages: pages.clone(),
                pattern: pattern.clone(),
                asked_pages_per_s: rate,
                readings,
            };
            found.loads.push(load);
            if running.has_ended() {
                running.shut_down().await;
            } else {
                vm = Some(running);
            }
        }
        if let Some(vm) = vm {
            vm.shut_down().await;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;

//! Asks QEMU's meters about the load that is under way, one after the other, while the guest counts the same time.

use super::reading::{Meter, Moment, PAGES_PER_MIB, Reading};
use super::vm::{CalibrationHost, CalibrationVm, Window};
use crate::lab::migrate::words_of;
use crate::lab::qmp::QmpEvent;
use crate::record::{Accelerator, MigrationSample};
use crate::units::PAGE_BYTES;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time;

/// Over how long a meter measures, s: the unit of all versions of QEMU.
const CALC_S: u64 = 1;
/// How long a meter may take for that.
const MEASURED_LIMIT: Duration = Duration::from_secs(10);
/// How often QEMU is asked whether it has measured.
const ASK_STEP: Duration = Duration::from_millis(50);
/// What a load that was just changed is given to be the same everywhere.
const TAKEN_UP: Duration = Duration::from_millis(300);
/// How long a pass may take.
const PASS_LIMIT: Duration = Duration::from_secs(25);
/// QEMU counts over the time between two syncs of its dirty bitmap, and only where they lie further apart than this, s.
const PERIOD_S: f64 = 1.0;
/// How long QEMU may take to give a migration up.
const CANCEL_LIMIT: Duration = Duration::from_secs(5);
/// The link of the first pass, bytes a second: it sends all of the memory, in about a second and a half.
const FIRST_PASS_BYTES_PER_S: u64 = 128 << 20;
/// The share of what the guest dirties that the link takes in the passes after it, so that none is the last.
const LINK_SHARE: f64 = 0.8;
/// The slowest link.
const SLOWEST_BYTES_PER_S: u64 = 1 << 20;
/// From this version on, the dirty bitmap can be asked for the rate of an emulated guest: 7.2 died of it.
const SOUND_BITMAP: (u32, u32, u32) = (9, 0, 0);

/// Asks meters, and knows which of them cannot be.
#[derive(Debug, Default)]
pub struct Asker {
    /// Why a meter is not asked any more.
    never: BTreeMap<Meter, String>,
    /// The modes of `calc-dirty-rate` that QEMU has.
    modes: Option<Vec<String>>,
}

impl Asker {
    /// Asks all meters, before a migration and during one.
    pub async fn ask_all(&mut self, host: &CalibrationHost, vm: &mut CalibrationVm) -> Vec<Reading> {
        time::sleep(TAKEN_UP).await;
        self.learn_modes(host, vm).await;
        let mut readings = Vec::new();
        for meter in [Meter::PageSampling, Meter::DirtyBitmap, Meter::DirtyRing] {
            readings.push(self.ask(vm, meter, Moment::Before).await);
        }
        let guest = readings.iter().find_map(|reading| reading.guest_pages_per_s);
        let migration = Migration::begin(vm, guest).await;
        let rate = match &migration {
            Ok(_) => dirty_pages_rate(vm).await,
            Err(why) => Err(why.clone()),
        };
        readings.push(Reading::of(Meter::DirtyPagesRate, Moment::During, rate));
        readings.push(self.ask(vm, Meter::PageSampling, Moment::During).await);
        if let Ok(migration) = migration {
            migration.end(vm).await;
        }
        readings
    }

    /// Asks one meter, unless it cannot be asked. One that QEMU died of is not asked again.
    async fn ask(&mut self, vm: &mut CalibrationVm, meter: Meter, moment: Moment) -> Reading {
        let said = match self.never.get(&meter) {
            _ if vm.has_ended() => Err("QEMU had died before".into()),
            Some(why) => Err(why.clone()),
            None => calc_dirty_rate(vm, meter.name()).await,
        };
        if let Err(why) = &said
            && vm.has_ended()
        {
            self.never.entry(meter).or_insert_with(|| why.clone());
        }
        Reading::of(meter, moment, said)
    }

    /// Which meters this QEMU has, and which of them it is known to die of.
    async fn learn_modes(&mut self, host: &CalibrationHost, vm: &CalibrationVm) {
        if self.modes.is_some() {
            return;
        }
        let schema = vm.execute("query-qmp-schema", Value::Null).await.unwrap_or_default();
        let modes = words_of("calc-dirty-rate", "mode", &schema);
        for meter in [Meter::PageSampling, Meter::DirtyBitmap, Meter::DirtyRing] {
            if let Some(why) = why_never(meter, host.accelerator, host.version.triple(), &modes) {
                self.never.insert(meter, why);
            }
        }
        self.modes = Some(modes);
    }
}

/// Why a meter is not asked at all.
fn why_never(
    meter: Meter,
    accelerator: Accelerator,
    version: (u32, u32, u32),
    modes: &[String],
) -> Option<String> {
    let emulated = accelerator == Accelerator::Tcg;
    let (major, minor, _) = version;
    match meter {
        // QEMU before 6.2 has this one alone, and no word for it.
        Meter::PageSampling | Meter::DirtyPagesRate => None,
        _ if !modes.iter().any(|mode| mode == meter.name()) => {
            Some(format!("this QEMU ({major}.{minor}) has no such mode of calc-dirty-rate"))
        }
        Meter::DirtyBitmap if emulated && version < SOUND_BITMAP => Some(format!(
            "not asked: QEMU before 9.0 can die of it under emulation (7.2 does), and this is {major}.{minor}"
        )),
        Meter::DirtyRing if emulated => Some("there is a dirty ring under KVM only".into()),
        Meter::DirtyBitmap | Meter::DirtyRing => None,
    }
}

/// Has a mode of `calc-dirty-rate` measure, while the guest counts: pages a second.
async fn calc_dirty_rate(vm: &mut CalibrationVm, mode: &str) -> Result<(f64, Window), String> {
    let name = vm.begin_window().await?;
    let mut arguments = json!({ "calc-time": CALC_S });
    if mode != Meter::PageSampling.name() {
        arguments["mode"] = mode.into();
    }
    let measured = async {
        vm.execute("calc-dirty-rate", arguments).await?;
        loop {
            time::sleep(ASK_STEP).await;
            let answer = vm.execute("query-dirty-rate", Value::Null).await?;
            if answer["status"] == "measured" {
                return measured_pages_per_s(&answer);
            }
        }
    };
    let said = time::timeout(MEASURED_LIMIT, measured).await;
    let said =
        said.unwrap_or_else(|_| Err(format!("it did not measure within {} s", MEASURED_LIMIT.as_secs())))?;
    Ok((said, vm.end_window(&name).await?))
}

/// What an answer of `query-dirty-rate` says: QEMU tells whole MiB a second.
fn measured_pages_per_s(answer: &Value) -> Result<f64, String> {
    match answer["dirty-rate"].as_f64() {
        Some(mib) if mib >= 0.0 => Ok(mib * PAGES_PER_MIB),
        _ => Err(format!("QEMU says it has measured, and no rate: {}", answer["dirty-rate"])),
    }
}

/// A migration to nowhere, on a link so slow that it never completes.
struct Migration {
    drain: tokio::task::JoinHandle<()>,
}

impl Migration {
    /// Begins it, and waits for its second pass.
    async fn begin(vm: &mut CalibrationVm, guest_pages_per_s: Option<f64>) -> Result<Self, String> {
        let (uri, drain) = vm.drain().map_err(|error| format!("nobody can receive a migration: {error}"))?;
        let migration = Self { drain };
        let begun = migration.first_pass(vm, &uri, guest_pages_per_s).await;
        match begun {
            Ok(()) => Ok(migration),
            Err(why) => {
                migration.end(vm).await;
                Err(why)
            }
        }
    }

    async fn first_pass(
        &self,
        vm: &mut CalibrationVm,
        uri: &str,
        guest_pages_per_s: Option<f64>,
    ) -> Result<(), String> {
        let events = json!({ "capabilities": [{ "capability": "events", "state": true }] });
        vm.execute("migrate-set-capabilities", events).await?;
        // The shortest that keeps it going: with 0 QEMU looks for no new dirty pages, and is through after the first pass.
        let parameters = json!({ "max-bandwidth": FIRST_PASS_BYTES_PER_S, "downtime-limit": 1 });
        vm.execute("migrate-set-parameters", parameters).await?;
        vm.forget_events();
        vm.execute("migrate", json!({ "uri": uri })).await?;
        vm.event(PASS_LIMIT, |event| pass(event, 2)).await??;
        let link = link_bytes_per_s(guest_pages_per_s);
        vm.execute("migrate-set-parameters", json!({ "max-bandwidth": link })).await?;
        Ok(())
    }

    /// Gives it up; the guest goes on, also where it was complete before.
    async fn end(self, vm: &CalibrationVm) {
        let given_up = async {
            vm.execute("migrate_cancel", Value::Null).await?;
            loop {
                let status = vm.execute("query-migrate", Value::Null).await?;
                if matches!(status["status"].as_str(), None | Some("cancelled" | "failed" | "completed")) {
                    return Ok::<(), String>(());
                }
                time::sleep(ASK_STEP).await;
            }
        };
        // A QEMU that is gone, or does not give it up, is found out by what is done next.
        let _ = time::timeout(CANCEL_LIMIT, given_up).await;
        let _ = time::timeout(CANCEL_LIMIT, vm.execute("cont", Value::Null)).await;
        self.drain.abort();
    }
}

/// A link on which passes do not get shorter.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate of a guest")]
fn link_bytes_per_s(guest_pages_per_s: Option<f64>) -> u64 {
    let dirtied = guest_pages_per_s.unwrap_or_default() * PAGE_BYTES as f64;
    ((dirtied * LINK_SHARE) as u64).max(SLOWEST_BYTES_PER_S)
}

/// The pass that an event tells of, from the number `least` on; or that none comes any more.
fn pass(event: &QmpEvent, least: u64) -> Option<Result<u64, String>> {
    match (event.name.as_str(), event.data["status"].as_str()) {
        ("MIGRATION_PASS", _) => event.data["pass"].as_u64().filter(|pass| *pass >= least).map(Ok),
        ("MIGRATION", Some(status @ ("completed" | "failed"))) => Some(Err(format!(
            "the migration to nowhere {status}, where it was to go on: the guest may dirty too little for it"
        ))),
        _ => None,
    }
}

/// What `query-migrate` says of the time between two syncs of the dirty bitmap, while the guest counts: pages a second.
async fn dirty_pages_rate(vm: &mut CalibrationVm) -> Result<(f64, Window), String> {
    let mut begun = None;
    loop {
        let pass = vm.event(PASS_LIMIT, |event| pass(event, 1)).await??;
        // The window that ends with this sync is the period whose rate QEMU has just worked out.
        let name = vm.begin_window().await?;
        let Some(begun) = begun.replace(name) else { continue };
        let window = vm.window(&begun).await?;
        if window.seconds <= PERIOD_S {
            return Err(format!(
                "a pass took {:.2} s, and QEMU counts over more than a second",
                window.seconds
            ));
        }
        let answer = vm.execute("query-migrate", Value::Null).await?;
        let ram = MigrationSample::of_reply(&answer).ram.unwrap_or_default();
        if ram.dirty_sync_count != Some(pass) {
            return Err("QEMU had gone on to the next pass when it was asked".into());
        }
        let said = ram.dirty_pages_per_s.ok_or("QEMU says no dirty-pages-rate")?;
        return Ok((said as f64, window));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_that_is_not_there_or_kills_qemu_is_not_asked_and_the_reason_said() {
        let modes = ["page-sampling", "dirty-ring", "dirty-bitmap"].map(String::from);
        let why =
            |meter, accelerator, version| why_never(meter, accelerator, version, &modes).unwrap_or_default();
        let (tcg, kvm) = (Accelerator::Tcg, Accelerator::Kvm);
        assert!(why(Meter::DirtyBitmap, tcg, (7, 2, 22)).contains("this is 7.2"));
        assert!(why(Meter::DirtyRing, tcg, (11, 1, 3)).contains("under KVM only"));
        for asked in [
            why(Meter::DirtyBitmap, tcg, (11, 1, 3)),
            why(Meter::DirtyBitmap, kvm, (7, 2, 22)),
            why(Meter::DirtyRing, kvm, (7, 2, 22)),
            why(Meter::PageSampling, tcg, (7, 2, 22)),
        ] {
            assert_eq!(asked, "");
        }
        assert!(why_never(Meter::DirtyRing, kvm, (6, 0, 0), &[]).unwrap().contains("(6.0) has no such mode"));
    }

    #[test]
    fn what_qemu_has_measured_is_told_in_pages_and_no_rate_is_none() {
        assert_eq!(measured_pages_per_s(&json!({ "dirty-rate": 16 })), Ok(4096.0));
        assert_eq!(measured_pages_per_s(&json!({ "dirty-rate": 0 })), Ok(0.0), "it says so");
        for none in [json!({}), json!({ "dirty-rate": -1 })] {
            assert!(measured_pages_per_s(&none).unwrap_err().contains("no rate"));
        }
    }

    #[test]
    fn a_migration_that_ends_is_heard_and_no_pass_is_awaited_any_more() {
        let event = |name: &str, data| QmpEvent { host_ns: 1, name: name.into(), qemu_real_us: None, data };
        let passed = event("MIGRATION_PASS", json!({ "pass": 2 }));
        assert_eq!((pass(&passed, 2), pass(&passed, 3)), (Some(Ok(2)), None));
        assert_eq!(pass(&event("MIGRATION", json!({ "status": "active" })), 2), None);
        for status in ["completed", "failed"] {
            let ended = pass(&event("MIGRATION", json!({ "status": status })), 2);
            assert!(ended.unwrap().unwrap_err().contains(status));
        }
    }

    #[test]
    fn the_link_takes_a_little_less_than_the_guest_dirties() {
        assert_eq!(link_bytes_per_s(Some(2560.0)), 8 << 20);
        assert_eq!((link_bytes_per_s(Some(1.0)), link_bytes_per_s(None)), (1 << 20, 1 << 20));
    }
}

//! The other machine of a run, where the guest is to go to one: what it is, whether it fits this one, and the connection to it.

use crate::lab::hostclock;
use crate::lab::migrate::Uris;
use crate::lab::qmp::QemuVersion;
use crate::lab::scenario::Scenario;
use crate::lab::vm::ssh::{DestAddress, SshAddress, SshClock, SshLink, SshMachine, listen_and_reach};
use crate::lab::vm::{Qemu, Sockets, VmConfig, VmError};
use crate::lab::wrong::given;
use crate::record::{Accelerator, OtherMachine};
use anyhow::{bail, ensure};
use std::path::Path;

/// What the user said about it.
#[derive(Debug, Clone)]
pub struct DestinationRequest {
    /// Where it is.
    pub address: SshAddress,
    /// Its address for the migration stream, where that is not the one of ssh.
    pub stream: Option<DestAddress>,
}

/// The other machine as it was found.
#[derive(Debug, Clone)]
pub struct DestinationHost {
    request: DestinationRequest,
    /// What it has.
    pub machine: SshMachine,
}

impl DestinationHost {
    /// Connects, looks, and disconnects. `qemu` is a path that both machines have, or a name on PATH.
    ///
    /// # Errors
    /// It cannot be reached, or has no QEMU.
    pub async fn survey(request: &DestinationRequest, qemu: &str) -> Result<Self, VmError> {
        let sockets = Sockets::create()?;
        let link = SshLink::open(&request.address, sockets.path()).await?;
        let machine = SshMachine::survey(&link, qemu).await;
        link.close().await;
        Ok(Self { request: request.clone(), machine: machine? })
    }

    /// Where it is.
    pub const fn address(&self) -> &SshAddress {
        &self.request.address
    }

    /// Whether a guest of `scenario` can go there from a QEMU of this `version` and a processor `cpu_model`.
    ///
    /// # Errors
    /// What does not fit, with the way out.
    pub fn fits(
        &self,
        scenario: &Scenario,
        version: &QemuVersion,
        cpu_model: &str,
        accelerator: Accelerator,
    ) -> anyhow::Result<()> {
        given(self.can_serve(scenario))?;
        let arguments = scenario.vm.qemu_arguments();
        let names = |options: &[&str]| arguments.iter().any(|argument| options.contains(&argument.as_str()));
        let (address, there) = (self.address(), &self.machine);
        let number = |version: &QemuVersion| (version.triple().0, version.triple().1);
        let (here, other) = (number(version), number(&there.version));
        let (major, minor) = here.min(other);
        given(if here == other || names(&["-machine", "-M"]) {
            Ok(())
        } else {
            Err(anyhow::anyhow!(
                "QEMU is {version} here and {theirs} on {address}, whose machines of the same name differ: name the older one's \
                 with --set vm.machine=pc-i440fx-{major}.{minor}, or take the same QEMU on both with --qemu PATH",
                version = version.text(),
                theirs = there.version.text()
            ))
        })?;
        let same_cpu = cpu_model == there.cpu_model || accelerator == Accelerator::Tcg || names(&["-cpu"]);
        ensure!(
            same_cpu,
            "the processor is {cpu_model} here and {theirs} on {address}: name a model that both can run with \
             --set vm.cpu=MODEL, for example x86-64-v2, or emulate the guest with --accel tcg",
            theirs = there.cpu_model
        );
        Ok(())
    }

    /// That nothing is asked for which is made on one machine only.
    fn can_serve(&self, scenario: &Scenario) -> anyhow::Result<()> {
        let address = self.address();
        ensure!(
            scenario.cycle.is_none(),
            "'{}' saves a guest and restores it on this machine, and --dest {address} names another: leave --dest out",
            scenario.name
        );
        if let Some(delay) = scenario.link.delay {
            bail!(
                "link.delay = {delay} is made between two networks of this machine, and the stream to {address} has the delay \
                 of its way: leave --dest out, or set no link.delay"
            );
        }
        ensure!(
            !scenario.vm.huge_pages,
            "vm.huge_pages = true looks after the pool of this machine only, not of {address}: leave --dest out, or say \
             --set vm.huge_pages=false"
        );
        Ok(())
    }

    /// What `run.json` says of it before a run.
    pub fn facts(&self) -> OtherMachine {
        OtherMachine {
            address: self.address().to_string(),
            kernel: self.machine.kernel.clone(),
            cpus: self.machine.cpus,
            cpu_model: self.machine.cpu_model.clone(),
            qemu_version: self.machine.version.text().to_owned(),
            clock_reason: Some("the run ended before its clock was read".into()),
            ..OtherMachine::default()
        }
    }

    /// Connects for a run, or for a trial of one. The control socket is made in `directory`.
    ///
    /// # Errors
    /// It cannot be reached.
    pub async fn connect(&self, directory: &Path) -> Result<DestinationLink, VmError> {
        let link = SshLink::open(self.address(), directory).await?;
        let clock = SshClock::watch(&link)?;
        Ok(DestinationLink { link, clock, qemu: self.machine.qemu.clone() })
    }

    /// A way for the migration stream that is free now.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn uris(&self, link: &DestinationLink) -> Result<Uris, VmError> {
        let [incoming, outgoing] = listen_and_reach(&link.link, self.request.stream.as_ref()).await?;
        Ok(Uris { incoming, outgoing })
    }
}

/// The connection to the other machine. Dropping it ends it, and what runs over it.
#[derive(Debug)]
pub struct DestinationLink {
    link: SshLink,
    clock: SshClock,
    qemu: String,
}

impl DestinationLink {
    /// Starts a QEMU there.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(&self, config: &VmConfig) -> Result<Qemu, VmError> {
        Qemu::start_there(config, &self.link, &self.qemu).await
    }

    /// Adds to `facts` how its clock stood when the guest was resumed, or stands now where it was not.
    pub fn read_clock(&self, facts: &mut OtherMachine, resumed_ns: Option<u64>) {
        let reading = self.clock.at(resumed_ns.unwrap_or_else(hostclock::mono_ns));
        facts.clock_reason = reading.as_ref().err().cloned();
        facts.clock = reading.ok();
    }

    /// Ends it.
    pub async fn close(self) {
        drop(self.clock);
        self.link.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::scenario::find;

    fn host(version: &str, cpu_model: &str) -> DestinationHost {
        let address = "ssh://node2".parse().unwrap();
        let machine = SshMachine {
            qemu: "/usr/bin/qemu-system-x86_64".into(),
            version: QemuVersion::from_banner(&format!("QEMU emulator version {version}")).unwrap(),
            kernel: "6.1.0".into(),
            cpus: Some(2),
            cpu_model: cpu_model.into(),
            no_kvm: None,
            meminfo: String::new(),
        };
        DestinationHost { request: DestinationRequest { address, stream: None }, machine }
    }

    fn scenario(set: &[&str]) -> Scenario {
        let set: Vec<String> = set.iter().map(|text| (*text).to_owned()).collect();
        find("smoke/precopy", &set).unwrap().scenario
    }

    #[test]
    fn another_qemu_wants_a_machine_with_its_version_and_the_older_one_is_named() {
        let ours = QemuVersion::from_banner("QEMU emulator version 10.0.3").unwrap();
        let there = host("7.2.22", "same");
        let fits = |set: &[&str]| there.fits(&scenario(set), &ours, "same", Accelerator::Tcg);
        let said = fits(&[]).unwrap_err().to_string();
        assert!(said.contains("10.0.3 here and 7.2.22 on ssh://node2"), "{said}");
        assert!(said.contains("--set vm.machine=pc-i440fx-7.2"), "{said}");
        assert!(fits(&["vm.machine=pc-i440fx-7.2"]).is_ok());
        let same = host("10.0.9", "same");
        assert!(same.fits(&scenario(&[]), &ours, "same", Accelerator::Tcg).is_ok());
    }

    #[test]
    fn another_processor_matters_only_where_the_guest_sees_it() {
        let ours = QemuVersion::from_banner("QEMU emulator version 7.2.22").unwrap();
        let there = host("7.2.22", "Xeon");
        let fits = |set: &[&str], accelerator| there.fits(&scenario(set), &ours, "EPYC", accelerator);
        let said = fits(&[], Accelerator::Kvm).unwrap_err().to_string();
        assert!(said.contains("EPYC here and Xeon on ssh://node2") && said.contains("--accel tcg"), "{said}");
        assert!(fits(&[], Accelerator::Tcg).is_ok());
        assert!(fits(&["vm.cpu=x86-64-v2"], Accelerator::Kvm).is_ok());
    }

    #[test]
    fn what_is_made_on_one_machine_only_is_refused() {
        let there = host("7.2.22", "same");
        let refused = |set: &[&str]| there.can_serve(&scenario(set)).unwrap_err().to_string();
        let said = refused(&["link.kind=tcp", "link.delay=5ms"]);
        assert!(said.contains("link.delay = 5ms") && said.contains("ssh://node2"), "{said}");
        let said = refused(&["vm.huge_pages=true"]);
        assert!(said.contains("vm.huge_pages = true") && said.contains("leave --dest out"), "{said}");
        let cycle = find("cycle/plain", &[]).unwrap().scenario;
        assert!(there.can_serve(&cycle).unwrap_err().to_string().contains("'cycle/plain' saves"));
        assert!(there.can_serve(&scenario(&["link.kind=tcp"])).is_ok());
    }
}

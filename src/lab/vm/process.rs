//! A QEMU process from its start to its end, which it always comes to.

use super::ssh::{SshLink, SshProcess};
use super::{Exit, VmConfig, VmError, locate, places, port_socket, qmp_socket, reaper::Reaper};
use crate::{
    lab::qmp::{Qmp, QmpEvent},
    record::Accelerator,
};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{process::Command, sync::mpsc, time};

/// How long QEMU may take to answer on its control channel after its start.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How long a QEMU whose control channel just closed may take to end.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(2);
/// How long QEMU may take to end after SIGTERM.
const TERM_LIMIT: Duration = Duration::from_secs(1);
/// How long trying `setpriv` out may take.
const TETHER_LIMIT: Duration = Duration::from_secs(2);

/// A running QEMU process. Dropping it kills it.
#[derive(Debug)]
pub struct Qemu {
    process: Reaper,
    /// Where it is on another machine: the process is a client then, whose end is QEMU's.
    there: Option<SshProcess>,
    qmp: Qmp,
    events: Option<mpsc::UnboundedReceiver<QmpEvent>>,
    port_socket: PathBuf,
}

impl Qemu {
    /// Starts QEMU and connects to its control channel. The guest runs (or waits for a migration) from then on.
    ///
    /// QEMU dies with the thread that called this, where the machine has a `setpriv` that can see to it: call it from one that lasts.
    ///
    /// # Errors
    /// There is no QEMU, it ends at once (the error has its own words), or it does not answer.
    pub async fn start(config: &VmConfig) -> Result<Self, VmError> {
        let vm = Self::attach(spawn(config).await?, None, config).await?;
        if config.accelerator == Accelerator::Tcg {
            places::keep_apart(&vm.qmp, vm.pid()).await;
        }
        Ok(vm)
    }

    /// [`Qemu::start`] of the program `qemu` of another machine. Kernel and initramfs are copied there; its sockets and its console
    /// are here, where `config` says. Its vCPUs are left where that machine's scheduler puts them.
    ///
    /// # Errors
    /// Those of [`Qemu::start`], and what can go wrong on the way.
    pub async fn start_there(config: &VmConfig, link: &SshLink, qemu: &str) -> Result<Self, VmError> {
        let (process, there) = SshProcess::begin(link, &config.console_log).await?;
        match Self::send(config, link, qemu, &process, &there).await {
            Ok(()) => Self::attach(process, Some(there), config).await,
            Err(error) => {
                there.end(&process).await;
                Err(error)
            }
        }
    }

    /// Sends what QEMU needs to the other machine, starts it there, and has its sockets here.
    async fn send(
        config: &VmConfig,
        link: &SshLink,
        qemu: &str,
        process: &Reaper,
        there: &SshProcess,
    ) -> Result<(), VmError> {
        let own = |name: &str| there.directory().join(name);
        let theirs = VmConfig {
            kernel: own("vmlinuz"),
            initramfs: own("initramfs"),
            sockets: there.directory().to_owned(),
            console_log: own("console"),
            ..config.clone()
        };
        for (file, copy) in [(&config.kernel, &theirs.kernel), (&config.initramfs, &theirs.initramfs)] {
            link.copy(file, &copy.display().to_string()).await?;
        }
        let sockets = |config: &VmConfig| {
            [qmp_socket(&config.sockets, config.side), port_socket(&config.sockets, config.side)]
        };
        let (inside, outside) = (sockets(&theirs), sockets(config));
        let arguments = theirs.arguments();
        let starting =
            there.start(link, &config.sockets, qemu, &arguments, inside.each_ref().map(PathBuf::as_path));
        tokio::select! {
            started = starting => started?,
            exit = process.wait() => return Err(VmError::DiedAtOnce { exit: there.seen(exit).await }),
        }
        for (inside, outside) in inside.iter().zip(&outside) {
            link.forward(outside, &inside.display().to_string()).await?;
        }
        Ok(())
    }

    /// Connects to the control channel of a process that has just been started.
    async fn attach(process: Reaper, there: Option<SshProcess>, config: &VmConfig) -> Result<Self, VmError> {
        let socket = qmp_socket(&config.sockets, config.side);
        let connected = tokio::select! {
            connected = Qmp::connect(&socket, START_LIMIT) => connected,
            exit = ended(&process, there.as_ref()) => return Err(VmError::DiedAtOnce { exit }),
        };
        match connected {
            Ok((qmp, events)) => {
                let port_socket = port_socket(&config.sockets, config.side);
                Ok(Self { process, there, qmp, events: Some(events), port_socket })
            }
            // A control channel that closes early is the shadow of an end that is about to be known.
            Err(error) => {
                let last_words = time::timeout(LAST_WORDS_LIMIT, ended(&process, there.as_ref())).await;
                if let Ok(exit) = last_words {
                    return Err(VmError::DiedAtOnce { exit });
                }
                kill(&process, there.as_ref()).await?;
                Err(error.into())
            }
        }
    }

    /// The control channel.
    pub const fn qmp(&self) -> &Qmp {
        &self.qmp
    }

    /// QEMU's events since its start; `None` when they were taken before.
    pub const fn take_events(&mut self) -> Option<mpsc::UnboundedReceiver<QmpEvent>> {
        self.events.take()
    }

    /// Where the guest's virtio-serial port is offered.
    pub fn port_socket(&self) -> &Path {
        &self.port_socket
    }

    /// The process id.
    pub const fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Waits until QEMU ends. Cancel-safe, and may be called any number of times.
    pub async fn wait(&self) -> Exit {
        ended(&self.process, self.there.as_ref()).await
    }

    /// Whether QEMU has ended and was reaped.
    pub fn has_exited(&self) -> bool {
        self.process.exit().is_some()
    }

    /// Ends QEMU: `quit`, which may take `limit`, then SIGTERM, then SIGKILL. Afterwards there is no process.
    ///
    /// # Errors
    /// Not even SIGKILL ended it.
    pub async fn shut_down(self, limit: Duration) -> Result<Exit, VmError> {
        let quit = async {
            // A QEMU that is gone, or too busy to answer, is dealt with below.
            let _ = self.qmp.execute_within("quit", Value::Null, limit).await;
            std::future::pending::<()>().await;
        };
        let polite = tokio::select! {
            exit = time::timeout(limit, self.wait()) => exit.ok(),
            () = quit => None,
        };
        if let Some(exit) = polite {
            return Ok(exit);
        }
        if self.there.is_none() {
            self.process.signal(Signal::SIGTERM);
            if let Some(exit) = self.process.wait_within(TERM_LIMIT).await {
                return Ok(exit);
            }
        }
        kill(&self.process, self.there.as_ref()).await
    }

    /// Ends QEMU by SIGKILL, at once and without a word. Afterwards there is no process.
    ///
    /// # Errors
    /// It did not end.
    pub async fn kill(self) -> Result<Exit, VmError> {
        self.end().await
    }

    /// The same of one whose place another takes.
    ///
    /// # Errors
    /// It did not end.
    pub async fn end(&self) -> Result<Exit, VmError> {
        kill(&self.process, self.there.as_ref()).await
    }
}

/// Waits for the end of a QEMU, here or there.
async fn ended(process: &Reaper, there: Option<&SshProcess>) -> Exit {
    let exit = process.wait().await;
    match there {
        Some(there) => there.seen(exit).await,
        None => exit,
    }
}

/// Ends it by SIGKILL: there by its keeper, as long as that can be told.
async fn kill(process: &Reaper, there: Option<&SshProcess>) -> Result<Exit, VmError> {
    if let Some(there) = there
        && let Some(exit) = there.end(process).await
    {
        return Ok(exit);
    }
    process.kill().await
}

/// Creates the process, tied to the life of this one where `setpriv` is there to tie it.
async fn spawn(config: &VmConfig) -> Result<Reaper, VmError> {
    let qemu = locate::find(Some(&config.qemu))?;
    let entry = config.host_options.entry();
    let mut words = entry.iter().map(PathBuf::as_path).chain([qemu.as_path()]);
    let mut command = match tether().await {
        Some(tether) => tether,
        None => Command::new(words.next().unwrap_or(&qemu)),
    };
    command
        .args(words)
        .args(config.arguments())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command.kill_on_drop(true);
    // ^C goes to the whole process group of a terminal: the lab gets it, and ends its QEMUs in order.
    command.process_group(0);
    let program = PathBuf::from(command.as_std().get_program());
    command.spawn().map(Reaper::adopt).map_err(|source| VmError::Spawn { program, source })
}

/// A command that runs what is added to it and has it killed when this thread ends; `None` where there is no
/// `setpriv`, or one that cannot do it (older ones and BusyBox's), which is tried out.
async fn tether() -> Option<Command> {
    let setpriv = locate::program(Path::new("setpriv"))?;
    let tethered = || {
        let mut command = Command::new(&setpriv);
        command.args(["--pdeathsig", "KILL", "--"]);
        command
    };
    let mut trial = tethered();
    trial.arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let works = time::timeout(TETHER_LIMIT, trial.status()).await;
    works.is_ok_and(|status| status.is_ok_and(|status| status.success())).then(tethered)
}

#[cfg(test)]
mod tests;

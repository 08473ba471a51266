//! Where and on what runs are carried out, the same for every command that carries some out: its flags, what is tried before the
//! first VM boots, and one run with its progress.

use super::outcome::word;
use super::progress::Progress;
use crate::cli::lab::interrupt::interruptions;
use crate::cli::say::say;
use crate::lab::run::{
    DestinationRequest, Host, HostRequest, RunResult, Watch, preflight, run_scenario, writable,
};
use crate::lab::scenario::{Resolved, Scale};
use crate::lab::shell;
use crate::lab::vm::accel::Wanted;
use crate::lab::vm::ssh::{DestAddress, SshAddress};
use std::path::{Path, PathBuf};
use tokio::sync::watch;

/// Where run directories go if nothing else is said.
const OUT: &str = "runs";

/// The flags of every command that carries out runs.
#[derive(Debug, Clone, clap::Args)]
pub struct PlaceArgs {
    /// Where the run directories go
    #[arg(long, value_name = "DIR", default_value = OUT)]
    pub out: PathBuf,
    /// The guest image, as `sully-lab image -o DIR` makes it [default: sully-image, or else target/image]
    #[arg(long, value_name = "DIR")]
    pub image: Option<PathBuf>,
    /// Let the guest go to another machine, which needs sshd and QEMU only: ssh://[USER@]HOST[:PORT], reached by ssh without a
    /// question; see "Two machines" in docs/SCENARIOS.md
    #[arg(long, value_name = "SSH-URL")]
    pub dest: Option<SshAddress>,
    /// That machine's address for the migration stream, with a port or without [default: the host and a free port]
    #[arg(long, value_name = "ADDR[:PORT]", requires = "dest")]
    pub dest_address: Option<DestAddress>,
    /// How the guest's CPUs are run: auto tries KVM first and says why when it does not work [auto|kvm|tcg]
    #[arg(long, value_name = "ACCEL", default_value = "auto")]
    pub accel: Wanted,
    /// Multiply memory, load, rate and link of every scenario, for example 1/8, so that its shape fits this machine
    #[arg(long, value_name = "FACTOR")]
    pub scale: Option<Scale>,
    /// Change a value of every scenario, for example load.rate=80M/s; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
}

impl PlaceArgs {
    /// The command that repeats the run in `dir` on `host`, whose QEMU is named where it was.
    pub fn again(&self, dir: &Path, host: &Host, is_qemu_named: bool) -> String {
        let mut words = vec!["sully-lab run --again".to_owned(), quoted(dir)];
        if is_qemu_named {
            words.extend(["--qemu".into(), quoted(&host.qemu)]);
        }
        words.extend(self.own_flags());
        words.join(" ")
    }

    /// What was said of where runs go and on what, as flags.
    fn own_flags(&self) -> Vec<String> {
        let path = |flag: &str, path: &Path| [flag.to_owned(), quoted(path)];
        let mut words: Vec<String> = self.image.iter().flat_map(|image| path("--image", image)).collect();
        words.extend((self.out != Path::new(OUT)).then(|| path("--out", &self.out)).into_iter().flatten());
        let accel = match self.accel {
            Wanted::Auto => None,
            Wanted::Kvm => Some("--accel kvm"),
            Wanted::Tcg => Some("--accel tcg"),
        };
        words.extend(accel.map(str::to_owned));
        let there = [
            ("--dest", self.dest.as_ref().map(SshAddress::to_string)),
            ("--dest-address", self.dest_address.as_ref().map(DestAddress::to_string)),
        ];
        for (flag, address) in there {
            words.extend(address.into_iter().flat_map(|address| path(flag, Path::new(&address))));
        }
        words
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    shell::readable_word(&path.display().to_string())
}

/// Where runs are carried out, tried.
pub struct RunPlace<'a> {
    args: &'a PlaceArgs,
    /// What they run on, one for each QEMU.
    pub hosts: Vec<Host>,
    interrupt: watch::Receiver<bool>,
}

impl<'a> RunPlace<'a> {
    /// Finds what the runs need, tries what it can before the first VM boots, and says why guests are emulated and what is to be
    /// known of the scenarios.
    ///
    /// # Errors
    /// When something is missing, a scenario cannot run here, or somebody interrupts.
    pub async fn prepare(
        args: &'a PlaceArgs,
        qemus: &[PathBuf],
        scenarios: &mut [Resolved],
    ) -> anyhow::Result<Self> {
        let mut interrupt = interruptions()?;
        let hosts = tokio::select! {
            hosts = hosts(args, qemus, scenarios) => hosts?,
            _ = interrupt.wait_for(|interrupted| *interrupted) => anyhow::bail!("interrupted before the first run"),
        };
        if !args.quiet {
            introduce(&hosts, scenarios);
        }
        Ok(Self { args, hosts, interrupt })
    }

    /// Carries out one run, and shows how it stands under `title`.
    ///
    /// # Errors
    /// When no directory can be made for it.
    pub async fn carry_out(
        &self,
        title: &str,
        resolved: &Resolved,
        host: &Host,
    ) -> anyhow::Result<RunResult> {
        let mut progress = Progress::new(title, self.args.quiet);
        let mut on_status = |status: &_| progress.show(status);
        let mut watch = Watch { on_status: &mut on_status, interrupt: self.interrupt.clone() };
        let result = Box::pin(run_scenario(resolved, host, &self.args.out, &mut watch)).await?;
        progress.finish(word(result.run.verdict.outcome));
        Ok(result)
    }
}

/// What the runs need, found and tried: a host for each QEMU, or for the one on PATH.
async fn hosts(args: &PlaceArgs, qemus: &[PathBuf], scenarios: &mut [Resolved]) -> anyhow::Result<Vec<Host>> {
    let named = if qemus.is_empty() { vec![None] } else { qemus.iter().cloned().map(Some).collect() };
    let destination = args.dest.clone();
    let destination =
        destination.map(|address| DestinationRequest { address, stream: args.dest_address.clone() });
    let mut hosts = Vec::new();
    for qemu in named {
        let destination = destination.clone();
        let request = HostRequest { image: args.image.clone(), qemu, wanted: args.accel, destination };
        let host = Host::prepare(&request).await?;
        writable(&args.out)?;
        for Resolved { scenario, notes } in scenarios.iter_mut() {
            for note in preflight(scenario, &host).await? {
                if !notes.contains(&note) {
                    notes.push(note);
                }
            }
        }
        hosts.push(host);
    }
    Ok(hosts)
}

/// Says why guests are emulated, and what is to be known of the scenarios.
fn introduce(hosts: &[Host], scenarios: &[Resolved]) {
    if let Some(reason) = hosts.iter().find_map(Host::accelerator_reason) {
        say(format_args!("emulating the guest: {reason}"));
    }
    for Resolved { scenario, notes } in scenarios {
        for note in notes {
            say(format_args!("{}: {note}", scenario.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args, FromArgMatches};

    fn args(line: &[&str]) -> PlaceArgs {
        let command = PlaceArgs::augment_args(clap::Command::new("run"));
        PlaceArgs::from_arg_matches(&command.get_matches_from(["run"].iter().chain(line))).unwrap()
    }

    #[test]
    fn what_was_said_of_the_place_is_said_again_as_a_shell_takes_it() {
        assert_eq!(args(&[]).own_flags().join(" "), "");
        let there = ["--dest", "ssh://me@node2:2222", "--dest-address", "10.0.0.2:4444"];
        assert_eq!(args(&there).own_flags().join(" "), there.join(" "));
        let line =
            ["--out", "my runs", "--image", "target/image", "--accel", "tcg", "--set", "load.rate=1M/s"];
        let again = args(&line).own_flags().join(" ");
        assert_eq!(again, "--image target/image --out 'my runs' --accel tcg", "values are in run.json");
        assert_eq!(quoted(Path::new("it's")), r"'it'\''s'");
    }
}

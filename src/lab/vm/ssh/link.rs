//! One connection to the other machine, over which everything goes: commands, files, sockets.
//!
//! Its master is a client of ours that holds a remote `cat` open: when the lab goes away, however it does, the `cat` reads the
//! end of its input, and the connection ends.

use super::super::{exit::Exit, reaper::Reaper};
use super::{SshAddress, SshError, address::is_plain};
use crate::lab::shell;
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{ChildStdin, ChildStdout, Command},
    time,
};

/// How long ssh may try to reach the other machine, and how long it may take to let us in.
const CONNECT_SECONDS: &str = "ConnectTimeout=10";
const OPEN_LIMIT: Duration = Duration::from_secs(25);
/// How long the connection may take to end by itself.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// How long a forwarding may take to be there.
const FORWARD_LIMIT: Duration = Duration::from_secs(10);
/// How long a file may take to be there.
const COPY_LIMIT: Duration = Duration::from_mins(5);
/// What the master prints when it is through, before the two ends of the connection.
const GREETING: &str = "sully-lab ";
/// Held open as long as the connection is to be.
const MASTER: &str = r#"echo "sully-lab $SSH_CONNECTION"; exec cat >/dev/null"#;
/// Lines of other origin, such as a login shell's, that may come before the greeting.
const STRANGE_LINES: usize = 100;

/// A connection. Dropping it ends it.
#[derive(Debug)]
pub struct SshLink {
    address: SshAddress,
    control: PathBuf,
    master: Reaper,
    /// Closed when the connection is to end.
    hold: ChildStdin,
    /// The address at which the other machine took the connection, where it says.
    server: Option<String>,
}

impl SshLink {
    /// Connects; the control socket is made in `directory`, which is private.
    ///
    /// # Errors
    /// There is no ssh, or it does not get through without asking.
    pub async fn open(address: &SshAddress, directory: &Path) -> Result<Self, SshError> {
        let control = directory.join("ssh");
        plain(&control)?;
        let mut command = client(&control);
        command.args(["-M", "-o", "ControlPersist=no", "-o", "StreamLocalBindUnlink=yes", "-T"]);
        command.args(["-o", "ServerAliveInterval=3", "-o", "ServerAliveCountMax=4"]);
        command.args(address.words()).arg(remote(MASTER, &[]));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|source| SshError::NoClient { source })?;
        let (hold, stdout) = (child.stdin.take(), child.stdout.take());
        let master = Reaper::adopt(child);
        let refused = |said: String| SshError::NotConnected { address: address.clone(), said };
        let (Some(hold), Some(stdout)) = (hold, stdout) else { return Err(refused("no pipes".into())) };
        match time::timeout(OPEN_LIMIT, greeting(stdout)).await {
            Ok(Some(greeting)) => {
                let server = greeting.split_whitespace().nth(2).map(str::to_owned);
                Ok(Self { address: address.clone(), control, master, hold, server })
            }
            Ok(None) => Err(refused(words(&master.wait().await))),
            Err(_) => Err(refused(format!("it did not let us in within {} s", OPEN_LIMIT.as_secs()))),
        }
    }

    /// Where it leads.
    pub const fn address(&self) -> &SshAddress {
        &self.address
    }

    /// The address at which the other machine took the connection, where it says.
    pub fn server(&self) -> Option<&str> {
        self.server.as_deref()
    }

    /// A command of the other machine's shell, `words` as its `$1` and so on. It is never given more than this connection.
    pub(super) fn command(&self, script: &str, words: &[&str]) -> Command {
        let mut command = client(&self.control);
        // Without its master a client would connect anew, and ask for a time-out of its own.
        command.args(["-o", "ControlMaster=no", "-o", "ProxyCommand=false", "-T"]);
        command.args(self.address.words()).arg(remote(script, words));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// What a command prints; `deed` says what it is for.
    ///
    /// # Errors
    /// It fails, or does not end in time.
    pub async fn run(
        &self,
        deed: &str,
        script: &str,
        words: &[&str],
        limit: Duration,
    ) -> Result<String, SshError> {
        self.output(deed, self.command(script, words), limit).await
    }

    /// Copies a file of this machine to `to` there.
    ///
    /// # Errors
    /// It cannot be read here or written there.
    pub async fn copy(&self, from: &Path, to: &str) -> Result<(), SshError> {
        let deed = format!("write a copy of {}", from.display());
        let file = File::open(from).map_err(|error| self.failed(&deed, error.to_string()))?;
        let mut command = self.command(r#"cat >"$1""#, &[to]);
        command.stdin(file);
        self.output(&deed, command, COPY_LIMIT).await.map(drop)
    }

    /// Offers the socket `there` as `here`.
    ///
    /// # Errors
    /// ssh refuses.
    pub async fn forward(&self, here: &Path, there: &str) -> Result<(), SshError> {
        plain(here)?;
        let mut command = client(&self.control);
        command.args(["-O", "forward", "-L"]).arg(format!("{}:{there}", here.display()));
        command.args(self.address.words()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.output(&format!("reach the socket {there}"), command, FORWARD_LIMIT).await.map(drop)
    }

    /// Ends the connection, and what still runs over it.
    pub async fn close(self) {
        drop(self.hold);
        if self.master.wait_within(CLOSE_LIMIT).await.is_none() {
            let _ = self.master.kill().await;
        }
    }

    async fn output(&self, deed: &str, mut command: Command, limit: Duration) -> Result<String, SshError> {
        let child = command.spawn().map_err(|source| SshError::NoClient { source })?;
        match time::timeout(limit, child.wait_with_output()).await {
            Ok(Ok(Output { status, stdout, .. })) if status.success() => {
                Ok(String::from_utf8_lossy(&stdout).into_owned())
            }
            Ok(Ok(Output { status, stderr, .. })) => {
                let said = String::from_utf8_lossy(&stderr).trim().to_owned();
                let lost =
                    self.master.exit().map(|exit| format!("the connection was lost: {}", words(&exit)));
                Err(self
                    .failed(deed, lost.unwrap_or(if said.is_empty() { status.to_string() } else { said })))
            }
            Ok(Err(error)) => Err(self.failed(deed, error.to_string())),
            Err(_) => Err(SshError::TimedOut { address: self.address.clone(), deed: deed.to_owned(), limit }),
        }
    }

    pub(super) fn failed(&self, deed: &str, said: String) -> SshError {
        SshError::Failed { address: self.address.clone(), deed: deed.to_owned(), said }
    }
}

/// A client that asks nothing, forwards nothing of its own accord, and does not get the terminal's ^C.
fn client(control: &Path) -> Command {
    let mut command = Command::new("ssh");
    command.arg("-S").arg(control).args(["-o", "BatchMode=yes", "-o", CONNECT_SECONDS]);
    command.args(["-o", "ForwardAgent=no", "-o", "ForwardX11=no", "-o", "PermitLocalCommand=no"]);
    command.kill_on_drop(true).process_group(0);
    command
}

/// A script and its words as one line for the login shell of the other machine.
fn remote(script: &str, words: &[&str]) -> String {
    let words = [script, "sh"].into_iter().chain(words.iter().copied()).map(shell::word);
    format!("exec sh -c {}", words.collect::<Vec<_>>().join(" "))
}

/// What the master says when it is through; none where it ends before.
async fn greeting(stdout: ChildStdout) -> Option<String> {
    let mut lines = BufReader::new(stdout).lines();
    for _ in 0..STRANGE_LINES {
        let line = lines.next_line().await.ok()??;
        if let Some(greeting) = line.strip_prefix(GREETING) {
            return Some(greeting.to_owned());
        }
    }
    None
}

/// The last thing ssh said, or else how it ended.
fn words(exit: &Exit) -> String {
    let said = exit.stderr_tail.trim().replace('\n', "; ");
    if said.is_empty() { exit.to_string() } else { said }
}

/// ssh reads `%`, `$`, `:` and blanks in a socket's path in its own way.
fn plain(path: &Path) -> Result<(), SshError> {
    let good = path.to_str().is_some_and(|text| is_plain(text, "/.-_"));
    if good { Ok(()) } else { Err(SshError::OddPath { path: path.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_and_its_words_stay_what_they_are() {
        assert_eq!(remote("cat >\"$1\"", &["/a b'c"]), r#"exec sh -c 'cat >"$1"' 'sh' '/a b'\''c'"#);
    }

    #[test]
    fn a_path_that_ssh_reads_in_its_own_way_is_refused() {
        assert!(plain(Path::new("/tmp/sully-a_b.1/ssh")).is_ok());
        for odd in ["/tmp/%h", "/tmp/a:b", "/tmp/a b", "/tmp/${HOME}"] {
            let said = plain(Path::new(odd)).unwrap_err().to_string();
            assert!(said.contains(odd) && said.contains("TMPDIR"), "{said}");
        }
    }

    #[tokio::test]
    async fn a_machine_that_is_not_there_is_named_with_a_line_to_try() {
        let directory = tempfile::tempdir_in("/tmp").unwrap();
        let address = "ssh://root@127.0.0.1:1".parse().unwrap();
        let error = SshLink::open(&address, directory.path()).await.unwrap_err();
        let said = error.to_string();
        if matches!(error, SshError::NoClient { .. }) {
            return assert!(said.contains("openssh-client"), "{said}");
        }
        assert!(
            said.contains("refused") && said.contains("BatchMode=yes -l root -p 1 -- 127.0.0.1"),
            "{said}"
        );
    }
}

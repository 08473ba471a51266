//! `virsh`, asked and bounded in time.

use std::{process::Stdio, time::Duration};
use tokio::{process::Command, time};

/// How long virsh may take to answer.
const LIMIT: Duration = Duration::from_secs(20);

/// A connection to a libvirt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Virsh {
    /// Where it is; none where virsh knows it itself.
    pub uri: Option<String>,
}

impl Virsh {
    /// What virsh prints.
    ///
    /// # Errors
    /// What it complains about, or that it is not there or does not answer: a sentence.
    pub async fn ask(&self, words: &[&str]) -> Result<String, String> {
        let mut command = Command::new("virsh");
        command.arg("--quiet").args(self.uri.iter().flat_map(|uri| ["--connect", uri])).args(words);
        command.env("LC_ALL", "C").stdin(Stdio::null()).kill_on_drop(true);
        let what = format!("virsh {}", words.join(" "));
        let output = match time::timeout(LIMIT, command.output()).await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) => {
                return Err(format!("{what}: {error}; --libvirt needs virsh (libvirt-clients)"));
            }
            Err(_) => return Err(format!("{what}: no answer within {} s", LIMIT.as_secs())),
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(format!("{what}: {}", text(&output.stderr).trim_start_matches("error: ")))
        }
    }
}

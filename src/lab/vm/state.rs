//! The state of a VM: it runs or stands still, and its whole state can go into a file and come back out of it.

use super::{Qemu, VmError};
use crate::lab::shell;
use serde_json::{Value, json};
use std::{path::Path, time::Duration};
use tokio::time;

/// How often QEMU is asked how far it has come.
const STEP: Duration = Duration::from_millis(20);

impl Qemu {
    /// Has the guest stand still.
    ///
    /// # Errors
    /// QEMU refuses, or is gone.
    pub async fn pause(&self) -> Result<(), VmError> {
        self.qmp().execute("stop", Value::Null).await?;
        Ok(())
    }

    /// Has the guest go on.
    ///
    /// # Errors
    /// QEMU refuses, or is gone.
    pub async fn resume(&self) -> Result<(), VmError> {
        self.qmp().execute("cont", Value::Null).await?;
        Ok(())
    }

    /// Writes the whole state into `file`, which may take `limit`. The guest stands still afterwards.
    ///
    /// # Errors
    /// The file cannot be written, QEMU refuses or is gone, or it takes too long.
    pub async fn save(&self, file: &Path, limit: Duration) -> Result<(), VmError> {
        let uri = format!("exec:cat > {}", shell::word(&file.display().to_string()));
        self.qmp().execute("migrate", json!({ "uri": uri })).await?;
        self.state_is_through("save", file, limit).await
    }

    /// Goes on from the state in `file`, saved by a VM of the same configuration; it may take `limit`. Only a VM that was started to
    /// wait for a migration can. The guest runs afterwards if it ran when it was saved.
    ///
    /// # Errors
    /// The file cannot be read or holds no such state, QEMU refuses or is gone, or it takes too long.
    pub async fn restore(&self, file: &Path, limit: Duration) -> Result<(), VmError> {
        let uri = format!("exec:cat {}", shell::word(&file.display().to_string()));
        self.qmp().execute("migrate-incoming", json!({ "uri": uri })).await?;
        self.state_is_through("restore", file, limit).await
    }

    /// Waits until the state has gone through.
    async fn state_is_through(
        &self,
        deed: &'static str,
        file: &Path,
        limit: Duration,
    ) -> Result<(), VmError> {
        let failed = |reason: String| VmError::State { deed, file: file.to_owned(), reason };
        let through = async {
            loop {
                let told = self.qmp().execute("query-migrate", Value::Null).await?;
                match told["status"].as_str() {
                    Some("completed") => return Ok(()),
                    Some("failed" | "cancelled") => {
                        let why = told["error-desc"].as_str().unwrap_or("QEMU gave no reason");
                        return Err(failed(why.to_owned()));
                    }
                    _ => time::sleep(STEP).await,
                }
            }
        };
        let late = || failed(format!("it was not done within {} s", limit.as_secs_f64()));
        time::timeout(limit, through).await.unwrap_or_else(|_| Err(late()))
    }
}

//! What a run is told.

use crate::plan::Plan;
use crate::port::{Target, Token};
use std::collections::BTreeMap;

/// What a run is told.
#[derive(Debug, Clone)]
pub struct Options {
    /// What to do.
    pub plan: Plan,
    /// Where to report; none means a table on the terminal.
    pub targets: Vec<Target>,
    /// What both ends of a network connection know.
    pub token: Option<Token>,
    /// What the VM is called by whoever runs it.
    pub labels: BTreeMap<String, String>,
}

//! What is wrong with a plan, and the way out.

use std::fmt;

/// One thing wrong with a plan, and the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong, with the value that was given.
    pub what: String,
    /// What to change.
    pub remedy: String,
}

/// All that is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let end = if index + 1 == self.0.len() { "" } else { "\n" };
            write!(out, "{}\n  {}{end}", fault.what, fault.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

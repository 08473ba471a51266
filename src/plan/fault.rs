//! What is wrong with a plan, each fault with its remedy.

use std::fmt;

/// One thing wrong with a plan, and the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong, with the value that was given.
    pub what: String,
    /// What to change.
    pub remedy: String,
}

/// All that is wrong with a plan; the first [`Faults::SHOWN`] are printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// How many are printed.
    pub const SHOWN: usize = 20;
}

impl fmt::Display for Faults {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().take(Self::SHOWN).enumerate() {
            let end = if index + 1 == self.0.len() { "" } else { "\n" };
            write!(out, "{}\n  {}{end}", fault.what, fault.remedy)?;
        }
        match self.0.len().saturating_sub(Self::SHOWN) {
            0 => Ok(()),
            more => write!(out, "and {more} more\n  mend these first"),
        }
    }
}

impl std::error::Error for Faults {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_very_many_faults_the_first_are_said_and_the_others_counted() {
        let fault = |number: usize| Fault { what: format!("wrong {number}"), remedy: "mend it".into() };
        let said = |count: usize| Faults((0..count).map(fault).collect()).to_string();
        assert_eq!(said(2), "wrong 0\n  mend it\nwrong 1\n  mend it");
        assert!(said(Faults::SHOWN).ends_with("wrong 19\n  mend it"));
        assert!(said(1000).ends_with("wrong 19\n  mend it\nand 980 more\n  mend these first"));
    }
}

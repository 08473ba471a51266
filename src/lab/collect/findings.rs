//! What is to be said at the end of a collection, and whether all was kept.

use super::view::View;
use crate::record::StreamAudit;
use serde_json::{Map, Value};

/// What went wrong on a socket, whatever session it was.
#[derive(Debug, Default)]
pub struct Trouble {
    /// Records that were passed over because the socket has brought too much.
    pub refused: u64,
    /// Lines that were no record, before the first one that was.
    pub torn: u64,
    /// Why it is of no use at present.
    pub why_not: Option<String>,
}

/// What is to be said at the end.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Findings {
    /// Records kept.
    pub records: u64,
    /// Sentences about what was not kept, or did not arrive.
    pub faults: Vec<String>,
    /// Sentences that are no fault.
    pub notes: Vec<String>,
}

impl Findings {
    /// Whether everything there was is kept.
    pub const fn is_whole(&self) -> bool {
        self.records > 0 && self.faults.is_empty()
    }

    /// Takes a life of a session into account.
    pub fn life(&mut self, name: &str, found: &StreamAudit, unkept: u64, about: &Map<String, Value>) {
        self.records += found.records.saturating_sub(unkept);
        if !found.is_sound() {
            self.faults.push(format!(
                "session {name}: records did not arrive whole: of {}, {} are missing, {} came twice, {} lines were torn",
                found.records, found.holes, found.doubles, found.torn
            ));
        }
        if unkept > 0 {
            self.faults.push(format!(
                "session {name}: {unkept} of {} records were not kept: there was no room for them (--limit, the disk), or \
                 they could not be written again",
                found.records
            ));
        }
        let text = |key| about.get(key).and_then(Value::as_str);
        if let (Some(parent), Some(reason)) = (text("parent"), text("reason")) {
            let seq = about.get("parent_seq").and_then(Value::as_u64).unwrap_or(0);
            self.notes.push(format!("{name} goes on from {parent} with record {seq}: {reason}"));
        }
    }

    /// Takes a socket into account.
    pub fn socket(&mut self, view: &View, trouble: &Trouble) {
        let Trouble { refused, torn, why_not } = trouble;
        let socket = &view.socket;
        if *refused > 0 {
            self.faults
                .push(format!("{socket}: {refused} records were not kept: it brought too many sessions"));
        }
        if *torn > 0 {
            self.faults
                .push(format!("{socket}: {torn} lines came that are no records, and nothing before them"));
        }
        if view.session.is_none() {
            let why = why_not.as_deref().unwrap_or("no guest program spoke on it");
            self.notes.push(format!("{socket}: nothing came: {why}"));
        }
    }

    /// A pattern that nothing matched.
    pub fn pattern(&mut self, pattern: &str) {
        self.notes.push(format!("'{pattern}' matched no socket"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_kept_is_a_fault_and_where_a_life_came_from_is_none() {
        let mut about = Map::new();
        about.insert("parent".into(), "00c0ffee00c0ffee".into());
        about.insert("parent_seq".into(), 5.into());
        about.insert("reason".into(), "it went back".into());
        let mut findings = Findings::default();
        findings.life("00c0ffee00c0ffee-2", &StreamAudit { records: 7, ..StreamAudit::default() }, 0, &about);
        assert!(findings.is_whole());
        assert_eq!(
            findings.notes,
            ["00c0ffee00c0ffee-2 goes on from 00c0ffee00c0ffee with record 5: it went back"]
        );
        findings.life("a", &StreamAudit { records: 7, ..StreamAudit::default() }, 7, &Map::new());
        assert!(findings.records == 7 && findings.faults[0].contains("7 of 7 records were not kept"));
        let mut nothing = Findings::default();
        nothing.socket(&View::new("a.sock"), &Trouble::default());
        assert!(!nothing.is_whole() && nothing.notes[0].contains("nothing came"), "{nothing:?}");
    }
}

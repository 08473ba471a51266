//! What is to be said at the end of a collection, and whether all was kept.

use super::losses::GuestLosses;
use super::store::Store;
use super::view::View;
use crate::lab::rundir::RECORDS_FILE;
use serde_json::Value;

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
    pub fn life(&mut self, name: &str, store: &mut Store) {
        let (found, unkept, gone) = (store.found(), store.unkept(), store.gone());
        self.records += found.records.saturating_sub(unkept);
        if !found.is_sound() {
            self.faults.push(format!(
                "session {name}: records did not arrive whole: of {}, {} are missing, {} came twice, {} lines were torn",
                found.records, found.holes, found.doubles, found.torn
            ));
        }
        if gone > 0 {
            self.faults.push(format!(
                "session {name}: {gone} records were gone from its {RECORDS_FILE}, which was removed, replaced or cut while it \
                 was written; the guest sent again what it still had"
            ));
        }
        if unkept > 0 {
            self.faults.push(format!(
                "session {name}: {unkept} of {} records were not kept: there was no room for them (--limit, the disk), or \
                 they could not be written again",
                found.records
            ));
        }
        self.losses(name, store.losses());
        let about = store.about();
        let text = |key| about.get(key).and_then(Value::as_str);
        if let (Some(parent), Some(reason)) = (text("parent"), text("reason")) {
            let seq = about.get("parent_seq").and_then(Value::as_u64).unwrap_or(0);
            self.notes.push(format!("{name} goes on from {parent} with record {seq}: {reason}"));
        }
    }

    /// Takes into account what the guest itself says it lost.
    fn losses(&mut self, name: &str, losses: GuestLosses) {
        let named = losses.named();
        if let Some(pages) = losses.corrupt_pages().filter(|pages| *pages > 0) {
            self.faults.push(format!(
                "session {name}: the guest found corrupt pages: {pages}, of which records name {named}"
            ));
        }
        if let Some(records) = losses.records_given_up().filter(|records| *records > 0) {
            self.faults.push(format!(
                "session {name}: the guest gave up {records} records (single gaps, heartbeats, marks) that were not taken in \
                 time; its intervals have the sums"
            ));
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
            let why = match why_not.as_deref() {
                _ if view.was_connected && !view.connected => {
                    "it was there, and its VM ended before a guest program spoke"
                }
                Some(why) => why,
                None => "no guest program spoke on it",
            };
            self.notes.push(format!("{socket}: nothing came: {why}"));
        }
    }

    /// A pattern that no socket matches at the end, and how many did before.
    pub fn pattern(&mut self, pattern: &str, before: usize) {
        self.notes.push(match before {
            0 => format!("'{pattern}' matched no socket"),
            1 => format!("'{pattern}' matched one socket, which is gone: its VM has ended"),
            before => format!("'{pattern}' matched {before} sockets, which are gone: their VMs have ended"),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::heard::Heard;
    use super::*;
    use crate::record::Side;
    use crate::wire::Line;

    use crate::lab::rundir::{Limits, RecordsFile};
    use std::sync::{Arc, Mutex};

    fn store() -> Store {
        Store::within(Arc::new(Mutex::new(RecordsFile::new("/dev/null".into(), Limits::ALL))))
    }

    fn says(store: &mut Store, seq: u64, fields: &str, is_full: bool) {
        let line = format!(r#"{{"session":"0000000000000001","seq":{seq},"mono_ns":5,{fields}}}"#);
        let heard = Heard::of(&Line::Whole(line.as_bytes()), 7).unwrap();
        store.take(&heard, Side::Source, is_full);
    }

    const PHASE: &str = r#""type":"phase","phase":"run""#;

    #[test]
    fn what_was_not_kept_is_a_fault_and_where_a_life_came_from_is_none() {
        let (mut findings, mut branch) = (Findings::default(), store());
        (0..7).for_each(|seq| says(&mut branch, seq, PHASE, false));
        branch.about().insert("parent".into(), "00c0ffee00c0ffee".into());
        branch.about().insert("parent_seq".into(), 5.into());
        branch.about().insert("reason".into(), "it went back".into());
        findings.life("00c0ffee00c0ffee-2", &mut branch);
        assert!(findings.is_whole());
        assert_eq!(
            findings.notes,
            ["00c0ffee00c0ffee-2 goes on from 00c0ffee00c0ffee with record 5: it went back"]
        );
        let mut full = store();
        (0..7).for_each(|seq| says(&mut full, seq, PHASE, true));
        findings.life("a", &mut full);
        assert!(findings.records == 7 && findings.faults[0].contains("7 of 7 records were not kept"));
        let mut nothing = Findings::default();
        nothing.socket(&View::new("a.sock"), &Trouble::default());
        assert!(!nothing.is_whole() && nothing.notes[0].contains("nothing came"), "{nothing:?}");
    }

    #[test]
    fn what_the_guest_itself_says_it_lost_is_a_fault() {
        let end = |corrupt: u64, dropped: u64| {
            format!(
                r#""type":"end","reason":"stop","service_ns":{{"count":0}},"response_ns":{{"count":0}},"service_hist":"",
                "response_hist":"","records_dropped":{dropped},
                "totals":{{"elapsed_ns":1,"writes":1,"self_cpu_ns":1,"corruptions":{{"stale":{corrupt}}}}}"#
            )
        };
        let faults = |corrupt, dropped| {
            let (mut findings, mut store) = (Findings::default(), store());
            let page = r#""type":"corruption","page":7,"kind":"stale","expected":"","found":"""#;
            (0..corrupt / 1000).for_each(|seq| says(&mut store, seq, page, false));
            says(&mut store, corrupt / 1000, &end(corrupt, dropped), false);
            findings.life("a", &mut store);
            findings.faults
        };
        assert!(faults(0, 0).is_empty());
        let said = faults(4000, 12);
        assert!(said[0].contains("corrupt pages: 4000, of which records name 4"), "{said:?}");
        assert!(said[1].contains("gave up 12 records"), "{said:?}");
    }

    #[test]
    fn a_socket_that_was_there_and_is_gone_is_told_from_one_that_never_was() {
        let said = |ever: bool| {
            let mut findings = Findings::default();
            let why_not = Some("there is no such socket yet".into());
            let mut view = View::new("a.sock");
            if ever {
                view.connection(true);
                view.connection(false);
            }
            findings.socket(&view, &Trouble { why_not, ..Trouble::default() });
            findings.notes.concat()
        };
        assert_eq!(said(false), "a.sock: nothing came: there is no such socket yet");
        assert!(said(true).contains("its VM ended before a guest program spoke"), "{}", said(true));
    }
}

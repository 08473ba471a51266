//! What is known of one VM, as a table or a metric shows it.

use super::called::called;
use super::labels::{NAME, labels_of};
use super::losses::GuestLosses;
use crate::record::{Arrival, Body, EndReason, Interval, SessionId, StreamAudit};
use crate::units::shown;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{collections::BTreeMap, path::Path};

/// Guests beat ten times a second; what is longer is silence.
const BEAT_NS: u64 = 100_000_000;
/// The most classes of stalls, and the longest name of a class or a host, that a guest can make the host remember.
const CLASSES_LIMIT: usize = 16;
const NAME_LIMIT_CHARS: usize = 64;

/// What is known of one VM. Texts of the guest are shortened and carry no control characters.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    /// Its socket, as found.
    pub socket: String,
    /// Whether the socket is connected.
    pub connected: bool,
    /// Whether it ever was.
    pub was_connected: bool,
    /// The session that spoke last.
    pub session: Option<SessionId>,
    /// The directory of that session's life; empty before one spoke.
    pub life: String,
    /// The guest's name for itself.
    pub hostname: String,
    /// What whoever runs the VM calls it.
    pub labels: BTreeMap<String, String>,
    /// The phase of the last interval.
    pub phase: String,
    /// When its last record came, host CLOCK_MONOTONIC.
    pub seen_ns: Option<u64>,
    /// Visits that write a second in the last interval, and how many were asked for.
    pub pages_per_s: Option<u64>,
    /// The rate asked for; absent for `max`.
    pub target_pages_per_s: Option<u64>,
    /// p99 of the service time in the last interval.
    pub service_p99_ns: Option<u64>,
    /// How much of its vCPUs' time the guest finds taken by throttling, where it says so.
    pub throttle_percent: Option<f64>,
    /// Stalls of the session so far, by class, in ms.
    pub stall_ms: BTreeMap<String, f64>,
    /// The longest time between two heartbeats of one connection, as they arrived, beyond their period; absent before the
    /// second.
    pub silence_ns: Option<u64>,
    /// The time between the last heartbeat on one socket and the first on another, beyond their period: the longest of its
    /// moves; absent where it did not move.
    pub blackout_ns: Option<u64>,
    /// How long it was not heard of when its connection broke: from the last record on one to the first on the next, the
    /// longest; absent where none came back.
    pub reconnect_ns: Option<u64>,
    /// What the guest itself says it lost.
    pub losses: GuestLosses,
    /// How its records arrived.
    pub stream: StreamAudit,
    /// How it ended, once it has.
    pub ended: Option<EndReason>,
    beat_ns: Option<u64>,
    /// Its intervals say how long it stalled, so its gap records need not be added up.
    sums_stalls: bool,
}

/// Fields of an interval that guests of some versions send.
#[derive(Debug, Default, Deserialize)]
struct More {
    stall_ms: Option<BTreeMap<String, f64>>,
    throttle: Option<Throttle>,
}

#[derive(Debug, Deserialize)]
struct Throttle {
    percent: Option<f64>,
}

impl View {
    /// A socket of which nothing is known yet.
    pub fn new(socket: &str) -> Self {
        Self { socket: printable(socket), ..Self::default() }
    }

    /// The VM's name: its label `name`, else what its socket is called (libvirt's domain, a file's name, an address). A guest's
    /// own name is none: all guests of one image have the same.
    pub fn name_of_vm(&self) -> String {
        let socket = || called(Path::new(&self.socket));
        self.labels.get(NAME).cloned().unwrap_or_else(socket)
    }

    /// Takes over what is written down of a guest.
    pub fn introduce(&mut self, about: &Map<String, Value>) {
        if let Some(hostname) = about.get("hostname").and_then(Value::as_str) {
            hostname.clone_into(&mut self.hostname);
        }
        if let Some(labels) = about.get("labels").and_then(Value::as_object) {
            let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
            self.labels = labels.iter().filter_map(text).collect();
        }
    }

    /// A connection was made or lost.
    pub const fn connection(&mut self, connected: bool) {
        self.connected = connected;
        self.was_connected |= connected;
        self.beat_ns = None;
    }

    /// Another life speaks on this socket, which one on another socket knew `before`.
    pub fn name(&mut self, life: &str, before: Option<Self>) {
        let (socket, connected) = (std::mem::take(&mut self.socket), self.connected);
        *self = Self {
            socket,
            connected,
            was_connected: true,
            life: life.to_owned(),
            beat_ns: None,
            ..before.unwrap_or_default()
        };
        self.session = None;
    }

    /// The VM was silent for so long until its first heartbeat on this socket after those on another.
    pub fn moved(&mut self, silent_ns: Option<u64>) {
        self.blackout_ns = self.blackout_ns.max(silent_ns.map(|silent_ns| silent_ns.saturating_sub(BEAT_NS)));
    }

    /// Takes a new record into account, and the line it came on. Whether it is the first of another session.
    pub fn on(&mut self, arrival: &Arrival, line: &[u8]) -> bool {
        let is_other = self.session.replace(arrival.record.session) != Some(arrival.record.session);
        self.seen_ns = Some(arrival.host_ns);
        match &arrival.record.body {
            Body::Hello(hello) => {
                self.hostname = printable(&hello.hostname);
                let labels = labels_of(&hello.labels).into_iter();
                let text = |(key, value): (String, Value)| Some((key, value.as_str()?.to_owned()));
                self.labels = labels.filter_map(text).collect();
            }
            Body::Interval(interval) => self.interval(interval, line),
            Body::Gap(gap) if !self.sums_stalls => {
                self.stall(gap.class.name(), gap.len_ns as f64 / 1e6);
            }
            Body::Heartbeat(_) => {
                let before_ns = self.beat_ns.replace(arrival.host_ns);
                let silent_ns = before_ns.map(|beat_ns| arrival.host_ns.saturating_sub(beat_ns + BEAT_NS));
                self.silence_ns = self.silence_ns.max(silent_ns);
            }
            Body::End(end) => self.ended = Some(end.reason),
            _ => {}
        }
        is_other
    }

    fn interval(&mut self, interval: &Interval, line: &[u8]) {
        self.phase = printable(&interval.phase);
        let length_ns = u128::from(interval.end_ns.saturating_sub(interval.start_ns));
        let rate = (u128::from(interval.writes) * 1_000_000_000).checked_div(length_ns);
        self.pages_per_s = rate.and_then(|rate| u64::try_from(rate).ok());
        self.target_pages_per_s = interval.target_pages_per_s;
        self.service_p99_ns = interval.service_ns.p99;
        let more: More = serde_json::from_slice(line).unwrap_or_default();
        self.throttle_percent = more.throttle.and_then(|throttle| throttle.percent);
        if let Some(stalls) = more.stall_ms {
            if !self.sums_stalls {
                self.sums_stalls = true;
                self.stall_ms.clear();
            }
            for (class, ms) in stalls {
                self.stall(&printable(&class), ms);
            }
        }
    }

    fn stall(&mut self, class: &str, ms: f64) {
        if self.stall_ms.len() < CLASSES_LIMIT || self.stall_ms.contains_key(class) {
            *self.stall_ms.entry(class.to_owned()).or_default() += ms;
        }
    }
}

/// A text of the guest, fit to be shown.
fn printable(text: &str) -> String {
    shown(text, NAME_LIMIT_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{SessionId, Side};
    use crate::wire::decode_record;

    fn on(view: &mut View, host_ns: u64, fields: &str) -> bool {
        let line = format!(r#"{{"session":"0000000000000001","seq":0,"mono_ns":5,{fields}}}"#);
        let record = decode_record(line.as_bytes()).unwrap();
        view.on(&Arrival { host_ns, side: Side::Source, record }, line.as_bytes())
    }

    const INTERVAL: &str = r#""type":"interval","phase":"run","start_ns":0,"end_ns":500000000,"writes":50,
        "service_ns":{"count":1,"p99":7},"response_ns":{"count":0},"service_hist":"","response_hist":"",
        "self":{"cpu_ns":1}"#;

    #[test]
    fn the_last_interval_and_the_longest_silence_are_shown() {
        let mut view = View::new("a.sock");
        assert!(on(&mut view, 1, INTERVAL));
        assert_eq!(
            (view.pages_per_s, view.service_p99_ns, view.session),
            (Some(100), Some(7), Some(SessionId(1)))
        );
        for at_ns in [0, 100_000_000, 900_000_000, 1_000_000_000] {
            assert!(!on(&mut view, at_ns, r#""type":"heartbeat","real_ns":1"#));
        }
        assert_eq!((view.silence_ns, view.blackout_ns), (Some(700_000_000), None), "it did not move");
    }

    #[test]
    fn a_vm_that_moved_takes_what_is_known_along_and_its_silence_meanwhile_is_a_blackout() {
        let mut before = View::new("a.sock");
        on(&mut before, 1, r#""type":"heartbeat","real_ns":1"#);
        assert_eq!((before.silence_ns, before.blackout_ns), (None, None), "nothing was heard to compare");
        before.hostname = "guest".into();
        let mut view = View::new("b.sock");
        view.connection(true);
        view.name("0000000000000001", Some(before));
        view.moved(Some(300_000_000));
        assert!(on(&mut view, 5, r#""type":"heartbeat","real_ns":1"#));
        assert_eq!((view.socket.as_str(), view.hostname.as_str()), ("b.sock", "guest"));
        assert_eq!((view.silence_ns, view.blackout_ns), (None, Some(200_000_000)));
    }

    #[test]
    fn stalls_are_summed_from_gaps_or_where_intervals_tell_them_from_these() {
        let mut view = View::new("a.sock");
        let gap = r#""type":"gap","cpu":0,"start_ns":1,"len_ns":2000000,"class":"unknown",
            "features":{"cpu_ns":0,"minflt":0,"majflt":0,"nvcsw":0,"nivcsw":0}"#;
        on(&mut view, 1, gap);
        assert_eq!(view.stall_ms["unknown"].to_string(), "2");
        on(
            &mut view,
            1,
            &format!(
                r#"{INTERVAL},"stall_ms":{{"host_throttle":31}},"throttle":{{"percent":40,"period_ns":16666666,"law":"qemu","score_percent":90}}"#
            ),
        );
        on(&mut view, 1, gap);
        assert_eq!(
            view.stall_ms.iter().map(|(class, ms)| (class.as_str(), *ms)).collect::<Vec<_>>(),
            [("host_throttle", 31.0)]
        );
        assert_eq!(view.throttle_percent, Some(40.0));
    }

    #[test]
    fn nothing_a_guest_calls_itself_reaches_a_terminal_as_a_command() {
        let shown = printable(&format!("\u{1b}[2Jevil\n{}", "x".repeat(1000)));
        assert!(shown.starts_with("[2Jevil") && shown.chars().count() == NAME_LIMIT_CHARS);
    }
}

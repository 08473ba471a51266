//! One VM on two sockets, the sides of a migration: its records as they come, what is said to its guest, and all that was found.

use super::super::layout::Layout;
use super::super::request::Request;
use super::super::vm::Vm;
use super::Desk;
use crate::lab::rundir::RecordsFile;
use crate::record::{Arrival, Command, Side, StreamAudit};
use std::time::Duration;
use tokio::time;

/// How often a connection is looked for that is waited for.
const LOOK: Duration = Duration::from_millis(10);

impl Desk {
    /// A desk for all that one VM says, whose records go into one file and are handed on as they come.
    pub fn of_one_vm(file: RecordsFile) -> Self {
        Self::new(Layout::one(file), Some(Vec::new()))
    }

    /// The same for a VM that is there already.
    pub fn of_attached_vm(file: RecordsFile) -> Self {
        Self { joins_late: true, ..Self::of_one_vm(file) }
    }

    /// Whether all sockets are those of one VM, so that whoever speaks on one is who spoke on the other.
    pub fn is_of_one_vm(&self) -> bool {
        self.layout.is_of_one_vm()
    }

    /// Waits until records came, or a connection was made or lost.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The records that came since this was last asked, each once.
    pub fn take_fresh(&self) -> Vec<Arrival> {
        self.inner().fresh.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Whether the socket of a side is connected.
    pub fn is_connected(&self, side: Side) -> bool {
        self.inner().vms.values().any(|vm| vm.side == Some(side) && vm.view.connected)
    }

    /// Whether the socket of a side is not connected, and all that came on it was taken.
    pub fn has_given_all(&self, side: Side) -> bool {
        let is_taken = self.inner().fresh.as_ref().is_none_or(Vec::is_empty);
        is_taken && !self.is_connected(side)
    }

    /// Waits until the sockets of these sides are connected, or are not.
    pub async fn until_connected(&self, sides: &[Side], connected: bool) {
        while sides.iter().any(|side| self.is_connected(*side) != connected) {
            time::sleep(LOOK).await;
        }
    }

    /// Says something to the guest of a side, whatever becomes of it. Whether its socket is connected and can take it.
    pub fn tell(&self, side: Side, command: &Command) -> bool {
        self.is_connected(side) && self.ask(side, Request::of(command))
    }

    /// Breaks the connection of a side with all that is on its way, as the death of a collector does; it is made anew.
    pub fn break_off(&self, side: Side) {
        self.ask(side, Request::BreakOff);
    }

    /// Says something to the guest on the socket that it spoke on last.
    ///
    /// # Errors
    /// Why it cannot be said.
    pub fn tell_guest(&self, command: &Command) -> Result<(), String> {
        let requests = self.find(None)?;
        requests.try_send(Request::of(command)).map_err(|_| "the guest takes no commands at present".into())
    }

    /// Breaks off all connections, which are made anew.
    pub fn break_off_all(&self) {
        for vm in self.inner().vms.values() {
            let _ = vm.requests.try_send(Request::BreakOff);
        }
    }

    /// The sockets that guests spoke on, in the order in which they did.
    pub fn spoke_on(&self) -> Vec<String> {
        let mut inner = self.inner();
        let lives = inner.sessions.values_mut().flat_map(|family| family.lives().iter());
        lives.flat_map(|life| life.sockets.iter().map(|path| path.display().to_string())).collect()
    }

    /// What is known of each socket, in a sentence.
    pub fn ports(&self) -> Vec<String> {
        let said = |vm: &Vm| {
            let what = match (&vm.trouble.why_not, vm.view.session, vm.view.connected) {
                (None, Some(session), true) => format!("connected, session {session} spoke there"),
                (None, None, true) => "connected, and nothing has come".to_owned(),
                (Some(why), ..) => why.clone(),
                (None, ..) => "not connected".to_owned(),
            };
            format!("{}: {what}", vm.view.socket)
        };
        self.inner().vms.values().map(said).collect()
    }

    fn ask(&self, side: Side, request: Request) -> bool {
        let inner = self.inner();
        let vm = inner.vms.values().find(|vm| vm.side == Some(side));
        vm.is_some_and(|vm| vm.requests.try_send(request).is_ok())
    }

    /// How many times the guest program spoke as a new one, or as one that went back.
    pub fn sessions(&self) -> usize {
        self.inner().sessions.len()
    }

    /// Writes down what is left. How all records arrived: a stream begins with the number 0, and what a life that went back
    /// says under numbers that were taken came twice.
    pub fn finish(&self) -> StreamAudit {
        self.conclude();
        let mut inner = self.inner();
        let mut sum = StreamAudit::default();
        let lives = inner.sessions.values_mut().flat_map(|family| family.lives().iter_mut().enumerate());
        for (index, life) in lives {
            let goes_on = self.joins_late || life.store.about().contains_key("parent");
            let first = life.store.span().filter(|_| !goes_on).map_or(0, |(first, _)| first);
            let found = life.store.found();
            sum.records += found.records;
            sum.holes = sum.holes.saturating_add(found.holes).saturating_add(first);
            sum.doubles += if index > 0 { found.doubles + found.records } else { found.doubles };
            sum.replayed += found.replayed;
            sum.torn += found.torn;
            sum.unknown += found.unknown;
            sum.dropped_by_guest = sum.dropped_by_guest.saturating_add(found.dropped_by_guest);
            sum.unwritten += life.store.unkept();
        }
        for vm in inner.vms.values() {
            sum.torn += vm.trouble.torn;
            sum.unwritten += vm.trouble.refused;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::request::ReplyTo;
    use super::*;
    use crate::lab::collect::{Socket, Talk};
    use crate::lab::rundir::{Limits, RECORDS_FILE};
    use serde_json::{Value, json};
    use std::{fs, path::Path, sync::Arc};
    use tokio::sync::oneshot;

    /// A desk, and the guest's connection on each side.
    struct Migration {
        dir: tempfile::TempDir,
        desk: Arc<Desk>,
        source: Talk,
        destination: Talk,
    }

    fn migration() -> Migration {
        let dir = tempfile::tempdir().unwrap();
        let desk = Desk::of_one_vm(RecordsFile::new(dir.path().join(RECORDS_FILE), Limits::ALL));
        let desk = Arc::new(desk);
        let talk = |path: &str, side| {
            desk.admit(Path::new(path), Some(side)).unwrap();
            desk.connection(Path::new(path), true);
            Talk::begin(Arc::clone(&desk), Socket::new(path.into()), 0)
        };
        let (source, destination) = (talk("/source", Side::Source), talk("/destination", Side::Destination));
        Migration { dir, desk, source, destination }
    }

    fn line(seq: u64) -> String {
        let session = "00c0ffee00c0ffee";
        let mark = json!({"session": session, "seq": seq, "mono_ns": 5, "type": "mark", "text": "here"});
        format!("{mark}\n")
    }

    impl Migration {
        /// The side and number of each record in the file.
        fn kept(&self) -> Vec<(String, u64)> {
            let text = fs::read_to_string(self.dir.path().join(RECORDS_FILE)).unwrap();
            let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            lines.map(|line| (line["side"].as_str().unwrap().into(), line["seq"].as_u64().unwrap())).collect()
        }

        /// When each record came that nobody took yet.
        fn came(&self) -> Vec<(u64, u64)> {
            let fresh = self.desk.take_fresh();
            fresh.iter().map(|arrival| (arrival.record.seq, arrival.host_ns)).collect()
        }
    }

    #[test]
    fn a_guest_that_moves_is_one_stream_and_each_record_has_the_side_that_completed_it() {
        let mut migration = migration();
        migration.source.hear(10, (line(0) + &line(1) + &line(2)[..20]).as_bytes());
        // What is left of the line comes first, then what the guest was asked to send again.
        migration.destination.hear(20, (line(2)[20..].to_owned() + &line(3)).as_bytes());
        assert_eq!(migration.came(), [(0, 10), (1, 10), (3, 20)], "it is known who speaks");
        migration.destination.hear(30, (line(1) + &line(2) + &line(3)).as_bytes());
        assert_eq!(migration.came(), [(2, 30)]);
        let found = migration.desk.finish();
        assert_eq!((found.records, found.replayed, found.is_sound()), (4, 2, true), "{found:?}");
        assert_eq!(migration.desk.sessions(), 1);
        let kept = [("source", 0), ("source", 1), ("destination", 3), ("destination", 2)];
        assert_eq!(migration.kept(), kept.map(|(side, seq)| (side.to_owned(), seq)));
    }

    #[test]
    fn a_source_that_is_read_late_or_goes_on_after_all_is_the_same_guest() {
        let mut migration = migration();
        migration.source.hear(10, line(0).as_bytes());
        migration.destination.hear(20, (line(2) + &line(3)).as_bytes());
        migration.source.hear(2_000_000_000, line(1).as_bytes());
        migration.source.tick(9_000_000_000);
        migration.destination.tick(9_000_000_000);
        migration.source.hear(9_500_000_000, line(4).as_bytes());
        let found = migration.desk.finish();
        assert_eq!((found.records, found.is_sound(), migration.desk.sessions()), (5, true, 1), "{found:?}");
    }

    #[test]
    fn a_stream_that_does_not_begin_with_its_first_record_is_not_whole() {
        let mut migration = migration();
        for seq in [3, 4, 6] {
            migration.source.hear(seq, line(seq).as_bytes());
        }
        let found = migration.desk.finish();
        assert_eq!((found.holes, found.is_sound()), (4, false));
    }

    #[test]
    fn a_side_has_given_all_when_its_socket_is_closed_and_what_came_was_taken() {
        let mut migration = migration();
        migration.source.hear(1, line(0).as_bytes());
        assert!(!migration.desk.has_given_all(Side::Source));
        migration.desk.connection(Path::new("/source"), false);
        assert!(!migration.desk.has_given_all(Side::Source), "what came is not taken yet");
        migration.came();
        assert!(migration.desk.has_given_all(Side::Source));
        assert!(!migration.desk.has_given_all(Side::Destination));
    }

    #[test]
    fn each_answer_goes_to_whoever_asked() {
        let mut migration = migration();
        let mut answers = [5, 6].map(|id| {
            let (to, answered) = oneshot::channel();
            migration.source.ask(b"{}\n", Some(ReplyTo { id, to }));
            answered
        });
        let reply = json!({"session": "00c0ffee00c0ffee", "seq": 0, "mono_ns": 5, "type": "reply", "to": 6, "ok": true});
        migration.source.hear(10, format!("{reply}\n").as_bytes());
        assert!(answers[0].try_recv().is_err(), "its answer is still to come");
        assert!(answers[1].try_recv().unwrap().unwrap().contains("\"to\":6"));
    }

    #[test]
    fn a_line_that_is_no_record_is_counted() {
        let mut migration = migration();
        migration.source.hear(10, (line(0) + "no record\n" + &line(1)).as_bytes());
        let found = migration.desk.finish();
        assert_eq!((found.records, found.torn, found.is_sound()), (2, 1, false));
    }

    #[test]
    fn a_connection_that_ends_acknowledges_what_is_safe() {
        let mut migration = migration();
        migration.source.hear(10, line(0).as_bytes());
        for file in migration.desk.take_unsynced() {
            migration.desk.synced(&file, Ok(true));
        }
        migration.source.out().clear();
        migration.source.close(1_000_000_000);
        let said = String::from_utf8_lossy(migration.source.out()).into_owned();
        assert!(said.contains("\"type\":\"ack\"") && said.contains("\"seq\":0"), "{said}");
    }

    #[test]
    fn a_guest_that_contradicts_itself_and_takes_no_other_name_is_kept_and_unsound() {
        let mut migration = migration();
        migration.source.hear(10, (line(0) + &line(1)).as_bytes());
        migration.source.hear(20, line(1).replace("here", "there").as_bytes());
        migration.source.tick(20_000_000_000);
        let found = migration.desk.finish();
        assert_eq!((migration.came().len(), found.records, found.doubles), (3, 3, 1), "{found:?}");
    }
}

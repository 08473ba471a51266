//! The sockets that are attended, and the disk that is asked in time to keep what came.

use super::desk::Desk;
use super::door::Door;
use super::{attend, sync};
use crate::port::Token;
use crate::record::Side;
use std::{path::Path, sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinSet, time};

/// How long the connections may take to end.
const END_LIMIT: Duration = Duration::from_secs(5);

/// The sockets that are attended; dropping it ends all connections.
#[derive(Debug)]
pub struct Links {
    desk: Arc<Desk>,
    stop: watch::Sender<bool>,
    token: Option<Token>,
    connections: JoinSet<()>,
    helpers: JoinSet<()>,
}

impl Links {
    /// No socket yet.
    pub fn new(desk: Arc<Desk>) -> Self {
        let mut helpers = JoinSet::new();
        helpers.spawn(sync::serve(Arc::clone(&desk)));
        Self { desk, stop: watch::Sender::new(false), token: None, connections: JoinSet::new(), helpers }
    }

    /// Says `token` first wherever it connects to over a network.
    #[must_use]
    pub fn with_token(mut self, token: Option<Token>) -> Self {
        self.token = token;
        self
    }

    /// Lets guests in that come by themselves.
    pub fn open(&mut self, door: Door) {
        self.connections.spawn(door.keep(Arc::clone(&self.desk), self.stop.subscribe()));
    }

    /// Attends a socket whenever it is there, unless it is attended already.
    pub fn attend(&mut self, path: &Path, side: Option<Side>) {
        while self.connections.try_join_next().is_some() {}
        if let Some(requests) = self.desk.admit(path, side) {
            let (desk, stop) = (Arc::clone(&self.desk), self.stop.subscribe());
            self.connections.spawn(attend::attend(desk, path.to_owned(), self.token.clone(), requests, stop));
        }
    }

    /// Ends all connections. What is on the disk by then is acknowledged as they end.
    pub async fn end(mut self) {
        sync::sync(&self.desk).await;
        self.stop.send_replace(true);
        let _ =
            time::timeout(END_LIMIT, async { while self.connections.join_next().await.is_some() {} }).await;
        self.helpers.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::rundir::{Limits, RECORDS_FILE, RecordsFile};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixListener,
        runtime,
    };

    /// Longer than an acknowledgement waits, and shorter than the disk is let alone.
    const BETWEEN: Duration = Duration::from_millis(700);

    #[test]
    fn what_came_last_is_synced_and_acknowledged_as_the_connections_end() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let said = runtime.block_on(async {
            let path = dir.path().join("port");
            let listener = UnixListener::bind(&path).unwrap();
            let file = RecordsFile::new(dir.path().join(RECORDS_FILE), Limits::ALL);
            let desk = Arc::new(Desk::of_one_vm(file));
            let mut links = Links::new(Arc::clone(&desk));
            links.attend(&path, Some(Side::Source));
            let (mut guest, _) = listener.accept().await.unwrap();
            time::sleep(BETWEEN).await;
            let record = br#"{"session":"0000000000000001","seq":0,"mono_ns":5,"type":"mark","text":"here"}"#;
            guest.write_all(&[record.as_slice(), b"\n"].concat()).await.unwrap();
            time::timeout(END_LIMIT, desk.changed()).await.unwrap();
            while desk.take_fresh().is_empty() {
                time::timeout(END_LIMIT, desk.changed()).await.unwrap();
            }
            let ended = time::timeout(END_LIMIT / 2, links.end()).await;
            assert!(ended.is_ok(), "nobody waits for a connection that was told to end");
            let mut said = String::new();
            time::timeout(END_LIMIT, guest.read_to_string(&mut said)).await.unwrap().unwrap();
            said
        });
        assert!(said.contains("\"type\":\"ack\"") && said.contains("\"seq\":0"), "{said}");
    }
}

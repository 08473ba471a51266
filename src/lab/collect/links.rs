//! The sockets that are attended, and the disk that is asked in time to keep what came.

use super::desk::Desk;
use super::{attend, sync};
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
    connections: JoinSet<()>,
    helpers: JoinSet<()>,
}

impl Links {
    /// No socket yet.
    pub fn new(desk: Arc<Desk>) -> Self {
        let mut helpers = JoinSet::new();
        helpers.spawn(sync::serve(Arc::clone(&desk)));
        Self { desk, stop: watch::Sender::new(false), connections: JoinSet::new(), helpers }
    }

    /// Attends a socket whenever it is there, unless it is attended already.
    pub fn attend(&mut self, path: &Path, side: Option<Side>) {
        while self.connections.try_join_next().is_some() {}
        if let Some(requests) = self.desk.admit(path, side) {
            let (desk, stop) = (Arc::clone(&self.desk), self.stop.subscribe());
            self.connections.spawn(attend::attend(desk, path.to_owned(), requests, stop));
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

//! What was written is on the disk before it is acknowledged: once a second the files that have something new are synced.

use super::desk::Desk;
use super::family::ToSync;
use std::{io, sync::Arc, time::Duration};
use tokio::time;

/// How often at most.
const PERIOD: Duration = Duration::from_secs(1);

/// Keeps everything safe, for ever.
pub async fn serve(desk: Arc<Desk>) {
    loop {
        time::sleep(PERIOD).await;
        sync(&desk).await;
    }
}

/// Has the disk take everything that came until now. It is done beside the other work: a slow disk holds up no socket.
pub async fn sync(desk: &Desk) {
    let files = desk.take_unsynced();
    let work = move || -> Vec<(ToSync, io::Result<bool>)> {
        let synced = |file: ToSync| {
            let mark = file.written.mark;
            // Without one no record was kept.
            let result = mark.map_or(Ok(true), |mark| mark.sync(&file.written.path));
            (file, result)
        };
        files.into_iter().map(synced).collect()
    };
    // What could not be done at all is done the next time: nothing is acknowledged until then.
    for (file, is_there) in tokio::task::spawn_blocking(work).await.unwrap_or_default() {
        desk.synced(&file, is_there);
    }
}

//! What was written is on the disk before it is acknowledged: once a second the files that have something new are synced.

use super::desk::Desk;
use super::family::ToSync;
use std::{fs::File, io, path::Path, sync::Arc, time::Duration};
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
    let work = move || -> Vec<(ToSync, io::Result<()>)> {
        let synced = |file: ToSync| {
            let result = sync_file(&file.path);
            (file, result)
        };
        files.into_iter().map(synced).collect()
    };
    // What could not be done at all is done the next time: nothing is acknowledged until then.
    for (file, result) in tokio::task::spawn_blocking(work).await.unwrap_or_default() {
        desk.synced(file.session, file.life, result.map(|()| file.end));
    }
}

/// A file's bytes, and its name in its directory.
fn sync_file(path: &Path) -> io::Result<()> {
    match File::open(path) {
        Ok(file) => file.sync_data()?,
        // No record was kept.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_data())
}

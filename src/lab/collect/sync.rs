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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::collect::{Socket, Talk};
    use crate::lab::rundir::{Limits, RecordsFile};
    use std::path::Path;

    #[test]
    fn what_the_disk_refuses_to_sync_is_a_fault_and_acknowledged_to_nobody() {
        // The kernel takes what is written there, and refuses to sync it.
        let desk = Arc::new(Desk::of_one_vm(RecordsFile::new("/dev/null".into(), Limits::ALL)));
        desk.admit(Path::new("/port"), None).unwrap();
        let mut talk = Talk::begin(Arc::clone(&desk), Socket::new("/port".into()), 0);
        let record = br#"{"session":"0000000000000001","seq":0,"mono_ns":5,"type":"mark","text":"here"}"#;
        talk.hear(1, &[record.as_slice(), b"\n"].concat());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(sync(&desk));
        assert_eq!(desk.take_fault().unwrap().kind(), io::ErrorKind::InvalidInput);
        talk.out().clear();
        talk.tick(900_000_000);
        assert!(talk.out().is_empty(), "{}", String::from_utf8_lossy(talk.out()));
    }
}

//! One source: connected to whenever it is there, read at once, answered as far as it takes answers.

use super::desk::Desk;
use super::place::Socket;
use super::request::Request;
use super::source::{Source, present};
use super::talk::Talk;
use crate::lab::hostclock;
use crate::port::Token;
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::Interest,
    net::UnixStream,
    sync::{mpsc, watch},
    time::{self, MissedTickBehavior},
};

/// How long to wait before the next try to connect, at first and at most.
const RETRY: Duration = Duration::from_millis(50);
const RETRY_LONGEST: Duration = Duration::from_secs(1);
/// How often what came is written and acknowledged.
const TICK: Duration = Duration::from_millis(250);
/// What is read at once.
const CHUNK_BYTES: usize = 16 << 10;

/// What a connection listens to beside its guest.
#[derive(Debug)]
pub struct ConnectionInputs<'a> {
    requests: &'a mut mpsc::Receiver<Request>,
    stop: &'a mut watch::Receiver<bool>,
    /// How long to wait before the next try to connect.
    retry: Duration,
}

impl<'a> ConnectionInputs<'a> {
    /// What is asked of the guest, and when to stop.
    pub const fn new(requests: &'a mut mpsc::Receiver<Request>, stop: &'a mut watch::Receiver<bool>) -> Self {
        Self { requests, stop, retry: RETRY }
    }
}

/// Attends a source until told to stop; on a network it is told the token first.
pub async fn attend(
    desk: Arc<Desk>,
    path: PathBuf,
    token: Option<Token>,
    mut requests: mpsc::Receiver<Request>,
    mut stop: watch::Receiver<bool>,
) {
    let mut socket = Socket::new(path.clone());
    let source = Source::of(&path);
    let token = token.filter(|_| source.is_network());
    let mut inputs = ConnectionInputs::new(&mut requests, &mut stop);
    while !*inputs.stop.borrow() {
        let stream = tokio::select! {
            stream = connect(&desk, &path, &source, &mut inputs.retry) => stream,
            Some(request) = inputs.requests.recv() => {
                request.refuse("the VM's socket is not connected");
                continue;
            }
            _ = inputs.stop.wait_for(|stop| *stop) => return,
        };
        desk.connection(&path, true);
        let mut talk = Talk::begin(Arc::clone(&desk), socket, hostclock::mono_ns());
        if let Some(token) = &token {
            present(token, talk.out());
        }
        socket = serve(&stream, talk, &mut inputs).await;
        desk.connection(&path, false);
        // One who accepts only to close again is not run after.
        tokio::select! {
            () = time::sleep(inputs.retry) => inputs.retry = (inputs.retry * 2).min(RETRY_LONGEST),
            _ = inputs.stop.wait_for(|stop| *stop) => return,
        }
    }
}

async fn connect(desk: &Desk, path: &Path, source: &Source, retry: &mut Duration) -> UnixStream {
    loop {
        match source.connect().await {
            Ok(stream) => return stream,
            Err(error) => desk.is_of_no_use(path, &why_not(&error, desk.was_connected(path))),
        }
        time::sleep(*retry).await;
        *retry = (*retry * 2).min(RETRY_LONGEST);
    }
}

fn why_not(error: &io::Error, was_connected: bool) -> String {
    match error.kind() {
        io::ErrorKind::NotFound if was_connected => "the socket is gone: its VM has ended".into(),
        io::ErrorKind::NotFound => "there is no such socket yet".into(),
        io::ErrorKind::ConnectionRefused if was_connected => {
            "nobody listens there any more: its VM has ended".into()
        }
        io::ErrorKind::ConnectionAborted => error.to_string(),
        io::ErrorKind::ConnectionRefused => "nobody listens there: is the VM running?".into(),
        _ => format!("cannot connect: {error}"),
    }
}

/// Serves until the other end closes or `stop` becomes true; what the next connection has to know.
pub async fn serve(stream: &UnixStream, mut talk: Talk, inputs: &mut ConnectionInputs<'_>) -> Socket {
    let ConnectionInputs { requests, stop, retry } = inputs;
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut tick = time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // One who does not listen any more may still have something to say.
    let mut listens = true;
    loop {
        if !listens {
            talk.out().clear();
        }
        let interest =
            if talk.out().is_empty() { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
        let open = tokio::select! {
            ready = stream.ready(interest) => match ready {
                Ok(ready) => {
                    if ready.is_writable() {
                        listens = write(stream, talk.out());
                    }
                    !ready.is_readable() || read(stream, &mut talk, &mut buffer, retry)
                }
                Err(_) => false,
            },
            _ = tick.tick() => {
                talk.tick(hostclock::mono_ns());
                true
            }
            Some(request) = requests.recv() => match request {
                Request::Say(line, answer) => {
                    talk.ask(&line, answer);
                    true
                }
                Request::BreakOff => {
                    *retry = RETRY;
                    return talk.break_off();
                }
            },
            _ = stop.wait_for(|stop| *stop) => false,
        };
        if !open {
            // The last acknowledgement: what the other end still takes of it spares a replay.
            talk.close(hostclock::mono_ns());
            write(stream, talk.out());
            return talk.into_socket();
        }
    }
}

/// Reads what is there; whether the socket is still open.
fn read(stream: &UnixStream, talk: &mut Talk, buffer: &mut [u8], retry: &mut Duration) -> bool {
    match stream.try_read(buffer) {
        Ok(0) => false,
        Ok(count) => {
            talk.hear(hostclock::mono_ns(), &buffer[..count]);
            if talk.has_records() {
                *retry = RETRY;
            }
            true
        }
        Err(error) => is_transient(&error),
    }
}

/// Sends what the socket takes; whether there is still somebody who listens.
fn write(stream: &UnixStream, out: &mut Vec<u8>) -> bool {
    while !out.is_empty() {
        match stream.try_write(out) {
            Ok(count) => drop(out.drain(..count)),
            Err(error) => return is_transient(&error),
        }
    }
    true
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::rundir::{Limits, RecordsFile};
    use crate::record::{Body, Phase, Record, SessionId, Side};
    use crate::wire::encode_record;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        runtime,
    };

    fn line(seq: u64) -> Vec<u8> {
        let body = Body::Phase(Phase { phase: "run".into() });
        encode_record(&Record { session: SessionId(1), seq, mono_ns: seq, body })
    }

    /// A collector of one VM, and what attends its socket.
    fn desk(path: &Path) -> (Arc<Desk>, mpsc::Receiver<Request>) {
        let desk = Arc::new(Desk::of_one_vm(RecordsFile::new("/dev/null".into(), Limits::ALL)));
        let requests = desk.admit(path, Some(Side::Source)).unwrap();
        (desk, requests)
    }

    fn run(test: impl Future<Output = ()>) {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            time::timeout(Duration::from_secs(20), test).await.expect("bounded");
        });
    }

    #[test]
    fn what_a_guest_said_last_is_heard_though_it_listens_no_more() {
        run(async {
            let path = Path::new("/port");
            let (desk, mut requests) = desk(path);
            let (_sender, mut stop) = watch::channel(false);
            let (ours, mut guest) = UnixStream::pair().unwrap();
            let lines: Vec<u8> = (0..600).flat_map(line).collect();
            guest.write_all(&lines).await.unwrap();
            drop(guest);
            let talk = Talk::begin(Arc::clone(&desk), Socket::new(path.into()), 0);
            serve(&ours, talk, &mut ConnectionInputs::new(&mut requests, &mut stop)).await;
            assert_eq!(desk.take_fresh().len(), 600);
        });
    }

    #[test]
    fn what_was_held_back_is_kept_when_the_guest_hangs_up() {
        run(async {
            let (desk, mut requests) = desk(Path::new("/port"));
            let (_sender, mut stop) = watch::channel(false);
            let (ours, mut guest) = UnixStream::pair().unwrap();
            let contradicts = String::from_utf8(line(1)).unwrap().replace("run", "walk");
            guest.write_all(&[line(0), line(1), contradicts.into()].concat()).await.unwrap();
            drop(guest);
            let talk = Talk::begin(Arc::clone(&desk), Socket::new("/port".into()), 0);
            serve(&ours, talk, &mut ConnectionInputs::new(&mut requests, &mut stop)).await;
            assert_eq!(desk.take_fresh().len(), 3);
        });
    }

    #[test]
    fn what_a_socket_does_not_take_at_once_is_sent_later() {
        run(async {
            let (ours, mut guest) = UnixStream::pair().unwrap();
            let all: Vec<u8> = (0..=u8::MAX).cycle().take(4_000_000).collect();
            let (mut out, mut heard) = (all.clone(), Vec::<u8>::new());
            let mut chunk = vec![0; 1 << 20];
            while heard.len() < all.len() {
                ours.writable().await.unwrap();
                assert!(write(&ours, &mut out));
                let count = guest.read(&mut chunk).await.unwrap();
                heard.extend(&chunk[..count]);
            }
            assert!(out.is_empty() && heard == all);
        });
    }

    #[test]
    fn a_connection_that_is_broken_off_is_made_anew_and_begins_with_an_attach() {
        let dir = tempfile::tempdir().unwrap();
        run(async {
            let path = dir.path().join("port");
            let listener = tokio::net::UnixListener::bind(&path).unwrap();
            let (desk, requests) = desk(&path);
            let (_sender, stop) = watch::channel(false);
            tokio::spawn(attend(Arc::clone(&desk), path.clone(), None, requests, stop));
            for _ in 0..2 {
                let (mut guest, _) = listener.accept().await.unwrap();
                let attach = b"\n{\"type\":\"attach\"}\n";
                let mut said = vec![0; attach.len()];
                guest.read_exact(&mut said).await.unwrap();
                assert_eq!(said, attach);
                desk.break_off(Side::Source);
                guest.read_to_end(&mut said).await.unwrap();
                assert_eq!(said, attach, "nothing more, and the end");
            }
        });
    }
}

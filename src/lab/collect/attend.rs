//! One socket: connected to whenever it is there, read at once, answered as far as it takes answers.

use super::desk::Desk;
use super::place::Socket;
use super::request::Request;
use super::talk::Talk;
use crate::lab::hostclock;
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

/// Attends a socket until told to stop.
pub async fn attend(
    desk: Arc<Desk>,
    path: PathBuf,
    mut requests: mpsc::Receiver<Request>,
    mut stop: watch::Receiver<bool>,
) {
    let mut socket = Socket::new(path.clone());
    let mut retry = RETRY;
    while !*stop.borrow() {
        let stream = tokio::select! {
            stream = connect(&desk, &path, &mut retry) => stream,
            Some(request) = requests.recv() => {
                request.refuse("the VM's socket is not connected");
                continue;
            }
            _ = stop.wait_for(|stop| *stop) => return,
        };
        desk.connection(&path, true);
        let talk = Talk::begin(Arc::clone(&desk), socket, hostclock::mono_ns());
        socket = serve(&stream, talk, (&mut requests, &mut stop), &mut retry).await;
        desk.connection(&path, false);
        // One who accepts only to close again is not run after.
        tokio::select! {
            () = time::sleep(retry) => retry = (retry * 2).min(RETRY_LONGEST),
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

async fn connect(desk: &Desk, path: &Path, retry: &mut Duration) -> UnixStream {
    loop {
        match UnixStream::connect(path).await {
            Ok(stream) => return stream,
            Err(error) => desk.is_of_no_use(path, &why_not(&error)),
        }
        time::sleep(*retry).await;
        *retry = (*retry * 2).min(RETRY_LONGEST);
    }
}

fn why_not(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such socket yet".into(),
        io::ErrorKind::ConnectionRefused => "nobody listens there: is the VM running?".into(),
        _ => format!("cannot connect: {error}"),
    }
}

/// Serves until the other end closes or `stop` becomes true; what the next connection has to know.
async fn serve(
    stream: &UnixStream,
    mut talk: Talk,
    (requests, stop): (&mut mpsc::Receiver<Request>, &mut watch::Receiver<bool>),
    retry: &mut Duration,
) -> Socket {
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut tick = time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let interest =
            if talk.out().is_empty() { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
        let open = tokio::select! {
            ready = stream.ready(interest) => match ready {
                Ok(ready) => {
                    let open = !ready.is_readable() || read(stream, &mut talk, &mut buffer, retry);
                    open && (!ready.is_writable() || write(stream, talk.out()))
                }
                Err(_) => false,
            },
            _ = tick.tick() => {
                talk.tick(hostclock::mono_ns());
                true
            }
            Some(request) = requests.recv() => {
                talk.ask(request);
                true
            }
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
            *retry = RETRY;
            talk.hear(hostclock::mono_ns(), &buffer[..count]);
            true
        }
        Err(error) => is_transient(&error),
    }
}

/// Sends what the socket takes; whether it is still open.
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

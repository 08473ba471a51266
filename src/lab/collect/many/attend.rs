//! One socket: connected to whenever it is there, read at once, answered as far as it takes answers.

use super::desk::Desk;
use super::request::Request;
use crate::lab::collect::{Duty, Keeper, Piece};
use crate::lab::hostclock;
use crate::record::{Body, Command, SessionId, Side};
use crate::wire::{Line, Lines, RECORD_LIMIT_BYTES, encode_command};
use std::{
    collections::HashSet,
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
/// How often what came is written and acknowledged, and after how many records at the latest.
const TICK: Duration = Duration::from_millis(250);
const RECORDS_AT_ONCE: u32 = 64;
/// What is read at once, and what may wait to be sent.
const CHUNK_BYTES: usize = 16 << 10;
const OUT_LIMIT_BYTES: usize = 64 << 10;
/// The most sessions one socket may bring: a guest that restarts its program has a new one each time.
const SESSIONS_LIMIT: usize = 64;
/// The most commands that wait for their answers.
const WAITING_LIMIT: usize = 64;

/// Attends a socket until told to stop.
pub async fn attend(
    desk: Arc<Desk>,
    path: PathBuf,
    mut requests: mpsc::Receiver<Request>,
    mut stop: watch::Receiver<bool>,
) {
    let mut sessions = HashSet::new();
    let mut session = None;
    let mut retry = RETRY;
    while !*stop.borrow() {
        let stream = tokio::select! {
            stream = connect(&path, &mut retry) => stream,
            Some(request) = requests.recv() => {
                request.refuse("the VM's socket is not connected");
                continue;
            }
            _ = stop.wait_for(|stop| *stop) => return,
        };
        desk.connection(&path, true);
        let connection =
            Connection { desk: &desk, path: &path, stream: &stream, sessions: &mut sessions, session };
        session = connection.serve(&mut requests, &mut stop, &mut retry).await;
        desk.connection(&path, false);
        // One who accepts only to close again is not run after.
        tokio::select! {
            () = time::sleep(retry) => retry = (retry * 2).min(RETRY_LONGEST),
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

async fn connect(path: &Path, retry: &mut Duration) -> UnixStream {
    loop {
        if let Ok(stream) = UnixStream::connect(path).await {
            return stream;
        }
        time::sleep(*retry).await;
        *retry = (*retry * 2).min(RETRY_LONGEST);
    }
}

struct Connection<'a> {
    desk: &'a Desk,
    path: &'a Path,
    stream: &'a UnixStream,
    /// Every session this socket has brought.
    sessions: &'a mut HashSet<SessionId>,
    /// The one that spoke last.
    session: Option<SessionId>,
}

/// What a connection has on its way.
struct Talk {
    keeper: Keeper,
    lines: Lines,
    /// The first line may lack its beginning.
    fragment: bool,
    /// Records since what came was last written.
    fresh: u32,
    out: Vec<u8>,
    waiting: Vec<Request>,
}

impl Connection<'_> {
    /// Serves until the other end closes or `stop` becomes true; the session that spoke last.
    async fn serve(
        mut self,
        requests: &mut mpsc::Receiver<Request>,
        stop: &mut watch::Receiver<bool>,
        retry: &mut Duration,
    ) -> Option<SessionId> {
        let mut talk = Talk {
            keeper: Keeper::default(),
            lines: Lines::new(RECORD_LIMIT_BYTES),
            fragment: true,
            fresh: 0,
            out: Vec::new(),
            waiting: Vec::new(),
        };
        let known = self.session.and_then(|session| self.desk.progress(session));
        let attach = talk.keeper.connect(hostclock::mono_ns(), known);
        // An empty line is nothing: it ends what another connection may have begun.
        talk.out.push(b'\n');
        self.say(&mut talk, &attach);
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut tick = time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let interest = if talk.out.is_empty() {
                Interest::READABLE
            } else {
                Interest::READABLE | Interest::WRITABLE
            };
            let open = tokio::select! {
                ready = self.stream.ready(interest) => match ready {
                    Ok(ready) => {
                        let open = !ready.is_readable() || self.read(&mut talk, &mut buffer, retry);
                        open && (!ready.is_writable() || self.write(&mut talk))
                    }
                    Err(_) => false,
                },
                _ = tick.tick() => {
                    self.look_after(&mut talk);
                    true
                }
                Some(request) = requests.recv() => {
                    talk.ask(request);
                    true
                }
                _ = stop.wait_for(|stop| *stop) => false,
            };
            if talk.fresh >= RECORDS_AT_ONCE {
                self.look_after(&mut talk);
            }
            if !open {
                // The last acknowledgement: what the other end still takes of it spares a replay.
                self.look_after(&mut talk);
                self.write(&mut talk);
                return self.session;
            }
        }
    }

    /// Reads what is there; whether the socket is still open.
    fn read(&mut self, talk: &mut Talk, buffer: &mut [u8], retry: &mut Duration) -> bool {
        match self.stream.try_read(buffer) {
            Ok(0) => false,
            Ok(count) => {
                *retry = RETRY;
                let host_ns = hostclock::mono_ns();
                let mut lines = std::mem::replace(&mut talk.lines, Lines::new(0));
                lines.feed(&buffer[..count], |line| self.line(talk, &line, host_ns));
                talk.lines = lines;
                true
            }
            Err(error) => is_transient(&error),
        }
    }

    /// Sends what the socket takes; whether it is still open.
    fn write(&self, talk: &mut Talk) -> bool {
        while !talk.out.is_empty() {
            match self.stream.try_write(&talk.out) {
                Ok(count) => drop(talk.out.drain(..count)),
                Err(error) => return is_transient(&error),
            }
        }
        true
    }

    fn line(&mut self, talk: &mut Talk, line: &Line<'_>, host_ns: u64) {
        let excused = std::mem::take(&mut talk.fragment);
        let mut piece = Piece::of(line, host_ns, Side::Source);
        let (Line::Whole(bytes), Some((session, _))) = (line, piece.place()) else {
            if !excused {
                self.desk.torn(self.path, self.session);
            }
            return;
        };
        if !self.sessions.contains(&session) && self.sessions.len() >= SESSIONS_LIMIT {
            return;
        }
        self.sessions.insert(session);
        if self.session.replace(session) != Some(session) {
            // The attach of this connection was meant for whoever speaks here.
            self.desk.attached(Some(session));
        }
        talk.fresh += 1;
        let side = self.desk.side(self.path, session);
        if let Piece::Record(arrival) = &mut piece {
            arrival.side = side;
        }
        self.desk.record(self.path, &piece, bytes, host_ns, side);
        if let Piece::Record(arrival) = &piece
            && let Body::Reply(reply) = &arrival.record.body
        {
            if let Some(from) = reply.from {
                self.desk.give_up(session, from);
            }
            talk.answer(reply.to, bytes);
        }
    }

    /// Writes what came, and tells the guest how far that is.
    fn look_after(&self, talk: &mut Talk) {
        // Without anything new there is nothing to say but, now and then, that somebody is there.
        talk.fresh = 0;
        let Some(session) = self.session else { return };
        while let Some(progress) = self.desk.progress(session) {
            match talk.keeper.duty(hostclock::mono_ns(), progress) {
                Some(Duty::Tell(command)) => self.say(talk, &command),
                Some(Duty::GiveUp) => self.desk.give_up(session, u64::MAX),
                None => break,
            }
        }
    }

    fn say(&self, talk: &mut Talk, command: &Command) {
        if let Command::Attach { .. } = command {
            self.desk.attached(self.session);
        }
        if talk.out.len() < OUT_LIMIT_BYTES {
            talk.out.extend(encode_command(command));
        }
    }
}

impl Talk {
    fn ask(&mut self, request: Request) {
        self.waiting.retain(|request| !request.answer.is_closed());
        if self.out.len() + request.line.len() > OUT_LIMIT_BYTES || self.waiting.len() >= WAITING_LIMIT {
            return request.refuse("the VM takes no commands at present");
        }
        self.out.extend(&request.line);
        self.waiting.push(request);
    }

    fn answer(&mut self, to: Option<u64>, line: &[u8]) {
        if let Some(index) = self.waiting.iter().position(|request| Some(request.id) == to) {
            let request = self.waiting.swap_remove(index);
            let _ = request.answer.send(Ok(String::from_utf8_lossy(line).into_owned()));
        }
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

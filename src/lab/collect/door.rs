//! Guests that come by themselves, many at one listener. Who does not say the token gets nothing and costs little: a bounded
//! time, a bounded number of bytes, one of a bounded number of places.

use super::{
    attend::{ConnectionInputs, serve},
    desk::Desk,
    listener::Listener,
    place::Socket,
    talk::Talk,
};
use crate::lab::hostclock;
use crate::port::Token;
use std::{collections::VecDeque, io, sync::Arc, time::Duration};
use tokio::{
    io::AsyncReadExt,
    net::UnixStream,
    sync::watch,
    task::{AbortHandle, JoinSet},
    time,
};

/// How many guests may be connected at one listener.
const GUESTS_LIMIT: usize = 4096;
/// How many may stand at the door that have not said the token, and how long: of too many the first has to go.
const STRANGERS_LIMIT: usize = 256;
const SAY_WITHIN: Duration = Duration::from_secs(5);
/// How long a guest may say nothing: one that lives does ten times a second, and comes again when it can.
const SILENT_LIMIT_NS: u64 = 60_000_000_000;
const LOOK: Duration = Duration::from_secs(1);
/// How long to wait where no connection can be taken.
const WITHOUT: Duration = Duration::from_millis(100);

/// A listener, and who may come in.
#[derive(Debug)]
pub struct Door {
    /// Where guests come to.
    pub listener: Listener,
    /// What they have to say first.
    pub token: Option<Token>,
}

impl Door {
    /// Lets guests in until told to stop.
    pub async fn keep(self, desk: Arc<Desk>, mut stop: watch::Receiver<bool>) {
        let (mut strangers, mut guests) = (JoinSet::new(), JoinSet::new());
        let mut at_the_door: VecDeque<AbortHandle> = VecDeque::new();
        loop {
            let known = tokio::select! {
                accepted = self.listener.accept() => match (accepted, &self.token) {
                    (Ok(accepted), None) => accepted,
                    (Ok((stream, peer)), Some(token)) => {
                        at_the_door.retain(|waiting| !waiting.is_finished());
                        if at_the_door.len() >= STRANGERS_LIMIT && let Some(first) = at_the_door.pop_front() {
                            first.abort();
                        }
                        at_the_door.push_back(strangers.spawn(ask(stream, peer, token.clone())));
                        continue;
                    }
                    // Without descriptors there is none to take: later there may be.
                    (Err(_), _) => { time::sleep(WITHOUT).await; continue; }
                },
                Some(asked) = strangers.join_next() => match asked {
                    Ok(Ok(known)) => known,
                    Ok(Err(_)) => { desk.turned_away(); continue; }
                    Err(_) => continue,
                },
                Some(_) = guests.join_next() => continue,
                () = stopped(&mut stop) => break,
            };
            if guests.len() >= GUESTS_LIMIT {
                desk.turned_away();
                continue;
            }
            guests.spawn(receive(Arc::clone(&desk), known, stop.clone()));
        }
        while guests.join_next().await.is_some() {}
        self.listener.remove();
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Who can no longer say it has gone.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Waits for the token, and nothing else.
async fn ask(mut stream: UnixStream, peer: String, token: Token) -> io::Result<(UnixStream, String)> {
    let mut said = vec![0; token.line().len()];
    time::timeout(SAY_WITHIN, stream.read_exact(&mut said)).await??;
    if token.is_said(&said) { Ok((stream, peer)) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

/// Serves one guest for as long as its connection lasts.
async fn receive(desk: Arc<Desk>, (stream, peer): (UnixStream, String), mut stop: watch::Receiver<bool>) {
    let (path, mut requests) = desk.welcome(&peer);
    desk.connection(&path, true);
    let began_ns = hostclock::mono_ns();
    let talk = Talk::begin(Arc::clone(&desk), Socket::new(path.clone()), began_ns);
    let mut inputs = ConnectionInputs::new(&mut requests, &mut stop);
    tokio::select! {
        _ = serve(&stream, talk, &mut inputs) => {}
        () = silence(&desk, &path, began_ns) => desk.is_of_no_use(&path, "it says nothing: let go"),
    }
    desk.connection(&path, false);
    desk.leave(&path);
}

/// Waits until a guest has been silent for too long.
async fn silence(desk: &Desk, path: &std::path::Path, began_ns: u64) {
    loop {
        time::sleep(LOOK).await;
        let heard_ns = desk.heard_ns(path).unwrap_or(began_ns);
        if hostclock::mono_ns().saturating_sub(heard_ns) > SILENT_LIMIT_NS {
            return;
        }
    }
}

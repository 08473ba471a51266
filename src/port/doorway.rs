//! Where this program listens: who comes, who may stay. Nobody is waited for.

use super::{
    Address, Token,
    link::{accept, open_listener},
};
use crate::units::Nanos;
use std::{
    io::{self, ErrorKind, Read, Write},
    net::Shutdown,
    os::{fd::OwnedFd, unix::net::UnixStream},
};

/// How many may stand at the door without having said the token, and how long: of too many the first has to go.
const AT_THE_DOOR: usize = 8;
/// How many are let come to the door at once.
const AT_ONCE: usize = 64;
const SAY_WITHIN: Nanos = Nanos::from_secs(2);
/// How often is looked who comes, while a host is connected.
const LOOK: Nanos = Nanos::from_ms(100);
/// What another host is told while one is connected.
const BUSY: &[u8] =
    b"{\"type\":\"refused\",\"error\":\"another host is connected to this guest: one at a time\"}\n";

/// A listening socket.
#[derive(Debug)]
pub(super) struct Doorway {
    listener: OwnedFd,
    address: Address,
    token: Option<Token>,
    strangers: Vec<Stranger>,
    look_ns: u64,
}

/// Somebody who has not said the token yet.
#[derive(Debug)]
struct Stranger {
    socket: UnixStream,
    said: Vec<u8>,
    limit_ns: u64,
}

impl Doorway {
    /// Listens at `address`, for those who know the token where there is one.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub(super) fn open(address: Address, token: Option<Token>) -> io::Result<Self> {
        let listener = open_listener(&address)?;
        Ok(Self { listener, address, token, strangers: Vec::new(), look_ns: 0 })
    }

    /// The next who may come in.
    pub(super) fn admit(&mut self, now_ns: u64) -> Option<UnixStream> {
        let limit_ns = now_ns.saturating_add(SAY_WITHIN.0);
        for _ in 0..AT_ONCE {
            let Ok(socket) = accept(&self.listener, &self.address) else { break };
            if self.token.is_none() {
                return Some(socket);
            }
            self.strangers.push(Stranger { socket, said: Vec::new(), limit_ns });
        }
        let token = self.token.as_ref()?;
        let mut known = None;
        self.strangers.retain_mut(|stranger| match stranger.hear(token.line().len()) {
            Some(false) => now_ns < stranger.limit_ns,
            Some(true) if known.is_none() && token.is_said(&stranger.said) => {
                known = stranger.socket.try_clone().ok();
                false
            }
            _ => false,
        });
        // Whoever knows the token says it at once.
        self.strangers.drain(..self.strangers.len().saturating_sub(AT_THE_DOOR));
        known
    }

    /// Turns away whoever else comes while a host is connected: one who knows the token is told why.
    pub(super) fn turn_away(&mut self, now_ns: u64) {
        if now_ns < self.look_ns {
            return;
        }
        self.look_ns = now_ns.saturating_add(LOOK.0);
        if let Some(mut other) = self.admit(now_ns) {
            // What it said is taken in, or the kernel would answer it with a reset; whether it hears is its own affair.
            let _ = other.read(&mut [0; 1024]);
            let _ = other.write(BUSY);
            let _ = other.shutdown(Shutdown::Write);
        }
    }
}

impl Stranger {
    /// Whether as many bytes as a token's line has were said; none where it has gone.
    fn hear(&mut self, bytes: usize) -> Option<bool> {
        let mut buffer = [0; 320];
        let left = bytes.saturating_sub(self.said.len()).min(buffer.len());
        match self.socket.read(&mut buffer[..left]) {
            Ok(0) => None,
            Ok(count) => {
                self.said.extend(&buffer[..count]);
                Some(self.said.len() >= bytes)
            }
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock).then_some(false),
        }
    }
}

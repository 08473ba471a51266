//! QMP's lines without any I/O: bytes go in, in pieces of any size; messages come out.

use super::QemuVersion;
use crate::units::printable;
use serde_json::Value;

/// The longest line that is kept. The answer to `query-qmp-schema`, the longest we know, is 200 KB.
const MAX_LINE_BYTES: usize = 16 << 20;
/// How much of a line that is no QMP an error shows, in characters.
const SHOWN_CHARS: usize = 80;

/// One message of QEMU. Fields nobody asks for are ignored.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    /// The first line of a connection.
    Greeting {
        /// Who is speaking.
        version: QemuVersion,
    },
    /// A command was done.
    Return {
        /// Which one, as the client numbered it.
        id: Option<u64>,
        /// The answer.
        value: Value,
    },
    /// A command was refused.
    Error {
        /// Which one, as the client numbered it; none where QEMU could not even read it.
        id: Option<u64>,
        /// QEMU's class of errors.
        class: String,
        /// QEMU's own sentence.
        desc: String,
    },
    /// Something happened.
    Event {
        /// What, as QEMU spells it.
        name: String,
        /// When, by QEMU: CLOCK_REALTIME in µs since 1970; none where it could not tell.
        qemu_real_us: Option<u64>,
        /// Details; null where there are none.
        data: Value,
    },
}

/// Bytes that are no QMP.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A line that has no end.
    #[error("QEMU sent a line of more than {limit} bytes")]
    TooLong {
        /// The longest line that is kept, in bytes.
        limit: usize,
    },
    /// A line that is no JSON object.
    #[error("QEMU sent '{shown}', which is no QMP message: {reason}")]
    Unintelligible {
        /// The beginning of the line.
        shown: String,
        /// Why it is none.
        reason: String,
    },
}

/// Cuts a stream of bytes into messages.
#[derive(Debug)]
pub struct Decoder {
    pending: Vec<u8>,
    /// Bytes of `pending` already searched for a line end, so that a long line is searched once.
    searched: usize,
    limit: usize,
    /// A line was too long: nothing that follows can be understood.
    lost: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { pending: Vec::new(), searched: 0, limit: MAX_LINE_BYTES, lost: false }
    }
}

impl Decoder {
    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        if !self.lost {
            self.pending.extend_from_slice(bytes);
        }
    }

    /// The next whole message; `None` until more bytes come. Call it until it says so. Messages of a kind this
    /// version does not know are passed over.
    ///
    /// # Errors
    /// A line that is no JSON object is an error once, and is gone; a line that is too long cannot be got over, and
    /// every further call says so again.
    pub fn next_message(&mut self) -> Option<Result<Incoming, ProtocolError>> {
        loop {
            if self.lost {
                return Some(Err(ProtocolError::TooLong { limit: self.limit }));
            }
            let line = self.next_line()?;
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            match message(line) {
                Ok(None) => {}
                Ok(Some(message)) => return Some(Ok(message)),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// The next line; empty where it is too long, and then the decoder is lost.
    fn next_line(&mut self) -> Option<Vec<u8>> {
        let end = memchr::memchr(b'\n', &self.pending[self.searched..]).map(|offset| self.searched + offset);
        if end.unwrap_or(self.pending.len()) > self.limit {
            self.lost = true;
            self.pending = Vec::new();
            return Some(Vec::new());
        }
        self.searched = if end.is_some() { 0 } else { self.pending.len() };
        end.map(|end| self.pending.drain(..=end).collect())
    }
}

/// Reads one line; `None` for a message of an unknown kind.
fn message(line: &[u8]) -> Result<Option<Incoming>, ProtocolError> {
    let mut value: Value =
        serde_json::from_slice(line).map_err(|error| unintelligible(line, &error.to_string()))?;
    let Some(fields) = value.as_object_mut() else {
        return Err(unintelligible(line, "not an object"));
    };
    let id = fields.get("id").and_then(Value::as_u64);
    if let Some(value) = fields.remove("return") {
        return Ok(Some(Incoming::Return { id, value }));
    }
    if let Some(error) = fields.get("error") {
        return Ok(Some(Incoming::Error { id, class: text(&error["class"]), desc: text(&error["desc"]) }));
    }
    if let Some(name) = fields.get("event") {
        let name = text(name);
        let qemu_real_us = fields.get("timestamp").and_then(microseconds);
        let data = fields.remove("data").unwrap_or(Value::Null);
        return Ok(Some(Incoming::Event { name, qemu_real_us, data }));
    }
    let greeting = fields.get("QMP");
    Ok(greeting
        .map(|greeting| Incoming::Greeting { version: QemuVersion::from_greeting(&greeting["version"]) }))
}

/// A text, or nothing where something else stands.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// QEMU's `timestamp` object. QEMU writes -1 where its clock failed: that is no time.
fn microseconds(timestamp: &Value) -> Option<u64> {
    let part = |name: &str| timestamp[name].as_u64();
    part("seconds")?.checked_mul(1_000_000)?.checked_add(part("microseconds")?)
}

fn unintelligible(line: &[u8], reason: &str) -> ProtocolError {
    let shown = String::from_utf8_lossy(line).chars().take(SHOWN_CHARS).map(printable).collect();
    ProtocolError::Unintelligible { shown, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests;

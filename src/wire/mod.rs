//! Lines and what they say: bytes to records and commands, and back. Takes any bytes, keeps bounded memory,
//! does no I/O.
//!
//! A record or command is one JSON object on one line (NDJSON). What is no such line is reported and skipped; the
//! next newline is the place to go on.

mod command;
mod lines;
mod record;

pub use command::{COMMAND_LIMIT_BYTES, CommandError, decode_command, encode_command};
pub use lines::{Line, Lines};
pub use record::{DecodeError, RECORD_LIMIT_BYTES, decode_record, encode_into, encode_record};

//! What a host reads beside its guests: scenario files, and what QEMU says.

use super::is_fit_to_print;
use sully::lab::qmp::{Decoder, Incoming, ProtocolError};
use sully::lab::scenario;
use sully::plan::PlanFile;

/// A scenario file: what is read prints to the same scenario, and its load reaches the guest as a plan that is read as the same.
pub fn scenario_toml(bytes: &[u8]) {
    match scenario::parse(&String::from_utf8_lossy(bytes), "fuzz") {
        Ok(read) => {
            let printed = read.to_toml();
            assert_eq!(scenario::parse(&printed, "printed").as_ref(), Ok(&read), "{printed}");
            let plan = read.load.guest_plan();
            let got = PlanFile::parse(&plan).map(PlanFile::plan);
            assert_eq!(got.as_ref(), Ok(&read.load.asked), "{plan}");
        }
        Err(error) => is_fit_to_print(&error.to_string()),
    }
}

/// What QEMU says: the same messages however the stream is cut.
pub fn qmp_stream(bytes: &[u8]) {
    assert_eq!(messages(bytes, bytes.len().max(1)), messages(bytes, 5));
}

fn messages(bytes: &[u8], size: usize) -> Vec<Result<Incoming, ProtocolError>> {
    let mut decoder = Decoder::default();
    let mut all = Vec::new();
    for piece in bytes.chunks(size) {
        decoder.push(piece);
        while let Some(message) = decoder.next_message() {
            if let Err(error) = &message {
                is_fit_to_print(&error.to_string());
            }
            all.push(message);
        }
    }
    all
}

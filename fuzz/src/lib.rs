//! What each reader must keep to, whatever bytes it is given. Shared by the fuzz targets and by `tests/fuzz_seeds.rs`.

mod host;
mod image;
mod plan;
mod wire;

pub use host::{qmp_stream, scenario_toml};
pub use image::{archives, modinfo};
pub use plan::{plan_file, plan_text};
pub use wire::{histogram, stream, wire_command, wire_record};

/// A reader that is given bytes, and panics where it does not keep to what it promises.
pub type Target = fn(&[u8]);

/// Every target by name; a directory of `fuzz/corpus` and a program in `fuzz/src/bin` are called after each.
pub const TARGETS: [(&str, Target); 10] = [
    ("archives", archives),
    ("histogram", histogram),
    ("modinfo", modinfo),
    ("plan_file", plan_file),
    ("plan_text", plan_text),
    ("qmp_stream", qmp_stream),
    ("scenario_toml", scenario_toml),
    ("stream", stream),
    ("wire_command", wire_command),
    ("wire_record", wire_record),
];

/// The most a line of an answer or an error may say, in bytes: it repeats its input in part only.
const LONGEST_MESSAGE_BYTES: usize = 16 << 10;

/// A message must not steer a terminal, nor fill it.
fn is_fit_to_print(message: &str) {
    assert!(message.len() <= LONGEST_MESSAGE_BYTES, "a message of {} bytes", message.len());
    steers_nothing(message);
}

/// The same for a message of several lines.
fn are_fit_to_print(message: &str) {
    for line in message.lines() {
        is_fit_to_print(line);
    }
}

fn steers_nothing(text: &str) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
}

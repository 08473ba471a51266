//! What each reader must keep to, whatever bytes it is given. Shared by the fuzz targets and by `tests/fuzz_seeds.rs`.

use std::fmt::{Debug, Display};
use std::str::FromStr;
use sully::guest::Session;
use sully::lab::image::{survey_module, survey_package};
use sully::lab::qmp::{Decoder, Incoming, ProtocolError};
use sully::lab::scenario::{self, Bandwidth, Trigger};
use sully::plan::{
    Backing, BacklogPolicy, ContentSpec, HugePages, Machine, MemoryAmount, MemoryKind, Node, Numa, PaceSpec,
    PageSize, PatternSpec, Plan, Stock, check,
};
use sully::record::SessionId;
use sully::units::{ByteSize, Nanos, Rate, Share};
use sully::wire::{Line, Lines, RECORD_LIMIT_BYTES, decode_record, encode_record};

/// A reader that is given bytes, and panics where it does not keep to what it promises.
pub type Target = fn(&[u8]);

/// Every target by name; a directory of `fuzz/corpus` is called after each.
pub const TARGETS: [(&str, Target); 7] = [
    ("archives", archives),
    ("modinfo", modinfo),
    ("plan_text", plan_text),
    ("qmp_stream", qmp_stream),
    ("scenario_toml", scenario_toml),
    ("wire_command", wire_command),
    ("wire_record", wire_record),
];

/// What an archive may unpack to here, in bytes: a bomb costs no more than this.
const UNPACKED_BYTES: u64 = 1 << 20;
/// The most an answer or an error may say, in bytes: it repeats its input in part only.
const LONGEST_MESSAGE_BYTES: usize = 16 << 10;

/// A kernel package.
pub fn archives(bytes: &[u8]) {
    match survey_package(bytes, UNPACKED_BYTES) {
        Ok(survey) => {
            survey.kernel_release.iter().chain(&survey.modules_release).for_each(|text| steers_nothing(text));
        }
        Err(error) => is_fit_to_print(&format!("{error:#}")),
    }
}

/// A kernel module, compressed or not.
pub fn modinfo(bytes: &[u8]) {
    if let Ok(survey) = survey_module(bytes, UNPACKED_BYTES) {
        assert!(survey.depends.iter().all(|name| !name.is_empty() && !name.contains('-')));
        survey.depends.iter().chain(&survey.modules_release).for_each(|text| steers_nothing(text));
    }
}

/// Lines of a guest: what is read is written and read again the same, however the stream is cut.
pub fn wire_record(bytes: &[u8]) {
    let mut whole = Vec::new();
    cut(bytes, bytes.len().max(1), |line| whole.push(line.map(<[u8]>::to_vec)));
    let mut at = 0;
    cut(bytes, 7, |line| {
        assert_eq!(line, whole[at].as_deref().map_err(|bytes| *bytes));
        at += 1;
    });
    assert_eq!(at, whole.len());
    for line in whole.iter().flatten() {
        match decode_record(line) {
            Ok(record) => {
                let written = encode_record(&record);
                assert_eq!(decode_record(&written[..written.len() - 1]), Ok(record));
            }
            Err(error) => is_fit_to_print(&error.to_string()),
        }
    }
}

/// The lines of a stream that comes in pieces of `size` bytes; of one that is too long, its length.
fn cut(bytes: &[u8], size: usize, mut on_line: impl FnMut(Result<&[u8], u64>)) {
    let mut lines = Lines::new(RECORD_LIMIT_BYTES);
    for piece in bytes.chunks(size) {
        lines.feed(piece, |line| {
            on_line(match line {
                Line::Whole(line) => Ok(line),
                Line::TooLong { bytes } => Err(bytes),
            });
        });
    }
}

/// What a host says to a guest's session: the answers are whole records with numbers one after another, and no more
/// than the outbox holds.
pub fn wire_command(bytes: &[u8]) {
    let mut session = Session::new(SessionId(1));
    let mut said = Lines::new(RECORD_LIMIT_BYTES);
    let mut highest = None;
    for (at, piece) in bytes.chunks(61).enumerate() {
        session.hear(at as u64, piece);
        assert!(session.outbox().waiting_bytes() <= 2 << 20);
        // A host may ask for records again while a line is on its way; so only half of what waits is sent at once.
        for _ in 0..4 {
            let sent = session.outbox().next_bytes().to_vec();
            let sent = &sent[..sent.len().div_ceil(2)];
            session.outbox().mark_sent(sent.len());
            said.feed(sent, |line| {
                let Line::Whole(line) = line else { panic!("an answer is too long") };
                let record = decode_record(line).expect("an answer is a record");
                assert!(record.seq <= highest.map_or(0, |seq: u64| seq + 1), "a hole before {}", record.seq);
                highest = highest.max(Some(record.seq));
                if let sully::record::Body::Reply(reply) = record.body {
                    is_fit_to_print(&reply.error.unwrap_or_default());
                }
            });
        }
    }
}

/// Lines of text as they stand on a command line: what is read prints to the same value, and any plan is answered.
pub fn plan_text(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut plan = Plan::default();
    for line in text.lines().take(32) {
        each::<ByteSize>(line, |_| ());
        each::<Bandwidth>(line, |_| ());
        each::<Trigger>(line, |_| ());
        each::<Nanos>(line, |span| (plan.interval, plan.duration, plan.baseline) = (span, Some(span), span));
        each::<Rate>(line, |rate| plan.rate = rate);
        each::<Share>(line, |share| (plan.reads, plan.dedup) = (share, share));
        each::<PatternSpec>(line, |pattern| plan.pattern = pattern);
        each::<PaceSpec>(line, |pace| plan.pace = pace);
        each::<BacklogPolicy>(line, |backlog| plan.backlog = backlog);
        each::<ContentSpec>(line, |content| plan.content = content);
        each::<MemoryAmount>(line, |memory| plan.memory = memory);
        each::<PageSize>(line, |pages| plan.kind = MemoryKind { pages, ..plan.kind.clone() });
        each::<Backing>(line, |backing| plan.kind = MemoryKind { backing, ..plan.kind.clone() });
        each::<Numa>(line, |numa| plan.kind = MemoryKind { numa: Some(numa), ..plan.kind.clone() });
        if let Ok(number) = line.parse() {
            (plan.threads, plan.catch_up, plan.write_bytes) = (Some(number), number, u64::from(number));
        }
        for available_bytes in [0, 1 << 30, u64::MAX] {
            if let Err(faults) = check(&plan, &machine(available_bytes)) {
                assert!(!faults.to_string().is_empty());
            }
        }
    }
}

fn each<T: FromStr<Err: Display> + Display + Debug + PartialEq>(text: &str, take: impl FnOnce(T)) {
    match text.parse::<T>() {
        Ok(value) => {
            let printed = value.to_string();
            assert_eq!(printed.parse::<T>().ok().as_ref(), Some(&value), "'{text}' prints as '{printed}'");
            take(value);
        }
        Err(error) => is_fit_to_print(&error.to_string()),
    }
}

fn machine(available_bytes: u64) -> Machine {
    let huge = HugePages { free_2m_bytes: Some(available_bytes), free_1g_bytes: None };
    let node = Node { id: 0, available_bytes, huge };
    let stock = Stock { huge, nodes: vec![node], lock_limit_bytes: Some(available_bytes) };
    Machine { available_bytes, cpus: 2, stock }
}

/// A scenario file: what is read prints to the same scenario, and reaches the guest as plain words.
pub fn scenario_toml(bytes: &[u8]) {
    match scenario::parse(&String::from_utf8_lossy(bytes), "fuzz") {
        Ok(read) => {
            let printed = read.to_toml();
            assert_eq!(scenario::parse(&printed, "printed").as_ref(), Ok(&read), "{printed}");
            let arguments = read.load.guest_arguments();
            assert!(
                arguments.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"'),
                "{arguments:?}"
            );
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

/// A message must not steer a terminal, nor fill it.
fn is_fit_to_print(message: &str) {
    assert!(message.len() <= LONGEST_MESSAGE_BYTES, "a message of {} bytes", message.len());
    steers_nothing(message);
}

fn steers_nothing(text: &str) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
}

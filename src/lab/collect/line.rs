//! A record's line as it is kept: the host's stamps, then the guest's own fields as they came.

use crate::record::Side;
use memchr::memmem;
use serde_json::{Map, Value};
use std::{
    borrow::Cow,
    hash::{DefaultHasher, Hash, Hasher},
};

/// What the host says of a record.
const HOST_FIELDS: [&str; 2] = ["host_ns", "side"];

/// The stamps that a kept line begins with.
pub fn stamp(host_ns: u64, side: Side) -> String {
    format!("{{\"host_ns\":{host_ns},\"side\":\"{}\",", name(side))
}

/// The guest's own fields of a kept line, without its newline.
pub fn behind_stamp(line: &[u8]) -> &[u8] {
    let key = b"\"side\":\"";
    let side = memmem::find(line, key).map(|at| at + key.len());
    let end = side.and_then(|at| memmem::find(&line[at..], b"\",").map(|length| at + length + 2));
    end.map_or(line, |end| &line[end..])
}

/// What tells the fields of one record from those of another: a hash, the same in every run of this program.
pub fn print_of(fields: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    fields.hash(&mut hasher);
    hasher.finish()
}

/// What follows the `{` of a record's line, without what the guest says in the host's name: no reader is to meet
/// `host_ns` and `side` twice. Empty where that cannot be taken out.
pub fn own_fields(line: &[u8]) -> Cow<'_, [u8]> {
    // A name may be written with escapes.
    let mut suspect = HOST_FIELDS.into_iter().chain(["\\u"]);
    if !suspect.any(|text| memmem::find(line, text.as_bytes()).is_some()) {
        return line.trim_ascii_start().strip_prefix(b"{").unwrap_or(line).into();
    }
    let Ok(mut fields) = serde_json::from_slice::<Map<String, Value>>(line) else { return Cow::default() };
    fields.retain(|name, _| !HOST_FIELDS.contains(&name.as_str()));
    let own = serde_json::to_vec(&fields).unwrap_or_default();
    // It must fit on a line again, whatever became of its numbers.
    if own.len() > line.len() { Cow::default() } else { own.get(1..).unwrap_or_default().to_vec().into() }
}

const fn name(side: Side) -> &'static str {
    match side {
        Side::Source => "source",
        Side::Destination => "destination",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_behind_the_stamp_is_what_was_put_there() {
        for side in [Side::Source, Side::Destination] {
            for fields in [r#""type":"mark","text":"\"side\":\"x\",","seq":1}"#, r#""side":1}"#] {
                let kept = stamp(u64::MAX, side) + fields;
                assert_eq!(behind_stamp(kept.as_bytes()), fields.as_bytes());
            }
        }
        assert_ne!(print_of(b"\"seq\":1}"), print_of(b"\"seq\":2}"));
    }

    #[test]
    fn a_guest_does_not_speak_in_the_hosts_name() {
        let own = |line: &str| String::from_utf8(own_fields(line.as_bytes()).into_owned()).unwrap();
        assert_eq!(own(r#" {"seq":1,"x":1e1}"#), r#""seq":1,"x":1e1}"#, "as it came");
        assert_eq!(own(r#"{"host_ns":1,"seq":1,"side":"x","host_ns":2}"#), r#""seq":1}"#);
        assert_eq!(own(r#"{"\u0068ost_ns":1,"seq":1,"text":"\u001b"}"#), r#""seq":1,"text":"\u001b"}"#);
        assert_eq!(own(r#"{"host_ns":1,"x":1e999}"#), "", "it cannot be written again");
        assert_eq!(
            own(r#"{"host_ns":1,"x":[1e15,1e15,1e15,1e15]}"#),
            "",
            "it would be longer than a line may be"
        );
    }
}

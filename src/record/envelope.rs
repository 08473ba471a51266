//! What every record carries, whatever it says.

use super::{Body, SessionId};
use serde::{Deserialize, Serialize, Serializer};

/// One record: one JSON object on one line.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct Record {
    /// The run of the guest program that speaks.
    pub session: SessionId,
    /// Counts the records of a session from 0, without a hole.
    pub seq: u64,
    /// Guest CLOCK_MONOTONIC when the record was made, in ns.
    pub mono_ns: u64,
    /// What it says; `type` names it.
    #[serde(flatten)]
    pub body: Body,
}

/// The order of a line: `type` first, the body's own fields last.
#[derive(Serialize)]
struct Line<'a> {
    r#type: &'static str,
    session: SessionId,
    seq: u64,
    mono_ns: u64,
    #[serde(flatten)]
    body: &'a Body,
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { session, seq, mono_ns, body } = self;
        let line = Line { r#type: body.type_name(), session: *session, seq: *seq, mono_ns: *mono_ns, body };
        line.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Heartbeat, Phase};

    #[test]
    fn a_record_is_one_flat_object_that_begins_with_its_type() {
        let record = Record {
            session: SessionId(0xabc),
            seq: 7,
            mono_ns: 9,
            body: Body::Phase(Phase { phase: "baseline".into() }),
        };
        let line = serde_json::to_string(&record).unwrap();
        assert_eq!(
            line,
            r#"{"type":"phase","session":"0000000000000abc","seq":7,"mono_ns":9,"phase":"baseline"}"#
        );
        assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), record);
    }

    #[test]
    fn fields_of_a_later_version_are_ignored() {
        let line = r#"{"type":"heartbeat","session":"0000000000000abc","seq":7,"mono_ns":9,"real_ns":5,"new":{"x":[1]}}"#;
        let record: Record = serde_json::from_str(line).unwrap();
        assert_eq!(
            record.body,
            Body::Heartbeat(Heartbeat {
                real_ns: 5,
                tsc: None,
                disruptions: None,
                ptp_ns: None,
                clocksource: None
            })
        );
    }
}

//! What may stand before the first record of a network connection.

use crate::wire::Line;
use serde::Deserialize;

/// The longest of it, in bytes.
pub const PREFACE_LIMIT_BYTES: usize = 512;

/// What may stand before the first record.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Preface {
    /// The guest said a token that nobody asked for.
    Token,
    /// The guest does not take this host.
    Refused {
        /// Why not.
        error: String,
    },
}

impl Preface {
    /// What a line says, if it is one.
    pub fn of(line: &Line<'_>) -> Option<Self> {
        match line {
            Line::Whole(line) if line.len() <= PREFACE_LIMIT_BYTES => serde_json::from_slice(line).ok(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_and_a_refusal_are_told_from_what_lacks_its_beginning() {
        let of = |text: &str| Preface::of(&Line::Whole(text.as_bytes()));
        assert_eq!(of(r#"{"type":"token","token":"0123456789abcdef"}"#), Some(Preface::Token));
        let refused = of(r#"{"type":"refused","error":"busy"}"#);
        assert_eq!(refused, Some(Preface::Refused { error: "busy".into() }));
        for other in [
            "",
            "\"seq\":5}",
            r#"{"type":"phase"}"#,
            &format!("{{\"type\":\"token\",\"x\":\"{}\"}}", "x".repeat(600)),
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}

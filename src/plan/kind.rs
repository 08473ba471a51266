//! What kind of memory is dirtied: the size of its pages, what backs it, where it lies, and whether it is locked.

use super::table::parameters;
use crate::units::{PAGE_BYTES, UnitError, serde_as_text};
use serde::{Deserialize, Serialize};
use std::{fmt, path::PathBuf, str::FromStr};

macro_rules! kind {
    (amount { $($amount:tt)* } kind { $(
        #[doc = $doc:tt] $field:ident $name:tt: $type:ty = $usual:expr, $how:tt
        [$(hello $hello:meta,)? $(own $region:ident,)?] $column:tt
    )* } $($other:tt)*) => {
        /// The kind of memory.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
        #[serde(default)]
        pub struct MemoryKind {
            $( #[doc = $doc] $(#[$hello])? pub $field: $type, )*
        }

        impl Default for MemoryKind {
            fn default() -> Self {
                Self { $( $field: $usual, )* }
            }
        }
    };
}
parameters!(kind);

/// The size of the backing pages. Text: `4k`, `thp`, `2M`, `1G`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PageSize {
    /// 4096 bytes, never merged to huge pages.
    #[default]
    Base,
    /// Transparent huge pages of 2 MiB, as far as the kernel finds them.
    Transparent,
    /// Huge pages of 2 MiB from the kernel's pool.
    Huge2M,
    /// Huge pages of 1 GiB from the kernel's pool.
    Huge1G,
}

impl PageSize {
    const NAMES: [(Self, &'static str); 4] =
        [(Self::Base, "4k"), (Self::Transparent, "thp"), (Self::Huge2M, "2M"), (Self::Huge1G, "1G")];

    /// The size of one such page in bytes.
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Base => PAGE_BYTES,
            Self::Transparent | Self::Huge2M => 2 << 20,
            Self::Huge1G => 1 << 30,
        }
    }

    /// Whether such pages come from a pool that the administrator fills.
    pub const fn is_pooled(self) -> bool {
        matches!(self, Self::Huge2M | Self::Huge1G)
    }
}

impl FromStr for PageSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let known = Self::NAMES.iter().find(|(_, name)| *name == text).map(|(size, _)| *size);
        known.ok_or_else(|| UnitError::new(text, "a page size", "4k, thp, 2M or 1G", "thp"))
    }
}

impl fmt::Display for PageSize {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Self::NAMES.iter().find(|(size, _)| size == self);
        out.write_str(known.map_or("", |(_, name)| name))
    }
}

serde_as_text!(PageSize);

/// What backs the memory. Text: `anon`, `shared`, `file:PATH`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Backing {
    /// Anonymous private memory.
    #[default]
    Anon,
    /// Anonymous shared memory.
    Shared,
    /// This file, shared: what is written can be read from outside the process.
    File(PathBuf),
}

impl FromStr for Backing {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        match (text, text.strip_prefix("file:")) {
            ("anon", _) => Ok(Self::Anon),
            ("shared", _) => Ok(Self::Shared),
            (_, Some(path)) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => Err(UnitError::new(text, "a backing", "anon, shared or file:PATH", "file:/dev/shm/region")),
        }
    }
}

impl fmt::Display for Backing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anon => out.write_str("anon"),
            Self::Shared => out.write_str("shared"),
            Self::File(path) => write!(out, "file:{}", path.display()),
        }
    }
}

serde_as_text!(Backing);

/// Where memory lies on a machine with several NUMA nodes. Text: a node's number, or `interleave`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numa {
    /// On this node alone.
    Node(u32),
    /// On all nodes in turn.
    Interleave,
}

impl FromStr for Numa {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text == "interleave" {
            return Ok(Self::Interleave);
        }
        let number = text.parse().ok().map(Self::Node);
        number.ok_or_else(|| UnitError::new(text, "a NUMA placement", "a node's number or interleave", "0"))
    }
}

impl fmt::Display for Numa {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => node.fmt(out),
            Self::Interleave => out.write_str("interleave"),
        }
    }
}

serde_as_text!(Numa);

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::{Debug, Display};

    fn stays<T: FromStr<Err = UnitError> + Display + Debug>(texts: &[&str]) {
        for text in texts {
            assert_eq!(text.parse::<T>().unwrap().to_string(), *text);
        }
    }

    fn refused<T: FromStr<Err = UnitError> + Debug>(text: &str, expected: &str) {
        let message = text.parse::<T>().unwrap_err().to_string();
        assert!(message.contains(&format!("'{text}'")) && message.contains(expected), "{message}");
    }

    #[test]
    fn every_kind_parses_and_prints() {
        stays::<PageSize>(&["4k", "thp", "2M", "1G"]);
        stays::<Backing>(&["anon", "shared", "file:/dev/shm/x", "file:a:b"]);
        stays::<Numa>(&["0", "17", "interleave"]);
    }

    #[test]
    fn what_is_none_is_answered_with_those_there_are() {
        refused::<PageSize>("3M", "4k, thp, 2M or 1G");
        refused::<Backing>("file:", "anon, shared or file:PATH");
        refused::<Backing>("disk", "file:/dev/shm/region");
        refused::<Numa>("-1", "a node's number or interleave");
    }

    #[test]
    fn an_older_plan_that_does_not_say_had_ordinary_pages() {
        let kind: MemoryKind = serde_json::from_str("{}").unwrap();
        assert_eq!(kind, MemoryKind::default());
        let text = serde_json::to_string(&kind).unwrap();
        assert_eq!(text, r#"{"pages":"4k","backing":"anon","lock":false}"#);
    }
}

//! QEMU's version: as it says it in its greeting and in answer to `-version`.

use crate::units::shown;
use serde_json::Value;
use std::fmt;

/// A version of QEMU. Prints as QEMU does: `7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QemuVersion {
    text: String,
    triple: (u32, u32, u32),
}

impl QemuVersion {
    /// From the numbers, and the packager's own words where there are any.
    pub fn new(triple: (u32, u32, u32), package: &str) -> Self {
        let (major, minor, micro) = triple;
        let package = shown(package, 200);
        let package = package.trim().trim_start_matches('(').trim_end_matches(')');
        let numbers = format!("{major}.{minor}.{micro}");
        let text = if package.is_empty() { numbers } else { format!("{numbers} ({package})") };
        Self { text, triple }
    }

    /// From the `version` object of a greeting, or of `query-version`. A part that is missing counts as 0, as that
    /// of the oldest version does: what old versions need is then done.
    pub fn from_greeting(version: &Value) -> Self {
        let part = |name: &str| {
            version["qemu"][name].as_u64().and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
        };
        let package = version["package"].as_str().unwrap_or_default();
        Self::new((part("major"), part("minor"), part("micro")), package)
    }

    /// From what `qemu-system-x86_64 -version` prints; `None` where no version stands in it.
    pub fn from_banner(banner: &str) -> Option<Self> {
        let (_, rest) = banner.lines().next()?.split_once("version ")?;
        let (numbers, package) = rest.split_once(' ').unwrap_or((rest, ""));
        let mut parts = numbers.split('.').map(|part| part.parse::<u32>().ok());
        let triple = (parts.next()??, parts.next()??, parts.next().flatten().unwrap_or(0));
        Some(Self::new(triple, package))
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Major, minor, micro.
    pub const fn triple(&self) -> (u32, u32, u32) {
        self.triple
    }
}

impl fmt::Display for QemuVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn greeting_and_banner_of_one_qemu_say_the_same() {
        let greeted = QemuVersion::from_greeting(&json!({
            "qemu": {"micro": 22, "minor": 2, "major": 7},
            "package": "Debian 1:7.2+dfsg-7+deb12u18+b3"
        }));
        let banner =
            "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)\nCopyright (c) 2003-2022";
        assert_eq!(Some(greeted.clone()), QemuVersion::from_banner(banner));
        assert_eq!(greeted.triple(), (7, 2, 22));
        assert_eq!(greeted.text(), "7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)");
    }

    #[test]
    fn a_qemu_built_from_source_has_no_package() {
        let version = QemuVersion::from_greeting(
            &json!({"qemu": {"micro": 0, "minor": 1, "major": 10}, "package": ""}),
        );
        assert_eq!(version.text(), "10.1.0");
        assert_eq!(QemuVersion::from_banner("QEMU emulator version 10.1.0").unwrap(), version);
    }

    #[test]
    fn a_release_candidate_and_a_stranger_are_told_apart() {
        assert_eq!(
            QemuVersion::from_banner("QEMU emulator version 9.0.50-rc1 (v9)").unwrap().triple(),
            (9, 0, 0)
        );
        assert_eq!(QemuVersion::from_banner("GNU bash, version five"), None);
        assert_eq!(QemuVersion::from_banner(""), None);
    }

    proptest! {
        #[test]
        fn no_banner_panics(banner in ".{0,120}") {
            let _ = QemuVersion::from_banner(&banner);
        }
    }
}

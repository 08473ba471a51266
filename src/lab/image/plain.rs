//! Texts from files that strangers made, fit to be shown.

use crate::units::printable;

/// The text that `bytes` hold. Control characters, which could steer a terminal through a message, and what is no UTF-8
/// become U+FFFD; so such a name is the name of nothing that is looked for.
pub(super) fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().map(printable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_shown_as_a_mark() {
        assert_eq!(plain(b"a\x1b[2J\xc2\x9b\xff\n"), "a\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}");
    }
}

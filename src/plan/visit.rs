//! What one visit does to its page: whether it keeps a stamp, and how much it writes. Both are plain values with a grammar of their
//! own.

use crate::units::{PAGE_BYTES, UnitError};

/// What a visit writes when nothing else is asked for, in bytes.
pub const WORD_BYTES: u64 = 8;

/// What a record says of it that is older than the choice.
pub(super) const fn word() -> u64 {
    WORD_BYTES
}

/// Whether each visit is timed, where a record does not say.
pub(super) const fn timed() -> bool {
    true
}

/// Something that is on or off. Keys of files may say true and false of it.
///
/// # Errors
/// When the text is neither.
pub fn on_or_off(text: &str) -> Result<bool, UnitError> {
    match text {
        "on" | "true" => Ok(true),
        "off" | "false" => Ok(false),
        _ => Err(UnitError::new(text, "a switch", "on or off", "off")),
    }
}

/// How much of a page a visit writes, in bytes: whole words, 8 to 4096; `page` is all of it.
///
/// # Errors
/// When the text is neither.
pub fn write_bytes(text: &str) -> Result<u64, UnitError> {
    let bytes = if text == "page" { Some(PAGE_BYTES) } else { text.parse().ok() };
    bytes.filter(|bytes| is_write(*bytes)).ok_or_else(|| {
        UnitError::new(text, "a size of a write", "a multiple of 8 from 8 to 4096, or page", "64")
    })
}

/// Whether a visit can write so many bytes.
pub const fn is_write(bytes: u64) -> bool {
    matches!(bytes, WORD_BYTES..=PAGE_BYTES) && bytes.is_multiple_of(WORD_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_up_to_a_page_can_be_written() {
        for bytes in (8..=4096).step_by(8) {
            assert_eq!(write_bytes(&bytes.to_string()), Ok(bytes));
        }
        assert_eq!(write_bytes("page"), Ok(4096));
        assert_eq!((on_or_off("on"), on_or_off("off")), (Ok(true), Ok(false)));
        assert_eq!((on_or_off("true"), on_or_off("false")), (Ok(true), Ok(false)));
    }

    #[test]
    fn what_is_neither_is_repeated_with_the_way_out() {
        for text in ["0", "7", "12", "4104", "-8", "all", ""] {
            let message = write_bytes(text).unwrap_err().to_string();
            assert!(message.contains(&format!("'{text}'")) && message.contains("4096"), "{message}");
        }
        assert!(on_or_off("maybe").unwrap_err().to_string().contains("on or off"));
    }
}

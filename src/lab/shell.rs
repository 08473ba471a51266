//! Words for a shell.

/// A text as one word, whatever is in it.
pub fn word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_word_whatever_is_in_it() {
        assert_eq!(word("/a b/it's; $x"), r"'/a b/it'\''s; $x'");
    }
}

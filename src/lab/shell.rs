//! Words for a shell.

/// A text as one word, whatever is in it.
pub fn word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The same for people to read and to repeat: a text that is one word as it is stays so.
pub fn readable_word(text: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-+:@%".contains(letter);
    if !text.is_empty() && text.chars().all(is_plain) { text.to_owned() } else { word(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_word_whatever_is_in_it() {
        assert_eq!(word("/a b/it's; $x"), r"'/a b/it'\''s; $x'");
        for plain in ["/runs/a-1_b.c", "root@node2:22", "--flag", "a+b%"] {
            assert_eq!(readable_word(plain), plain);
        }
        for (text, shown) in
            [("", "''"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("a;b", "'a;b'"), ("$(x)", "'$(x)'")]
        {
            assert_eq!(readable_word(text), shown);
        }
    }
}

//! The word that both ends of a network connection know: whoever dials says it first, whoever listens demands it.
//!
//! It keeps strangers out and accidents; it travels in the clear, as the records do.

use std::{
    fs::File,
    hint::black_box,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::Path,
};

/// How long a token may be, in bytes: one that can be guessed is none.
const LEAST_BYTES: usize = 16;
const MOST_BYTES: usize = 256;
/// What others than owner and group may do with a file.
const OTHERS: u32 = 0o007;

/// A shared token, as the line that says it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Reads a file that holds a token; white space around it is none of it.
    ///
    /// # Errors
    /// Why it is no token, or none to be kept so; a sentence.
    pub fn read(path: &Path) -> Result<Self, String> {
        let named = |why: &str| format!("--token-file {}: {why}", path.display());
        let unread = |error: io::Error| named(&format!("it cannot be read: {error}"));
        let file = File::open(path).map_err(unread)?;
        if file.metadata().map_err(unread)?.permissions().mode() & OTHERS != 0 {
            return Err(named("everybody on this machine may read it: chmod 600 makes it a secret"));
        }
        let mut text = Vec::new();
        file.take(4 * MOST_BYTES as u64).read_to_end(&mut text).map_err(unread)?;
        Self::of(text.trim_ascii()).ok_or_else(|| {
            named(
                "expected 16 to 256 letters, digits or signs in one line, without quotes and backslashes; for example \
                 what `openssl rand -hex 16` prints",
            )
        })
    }

    fn of(text: &[u8]) -> Option<Self> {
        let is_token = (LEAST_BYTES..=MOST_BYTES).contains(&text.len())
            && text.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
        let text = str::from_utf8(text).ok().filter(|_| is_token)?;
        Some(Self(format!("{{\"type\":\"token\",\"token\":\"{text}\"}}\n")))
    }

    /// The line that says it, newline included.
    pub const fn line(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether `said` is that line. It takes as long whatever part of it is right.
    pub fn is_said(&self, said: &[u8]) -> bool {
        let line = self.line();
        let differs =
            line.iter().zip(said).fold(0, |differs, (own, other)| black_box(differs | (own ^ other)));
        line.len() == said.len() && differs == 0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn read(text: &str, mode: u32) -> Result<Token, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        Token::read(&path)
    }

    #[test]
    fn a_token_is_the_text_of_a_file_without_the_space_around_it() {
        let token = read("  0123456789abcdef\n\n", 0o640).unwrap();
        assert_eq!(token.line(), b"{\"type\":\"token\",\"token\":\"0123456789abcdef\"}\n");
        let mut said = token.line().to_vec();
        assert!(token.is_said(&said));
        said[30] ^= 1;
        assert!(!token.is_said(&said) && !token.is_said(b"") && !token.is_said(&token.line()[..20]));
        assert_eq!(format!("{token:?}"), "Token", "it is never shown");
    }

    #[test]
    fn what_is_no_secret_is_refused_with_what_is_expected() {
        let long = "x".repeat(257);
        for text in [
            "",
            "\n",
            "short",
            &long,
            "with space inside it all",
            "with\"quote\"inside it",
            "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}",
        ] {
            let message = read(text, 0o600).unwrap_err();
            assert!(message.contains("--token-file") && message.contains("16 to 256"), "{message}");
        }
        assert!(read("0123456789abcdef", 0o644).unwrap_err().contains("chmod 600"));
        let missing = Token::read(Path::new("/nonexistent/token")).unwrap_err();
        assert!(missing.contains("/nonexistent/token: it cannot be read"), "{missing}");
    }
}

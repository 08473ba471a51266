//! The lines of a file within limits: one at a time, so that no file decides how much memory it takes.

use super::{Limits, ReadError};
use crate::files::open_regular;
use std::{
    borrow::Cow,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

/// What to do about the rest of a file after a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterLine {
    /// Read on.
    Next,
    /// Leave the rest.
    Stop,
}

/// Opens the file at `path`; that it is missing is said in `remarks`.
pub fn open(path: &Path, remarks: &mut Vec<String>) -> Result<Option<File>, ReadError> {
    match open_regular(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            remarks.push(format!("{} is missing", name_of(path)));
            Ok(None)
        }
        opened => opened.map(Some).map_err(|source| ReadError::Io { path: path.to_path_buf(), source }),
    }
}

fn name_of(path: &Path) -> Cow<'_, str> {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy()
}

/// Gives each line of `file`, which is at `path`, with the place where it begins; a blank one is passed over. A last line that is cut
/// short is said in `remarks`.
pub fn each_line(
    limits: &Limits,
    (file, path): (&File, &Path),
    expected: &'static str,
    remarks: &mut Vec<String>,
    mut on_line: impl FnMut(u64, &[u8]) -> serde_json::Result<AfterLine>,
) -> Result<(), ReadError> {
    let io_error = |source| ReadError::Io { path: path.to_path_buf(), source };
    let too_long = |place, limit_bytes| ReadError::TooLong { path: path.to_path_buf(), place, limit_bytes };
    if file.metadata().map_err(io_error)?.len() > limits.file_bytes {
        return Err(too_long(String::new(), limits.file_bytes));
    }
    let (mut reader, mut text, mut at) = (BufReader::with_capacity(256 << 10, file), Vec::new(), 0u64);
    for line in 1u64.. {
        text.clear();
        let length =
            reader.by_ref().take(limits.line_bytes + 1).read_until(b'\n', &mut text).map_err(io_error)?;
        if length == 0 {
            break;
        }
        if length as u64 > limits.line_bytes {
            return Err(too_long(format!(", line {line}"), limits.line_bytes));
        }
        if !text.trim_ascii().is_empty() {
            match on_line(at, &text) {
                Ok(AfterLine::Next) => {}
                Ok(AfterLine::Stop) => break,
                Err(_) if text.last() != Some(&b'\n') => {
                    remarks.push(format!(
                        "{}: the last line, {line}, is incomplete and left out",
                        name_of(path)
                    ));
                }
                Err(source) => {
                    return Err(ReadError::Line { path: path.to_path_buf(), line, expected, source });
                }
            }
        }
        at += length as u64;
    }
    Ok(())
}

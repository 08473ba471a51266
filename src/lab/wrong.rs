//! What the user gave and has to mend: told apart from what failed, so that the exit code can say which.

use std::fmt;

/// An error in what the user gave: a file, a directory, a name. Prints as its whole chain.
#[derive(Debug)]
pub struct WrongInput(anyhow::Error);

impl fmt::Display for WrongInput {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:#}", self.0)
    }
}

impl std::error::Error for WrongInput {}

/// Marks an error of `result` as one in what the user gave.
///
/// # Errors
/// Those of `result`.
pub fn given<T>(result: anyhow::Result<T>) -> anyhow::Result<T> {
    result.map_err(|error| WrongInput(error).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_wrong_input_is_recognised_and_prints_its_whole_chain() {
        let failed: anyhow::Result<()> = Err(anyhow::anyhow!("cause")).context("what");
        let error = given(failed).unwrap_err();
        assert!(error.is::<WrongInput>());
        assert_eq!(error.to_string(), "what: cause");
    }
}

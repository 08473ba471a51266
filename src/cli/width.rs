//! How wide what is printed may be.

use crate::lab::report::WIDTH;
use console::Term;
use std::env;

/// Narrower than this nothing can be laid out.
const LEAST: usize = 60;

/// The width of what is printed: the terminal's, or what COLUMNS says, and no wider than the report reads well.
pub fn width(term: &Term) -> usize {
    let said = env::var("COLUMNS").ok().and_then(|columns| columns.trim().parse().ok());
    let found = || term.size_checked().filter(|_| term.is_term()).map(|(_, columns)| usize::from(columns));
    of(said.or_else(found))
}

fn of(columns: Option<usize>) -> usize {
    columns.map_or(WIDTH, |columns| columns.clamp(LEAST, WIDTH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_has_its_own_width_and_a_file_the_widest() {
        assert_eq!([Some(80), Some(200), Some(7), None].map(of), [80, 110, 60, 110]);
    }
}

//! A table as both the terminal and the page show it: words in cells, nothing of how they look.

/// A table with a title. Its first column names the rows; where there is no head, rows are name and value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// One sentence that helps to read it; may be empty.
    pub note: String,
    /// Names over several columns: the name (may be empty) and how many; empty where there are none.
    pub groups: Vec<(String, usize)>,
    /// The columns' names; empty where there are none.
    pub head: Vec<String>,
    /// The cells, one for each column.
    pub rows: Vec<Vec<String>>,
    /// Whether cells are words, not figures: set to the left.
    pub words: bool,
}

/// What a cell holds where nothing was measured.
pub const ABSENT: &str = "-";

impl Table {
    /// A table with a head.
    pub fn with_head(title: &str, head: &[&str]) -> Self {
        let head = head.iter().map(|name| (*name).to_owned()).collect();
        Self { title: title.into(), head, ..Self::default() }
    }

    /// A table of names and their values.
    pub fn of_facts(title: &str) -> Self {
        Self { title: title.into(), words: true, ..Self::default() }
    }

    /// Adds a named value.
    pub fn fact(&mut self, name: &str, value: impl Into<String>) {
        self.rows.push(vec![name.into(), value.into()]);
    }

    /// As text: columns aligned and set apart by two spaces, every line indented by two. Where that is wider than
    /// `width`, cells of words are wrapped, never cut.
    pub fn to_text(&self, width: usize) -> String {
        let mut lines = vec![self.title.clone()];
        let widths = self.widths(width);
        if !self.groups.is_empty() {
            lines.push(self.group_line(&widths));
        }
        if !self.head.is_empty() {
            lines.push(self.line(&self.head, &widths));
        }
        for row in &self.rows {
            lines.extend(self.wrapped(row, &widths));
        }
        if !self.note.is_empty() {
            lines.extend(wrap(&self.note, width - 2).into_iter().map(|line| format!("  {line}")));
        }
        lines.iter().flat_map(|line| [line.trim_end(), "\n"]).collect()
    }

    fn widths(&self, width: usize) -> Vec<usize> {
        let columns = self.rows.iter().chain([&self.head]).map(Vec::len).max().unwrap_or(0);
        let cells =
            |column: usize| self.rows.iter().chain([&self.head]).filter_map(move |row| row.get(column));
        let widest = |column| cells(column).map(|cell| chars(cell)).max().unwrap_or(0);
        let mut widths: Vec<usize> = (0..columns).map(widest).collect();
        let mut start = 0;
        for (name, count) in &self.groups {
            let spanned = &mut widths[start.min(columns)..(start + count).min(columns)];
            let needed = chars(name).saturating_sub(group_width(spanned));
            if let Some(first) = spanned.first_mut() {
                *first += needed;
            }
            start += count;
        }
        if let (true, Some((last, before))) = (self.words, widths.split_last_mut()) {
            let taken: usize = 2 + before.iter().map(|width| width + 2).sum::<usize>();
            *last = (*last).min(width.saturating_sub(taken).max(20));
        }
        widths
    }

    fn group_line(&self, widths: &[usize]) -> String {
        let mut line = String::new();
        let mut start = 0;
        for (name, count) in &self.groups {
            let end = (start + count).min(widths.len());
            let width = group_width(&widths[start.min(end)..end]);
            // A line under nothing but its own columns shows how far the name reaches.
            let rule = if name.is_empty() { " " } else { "─" };
            let free = width.saturating_sub(chars(name) + usize::from(!name.is_empty()));
            let space = if name.is_empty() { "" } else { " " };
            line.extend(["  ", name, space, &rule.repeat(free)]);
            start = end;
        }
        line
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let set = |(column, (cell, width)): (usize, (&String, &usize))| {
            let free = " ".repeat(width.saturating_sub(chars(cell)));
            if column == 0 || self.words { format!("  {cell}{free}") } else { format!("  {free}{cell}") }
        };
        cells.iter().zip(widths).enumerate().map(set).collect()
    }

    fn wrapped(&self, row: &[String], widths: &[usize]) -> Vec<String> {
        let columns: Vec<Vec<String>> =
            row.iter().zip(widths).map(|(cell, width)| wrap(cell, *width)).collect();
        let height = columns.iter().map(Vec::len).max().unwrap_or(0);
        let line = |index: usize| -> Vec<String> {
            columns.iter().map(|lines| lines.get(index).cloned().unwrap_or_default()).collect()
        };
        (0..height).map(|index| self.line(&line(index), widths)).collect()
    }
}

/// The width of several columns with the space between them.
fn group_width(widths: &[usize]) -> usize {
    widths.iter().map(|width| width + 2).sum::<usize>().saturating_sub(2)
}

/// How many characters a terminal shows.
fn chars(text: &str) -> usize {
    text.chars().count()
}

/// Words in lines of at most `width` characters; a longer word has a line of its own.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        if let Some(line) = lines.last_mut() {
            if line.is_empty() {
                line.push_str(word);
            } else if chars(line) + 1 + chars(word) <= width {
                line.push(' ');
                line.push_str(word);
            } else {
                lines.push(word.to_owned());
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn figures_stand_under_each_other_to_the_right_and_names_to_the_left() {
        let mut table = Table::with_head("Stages", &["stage", "p50", "p99"]);
        table.groups = vec![(String::new(), 1), ("service".into(), 2)];
        table.rows = vec![row(&["pre-copy", "1 µs", "12 ms"]), row(&["after", "10 µs", "-"])];
        let expected = "Stages\n            service ────\n  stage       p50    p99\n  pre-copy   1 µs  12 ms\n  after     10 µs      -\n";
        assert_eq!(table.to_text(80), expected);
    }

    #[test]
    fn long_words_are_wrapped_beside_their_name() {
        let mut table = Table::of_facts("Facts");
        table.fact("note", "one two three four five six seven");
        let text = table.to_text(30);
        assert_eq!(text, "Facts\n  note  one two three four\n        five six seven\n");
    }
}

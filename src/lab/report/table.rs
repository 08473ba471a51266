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
    /// `width`, cells of words are wrapped, and columns of figures that find no room stand below the others; nothing is cut.
    pub fn to_text(&self, width: usize) -> String {
        let mut lines = vec![self.title.clone()];
        for part in self.parts(width) {
            lines.extend(part.lines(width));
        }
        if !self.note.is_empty() {
            lines.extend(wrap(&self.note, width - 2).into_iter().map(|line| format!("  {line}")));
        }
        lines.iter().flat_map(|line| [line.trim_end(), "\n"]).collect()
    }

    /// The table in parts that are no wider than `width`, each with the names of its rows.
    fn parts(&self, width: usize) -> Vec<Self> {
        let widths = self.widths(width);
        let is_wide = |columns: &[usize]| {
            let names = widths.first().map_or(0, |names| names + 2);
            names + columns.iter().map(|column| widths[*column] + 2).sum::<usize>() > width
        };
        let mut parts: Vec<Vec<usize>> = Vec::new();
        for column in 1..widths.len() {
            match parts.last_mut() {
                Some(part) if !is_wide(&[part.as_slice(), &[column]].concat()) => part.push(column),
                _ => parts.push(vec![column]),
            }
        }
        if self.words || parts.len() < 2 {
            return vec![self.clone()];
        }
        parts.iter().map(|columns| self.part(columns)).collect()
    }

    /// The first column and these.
    fn part(&self, columns: &[usize]) -> Self {
        let chosen = |cells: &[String]| -> Vec<String> {
            [0].iter().chain(columns).filter_map(|column| cells.get(*column).cloned()).collect()
        };
        let mut groups: Vec<(String, usize)> = Vec::new();
        let names: Vec<usize> = self
            .groups
            .iter()
            .enumerate()
            .flat_map(|(index, (_, count))| std::iter::repeat_n(index, *count))
            .collect();
        let mut last = None;
        for index in [0].iter().chain(columns).filter_map(|column| names.get(*column)) {
            match groups.last_mut() {
                Some((_, count)) if last == Some(index) => *count += 1,
                _ => groups.push((self.groups[*index].0.clone(), 1)),
            }
            last = Some(index);
        }
        let rows = self.rows.iter().map(|row| chosen(row)).collect();
        Self { groups, head: chosen(&self.head), rows, ..self.clone() }
    }

    fn lines(&self, width: usize) -> Vec<String> {
        let (mut lines, widths) = (Vec::new(), self.widths(width));
        if !self.groups.is_empty() {
            lines.push(self.group_line(&widths));
        }
        if !self.head.is_empty() {
            lines.push(self.line(&self.head, &widths));
        }
        for row in &self.rows {
            lines.extend(self.wrapped(row, &widths));
        }
        lines
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
    fn columns_that_find_no_room_stand_below_the_others_with_the_names_of_rows_and_groups() {
        let mut table = Table::with_head("Stages", &["stage", "p50", "p99", "p50", "p99"]);
        table.groups = vec![(String::new(), 1), ("service".into(), 2), ("response".into(), 2)];
        table.rows = vec![row(&["pre-copy", "1 µs", "12 ms", "123 ms", "4 s"])];
        table.note = "A note.".into();
        let expected = "Stages\n            service ───  response\n  stage      p50    p99       p50\n  pre-copy  1 µs  12 ms    123 ms\n            \
                        response\n  stage          p99\n  pre-copy       4 s\n  A note.\n";
        assert_eq!(table.to_text(34), expected);
        assert!(table.to_text(60).contains("  pre-copy  1 µs  12 ms  123 ms  4 s"), "{}", table.to_text(60));
    }

    #[test]
    fn long_words_are_wrapped_beside_their_name() {
        let mut table = Table::of_facts("Facts");
        table.fact("note", "one two three four five six seven");
        let text = table.to_text(30);
        assert_eq!(text, "Facts\n  note  one two three four\n        five six seven\n");
    }
}

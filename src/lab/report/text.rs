//! The report for a terminal: plain text, as wide as asked for.

use super::{
    compare::{comparison, unlike},
    costs::which,
    cycles::cycles,
    facts::{EMULATED, consoles, facts, is_emulated, notes, verdict},
    felt::felt,
    headline::headline_of,
    integrity::integrity,
    repeats::{repeats, together},
    table::{Table, wrap},
    tables::tables,
};
use crate::{lab::view::RunView, units::harmless};

/// The widest line that reads well.
pub const WIDTH: usize = 110;
/// The most runs side by side.
const COLUMNS: usize = 4;

/// The report on these runs as plain text, at most `width` columns wide but for words that are longer. Where there are
/// several, their comparison comes first.
pub fn text(runs: &[RunView], width: usize) -> String {
    let mut parts = Vec::new();
    if runs.len() > 1 {
        parts.extend(side_by_side(runs, width));
        let found = together(runs);
        let sentences = which(&found).into_iter().chain(unlike(runs));
        parts.extend(sentences.map(|sentence| lines(&wrap(&sentence, width))));
        parts.extend(repeats(&found).iter().map(|table| table.to_text(width)));
    }
    parts.extend(runs.iter().map(|run| one(run, width)));
    harmless(&parts.join("\n"))
}

/// As many runs side by side as fit.
fn side_by_side(runs: &[RunView], width: usize) -> Vec<String> {
    let in_columns =
        |columns| -> Vec<String> { runs.chunks(columns).map(|few| comparison(few).to_text(width)).collect() };
    let fits = |tables: &Vec<String>| {
        tables.iter().all(|table| table.lines().all(|line| line.chars().count() <= width))
    };
    (2..=COLUMNS).rev().map(in_columns).find(fits).unwrap_or_else(|| in_columns(1))
}

/// One run.
fn one(run: &RunView, width: usize) -> String {
    let (data, timeline) = (run.data(), run.timeline());
    let name = &data.run.name;
    let mut parts = vec![format!("{name}\n{}\n", "═".repeat(name.chars().count()))];
    parts.push(lines(&wrap(&headline_of(run), width)));
    parts.push(lines(&wrap(&format!("Verdict: {}.", verdict(data)), width)));
    for (title, console) in consoles(data) {
        let indented: Vec<String> = console.iter().map(|line| format!("  {line}")).collect();
        parts.push(format!("\n{title}\n{}", lines(&indented)));
    }
    if is_emulated(data) {
        parts.push(lines(&wrap(EMULATED, width)));
    }
    let shown = |table: &Table| format!("\n{}", table.to_text(width));
    let felt = felt(run.analysis(), is_emulated(data), timeline.untold_ns());
    parts.extend(
        cycles(data, timeline)
            .iter()
            .chain(&tables(data, timeline))
            .chain(&felt)
            .chain(&integrity(data))
            .map(shown),
    );
    parts.push(shown(&facts(data)));
    let notes = notes(data, timeline);
    if !notes.is_empty() {
        let items = notes.iter().flat_map(|note| hanging(note, width));
        parts.push(format!("\nNotes\n{}", lines(&items.collect::<Vec<_>>())));
    }
    parts.concat()
}

/// A note as an item of a list.
fn hanging(note: &str, width: usize) -> Vec<String> {
    let wrapped = wrap(note, width - 4);
    let lines = wrapped.iter().enumerate();
    lines.map(|(index, line)| format!("  {} {line}", if index == 0 { '·' } else { ' ' })).collect()
}

fn lines(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        lab::timeline::fixture::Story,
        record::{Body, Outcome, Side},
    };

    fn stories() -> [RunView; 3] {
        [Story::precopy(), Story::auto_converge(), Story::post_copy()]
            .map(|story| RunView::new(story.run_data().data()))
    }

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        for width in [80, 90, WIDTH] {
            for line in text(&stories(), width).lines() {
                assert!(line.chars().count() <= width, "{} wide: {line}", line.chars().count());
            }
        }
    }

    #[test]
    fn the_report_reads_as_it_always_did() {
        insta::assert_snapshot!(text(&stories(), WIDTH));
    }

    #[test]
    fn a_run_that_ended_badly_shows_why_and_its_consoles() {
        let mut data = Story { completed_ms: None, blackout: None, ..Story::precopy() }.run_data();
        data.run.verdict.outcome = Outcome::Judged;
        data.destination_console = vec!["Kernel panic - not syncing".into()];
        let said = text(&[RunView::new(data.data())], WIDTH);
        assert!(said.contains("Verdict: failed: the migration did not complete."), "{said}");
        assert!(
            said.contains("The destination's console ended with\n  Kernel panic - not syncing\n"),
            "{said}"
        );
    }

    #[test]
    fn a_run_without_any_record_is_still_reported() {
        let mut data = Story::precopy().run_data();
        (data.arrivals, data.qemu, data.run.milestones) = (Vec::new(), Vec::new(), Vec::new());
        (data.run.source, data.run.destination) = (None, None);
        let said = text(&[RunView::new(data.data())], WIDTH);
        assert!(said.contains("No migration was started.") && !said.contains("by stage"), "{said}");
    }

    #[test]
    fn a_collected_session_whose_switch_has_no_length_says_why_and_never_speaks_of_its_blackout() {
        let story = Story { end_ms: 14_000, ..Story::precopy() };
        let mut data = story.session_data(&[Side::Source, Side::Destination]);
        let late = data.arrivals.iter_mut().filter(|arrival| arrival.side == Side::Destination);
        for (index, arrival) in (0u64..).zip(late) {
            arrival.host_ns += if index == 0 { 0 } else { 2_000_000_000 };
        }
        let said = text(&[RunView::new(data.data())], WIDTH);
        let stood =
            "the guest went to another socket at 11.00 s, and how long it stood still cannot\nbe told.";
        assert!(said.contains(stood), "{said}");
        assert!(said.contains("  guest and host together  n/a: records came too late around it"), "{said}");
        assert!(!said.contains("after the blackout") && !said.contains("The downtime was"), "{said}");
    }

    #[test]
    fn a_blackout_that_only_a_lone_gap_tells_is_told_with_its_doubt_and_one_of_missing_gaps_not_at_all() {
        let story = Story { frozen_clock: false, ..Story::precopy() };
        let mut data = story.session_data(&[Side::Source]);
        let run = RunView::new(data.data());
        let said = text(std::slice::from_ref(&run), WIDTH).split_whitespace().collect::<Vec<_>>().join(" ");
        for sentence in [
            "1 blackout: 400 ms at 11.00 s (told by a lone gap of all vCPUs alone, so it may be the stall in which QEMU set",
            "800 ms (0.50)",
        ] {
            assert!(said.contains(sentence), "{sentence}: {said}");
        }
        data.arrivals.retain(|arrival| !matches!(arrival.record.body, Body::Gap(_)));
        let said = text(&[RunView::new(data.data())], WIDTH);
        assert!(
            said.contains("gap records are missing, so whether it had a blackout cannot be told"),
            "{said}"
        );
    }

    #[test]
    fn a_collected_session_is_explained_without_a_word_that_only_qemu_could_say() {
        let both = [Side::Source, Side::Destination];
        let story = Story { frozen_clock: false, end_ms: 14_000, ..Story::precopy() };
        let run = RunView::new(story.session_data(&both).data());
        let said = text(&[run], WIDTH);
        for sentence in [
            "session 00c0ffee00c0ffee of vm7\n",
            "1 blackout: 400 ms at 11.00 s.",
            "Verdict: n/a: nobody judges a session that was only collected.",
            "Source.sock, Destination.sock",
            "n/a: nobody asked QEMU",
            "guest and host together",
            "Time lost by class",
            "after the blackout",
        ] {
            assert!(said.contains(sentence), "{sentence}: {said}");
        }
        for wrong in [
            "lone gap",
            "passed",
            "Pre-copy",
            "No migration was started",
            "emulated",
            "Copying",
            "The downtime",
        ] {
            assert!(!said.contains(wrong), "{wrong}: {said}");
        }
    }
}

//! The comparison of several runs, or the report on one, as Markdown: for a ticket, a wiki, a pull request.

use super::{
    compare::{comparison, unlike},
    costs::{costs, which},
    cycles::cycles,
    facts::{EMULATED, consoles, facts, is_emulated, notes, verdict},
    felt::felt,
    headline::headline_of,
    integrity::integrity,
    repeats::{repeats, together},
    table::Table,
    tables::tables,
};
use crate::{lab::view::RunView, units::harmless};

/// The runs as Markdown: several are compared, a single one is explained.
pub fn markdown(runs: &[RunView]) -> String {
    let parts = if let [run] = runs { one(run) } else { several(runs) };
    harmless(&(parts.join("\n\n") + "\n"))
}

fn several(runs: &[RunView]) -> Vec<String> {
    let found = together(runs);
    let mut parts = vec![format!("# {} runs compared", runs.len())];
    parts.extend(which(&found).map(|said| escaped(&said)));
    parts.extend(unlike(runs).map(|said| format!("> **Warning.** {}", escaped(&said))));
    parts.extend(costs(&found).iter().chain(&repeats(&found)).map(table));
    parts.push(table(&comparison(runs)));
    parts.push("## Each run".into());
    parts.push(runs.iter().map(item).collect::<Vec<_>>().join("\n"));
    parts.extend(runs.iter().filter_map(|run| {
        let own = cycles(run.data(), run.timeline())?;
        Some(table(&Table { title: format!("{}: {}", own.title, run.data().dir_name), ..own }))
    }));
    parts
}

/// One of several runs, and what limits its figures.
fn item(run: &RunView) -> String {
    let emulated = is_emulated(run.data()).then(|| EMULATED.to_owned());
    let limits = emulated.into_iter().chain(notes(run.data(), run.timeline()));
    let limits = limits.map(|note| format!("  - {}", escaped(&note)));
    let first = format!("- {}: {}", escaped(&run.data().dir_name), escaped(&said(run)));
    [first].into_iter().chain(limits).collect::<Vec<_>>().join("\n")
}

fn one(run: &RunView) -> Vec<String> {
    let (data, timeline) = (run.data(), run.timeline());
    let mut parts = vec![format!("# {}", escaped(&data.run.name)), escaped(&said(run))];
    for (title, console) in consoles(data) {
        // Indented, it is code, whatever it holds.
        let lines: Vec<String> = console.iter().map(|line| format!("    {line}")).collect();
        parts.push(format!("{}\n\n{}", escaped(title), lines.join("\n")));
    }
    parts.extend(is_emulated(data).then(|| format!("> {}", escaped(EMULATED))));
    let own = cycles(data, timeline).into_iter().chain(tables(data, timeline));
    let felt = felt(run.analysis(), is_emulated(data), timeline.untold_ns());
    parts.extend(own.chain(felt).chain(integrity(data)).chain([facts(data)]).map(|own| table(&own)));
    let notes = notes(data, timeline);
    if !notes.is_empty() {
        let items: Vec<String> = notes.iter().map(|note| format!("- {}", escaped(note))).collect();
        parts.push(format!("## Notes\n\n{}", items.join("\n")));
    }
    parts
}

/// What happened in a run, and what was judged.
fn said(run: &RunView) -> String {
    format!("{} Verdict: {}.", headline_of(run), verdict(run.data()))
}

/// A table under its title; names over several columns stand before each of them.
fn table(table: &Table) -> String {
    let columns = table.rows.iter().chain([&table.head]).map(Vec::len).max().unwrap_or(0);
    let over = table.groups.iter().flat_map(|(name, count)| std::iter::repeat_n(name.as_str(), *count));
    let mut head: Vec<String> = table.head.clone();
    head.resize(columns, String::new());
    for (name, over) in head.iter_mut().zip(over) {
        *name = format!("{over} {name}").trim().into();
    }
    let rule = (0..columns).map(|column| if column == 0 || table.words { "---" } else { "--:" });
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| escaped(cell)).collect();
        format!("| {} |", cells.join(" | "))
    };
    let mut lines = vec![format!("## {}\n", escaped(&table.title)), line(&head)];
    lines.push(format!("|{}|", rule.collect::<Vec<_>>().join("|")));
    lines.extend(table.rows.iter().map(|row| line(row)));
    if !table.note.is_empty() {
        lines.push(format!("\n{}", escaped(&table.note)));
    }
    lines.join("\n")
}

/// Text that Markdown takes as it is, on one line.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for word in text.split_whitespace() {
        escaped.push_str(if escaped.is_empty() { "" } else { " " });
        for character in word.chars() {
            if "|\\`*_<>[]#&~$".contains(character) {
                escaped.push('\\');
            }
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        lab::timeline::fixture::Story,
        record::{Accelerator, CycleFigures, Outcome},
    };

    fn views<const N: usize>(stories: [Story; N]) -> [RunView; N] {
        stories.map(|story| RunView::new(story.run_data().data()))
    }

    /// That each line of a table has as many cells as its head.
    fn is_regular(text: &str) -> bool {
        let cells = |line: &str| line.replace("\\|", "").matches('|').count();
        let tables = text.split("\n\n").filter(|part| part.starts_with('|'));
        tables
            .map(|part| part.lines().map(cells).collect::<Vec<_>>())
            .all(|own| own.iter().all(|one| *one == own[0]))
    }

    #[test]
    fn several_runs_begin_with_the_choice_the_warning_and_what_the_guest_lost() {
        let mut data = [Story::precopy().run_data(), Story::auto_converge().run_data()];
        for (run, rate) in data.iter_mut().zip(["8M/s", "80M/s"]) {
            run.run.scenario =
                serde_json::json!({"load": {"rate": rate}, "migration": {"bandwidth": "30M/s"}});
        }
        let said = markdown(&data.map(|data| RunView::new(data.data())));
        let order = [
            "# 2 runs compared\n\nWhich for my VM? ",
            "> **Warning.** Not like with like: these runs differ in load.rate (8M/s, 80M/s)",
            "## What it cost the guest\n\n| scenario | runs |",
            "## The runs side by side\n\n|  | smoke-precopy-001 | smoke-auto-converge-001 |\n|---|--:|--:|\n",
            "## Each run\n\n- smoke-precopy-001: ",
        ];
        let at: Vec<Option<usize>> = order.iter().map(|part| said.find(part)).collect();
        assert!(at.iter().all(Option::is_some) && at.is_sorted(), "{at:?}\n{said}");
        assert!(is_regular(&said), "{said}");
    }

    #[test]
    fn ten_runs_of_each_have_bounds_and_effect_sizes() {
        let longer = Story { blackout: Some((6000.0, 6800.0)), name: "a|b", ..Story::precopy() };
        let views = views([Story::precopy(), longer]);
        let runs: Vec<RunView> =
            views.iter().flat_map(|run| (0..10).map(|_| RunView::new(run.data().clone()))).collect();
        let said = markdown(&runs);
        assert!(
            said.contains("| a\\|b | 10 | ") && said.contains("large |") && said.contains(" to "),
            "{said}"
        );
        assert!(is_regular(&said), "{said}");
    }

    #[test]
    fn what_limits_the_figures_of_a_run_and_its_cycles_are_told_as_on_the_page() {
        let mut data = Story::precopy().run_data();
        (data.run.verdict.outcome, data.run.provenance.accelerator) =
            (Outcome::Judged, Some(Accelerator::Tcg));
        data.run.provenance.notes = vec!["the link was *slow*".into()];
        data.destination_console = vec!["```".into(), "# not a title".into()];
        data.run.cycles =
            vec![CycleFigures { number: 1, save_ns: Some(7_000_000), ..CycleFigures::default() }];
        data.dir_name = "run`<b>`&amp;~~$x$".into();
        let [alone, both] = [1, 2].map(|count| {
            let runs: Vec<RunView> = (0..count).map(|_| RunView::new(data.data())).collect();
            markdown(&runs)
        });
        for said in [&alone, &both] {
            for part in ["the link was \\*slow\\*", "emulated", "Saves and restores", " 7.00 ms |"] {
                assert!(said.contains(part), "{part}: {said}");
            }
            let plain = said.lines().filter(|line| !line.starts_with("    "));
            assert!(plain.clone().all(|line| !line.contains("<b>") && !line.contains("```")), "{said}");
            assert!(said.contains("run\\`\\<b\\>\\`\\&amp;\\~\\~\\$x\\$") && is_regular(said), "{said}");
        }
        assert!(alone.contains("console ended with\n\n    ```\n    # not a title\n"), "{alone}");
        let story = super::super::apart::tests::run();
        let beside = markdown(&[RunView::new(story.data())]);
        assert!(beside.contains("vCPU 1, which dirtied nothing"), "{beside}");
    }

    #[test]
    fn a_single_run_is_explained_with_its_tables() {
        let said = markdown(&views([Story::post_copy()]));
        assert!(said.starts_with("# smoke/post-copy\n\n") && said.contains("Verdict: passed."), "{said}");
        assert!(said.matches("\n## ").count() > 3 && is_regular(&said), "{said}");
    }
}

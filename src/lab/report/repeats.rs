//! Several runs of the same scenarios: medians with bounds, and how far two scenarios lie apart.

use super::table::{ABSENT, Table};
use crate::lab::{
    analysis::{Difference, Repeats, Spread, effect_size},
    figure::short,
    view::RunView,
};

/// The tables of repeated runs; none where no scenario was run more than once.
pub fn repeats(repeats: &Repeats) -> Vec<Table> {
    if repeats.groups.iter().all(|group| group.runs < 2) {
        return Vec::new();
    }
    [medians(repeats), differences(repeats)].into_iter().filter(|table| !table.rows.is_empty()).collect()
}

fn medians(repeats: &Repeats) -> Table {
    let mut table = Table::with_head("Repeated runs: medians, with 95 % bounds of the median", &["figure"]);
    table.head.extend(repeats.groups.iter().map(|group| format!("{} ({} runs)", group.name, group.runs)));
    table.note =
        "One migration is one sample. Bounds need six runs that have the figure; comparison.json says why a \
                  run lacks one."
            .into();
    let lines = repeats.groups.first().map_or(0, |group| group.figures.len());
    for line in 0..lines {
        let own: Vec<&Spread> = repeats.groups.iter().filter_map(|group| group.figures.get(line)).collect();
        let Some(first) = own.iter().find(|spread| spread.median.is_some()) else { continue };
        let mut row = vec![words(first.of)];
        row.extend(own.iter().zip(&repeats.groups).map(|(spread, group)| {
            let bounds = spread.bounds.map_or_else(String::new, range);
            let of = if spread.runs < group.runs { format!(", {} runs", spread.runs) } else { String::new() };
            spread.median.map_or_else(|| ABSENT.into(), |median| short(median) + &bounds + &of)
        }));
        table.rows.push(row);
    }
    table
}

fn differences(repeats: &Repeats) -> Table {
    let head = ["figure", "scenario", "against", "shift", "effect"];
    let mut table = Table::with_head("How far the scenarios lie apart, with 95 % bounds", &head);
    table.note = "Shift: the median of all differences. Effect (Cliff's delta, -1 to 1): how much more often a run lies \
                  above one of the other scenario than below it. Told from ten runs of each on."
        .into();
    let told = repeats.differences.iter().filter(|difference| difference.shift.is_some());
    table.rows.extend(told.map(row));
    if table.rows.is_empty()
        && let Some(reason) = repeats.differences.iter().find_map(|difference| difference.reason.as_ref())
    {
        table.rows.push(vec!["n/a".into(), reason.clone(), ABSENT.into(), ABSENT.into(), ABSENT.into()]);
    }
    table
}

fn row(difference: &Difference) -> Vec<String> {
    let bounded = |value: Option<f64>, bounds: Option<[f64; 2]>| {
        value.map_or_else(|| ABSENT.into(), |value| short(value) + &bounds.map_or_else(String::new, range))
    };
    let size = difference.delta.map_or("", effect_size);
    vec![
        words(difference.of),
        difference.to.clone(),
        difference.from.clone(),
        bounded(difference.shift, difference.shift_bounds),
        format!("{} {size}", bounded(difference.delta, difference.delta_bounds)),
    ]
}

/// A figure's name for people: its unit stays last.
fn words(name: &str) -> String {
    name.replace("p99", "p99,").replace('_', " ").replace(",,", ",")
}

fn range([low, high]: [f64; 2]) -> String {
    format!(" ({} to {})", short(low), short(high))
}

/// What several runs say together.
pub fn together<'a>(runs: impl IntoIterator<Item = &'a RunView>) -> Repeats {
    let all = runs.into_iter();
    Repeats::of(all.map(|run| (run.data().run.name.as_str(), run.analysis(), run.timeline())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::timeline::fixture::Story;

    fn of(counts: [usize; 2]) -> Repeats {
        let stories =
            [Story::precopy(), Story { blackout: Some((6000.0, 6800.0)), name: "other", ..Story::precopy() }];
        let runs = stories.map(|story| RunView::new(story.run_data().data()));
        together(runs.iter().zip(counts).flat_map(|(run, count)| std::iter::repeat_n(run, count)))
    }

    #[test]
    fn ten_runs_of_each_tell_a_blackout_that_is_twice_as_long() {
        let found = of([10, 10]);
        let blackout = found.differences.iter().find(|one| one.of == "blackout_ms").unwrap();
        assert!((blackout.shift.unwrap() - 400.0).abs() < 5.0 && blackout.delta == Some(1.0), "{blackout:?}");
        let lost = found.differences.iter().find(|one| one.of == "lost_s").unwrap();
        assert!((lost.shift.unwrap() - 0.4).abs() < 0.02, "{lost:?}");
        let tables = repeats(&found);
        assert!(tables[1].rows.iter().any(|row| row[4].ends_with("large")), "{tables:?}");
        for table in &tables {
            assert!(table.rows.iter().all(|row| row.len() == table.head.len()), "{}", table.title);
        }
    }

    #[test]
    fn nine_runs_claim_nothing_and_single_runs_are_no_repeats() {
        let tables = repeats(&of([10, 9]));
        assert!(tables[1].rows[0][1].contains("10 of each"), "{tables:?}");
        assert!(repeats(&of([1, 1])).is_empty());
    }
}

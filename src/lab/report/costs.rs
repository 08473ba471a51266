//! What each of several scenarios cost the guest, short and hard or long and soft, and which of them suits which VM.

use super::table::{ABSENT, Table};
use crate::lab::{
    analysis::{Group, RUNS, Repeats, Spread},
    figure::short,
};

/// The figures by their names.
const LOST: &str = "lost_s";
const STOP: &str = "blackout_ms";
const TOOK: &str = "migration_s";

/// What one scenario cost the guest: medians.
struct Cost<'a> {
    name: &'a str,
    /// Work lost, as seconds in which nothing would have been done.
    lost_s: f64,
    /// The switch.
    stop_ms: f64,
}

impl Cost<'_> {
    /// Whether at least half of what was lost was lost while the guest stood still.
    fn is_hard(&self) -> bool {
        self.stop_ms / 1e3 >= self.lost_s / 2.0
    }

    fn character(&self) -> &'static str {
        if self.is_hard() { "short and hard" } else { "long and soft" }
    }

    fn words(&self) -> String {
        let (lost, stop) = (short(self.lost_s), short(self.stop_ms));
        format!("it loses the work of {lost} s, and its longest stop is {stop} ms, {}", self.character())
    }
}

fn spread<'a>(group: &'a Group, of: &str) -> Option<&'a Spread> {
    group.figures.iter().find(|spread| spread.of == of)
}

fn cost(group: &Group) -> Option<Cost<'_>> {
    let median = |of| spread(group, of)?.median;
    Some(Cost { name: &group.name, lost_s: median(LOST)?, stop_ms: median(STOP)? })
}

/// What each scenario cost the guest; none of a single scenario.
pub fn costs(repeats: &Repeats) -> Option<Table> {
    let head = ["scenario", "runs", "work lost, s", "longest stop, ms", "migration, s", "in a word"];
    let mut table = Table::with_head("What it cost the guest", &head);
    table.note = "Medians, with 95 % bounds from six runs on. Work lost: how long the guest would have had to stand still to lose \
                  as much. Short and hard: at least half of it was lost in the stop of the switch."
        .into();
    let cell = |group: &Group, of| {
        let spread = spread(group, of);
        let bounds = spread.and_then(|spread| spread.bounds);
        let bounds =
            bounds.map_or_else(String::new, |[low, high]| format!(" ({} to {})", short(low), short(high)));
        spread
            .and_then(|spread| spread.median)
            .map_or_else(|| ABSENT.into(), |median| short(median) + &bounds)
    };
    table.rows.extend(repeats.groups.iter().map(|group| {
        let character = cost(group).map_or(ABSENT, |cost| cost.character());
        let figures = [LOST, STOP, TOOK].map(|of| cell(group, of));
        let [lost, stop, took] = figures;
        vec![group.name.clone(), group.runs.to_string(), lost, stop, took, character.into()]
    }));
    (repeats.groups.len() > 1).then_some(table)
}

/// Which of the scenarios suits which VM, in sentences; none of a single scenario.
pub fn which(repeats: &Repeats) -> Option<String> {
    if repeats.groups.len() < 2 {
        return None;
    }
    let known: Vec<Cost<'_>> = repeats.groups.iter().filter_map(cost).collect();
    let least = |of: fn(&Cost<'_>) -> f64| known.iter().min_by(|one, other| of(one).total_cmp(&of(other)));
    let picked = least(|cost| cost.stop_ms).zip(least(|cost| cost.lost_s)).filter(|_| known.len() > 1);
    let Some((softest, cheapest)) = picked else {
        return Some(format!("Which for my VM? That cannot be told: {}.", unknown(repeats)));
    };
    let mut said = if softest.name == cheapest.name {
        format!(
            "Which for my VM? {}: under it the guest loses least and stops for the shortest time: {}.",
            softest.name,
            softest.words()
        )
    } else {
        format!(
            "Which for my VM? {} where the guest must not stop for long: {}. {} where its work counts: {}.",
            softest.name,
            softest.words(),
            cheapest.name,
            cheapest.words()
        )
    };
    said.extend(left_out(repeats));
    said.extend(incomplete(repeats));
    said.extend(doubt(repeats, softest, cheapest));
    Some(said)
}

/// Why the costs of most scenarios are not known.
fn unknown(repeats: &Repeats) -> String {
    repeats.groups.iter().find_map(untold).unwrap_or_else(|| "there are no figures".into())
}

/// What of a scenario's costs is not known, and why; none where all of it is.
fn untold(group: &Group) -> Option<String> {
    let spreads = [LOST, STOP].into_iter().filter_map(|of| spread(group, of));
    let spread = spreads.into_iter().find(|spread| spread.median.is_none())?;
    let what = if spread.of == LOST { "the work lost" } else { "the longest stop" };
    let why = spread.reason.as_deref().unwrap_or("it has none");
    Some(format!("{what} under {} is not known ({why})", group.name))
}

/// Scenarios that nothing could be chosen of, beside those that were.
fn left_out(repeats: &Repeats) -> Option<String> {
    let told: Vec<String> = repeats.groups.iter().filter_map(untold).collect();
    (!told.is_empty()).then(|| format!(" Left out of this choice: {}.", told.join("; ")))
}

/// Scenarios whose migrations were not all complete.
fn incomplete(repeats: &Repeats) -> Option<String> {
    let told = repeats.groups.iter().filter_map(|group| {
        let left = group.runs.saturating_sub(spread(group, TOOK)?.runs);
        (left > 0)
            .then(|| format!(" Under {} {left} of {} migrations did not complete.", group.name, group.runs))
    });
    Some(told.collect::<String>()).filter(|said| !said.is_empty())
}

/// How far the choice may be chance.
fn doubt(repeats: &Repeats, one: &Cost<'_>, other: &Cost<'_>) -> Option<String> {
    let fewest = repeats.groups.iter().map(|group| group.runs).min()?;
    if fewest < RUNS {
        let runs = if fewest == 1 { "one run".to_owned() } else { format!("{fewest} runs") };
        return Some(format!(
            " This rests on {runs} of a scenario: whether it is chance can be told from {RUNS} of each on."
        ));
    }
    let is_picked = |name: &str| [one.name, other.name].contains(&name);
    let concerns = |from: &str, to: &str| {
        let (one_is, other_is) = (is_picked(from), is_picked(to));
        if one.name == other.name { one_is || other_is } else { one_is && other_is }
    };
    let unclear = repeats.differences.iter().find(|found| {
        [LOST, STOP].contains(&found.of)
            && concerns(&found.from, &found.to)
            && found.delta_bounds.is_some_and(|[low, high]| low <= 0.0 && 0.0 <= high)
    })?;
    let what = if unclear.of == LOST { "work lost" } else { "longest stop" };
    Some(format!(" The difference in the {what} may be chance."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::{report::repeats::together, timeline::fixture::Story, view::RunView};

    fn of(stories: [Story; 2], counts: [usize; 2]) -> Repeats {
        let runs = stories.map(|story| RunView::new(story.run_data().data()));
        together(runs.iter().zip(counts).flat_map(|(run, count)| std::iter::repeat_n(run, count)))
    }

    fn said(stories: [Story; 2], counts: [usize; 2]) -> String {
        which(&of(stories, counts)).unwrap()
    }

    fn longer() -> Story {
        Story { blackout: Some((6000.0, 6800.0)), name: "longer", ..Story::precopy() }
    }

    #[test]
    fn the_scenario_that_costs_less_in_all_is_the_one_for_every_vm() {
        let told = said([longer(), Story::precopy()], [10, 10]);
        assert!(told.starts_with("Which for my VM? smoke/precopy: under it the guest loses least"), "{told}");
        assert!(
            told.contains("its longest stop is 400 ms, short and hard") && !told.contains("chance"),
            "{told}"
        );
    }

    #[test]
    fn one_that_stops_shortly_and_throttles_suits_another_vm_than_one_that_stops_hard() {
        let told = said([longer(), Story::auto_converge()], [3, 3]);
        assert!(told.contains("smoke/auto-converge where the guest must not stop for long"), "{told}");
        assert!(told.contains("long and soft. longer where its work counts"), "{told}");
        assert!(
            told.ends_with(
                "This rests on 3 runs of a scenario: whether it is chance can be told from 10 of each on."
            ),
            "{told}"
        );
        let table = costs(&of([longer(), Story::auto_converge()], [10, 10])).unwrap();
        let word = |row: usize| table.rows[row][5].as_str();
        assert_eq!((word(0), word(1)), ("short and hard", "long and soft"), "{table:?}");
        assert!(table.rows[0][3].starts_with("800 (800 to 800)"), "{table:?}");
    }

    #[test]
    fn what_is_not_known_is_said_and_no_choice_is_made_of_it() {
        let endless = Story { completed_ms: None, blackout: None, name: "endless", ..Story::precopy() };
        let told = said([Story::precopy(), endless], [2, 2]);
        assert!(told.starts_with("Which for my VM? That cannot be told: the "), "{told}");
        assert!(told.contains(" under endless is not known (2 of 2 runs lack it"), "{told}");
    }

    #[test]
    fn a_scenario_whose_costs_are_not_known_beside_two_that_are_is_said_to_be_left_out() {
        let endless = Story { completed_ms: None, blackout: None, name: "endless", ..Story::precopy() };
        let runs = [Story::precopy(), longer(), endless].map(|story| RunView::new(story.run_data().data()));
        let told = which(&together(&runs)).unwrap();
        assert!(told.starts_with("Which for my VM? smoke/precopy"), "{told}");
        assert!(
            told.contains(" Left out of this choice: the ") && told.contains("under endless is not known"),
            "{told}"
        );
    }

    #[test]
    fn what_may_be_chance_is_said_to_be_and_one_scenario_is_no_choice() {
        let same = Story { name: "same", ..Story::precopy() };
        assert!(said([Story::precopy(), same], [10, 10]).ends_with("may be chance."));
        assert_eq!(which(&of([Story::precopy(), Story::precopy()], [1, 1])), None);
    }
}

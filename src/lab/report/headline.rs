//! What happened in a run, in a few plain sentences.

use super::{
    bystander::{Bystander, bystanders},
    cycles, integrity, measured,
    table::ABSENT,
    words::{at, counted, percent, quantile, seconds, time},
};
use crate::{
    lab::{
        rundir::RunData,
        timeline::{PhaseName, ThrottleLevel, Timeline, nanos},
        view::RunView,
    },
    record::{Latency, MilestoneName, Outcome, Side},
};
use serde_json::Value;

/// A throttle level that held for this long, in seconds, is told apart well from its neighbours.
const LASTED_S: f64 = 1.0;

/// What happened: how the migration ended, what QEMU did to the guest, and what the guest had of it.
pub fn headline(data: &RunData, timeline: &Timeline) -> String {
    let by_whom =
        if data.session.is_some() { "The guest found itself throttled" } else { "QEMU throttled the guest" };
    let parts = [
        unsound(data),
        measured::sentence(data),
        Some(ending(data, timeline)),
        set_up(timeline),
        throttled(timeline, by_whom),
        waited(timeline),
        // Of a session the first sentence tells it.
        data.session.is_none().then(|| stood_still(timeline)).flatten(),
        slowed(data, timeline),
        integrity::sentence(data),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// The same, and what it took from vCPUs that dirtied nothing.
pub fn headline_of(run: &RunView) -> String {
    let said = headline(run.data(), run.timeline());
    let beside = bystander(&bystanders(run.data(), run.analysis()));
    beside.map_or_else(|| said.clone(), |beside| format!("{said} {beside}"))
}

/// What vCPUs lost that dirtied nothing, beside the one that lost most of those that did.
fn bystander(cpus: &[Bystander]) -> Option<String> {
    let of = |own: &Bystander| format!("{} of {}", seconds(own.lost_s), seconds(own.wall_s));
    let most = |dirties| {
        let own = cpus.iter().filter(move |own| own.dirties == dirties);
        own.max_by(|one, other| one.lost_s.total_cmp(&other.lost_s))
    };
    let (still, busy) = (most(false)?, most(true)?);
    let classes = still.by_class.iter().take(2);
    let classes: Vec<String> =
        classes.map(|(class, s)| format!("{} to {}", seconds(*s), class.name().replace('_', " "))).collect();
    let classes = if classes.is_empty() { String::new() } else { format!(" ({})", classes.join(", ")) };
    let others = cpus.iter().filter(|own| !own.dirties).count() - 1;
    let others = if others == 0 { "" } else { ", most of those that did not" };
    Some(format!(
        "vCPU {}, which dirtied nothing{others}, lost {}{classes} while it was migrated; vCPU {}, which dirtied, lost {}.",
        still.cpu,
        of(still),
        busy.cpu,
        of(busy)
    ))
}

/// That the run directory contradicts itself: nothing that follows is to be read without it.
fn unsound(data: &RunData) -> Option<String> {
    let mut found = data.audit.sentences();
    let first = found.next()?;
    let more = match found.count() {
        0 => String::new(),
        more => format!(" ({more} more in the notes)"),
    };
    Some(format!("This run directory is damaged or was changed: {first}{more}."))
}

/// How a run ended, in a word.
pub const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Judged => "failed",
        Outcome::Failed => "unfinished",
        Outcome::Interrupted => "interrupted",
    }
}

/// The method that a run of the lab shows, and in brackets what was asked for besides and did nothing.
pub fn method_and_idle(data: &RunData, timeline: &Timeline) -> String {
    let idle: Vec<String> = idle(data, timeline)
        .iter()
        .map(|(method, never)| format!("{} {never}", method.to_lowercase()))
        .collect();
    let idle = if idle.is_empty() { String::new() } else { format!(" ({})", idle.join(", ")) };
    method(timeline).to_owned() + &idle
}

/// Methods that were asked for and did nothing, and what they never did.
fn idle(data: &RunData, timeline: &Timeline) -> Vec<(&'static str, &'static str)> {
    let is_asked = |key: &str| {
        data.run.scenario.pointer(&format!("/migration/{key}")).and_then(Value::as_bool) == Some(true)
    };
    let mut idle = Vec::new();
    if is_asked("auto_converge") && timeline.throttle.is_empty() && !data.audit.lacks_qemu {
        idle.push(("Auto-converge", "never throttled"));
    }
    if is_asked("postcopy") && timeline.postcopy.is_none() {
        idle.push(("Post-copy", "never began"));
    }
    idle
}

/// The method that a run of the lab shows, not the one that was asked for.
fn method(timeline: &Timeline) -> &'static str {
    match (timeline.postcopy.is_some(), timeline.throttle.is_empty()) {
        (true, true) => "Post-copy",
        (true, false) => "Auto-converge, then post-copy",
        (false, false) => "Auto-converge",
        (false, true) => "Pre-copy",
    }
}

/// What a session holds, and how often its VM ran nowhere.
fn collected(data: &RunData, timeline: &Timeline) -> String {
    if data.records.stamps.is_empty() && data.run.measured.is_some() {
        return "No guest was heard.".into();
    }
    let length_s: f64 = timeline.phases.iter().map(|phase| phase.figures.span.length_s()).sum();
    let blackouts: Vec<String> = timeline
        .phases
        .iter()
        .filter(|phase| phase.name == PhaseName::Blackout)
        .map(|phase| {
            format!("{} at {}", seconds(phase.figures.span.length_s()), at(phase.figures.span.start_s))
        })
        .collect();
    let has_moved = data.records.stamps.iter().any(|arrival| arrival.side == Side::Destination);
    let after = timeline.phase(PhaseName::After).filter(|_| has_moved);
    let moved = after.map(|phase| phase.figures.span.start_s);
    let stood = match (blackouts.len(), moved) {
        (0, None) if data.lacks_gaps() => {
            "gap records are missing, so whether it had a blackout cannot be told".into()
        }
        (0, None) => "no blackout was seen".into(),
        (0, Some(at_s)) => {
            format!(
                "the guest went to another socket at {}, and how long it stood still cannot be told",
                at(at_s)
            )
        }
        (count, _) => {
            let doubt = if timeline.blackout.by_lone_gap {
                " (told by a lone gap of all vCPUs alone, so it may be the stall in which QEMU set a migration up)"
            } else {
                ""
            };
            format!("{}: {}{doubt}", counted(count as u64, "blackout", "blackouts"), blackouts.join(", "))
        }
    };
    let what = if data.run.measured.is_some() { "A guest measured for" } else { "A collected session of" };
    format!("{what} {}: {stood}.", seconds(length_s))
}

fn ending(data: &RunData, timeline: &Timeline) -> String {
    if data.session.is_some() {
        return collected(data, timeline);
    }
    if let Some(sentence) = cycles::sentence(data) {
        return sentence;
    }
    if data.run.when(MilestoneName::Migrate).is_none() {
        return "No migration was started.".into();
    }
    let method = method(timeline);
    let idle = idle(data, timeline);
    let idle = idle.iter().map(|(method, never)| format!(" {method} was asked for and {never}."));
    let idle = idle.collect::<Vec<_>>().concat();
    let Some(length_ns) = timeline.migration_ns else {
        let error = data.run.source.as_ref().and_then(|sample| sample.error.as_deref());
        let why = error.map_or_else(String::new, |error| format!(": {error}"));
        return format!("{method}: the migration did not complete{why}.{idle}");
    };
    let passes = timeline.pass_count.map(|passes| counted(passes, "pass", "passes"));
    let syncs =
        || Some(counted(timeline.sync_count?, "sync of the dirty bitmap", "syncs of the dirty bitmap"));
    let passes = passes.or_else(syncs).map_or_else(String::new, |passes| format!(" after {passes}"));
    format!("{method}: completed in {}{passes}.{idle}", time(Some(length_ns)))
}

/// The highest throttle, and the level at which the guest lost most.
fn throttled(timeline: &Timeline, by_whom: &str) -> Option<String> {
    let highest = timeline.throttle.iter().filter_map(|level| level.percent).max()?;
    let share = |level: &ThrottleLevel| level.figures.gaps.map(|gaps| gaps.share);
    let told = timeline.throttle.iter().filter(|level| level.percent.is_some() && share(level).is_some());
    // A short level is blurred by the time between two samples: the highest that lasted tells most.
    let lasted = |level: &&ThrottleLevel| level.figures.span.length_s() >= LASTED_S;
    let highest_lasting = told.clone().filter(lasted).max_by_key(|level| level.percent);
    let longest = highest_lasting.or_else(|| told.max_by_key(|level| nanos(level.figures.span.length_s())));
    let lost = longest.and_then(|level| Some((level.percent?, share(level)?)));
    let felt = lost.map_or_else(String::new, |(level, lost)| {
        format!("; the guest lost {} of its CPU time while throttled at {level} %", percent(Some(lost)))
    });
    Some(format!("{by_whom} up to {highest} %{felt}."))
}

fn waited(timeline: &Timeline) -> Option<String> {
    let postcopy = timeline.postcopy.as_ref()?;
    let stall = postcopy.guest_stall_ns?;
    let requests = postcopy.requests.map_or_else(String::new, |requests| {
        format!(" ({} by QEMU's count)", counted(requests, "page request", "page requests"))
    });
    let longest = postcopy.guest_longest_stall_ns.filter(|longest| *longest > 0);
    let longest =
        longest.map_or_else(String::new, |longest| format!(", at longest {} at once", time(Some(longest))));
    Some(format!(
        "After the switch the guest's vCPUs stood still for {} in all{longest}{requests}.",
        time(Some(stall))
    ))
}

/// What QEMU took to begin, and what the guest had of it.
fn set_up(timeline: &Timeline) -> Option<String> {
    let setup = timeline.setup.as_ref()?;
    let took = seconds(setup.span.length_s());
    let stood = setup.longest_gap_ns.filter(|gap_ns| *gap_ns > 0).map_or_else(String::new, |gap_ns| {
        format!("; the guest stood still for {} of it at once", time(Some(gap_ns)))
    });
    Some(format!("QEMU took {took} to set it up{stood}."))
}

fn stood_still(timeline: &Timeline) -> Option<String> {
    let blackout = &timeline.blackout;
    let (felt, seen) = (blackout.estimate_ns, blackout.stop_to_resume_ns);
    let said = blackout.qemu_downtime_ns.map(|said| format!("QEMU says {}", time(Some(said))));
    let other = match (felt, &blackout.disagreement) {
        (Some(_), Some(disagreement)) => Some(format!("figures disagree: {disagreement}")),
        (None, _) if seen.is_some() => Some("from STOP to RESUME".into()),
        _ => None,
    };
    let beside: Vec<String> = other.into_iter().chain(said).collect();
    let beside = if beside.is_empty() { String::new() } else { format!(" ({})", beside.join("; ")) };
    Some(format!("The downtime was {}{beside}.", time(Some(felt.or(seen)?))))
}

/// How the response changed from the baseline to the worse of the stages in which QEMU copies.
fn slowed(data: &RunData, timeline: &Timeline) -> Option<String> {
    let response = |name| timeline.phase(name)?.figures.response_ns;
    let p99 = |latency: Latency| latency.p99;
    let before = response(PhaseName::Baseline)?;
    let during = [PhaseName::Precopy, PhaseName::Postcopy, PhaseName::Run];
    let stages = during.iter().filter_map(|name| Some((*name, response(*name)?)));
    let (name, worst) = stages.max_by_key(|(_, latency)| latency.p99)?;
    let said = |latency| quantile(Some(latency), p99, timeline.untold_ns());
    let (before, worst) = (said(before), said(worst));
    if before == ABSENT || worst == ABSENT {
        return None;
    }
    let other = if data.records.has_load_changes() { "; the load changed meanwhile" } else { "" };
    Some(format!("The response's p99 was {before} in the baseline and {worst} in {}{other}.", name.title()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::timeline::fixture::Story;

    fn of(story: &Story) -> String {
        let data = story.run_data().data();
        headline(&data, &Timeline::of(&data))
    }

    #[test]
    fn auto_converge_tells_its_highest_throttle_and_what_the_guest_lost() {
        let said = of(&Story::auto_converge());
        assert!(
            said.starts_with("Auto-converge: completed in 20.4 s after 11 passes. QEMU throttled"),
            "{said}"
        );
        assert!(
            said.contains("up to 90 %; the guest lost 89.8 % of its CPU time while throttled at 90 %"),
            "{said}"
        );
    }

    #[test]
    fn a_level_that_did_not_last_is_not_the_one_that_tells_what_was_lost() {
        let mut story = Story::auto_converge();
        let count = story.throttle.len();
        let until_ms = story.throttle[count - 1].1;
        story.throttle[count - 2].1 = until_ms - 500.0;
        story.throttle[count - 1].0 = until_ms - 500.0;
        let said = of(&story);
        assert!(said.contains("up to 90 %;") && said.contains("while throttled at 80 %"), "{said}");
    }

    #[test]
    fn post_copy_tells_the_waiting_and_the_blackout_beside_what_qemu_says() {
        let said = of(&Story::post_copy());
        assert!(said.contains("at longest 50.0 ms at once (100 page requests by QEMU's count)"), "{said}");
        assert!(said.contains("The downtime was 10") && said.contains("(QEMU says 2.00 ms)"), "{said}");
    }

    #[test]
    fn what_was_asked_for_and_did_nothing_is_said() {
        let asked = serde_json::json!({"migration": {"auto_converge": true, "postcopy": true}});
        let said = |story: &Story| {
            let mut data = story.run_data();
            data.run.scenario = asked.clone();
            let (data, timeline) = (data.data(), data.timeline());
            (headline(&data, &timeline), method_and_idle(&data, &timeline))
        };
        let (sentences, cell) = said(&Story::precopy());
        assert!(
            sentences.starts_with(
                "Pre-copy: completed in 6.42 s after 4 passes. Auto-converge was asked for and never throttled. \
                 Post-copy was asked for and never began."
            ),
            "{sentences}"
        );
        assert_eq!(cell, "Pre-copy (auto-converge never throttled, post-copy never began)");
        assert_eq!(said(&Story::auto_converge()).1, "Auto-converge (post-copy never began)");
        assert_eq!(said(&Story::post_copy()).1, "Post-copy (auto-converge never throttled)");
        let lost = Story { completed_ms: None, blackout: None, ..Story::precopy() };
        assert!(said(&lost).0.contains("did not complete. Auto-converge was asked"), "{:?}", said(&lost));
    }

    #[test]
    fn a_response_that_the_clock_cannot_tell_is_below_what_it_can() {
        let said = of(&Story { clock_step_ns: Some(4_000_250), ..Story::auto_converge() });
        assert!(said.contains("p99 was <6.00 ms in the baseline and 1.32 s in pre-copy."), "{said}");
    }

    #[test]
    fn a_migration_that_did_not_complete_is_not_told_as_one_that_did() {
        let said = of(&Story { completed_ms: None, blackout: None, ..Story::precopy() });
        assert!(said.contains("did not complete") && !said.contains("downtime"), "{said}");
    }
}

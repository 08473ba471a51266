//! Which gaps are one: those of different canaries that overlap by 80 % of the shorter and begin within 1 ms or 5 %.

use super::seen::Seen;
use crate::record::{Gap, GapClass};

/// No guest has more canaries; what one says bounds no work.
const CANARIES_CEILING: usize = 4096;

/// The place of a gap. As short as it may be: in the guest this is made anew ten times a second, out of as many pages.
type Place = u32;
/// Of no gap.
const NONE: Place = Place::MAX;

/// All gaps of what was seen, in groups; of more than there are places the last are left out.
pub(super) struct Groups<'a> {
    seen: &'a Seen<'a>,
    list: Vec<Group>,
    /// Of each gap the one of its group that comes before it.
    before: Vec<Place>,
    explained: Vec<Option<GapClass>>,
}

/// Gaps that are one.
pub(super) struct Group {
    /// Those at its two ends.
    first: Place,
    last: Place,
    /// How many the guest's own counters explain.
    own: u32,
    /// How many they do not, and the earliest of those.
    left: u32,
    first_left: Place,
}

impl<'a> Groups<'a> {
    pub(super) fn of(seen: &'a Seen<'a>) -> Self {
        let mut order: Vec<Place> = (0..NONE).take(seen.gaps.len()).collect();
        order.sort_by_key(|place| seen.gaps[*place as usize].start_ns);
        let mut groups = Self {
            seen,
            list: Vec::with_capacity(order.len()),
            before: vec![NONE; order.len()],
            explained: seen.gaps.iter().map(|gap| seen.explained(gap)).collect(),
        };
        for place in order {
            groups.take_in(place);
        }
        groups
    }

    /// Puts a gap, which begins no earlier than all that were put before it, where it belongs.
    fn take_in(&mut self, place: Place) {
        // Later groups begin later, so only the last few can be near.
        let near = self.seen.canaries.clamp(1, CANARIES_CEILING);
        let recent = self.list.len().saturating_sub(near)..self.list.len();
        let joined = recent.rev().find(|at| self.joins(place, &self.list[*at]));
        let is_left = self.explained(place as usize).is_none();
        let at = joined.unwrap_or_else(|| {
            self.list.push(Group { first: place, last: NONE, own: 0, left: 0, first_left: NONE });
            self.list.len() - 1
        });
        let group = &mut self.list[at];
        self.before[place as usize] = group.last;
        group.last = place;
        group.own += u32::from(!is_left);
        group.left += u32::from(is_left);
        if is_left && group.left == 1 {
            group.first_left = place;
        }
    }

    fn joins(&self, place: Place, group: &Group) -> bool {
        let gap = &self.seen.gaps[place as usize];
        is_one(&self.seen.gaps[group.first as usize], gap)
            && self.members(group).all(|member| self.seen.gaps[member].cpu != gap.cpu)
    }

    /// What the guest's own counters explain of a gap.
    pub(super) fn explained(&self, index: usize) -> Option<GapClass> {
        self.explained[index]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Group> {
        self.list.iter()
    }

    pub(super) fn members(&self, group: &Group) -> impl Iterator<Item = usize> {
        let before = |member: &usize| self.before[*member];
        let is_gap = |place: Place| (place != NONE).then_some(place as usize);
        std::iter::successors(is_gap(group.last), move |member| is_gap(before(member)))
    }

    /// Those that the guest's own counters do not explain.
    pub(super) fn left(&self, group: &Group) -> impl Iterator<Item = usize> {
        self.members(group).filter(|member| self.explained[*member].is_none())
    }

    /// Whether all CPUs were away at once, and the guest did not do it: at least 90 % of the canaries are in the group,
    /// and half of them waited for nothing of the guest's. A canary that was ready to run when the VM was stopped seems
    /// to have waited for another task; but no task holds all CPUs from the same moment on, and up to the same.
    pub(super) fn is_stop(&self, group: &Group) -> bool {
        let (count, canaries) = ((group.own + group.left) as usize, self.seen.canaries);
        let whole = count.saturating_mul(10) >= canaries.saturating_mul(9) && canaries > 0;
        whole && group.left > 0 && group.own <= group.left
    }
}

impl Group {
    /// The earliest that the guest's own counters do not explain.
    pub(super) fn first_left(&self) -> Option<usize> {
        (self.left > 0).then_some(self.first_left as usize)
    }
}

fn is_one(one: &Gap, other: &Gap) -> bool {
    let overlap_ns = one.end_ns().min(other.end_ns()).saturating_sub(one.start_ns.max(other.start_ns));
    let (shorter_ns, longer_ns) = (one.len_ns.min(other.len_ns), one.len_ns.max(other.len_ns));
    let skew_ns = one.start_ns.abs_diff(other.start_ns);
    overlap_ns >= shorter_ns - shorter_ns / 5 && skew_ns <= (longer_ns / 20).max(1_000_000)
}

//! Plans that no guest can have.

use super::of;
use crate::{
    plan::{Checked, PlannedRegion},
    record::Body,
};

fn region(plan: &Checked, threads: u32) -> PlannedRegion {
    PlannedRegion { threads, share: 1, ..plan.areas().remove(0) }
}

#[test]
fn a_plan_that_no_guest_can_have_is_left_out_before_anything_is_laid_out_by_it() {
    let with = |change: fn(&mut Checked)| {
        of(|data| {
            let hello = data.arrivals.iter_mut().find_map(|arrival| match &mut arrival.record.body {
                Body::Hello(hello) => Some(hello),
                _ => None,
            });
            change(&mut hello.unwrap().plan);
        })
    };
    let writers = with(|plan| plan.regions = vec![region(plan, 3_000_000_000); 2]);
    let regions = with(|plan| plan.regions = vec![region(plan, 1); 65]);
    let cpus = with(|plan| plan.cpus = vec![0; 1025]);
    for ((run, said), excess) in
        [(writers, "6000000000 writers"), (regions, "65 regions"), (cpus, "1025 CPUs to pin to")]
    {
        assert!(said.contains(&format!("tells of a plan of {excess}, and there are at most")), "{said}");
        assert!(run.analysis().stages.iter().all(|stage| stage.regions.is_empty()), "{said}");
    }
}

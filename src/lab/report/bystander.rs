//! What the migration took from vCPUs that dirtied nothing, beside those that did.

use crate::{
    lab::{
        analysis::{Analysis, TimeByClass},
        rundir::RunData,
        timeline::PhaseName,
    },
    record::GapClass,
    units::Share,
};

/// One vCPU over all stages of the migration.
#[derive(Debug, Clone, PartialEq)]
pub struct Bystander {
    /// Which.
    pub cpu: u32,
    /// Whether a writer is on it whose memory is visited, and not only read.
    pub dirties: bool,
    /// The length of these stages, in seconds.
    pub wall_s: f64,
    /// The time in which it did not run, in seconds.
    pub lost_s: f64,
    /// By class, the largest first; those without any left out.
    pub by_class: Vec<(GapClass, f64)>,
}

/// All vCPUs that were watched, where some of them dirtied memory and some did not; empty where that cannot be told apart.
pub fn bystanders(data: &RunData, analysis: &Analysis) -> Vec<Bystander> {
    let Some(hello) = data.records.hellos().last() else { return Vec::new() };
    let plan = &hello.plan;
    let on = plan.writer_cpus(&hello.cpus);
    let loads = || data.records.loads.iter().map(|from| &from.load);
    let dirties = |cpu: u32| {
        let mut own =
            (0..).zip(&on).filter(|(_, on)| **on == cpu).map(|(writer, _)| plan.region_share(writer));
        own.any(|share| {
            share.is_visited() && loads().any(|load| share.load(load).reads.millionths() < Share::WHOLE)
        })
    };
    let is_migration = |name| matches!(name, PhaseName::Precopy | PhaseName::Blackout | PhaseName::Postcopy);
    let stages: Vec<_> = analysis.stages.iter().filter(|stage| is_migration(stage.name)).collect();
    let cpus = stages.first().map_or(&[][..], |stage| &stage.cpus);
    let of = |index: usize, cpu: u32| {
        let times: Vec<&TimeByClass> =
            stages.iter().filter_map(|stage| stage.cpus.get(index)).map(|own| &own.time).collect();
        let lost = |class| times.iter().map(|time| time.of(class)).sum::<f64>();
        let mut by_class: Vec<(GapClass, f64)> =
            GapClass::ALL.into_iter().map(|class| (class, lost(class))).filter(|(_, s)| *s > 0.0).collect();
        by_class.sort_by(|one, other| other.1.total_cmp(&one.1));
        Bystander {
            cpu,
            dirties: dirties(cpu),
            wall_s: times.iter().map(|time| time.wall_s).sum(),
            lost_s: times.iter().map(|time| time.all_lost_s()).sum(),
            by_class,
        }
    };
    let all: Vec<Bystander> = cpus.iter().enumerate().map(|(index, own)| of(index, own.cpu)).collect();
    let both = all.iter().any(|own| own.dirties) && all.iter().any(|own| !own.dirties);
    if both { all } else { Vec::new() }
}

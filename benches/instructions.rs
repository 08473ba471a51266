//! How many instructions the parts of a visit take, beside those of bare loops, counted by callgrind through gungraun: the
//! same on a busy machine as on a quiet one, to the instruction.
//!
//! `make bench-instructions` brings gungraun's runner along and sets beside it what a whole visit takes in the guest
//! program. Every figure is of ten thousand visits: moving the point by four digits gives one.
#![expect(
    missing_docs,
    unused_qualifications,
    clippy::exit,
    reason = "what the macros of gungraun write: modules, functions, constants and the end of the program"
)]

mod common;

use common::{Ground, Painted, Stamped, Timed};
use gungraun::{
    Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main,
};
use std::hint::black_box;
use sully::pattern::AddressPattern;

/// Visits of one figure.
const VISITS: usize = 10_000;
/// 4 MiB: how far apart pages lie is nothing to instructions.
const PAGES: u64 = 1024;

fn ground() -> Ground {
    Ground::new(PAGES, "random", VISITS).expect("four MiB of memory")
}

fn stamped() -> Stamped {
    Stamped::new(ground()).expect("the memory is there already")
}

fn timed() -> Timed {
    Timed::new().expect("a cycle counter")
}

fn painted(content: &str) -> Painted {
    Painted::new(ground(), content).expect("a content")
}

fn order(pattern: &str) -> Box<dyn AddressPattern> {
    common::order(pattern, PAGES).expect("a pattern")
}

// What is set up goes in and out again: making and dropping it is not counted.

#[library_benchmark(setup = ground)]
#[bench::visit()]
fn bare_stores(mut ground: Ground) -> Ground {
    ground.store();
    black_box(ground)
}

#[library_benchmark(setup = ground)]
#[bench::visit()]
fn bare_read_modify_writes(mut ground: Ground) -> Ground {
    ground.read_modify_write();
    black_box(ground)
}

#[library_benchmark(setup = timed)]
#[bench::visit()]
fn timing(timed: Timed) -> Timed {
    timed.time(VISITS);
    black_box(timed)
}

#[library_benchmark(setup = stamped)]
#[bench::visit()]
fn stamps(mut stamped: Stamped) -> Stamped {
    stamped.renew();
    black_box(stamped)
}

#[library_benchmark(setup = order)]
#[bench::sequential("sequential")]
#[bench::shuffle("shuffle")]
#[bench::random("random")]
#[bench::zipf("zipf:0.99")]
#[bench::hotspot("hotspot:10%/90%")]
#[bench::stride("stride:16")]
fn draw(mut order: Box<dyn AddressPattern>) -> Box<dyn AddressPattern> {
    common::draw(&mut *order, VISITS);
    black_box(order)
}

#[library_benchmark(setup = painted)]
#[bench::random("random")]
#[bench::zero("zero")]
#[bench::fill("fill:0xaa")]
#[bench::compress("compress:50")]
#[bench::delta("delta:64")]
#[bench::same("same")]
fn paint(mut painted: Painted) -> Painted {
    painted.paint();
    black_box(painted)
}

library_benchmark_group!(
    name = visit,
    compare_by_id = true,
    benchmarks = [bare_stores, bare_read_modify_writes, timing, stamps]
);
library_benchmark_group!(name = drawing, benchmarks = draw);
library_benchmark_group!(name = painting, benchmarks = paint);
main!(
    config = LibraryBenchmarkConfig::default()
        .tool(Callgrind::with_args(["cache-sim=no"]).format([EventKind::Ir])),
    library_benchmark_groups = [visit, drawing, painting]
);

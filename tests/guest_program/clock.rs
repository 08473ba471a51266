//! The clock that stamps: the one that was insisted on is the one that is said.

use super::{end, failure, records, sully};
use sully::plan::ClockChoice;
use sully::record::Body;

#[test]
fn the_clock_that_is_insisted_on_stamps_and_is_said() {
    for (choice, kind) in [(ClockChoice::Tsc, "tsc"), (ClockChoice::Monotonic, "monotonic")] {
        if choice == ClockChoice::Tsc && sully::clock::cycles().is_none() {
            eprintln!("SKIPPED: the_clock_that_is_insisted_on_stamps_and_is_said: no counter on this CPU");
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let run = "run -m 4M -r 1M/s -t 1 -d 300ms --baseline 0s";
        sully(&format!("{run} --clock {choice} --report file:{}", path.display())).assert().success();
        let records = records(&path);
        let Body::Hello(hello) = &records[0].body else { panic!("no hello") };
        assert_eq!((hello.clock.kind.as_str(), hello.plan.clock), (kind, choice));
        let is_in_ns = hello.clock.hz == 1_000_000_000;
        assert!(is_in_ns || choice == ClockChoice::Tsc, "{:?}", hello.clock);
        assert!(end(&records).service_ns.count > 0);
    }
}

#[test]
fn a_clock_that_there_is_not_is_answered_with_those_there_are() {
    let (code, message) = failure("run --clock hpet");
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("'hpet'") && message.contains("auto, tsc or monotonic"), "{message}");
}

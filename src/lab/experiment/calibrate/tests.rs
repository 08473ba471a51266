//! A calibration that was made up, shown.

use super::reading::{Meter, Moment};
use super::vm::Window;
use super::*;

fn reading(meter: Meter, moment: Moment, said: Result<(f64, u64), &str>) -> Reading {
    let said = said.map(|(said, pages)| (said, Window { pages, seconds: 2.0 })).map_err(str::to_owned);
    Reading::of(meter, moment, said)
}

fn found() -> Calibration {
    let never = "not asked: QEMU before 9.0 can die of it under emulation (7.2 does), and this is 7.2";
    let load = |pattern: &str, sampled: f64| CalibratedLoad {
        pages: "4k".into(),
        pattern: pattern.into(),
        asked_pages_per_s: 4096,
        readings: vec![
            reading(Meter::PageSampling, Moment::Before, Ok((sampled, 8192))),
            reading(Meter::DirtyBitmap, Moment::Before, Err(never)),
            reading(Meter::DirtyRing, Moment::Before, Err("there is a dirty ring under KVM only")),
            reading(Meter::DirtyPagesRate, Moment::During, Ok((4300.0, 8192))),
            reading(Meter::PageSampling, Moment::During, Err("QEMU died of it: killed by SIGSEGV")),
        ],
    };
    Calibration {
        schema: SCHEMA,
        version: "0.1.0".into(),
        qemu_version: "7.2.22 (Debian)".into(),
        accelerator: Accelerator::Tcg,
        memory_bytes: 128 << 20,
        loads: vec![load("shuffle", 5120.0), load("random", 0.0)],
        interrupted: false,
        failed: None,
    }
}

#[test]
fn an_error_is_in_percent_of_what_the_guest_counted_over_the_same_time() {
    let right = reading(Meter::DirtyPagesRate, Moment::During, Ok((4506.0, 8192)));
    assert_eq!((right.guest_pages_per_s, right.meter_pages_per_s), (Some(4096.0), Some(4506.0)));
    assert!(right.error_percent.is_some_and(|error| (error - 10.01).abs() < 0.01), "{right:?}");
    let none = reading(Meter::DirtyPagesRate, Moment::During, Ok((100.0, 0)));
    assert_eq!((none.error_percent, none.reason.as_deref()), (None, Some("the guest wrote nothing")));
}

#[test]
fn a_table_says_every_meter_of_every_load_and_why_it_has_no_figure() {
    let text = text(&found(), 200);
    println!("{text}");
    let row = |name: &str| text.lines().find(|line| line.contains(name)).unwrap();
    for part in ["16.0", "20.0", "+25.0 %", "+5.0 %", "n/a"] {
        assert!(row("shuffle").contains(part), "{part}: {text}");
    }
    assert!(row("random").contains("-100.0 %"), "a meter that says 0 is off by all of it: {text}");
    assert_eq!(text.matches("not asked: QEMU before 9.0").count(), 1, "{text}");
    assert!(text.contains("n/a: page-sampling: QEMU died of it: killed by SIGSEGV"), "{text}");
}

#[test]
fn markdown_has_a_row_for_each_load_and_the_picture() {
    let text = markdown(&found(), "calibration.svg");
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
    assert_eq!(rows.len(), 4, "{text}");
    assert!(rows.iter().all(|row| row.matches('|').count() == rows[0].matches('|').count()), "{text}");
    assert!(rows[0].contains("page-sampling, before says") && text.contains("](calibration.svg)"), "{text}");
}

#[test]
fn the_picture_has_a_mark_for_each_figure_and_one_for_each_kind() {
    let svg = svg(&found());
    assert_eq!(svg.matches("<circle").count(), 4 + 2, "{svg}");
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && !svg.contains("NaN"), "{svg}");
    let empty = super::svg(&Calibration { loads: Vec::new(), ..found() });
    assert!(!empty.contains("<circle") && !empty.contains("inf"), "{empty}");
}

#[test]
fn json_tells_what_is_absent_with_its_reason() {
    let json = serde_json::to_value(found()).unwrap();
    let readings = &json["loads"][0]["readings"];
    assert_eq!((&readings[0]["meter"], &readings[0]["moment"]), (&"page-sampling".into(), &"before".into()));
    assert_eq!(readings[0]["error_percent"], 25.0);
    assert!(readings[1]["error_percent"].is_null() && readings[1]["reason"].is_string(), "{readings}");
}

#[test]
fn a_load_that_fails_costs_none_of_those_before_it_and_the_first_one_is_an_error() {
    let why = || Err(anyhow::anyhow!("no huge pages").context("booting a guest on 2m pages"));
    let kept = found().ended(why()).unwrap();
    assert_eq!(
        (kept.loads.len(), kept.failed.as_deref()),
        (2, Some("booting a guest on 2m pages: no huge pages"))
    );
    for shown in [text(&kept, 200), markdown(&kept, "calibration.svg")] {
        assert!(
            shown.contains("the loads after these: booting a guest on 2m pages: no huge pages"),
            "{shown}"
        );
    }
    let none = Calibration { loads: Vec::new(), ..found() }.ended(why());
    assert!(format!("{:#}", none.unwrap_err()).contains("no huge pages"));
}

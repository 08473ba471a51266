//! Kinds of memory, and the check that says whether this guest has them.

use super::{end, failure, records, sully};
use sully::content::Stamp;
use sully::record::Body;

#[test]
fn what_the_run_writes_is_seen_in_its_backing_file_from_outside() {
    let dir = tempfile::tempdir().unwrap();
    let (region, report) = (dir.path().join("region"), dir.path().join("out"));
    let (region_text, report_text) = (region.display(), report.display());
    sully(&format!(
        "run -m 4M --backing file:{region_text} -r max -t 2 -d 300ms --baseline 0s --report file:{report_text}"
    ))
    .assert()
    .success();
    let bytes = std::fs::read(&region).unwrap();
    let pages: Vec<&[u8]> = bytes.chunks(4096).collect();
    let stamp = |page: &[u8]| {
        let mut words = page.chunks(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap()));
        std::array::from_fn(|_| words.next().unwrap())
    };
    let distinct: std::collections::HashSet<&&[u8]> = pages.iter().collect();
    assert_eq!((pages.len(), distinct.len()), (1024, 1024), "no two pages alike");
    let records = records(&report);
    // Every page was visited in so many laps, and says so.
    assert!(end(&records).totals.writes > 4096);
    for (number, page) in pages.iter().enumerate() {
        let words = stamp(page);
        let found = Stamp::of(&words);
        assert!(Stamp::is_whole(&words) && found.page == number as u64 && found.generation > 0, "{found:?}");
    }
    let Body::Hello(hello) = &records[0].body else { panic!("no hello") };
    assert_eq!(hello.plan.kind.backing.to_string(), format!("file:{region_text}"));
    assert_eq!((hello.memory.page_bytes_asked, hello.memory.resident_bytes), (Some(4096), 4 << 20));

    let (code, message) = failure(&format!("run -m 8M --backing file:{region_text} -d 100ms"));
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("--memory 4M"), "{message}");
    assert_eq!(std::fs::read(&region).unwrap(), bytes, "left alone");
}

#[test]
fn a_check_says_line_by_line_whether_the_plan_can_be_run() {
    let output = sully("check -m 8M").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && !text.contains("FAULT"), "{text}");
    for name in ["memory", "pages", "numa", "lock", "backing", "writers", "canaries", "clock", "port"] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name}\n{text}");
    }

    let output = sully("check -m 8M --numa 999 --report virtio:org.none.0").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert_eq!(text.matches("FAULT").count(), 2, "{text}");
    assert!(text.contains("leave --numa out") && text.contains("virtserialport"), "{text}");
}

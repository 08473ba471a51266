//! The page: nothing fetched, nothing broken out, every chart drawn.

use super::*;
use crate::lab::timeline::fixture::Story;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

fn stories() -> [RunView; 3] {
    [Story::auto_converge(), Story::post_copy(), Story::precopy()]
        .map(|story| RunView::new(story.run_data().data()))
}

/// The page without the library it brings along, whose code is not ours to judge.
fn own(page: &str) -> String {
    page.replace(include_str!("../vendor/uPlot.iife.min.js"), "")
}

#[test]
fn the_page_fetches_nothing() {
    let page = own(&html(&stories()).unwrap());
    for reference in ["src=", "url(", "@import", "<link rel=\"stylesheet\"", "fetch(", "http:", "https:"] {
        assert!(!page.contains(reference), "{reference}");
    }
}

#[test]
fn the_page_carries_the_licence_of_the_library_in_it() {
    let page = html(&stories()).unwrap();
    assert!(page.contains("Copyright (c) 2022 Leon Sorokin") && page.contains("uPlot 1.6.32"));
}

#[test]
fn no_word_of_a_guest_or_qemu_becomes_markup() {
    let mut data = Story { completed_ms: None, blackout: None, ..Story::precopy() }.run_data();
    let hostile = "</script><img/onerror=alert(1)>\"'&".to_owned();
    data.run.name.clone_from(&hostile);
    data.dir_name.clone_from(&hostile);
    data.run.verdict.reasons.push(hostile.clone());
    data.run.provenance.notes.push(hostile.clone());
    data.run.provenance.qemu_version.clone_from(&hostile);
    data.destination_console = vec![hostile.clone()];
    data.remarks.push(hostile);
    let runs = [data.data(), data.data()].map(RunView::new);
    let pages = [html(&runs[..1]).unwrap(), html(&runs).unwrap()];
    for page in pages {
        assert!(!page.contains("<img") && own(&page).matches("</script").count() == 3);
    }
}

#[test]
fn every_run_has_its_charts_tables_and_headline() {
    let page = html(&stories()).unwrap();
    assert_eq!(page.matches("class=\"chart\"").count(), 12);
    assert_eq!(page.matches("class=\"headline\"").count(), 3);
    assert!(page.contains("QEMU&#39;s throttle beside what the guest lost"));
    assert_eq!(html(&stories()[..1]).unwrap().matches("id=\"comparison\"").count(), 0);
}

#[test]
fn a_run_without_records_has_no_charts_but_the_reasons_and_still_a_page() {
    let mut data = Story::precopy().run_data();
    (data.arrivals, data.qemu) = (Vec::new(), Vec::new());
    let page = html(&[RunView::new(data.data())]).unwrap();
    assert_eq!(page.matches("class=\"chart\"").count(), 0);
    assert_eq!(page.matches("No data: no interval of the guest arrived.").count(), 3);
    assert_eq!(page.matches("No data: QEMU gave no answer about the migration.").count(), 1);
}

/// What a browser makes of the page, or none where there is no browser.
fn in_a_browser(page: &Path, profile: &Path) -> Option<String> {
    let browser = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&paths).any(|dir| dir.join(name).is_file())
    })?;
    let output = Command::new("timeout")
        .args(["120", browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_browser_draws_every_chart() {
    let dir = tempfile::tempdir().unwrap();
    // SULLY_KEEP_REPORT=DIR keeps the page for people to look at.
    let kept = std::env::var_os("SULLY_KEEP_REPORT").map(PathBuf::from);
    let path = kept.as_deref().unwrap_or(dir.path()).join("report.html");
    std::fs::write(&path, html(&stories()).unwrap()).unwrap();
    let Some(page) = in_a_browser(&path, dir.path()) else {
        println!("SKIPPED: no Chromium to draw the charts in");
        return;
    };
    assert!(page.contains("data-charts=\"12\""), "{}", page.chars().take(500).collect::<String>());
    assert_eq!(page.matches("<canvas").count(), 12);
}

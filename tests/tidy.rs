//! Style as a test: reads the sources and holds them to the rules that docs/ARCHITECTURE.md states.
//!
//! Rules look at code with comments and literals blanked out, so prose may say what code may not do.

#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/floors.rs"]
mod floors;
#[path = "tidy/lex.rs"]
mod lex;
#[path = "tidy/names.rs"]
mod names;
#[path = "tidy/paths.rs"]
mod paths;
#[path = "tidy/planted.rs"]
mod planted;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/tree.rs"]
mod tree;

use floors::Floors;
use std::path::PathBuf;
use tree::Tree;

/// The project, as cargo says where it is.
fn project() -> Tree {
    let root = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    let tree = Tree::read(&root).expect("the project's directory can be read");
    assert!(tree.sources().count() > 10, "no sources below {}", root.display());
    tree
}

fn none(offences: &[String]) {
    assert!(offences.is_empty(), "\n{}\n", offences.join("\n"));
}

#[test]
fn every_top_module_stands_on_a_floor() {
    let tree = project();
    none(&Floors::read(&tree).homeless(&tree));
}

#[test]
fn a_module_imports_only_from_lower_floors() {
    let tree = project();
    none(&Floors::read(&tree).broken(&tree));
}

#[test]
fn every_room_of_the_host_side_stands_on_a_floor() {
    let tree = project();
    none(&Floors::of_lab(&tree).homeless(&tree));
}

#[test]
fn a_room_of_the_host_side_imports_only_from_lower_floors() {
    let tree = project();
    none(&Floors::of_lab(&tree).broken(&tree));
}

#[test]
fn the_host_side_uses_no_mechanism_of_the_guest_but_diagnose() {
    let tree = project();
    none(&Floors::read(&tree).guest_parts_in_lab(&tree));
}

#[test]
fn super_does_not_lead_out_of_a_top_module() {
    none(&floors::climbs_out(&project()));
}

#[test]
fn files_of_a_module_do_not_import_each_other_in_a_circle() {
    none(&circles::circles(&project()));
}

#[test]
fn a_type_name_has_one_meaning_in_the_whole_crate() {
    none(&names::repeated(&project()));
}

#[test]
fn every_file_opens_with_a_sentence_that_says_what_it_is() {
    none(&rules::without_a_sentence(&project()));
}

#[test]
fn no_file_is_longer_than_400_lines() {
    none(&rules::too_long(&project()));
}

#[test]
fn every_stream_of_random_numbers_has_a_seed_of_its_own() {
    none(&rules::seeds_used_twice(&project()));
}

#[test]
fn half_of_the_files_have_at_most_150_lines() {
    let median = rules::median_lines(&project());
    assert!(median <= rules::MEDIAN_LINES, "the median is {median} lines");
}

#[test]
fn no_function_is_longer_than_60_lines() {
    none(&rules::long_functions(&project()));
}

#[test]
fn unsafe_lives_only_in_its_homes() {
    none(&rules::stray_unsafe(&project()));
}

#[test]
fn no_note_to_oneself_and_no_debugging_output_is_left_behind() {
    none(&rules::leftovers(&project()));
}

#[test]
fn no_lint_is_silenced_for_good() {
    none(&rules::silenced_lints(&project()));
}

#[test]
fn no_test_is_ignored() {
    none(&rules::ignored_tests(&project()));
}

#[test]
fn no_file_names_a_directory_of_one_machine() {
    none(&rules::machine_paths(&project()));
}

#[test]
fn every_field_of_a_record_is_explained_in_the_page_about_the_wire() {
    none(&rules::undocumented_fields(&project()));
}

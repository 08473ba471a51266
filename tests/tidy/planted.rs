//! The rules tried on themselves: a small clean project passes, and an offender planted in it is caught.
#![expect(clippy::unwrap_used, reason = "a test stops where its own files cannot be written")]

use crate::{circles, floors, floors::Floors, lex, names, rules, tree::Tree};
use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

/// A project in a directory of its own, gone when the test is over.
struct Project {
    root: PathBuf,
}

const LIB: &str = "//! A house with a table.\n//!\n//! | floor | modules |\n//! |---|---|\n//! | 0 | [`units`] |\n\
                   //! | 3 | [`pace`], [`diagnose`] |\n//! | 4 | [`engine`], [`wire`] |\n\
                   //! | 5 | [`guest`], `lab` (feature `host`) |\n";

impl Project {
    fn clean() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("planted-{}-{number}", std::process::id());
        let project = Self { root: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name) };
        project.write("src/lib.rs", LIB);
        for module in ["units", "pace", "diagnose", "engine", "wire", "guest", "lab"] {
            project.write(&format!("src/{module}/mod.rs"), "//! One idea, said in one sentence.\n");
        }
        project
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The clean project with one file replaced by a sentence and `text`.
    fn with(path: &str, text: &str) -> Tree {
        Self::with_all(&[(path, text)])
    }

    fn with_all(planted: &[(&str, &str)]) -> Tree {
        let project = Self::clean();
        for (path, text) in planted {
            project.write(path, &format!("//! One idea, said in one sentence.\n{text}\n"));
        }
        Tree::read(&project.root).unwrap()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.root).unwrap();
    }
}

/// Exactly one offence, and it names the place.
fn caught(offences: &[String], place: &str) {
    assert_eq!(offences.len(), 1, "{offences:#?}");
    assert!(offences[0].contains(place), "{offences:#?}");
}

fn broken(tree: &Tree) -> Vec<String> {
    Floors::read(tree).broken(tree)
}

#[test]
fn a_clean_project_passes_every_rule() {
    let tree =
        Project::with("src/engine/mod.rs", "use crate::{pace::Pacer, units};\nfn f() { crate::units::g() }");
    let floors = Floors::read(&tree);
    let all = [
        floors.homeless(&tree),
        floors.broken(&tree),
        floors.guest_parts_in_lab(&tree),
        floors::climbs_out(&tree),
        circles::circles(&tree),
        names::repeated(&tree),
        rules::without_a_sentence(&tree),
        rules::too_long(&tree),
        rules::long_functions(&tree),
        rules::stray_unsafe(&tree),
        rules::leftovers(&tree),
        rules::silenced_lints(&tree),
        rules::ignored_tests(&tree),
        rules::machine_paths(&tree),
    ];
    assert_eq!(all.concat(), Vec::<String>::new());
}

#[test]
fn a_module_without_a_floor_and_a_floor_without_a_module_are_caught() {
    let tree = Project::with("src/attic/mod.rs", "");
    caught(&Floors::read(&tree).homeless(&tree), "src/attic");
    let project = Project::clean();
    fs::remove_dir_all(project.root.join("src/wire")).unwrap();
    let tree = Tree::read(&project.root).unwrap();
    caught(&Floors::read(&tree).homeless(&tree), "`wire`");
}

#[test]
fn an_import_from_a_higher_floor_is_caught_in_every_spelling() {
    for text in [
        "use crate::engine::Engine;",
        "use crate::{\n    units::X,\n    engine::{self, Engine},\n};",
        "fn f() { crate::engine::start() }",
        "fn f() -> Option<crate::engine::Engine> { None }",
        "mod inner { use super::super::engine::Engine; }",
        "macro_rules! m { () => { $crate::engine::start() } }",
    ] {
        caught(&broken(&Project::with("src/pace/mod.rs", text)), "src/pace/mod.rs:");
    }
}

#[test]
fn a_room_of_the_host_side_without_a_floor_or_that_sees_a_higher_one_is_caught() {
    let table = "//!\n//! | 0 | [`image`], [`qmp`] |\n//! | 1 | [`vm`] |";
    let with = |path: &str, text: &str| {
        let tree = Project::with_all(&[
            ("src/lab/mod.rs", table),
            ("src/lab/image.rs", ""),
            ("src/lab/qmp/mod.rs", ""),
            ("src/lab/vm/mod.rs", "use crate::lab::qmp::Client;\nuse super::image;"),
            (path, text),
        ]);
        let floors = Floors::of_lab(&tree);
        [floors.homeless(&tree), floors.broken(&tree)].concat()
    };
    assert_eq!(with("src/lab/vm/args.rs", "use super::super::image;"), Vec::<String>::new());
    caught(&with("src/lab/attic.rs", ""), "src/lab/attic: is on no floor");
    caught(&with("src/lab/qmp/client.rs", "use crate::lab::{vm::Vm, qmp};"), "src/lab/qmp/client.rs:2");
    caught(&with("src/lab/qmp/mod.rs", "fn f() { super::image::f() }"), "its neighbour `image`");
    let in_tests = "#[cfg(test)]\nmod tests { use crate::lab::vm::Vm; }";
    for path in ["src/lab/qmp/tests.rs", "src/lab/qmp/client.rs"] {
        assert_eq!(with(path, in_tests), Vec::<String>::new(), "{path}");
    }
}

#[test]
fn neighbours_that_see_each_other_are_caught() {
    caught(&broken(&Project::with("src/engine/run.rs", "use crate::wire::Lines;")), "src/engine/run.rs:2");
    caught(&broken(&Project::with("src/guest/mod.rs", "use crate::lab::Lab;")), "its neighbour `lab`");
}

#[test]
fn prose_and_literals_are_no_imports() {
    let text = "/// See [`crate::engine`].\n// crate::engine\nconst A: &str = \"crate::engine::x\";\n\
                const B: &str = r#\"\"crate::engine::x\"#;\nconst C: char = '\"'; /* crate::engine::x */\nfn f<'a>() {}";
    assert_eq!(broken(&Project::with("src/pace/mod.rs", text)), Vec::<String>::new());
}

#[test]
fn a_lab_that_uses_the_engine_or_a_mechanism_is_caught() {
    let tree = Project::with("src/lab/mod.rs", "use crate::{diagnose::classify, engine::Engine};");
    caught(&Floors::read(&tree).guest_parts_in_lab(&tree), "`engine`");
    let tree = Project::with("src/lab/run/mod.rs", "use crate::pace::Pacer;");
    caught(&Floors::read(&tree).guest_parts_in_lab(&tree), "`pace`");
}

#[test]
fn a_super_that_leads_out_of_its_module_is_caught() {
    caught(
        &floors::climbs_out(&Project::with("src/engine/run.rs", "use super::super::units::X;")),
        "crate::units::X",
    );
    let inside = Project::with("src/lab/run/steps.rs", "use super::super::vm::Vm;");
    assert_eq!(floors::climbs_out(&inside), Vec::<String>::new());
}

#[test]
fn a_circle_of_two_files_is_caught() {
    let tree = Project::with_all(&[
        ("src/lab/a.rs", "use super::b::B;\npub struct A;"),
        ("src/lab/b.rs", "use crate::lab::a::A;\npub struct B;"),
    ]);
    caught(&circles::circles(&tree), "src/lab/a.rs -> src/lab/b.rs -> src/lab/a.rs");
}

#[test]
fn a_circle_through_a_name_that_was_handed_on_is_caught() {
    let tree = Project::with_all(&[
        ("src/lab/mod.rs", "mod a;\nmod b;\npub use a::A;\npub use b::B;"),
        ("src/lab/a.rs", "use super::B;\npub struct A;"),
        ("src/lab/b.rs", "pub struct B(super::A);"),
    ]);
    caught(&circles::circles(&tree), "src/lab/a.rs -> src/lab/b.rs -> src/lab/a.rs");
}

#[test]
fn a_parent_and_a_child_that_need_each_other_are_caught() {
    let child = ("src/wire/line.rs", "use super::Limit;\npub fn line(_: Limit) {}");
    let tree = Project::with_all(&[
        child,
        ("src/wire/mod.rs", "mod line;\npub struct Limit;\nfn f() { line::line(Limit) }"),
    ]);
    caught(&circles::circles(&tree), "src/wire/line.rs");
    let tree =
        Project::with_all(&[child, ("src/wire/mod.rs", "mod line;\npub use line::line;\npub struct Limit;")]);
    assert_eq!(circles::circles(&tree), Vec::<String>::new(), "handing a name on is not needing it");
}

#[test]
fn a_trailing_comma_names_no_parent_and_a_star_or_self_does() {
    let parent = ("src/wire/mod.rs", "mod limit;\nmod line;\npub struct Wire;\nfn f() { line::line() }");
    let limit = ("src/wire/limit.rs", "pub struct Limit;");
    let with = |import| {
        let child = ("src/wire/line.rs", import);
        circles::circles(&Project::with_all(&[parent, limit, child]))
    };
    for harmless in
        ["use super::{\n    limit::{self, Limit,},\n};", "use super::{limit::Limit , };", "use super::{};"]
    {
        assert_eq!(with(harmless), Vec::<String>::new(), "{harmless}");
    }
    for needy in ["use super::{\n    Wire,\n};", "use super::{self,};", "use super::{limit::Limit, *,};"] {
        caught(&with(needy), "src/wire/line.rs");
    }
}

#[test]
fn tests_may_look_both_ways() {
    let with = |attribute_and_visibility: &str| {
        let b =
            format!("pub struct B;\n{attribute_and_visibility}mod tests {{\n    use crate::lab::a::A;\n}}");
        circles::circles(&Project::with_all(&[
            ("src/lab/a.rs", "use super::b::B;\npub struct A;"),
            ("src/lab/b.rs", &b),
        ]))
    };
    for visibility in ["", "pub ", "pub(super) ", "pub(in crate::lab) "] {
        assert_eq!(with(&format!("#[cfg(test)]\n{visibility}")), Vec::<String>::new(), "{visibility}");
        caught(&with(visibility), "src/lab/b.rs");
    }
}

#[test]
fn a_type_name_that_two_files_hand_out_is_caught() {
    let with = |one: &str, other: &str| {
        let planted = [("src/pace/mod.rs", one), ("src/lab/run/steps.rs", other)];
        names::repeated(&Project::with_all(&planted))
    };
    for other in ["pub enum Walk { A }", "pub(super) trait Walk {}", "pub(in crate::lab)\ntype Walk = u8;"] {
        caught(&with("pub struct Walk<T>(T);", other), "src/lab/run/steps.rs, src/pace/mod.rs: `Walk`");
    }
    let in_tests = "#[cfg(test)]\nmod tests { pub struct Walk; }";
    for other in ["struct Walk;", "pub struct Walker;", "pub fn Walk() {}", in_tests] {
        assert_eq!(with("pub struct Walk;", other), Vec::<String>::new(), "{other}");
    }
}

#[test]
fn a_file_without_a_sentence_is_caught() {
    let project = Project::clean();
    project.write("src/pace/mod.rs", "use std::fmt;\n");
    caught(&rules::without_a_sentence(&Tree::read(&project.root).unwrap()), "src/pace/mod.rs");
}

#[test]
fn files_and_functions_that_are_too_long_are_caught() {
    let long = "// a line\n".repeat(rules::FILE_LINES);
    caught(&rules::too_long(&Project::with("src/pace/mod.rs", &long)), "src/pace/mod.rs: 402 lines");
    let body = "    g();\n".repeat(rules::FUNCTION_LINES - 1);
    let tree = Project::with("src/pace/mod.rs", &format!("fn f(a: [u8; 4])\n{{\n{body}}}\nfn g() {{}}"));
    caught(&rules::long_functions(&tree), "fn f has 62 lines");
    let body = "    g();\n".repeat(rules::FUNCTION_LINES - 2);
    let tree = Project::with("src/pace/mod.rs", &format!("trait T {{ fn t(); }}\nfn f() {{\n{body}}}"));
    assert_eq!(rules::long_functions(&tree), Vec::<String>::new());
}

#[test]
fn the_median_is_the_middle_one() {
    let tree = Project::with("src/pace/mod.rs", &"\n".repeat(300));
    assert_eq!(rules::median_lines(&tree), 1);
}

#[test]
fn unsafe_away_from_home_or_without_a_reason_is_caught() {
    let text = "fn f() { unsafe { g() } }";
    caught(&rules::stray_unsafe(&Project::with("src/engine/mod.rs", text)), "outside its homes");
    caught(&rules::stray_unsafe(&Project::with("src/region/mod.rs", text)), "no `#![expect(unsafe_code");
    let excused = format!("#![expect(unsafe_code, reason = \"stores\")]\n{text}");
    assert_eq!(rules::stray_unsafe(&Project::with("src/region/mod.rs", &excused)), Vec::<String>::new());
}

#[test]
fn what_is_left_behind_is_caught_in_files_of_every_kind() {
    let note = ["TO", "DO"].concat();
    caught(
        &rules::leftovers(&Project::with("src/pace/mod.rs", &format!("// {note}: later"))),
        "src/pace/mod.rs:2",
    );
    caught(&rules::leftovers(&Project::with("docs/GUIDE.md", &note)), "docs/GUIDE.md:2");
    caught(&rules::leftovers(&Project::with("src/pace/mod.rs", "fn f() { dbg!(1); }")), "a debugging macro");
}

#[test]
fn silenced_lints_and_ignored_tests_are_caught() {
    for text in ["#[allow(dead_code)]\nfn f() {}", "#[cfg_attr(test, allow(dead_code))]\nfn f() {}"] {
        caught(&rules::silenced_lints(&Project::with("src/pace/mod.rs", text)), "src/pace/mod.rs:2");
    }
    for text in ["#[test]\n#[ignore]\nfn f() {}", "#[test]\n#[ignore = \"slow\"]\nfn f() {}"] {
        caught(&rules::ignored_tests(&Project::with("src/pace/mod.rs", text)), "src/pace/mod.rs:3");
    }
    let harmless = "fn f() { allow(1); let ignore = [0]; }";
    assert_eq!(rules::silenced_lints(&Project::with("src/pace/mod.rs", harmless)), Vec::<String>::new());
    assert_eq!(rules::ignored_tests(&Project::with("src/pace/mod.rs", harmless)), Vec::<String>::new());
}

#[test]
fn a_field_that_nobody_explained_is_caught() {
    let record = ("src/record/gap.rs", "pub struct Gap {\n    pub cpu: u32,\n    pub len_ns: u64,\n}");
    let tree = Project::with_all(&[record, ("docs/WIRE.md", "`cpu`: whose canary was late.")]);
    caught(&rules::undocumented_fields(&tree), "`len_ns`");
}

#[test]
fn a_path_of_one_machine_is_caught() {
    let path = ["/", "home", "/someone"].concat();
    caught(&rules::machine_paths(&Project::with("docs/GUIDE.md", &path)), "docs/GUIDE.md:2");
    let elsewhere = ["https://example.org", "/", "home", "/x"].concat();
    assert_eq!(rules::machine_paths(&Project::with("docs/GUIDE.md", &elsewhere)), Vec::<String>::new());
}

#[test]
fn blanking_keeps_code_and_lines_and_drops_the_rest() {
    let source =
        "let a = \"x\\\"y\"; // note\nlet b = 'c'; let s: &'static str = br#\"z\"#;\n/* a /* b */ c */ end";
    let code = lex::code_only(source);
    assert_eq!(code.len(), source.len());
    assert_eq!(code.matches('\n').count(), 2);
    let kept: String = code.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(kept, "let a = ; let b = ; let s: &'static str = ; end");
}

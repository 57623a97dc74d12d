//! Holds docs/unsafe.md to the sources: where unsafe code is allowed, and why.
//! The lint refuses it everywhere else, so what is allowed is all that there is.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::sh;

/// What stands before the reason, blanks apart.
const ALLOWED: &str = concat!("allow(", "unsafe_code,reason=\"");
/// The same without one.
const WITHOUT: &str = concat!("allow(", "unsafe_code)");
/// Where unsafe code may be: the machine's floor and doors, code for ring 3, and the
/// VMM below its services.
const ROOMS: [&str; 11] = [
    "guest/arch/",
    "guest/job/",
    "guest/src/",
    "guest/vdso/",
    "guest-rt/",
    "images/",
    "tests/",
    "vmm/cli/",
    "vmm/measure/",
    "vmm/src/host/",
    "vmm/src/machine/",
];
/// What forbids it by itself.
const FORBIDDEN: [&str; 5] = ["abi", "erofs", "uapi", "loader", "guest/kernel"];

/// Each file or, for a module with files of its own, directory: the reasons.
type List = BTreeMap<String, Vec<String>>;

/// Adds what a Rust file, or all in a directory and below, allows.
fn collect(path: &Path, list: &mut List) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap().flatten() {
            let is_source = |name: &str| !name.starts_with('.') && name != "target";
            if entry.file_name().to_str().is_some_and(is_source) {
                collect(&entry.path(), list);
            }
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        let text = fs::read_to_string(path).unwrap();
        let path = path.strip_prefix(sh::root()).unwrap().to_str().unwrap();
        assert!(!dense(&text).contains(WITHOUT), "{path}: no reason");
        for reason in reasons(&text) {
            let reasons = list.entry(place(path, &text).to_owned()).or_default();
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
    }
}

/// The reasons that a source gives.
fn reasons(text: &str) -> Vec<String> {
    let starts = text.match_indices("unsafe_code").filter_map(|(at, _)| {
        let before = text[..at].trim_end().ends_with("allow(");
        let rest = text[at..].split_once('"').filter(|_| before)?;
        (dense(rest.0) == "unsafe_code,reason=").then_some(rest.1)
    });
    starts.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect()
}

/// Without blanks.
fn dense(text: &str) -> String {
    text.split_whitespace().collect()
}

/// The file, or its directory if what it allows holds for that.
fn place<'a>(path: &'a str, text: &str) -> &'a str {
    let directory = path.strip_suffix("mod.rs").or(path.strip_suffix("lib.rs"));
    directory.filter(|_| dense(text).contains(&format!("#![{ALLOWED}"))).unwrap_or(path)
}

fn markdown(list: &List) -> String {
    let mut table = String::from("| where | why |\n|---|---|\n");
    for (place, reasons) in list {
        writeln!(table, "| `{place}` | {} |", reasons.join("; ")).unwrap();
    }
    table
}

/// `TRAPGATE_BLESS=1` writes the table anew.
#[test]
fn the_unsafe_code_that_there_is_is_in_docs_with_its_reason() {
    const START: &str = "<!-- of the sources -->\n";
    const END: &str = "<!-- end -->\n";
    let mut list = List::new();
    collect(sh::root(), &mut list);
    assert!(list.len() > 40, "{list:#?}");
    let stray = list.keys().find(|place| !ROOMS.iter().any(|room| place.starts_with(room)));
    assert_eq!(stray, None, "unsafe code where none may be");
    let services = list.keys().filter(|place| place.starts_with("vmm/src/host/"));
    assert_eq!(services.collect::<Vec<_>>(), ["vmm/src/host/raw.rs"]);
    for forbidden in FORBIDDEN {
        let lib = fs::read_to_string(sh::root().join(forbidden).join("src/lib.rs")).unwrap();
        assert!(lib.contains("#![forbid(unsafe_code)]"), "{forbidden}");
    }
    let path = sh::root().join("docs/unsafe.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(START).unwrap();
    let (table, after) = rest.split_once(END).unwrap();
    let expected = markdown(&list);
    if std::env::var_os("TRAPGATE_BLESS").is_some() {
        fs::write(path, format!("{before}{START}{expected}{END}{after}")).unwrap();
    } else {
        assert_eq!(table, expected, "TRAPGATE_BLESS=1 cargo test -p xtask unsafety");
    }
}

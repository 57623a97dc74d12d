//! The arrows between the rooms of a crate: which file uses which, read out of the
//! imports, held against the table of rooms in its lib.rs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::sh;

/// A crate whose lib.rs has a table of its rooms, top to bottom.
struct Crate {
    /// Where its sources are.
    sources: &'static str,
    /// Modules that are in no room, besides tests: what every room may use.
    apart: &'static [&'static str],
    /// What stands in lib.rs for something of a room: the name, the room.
    names: &'static [(&'static str, &'static str)],
    /// Whether no file may use another that uses it, in a room neither.
    files_too: bool,
}

const CRATES: [Crate; 2] = [
    Crate { sources: "guest/kernel/src", apart: &[], names: &[], files_too: true },
    Crate {
        sources: "vmm/src",
        apart: &["error", "schemas"],
        names: &[("ByteSize", "size"), ("Error", "error")],
        files_too: false,
    },
];

/// A file's code: no comments, and nothing that is only there for its tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = text.lines().map(|line| line.split("//").next().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

/// The modules that a file is: `sys::compat::file`.
fn module(file: &str) -> Vec<String> {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').map(str::to_owned).collect()
}

/// All paths below `crate` or `super` that a piece of code names, in full; groups
/// are taken apart.
fn paths(code: &str, own: &[String]) -> BTreeSet<Vec<String>> {
    let mut found = BTreeSet::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(start) {
            // `super::super::` is found by its first, and not again.
            let before = code[..at].chars().next_back().unwrap_or(' ');
            if before.is_alphanumeric() || before == '_' || code[..at].ends_with("::") {
                continue;
            }
            let mut base = if start == "crate::" { Vec::new() } else { own.to_vec() };
            let mut rest = &code[at..];
            if start == "crate::" {
                rest = &rest["crate::".len()..];
            }
            while let Some(up) = rest.strip_prefix("super::") {
                base.pop();
                rest = up;
            }
            tree(rest.strip_prefix("self::").unwrap_or(rest), &base, &mut found);
        }
    }
    found
}

/// The paths of a use tree, as far as it goes; answers what comes behind.
fn tree<'a>(text: &'a str, base: &[String], found: &mut BTreeSet<Vec<String>>) -> &'a str {
    let mut base = base.to_vec();
    let mut text = text.trim_start();
    loop {
        if let Some(mut group) = text.strip_prefix('{') {
            loop {
                group = tree(group, &base, found).trim_start();
                match group.strip_prefix(',') {
                    Some(next) if !next.trim_start().starts_with('}') => group = next,
                    Some(next) => return next.trim_start().strip_prefix('}').unwrap_or(""),
                    None => return group.strip_prefix('}').unwrap_or(group),
                }
            }
        }
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let (word, rest) = text.split_at(text.find(|c| !is_part(c)).unwrap_or(text.len()));
        if !word.is_empty() && word != "self" {
            base.push(word.to_owned());
        }
        match rest.strip_prefix("::") {
            Some(next) if !word.is_empty() => text = next.trim_start(),
            _ => {
                found.insert(base);
                return rest;
            }
        }
    }
}

/// All Rust files below a directory, by their paths from there.
fn files(root: &Path) -> BTreeMap<String, String> {
    fn collect(root: &Path, directory: &Path, into: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(root, &path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                into.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut into = BTreeMap::new();
    collect(root, root, &mut into);
    into
}

fn room(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

impl Crate {
    /// The rooms in the order of the table in lib.rs, top to bottom.
    fn rooms(&self) -> Vec<String> {
        let lib = sh::root().join(self.sources).join("lib.rs");
        let lib = fs::read_to_string(lib).unwrap();
        let row = |line: &str| {
            let row = line.strip_prefix("//! | ")?.trim_start_matches('[').strip_prefix('`')?;
            Some(row.split('`').next()?.to_owned())
        };
        lib.lines().filter_map(row).collect()
    }

    fn is_apart(&self, file: &str) -> bool {
        self.apart.contains(&room(file))
    }

    /// Who uses whom, by file.
    fn uses(&self) -> BTreeMap<String, BTreeSet<String>> {
        let is_test =
            |file: &str| file.split('/').any(|part| part.trim_end_matches(".rs") == "tests");
        let files = files(&sh::root().join(self.sources));
        let files: BTreeMap<_, _> =
            files.into_iter().filter(|(file, _)| file != "lib.rs" && !is_test(file)).collect();
        let by_module: BTreeMap<_, _> =
            files.keys().map(|file| (module(file), file.clone())).collect();
        let target = |path: &[String]| {
            let found = (1..=path.len()).rev().find_map(|end| by_module.get(&path[..end]));
            found.cloned().or_else(|| {
                let (_, room) = self
                    .names
                    .iter()
                    .find(|(name, _)| path.first().is_some_and(|first| first == name))?;
                by_module.get(&[(*room).to_owned()][..]).cloned()
            })
        };
        let of_file = |(file, text): (&String, &String)| {
            let paths = paths(&code(text), &module(file));
            let targets = paths.iter().filter(|path| !path.is_empty()).map(|path| {
                target(path)
                    .unwrap_or_else(|| panic!("{file}: crate::{} is no room", path.join("::")))
            });
            (file.clone(), targets.filter(|target| target != file).collect())
        };
        files.iter().map(of_file).collect()
    }
}

#[test]
fn the_tables_have_every_room_and_no_other() {
    for each in CRATES {
        let rooms = each.rooms();
        let files = each.uses();
        let files = files.keys().filter(|file| !each.is_apart(file));
        let there: BTreeSet<String> = files.map(|file| room(file).to_owned()).collect();
        assert_eq!(rooms.iter().cloned().collect::<BTreeSet<_>>(), there, "{}", each.sources);
        assert_eq!(rooms.len(), there.len(), "{}: a room is there twice", each.sources);
    }
}

#[test]
fn each_room_uses_only_those_below_it() {
    for each in CRATES {
        let rooms = each.rooms();
        let height = |file: &str| rooms.iter().position(|name| name == room(file)).unwrap();
        for (file, uses) in each.uses().iter().filter(|(file, _)| !each.is_apart(file)) {
            for used in uses.iter().filter(|used| !each.is_apart(used)) {
                let is_below = height(file) <= height(used);
                assert!(is_below, "{}: {file} uses {used}, which is above it", each.sources);
            }
        }
    }
}

#[test]
fn no_files_use_each_other() {
    for each in CRATES {
        let uses = each.uses();
        let count = uses.values().flatten().count();
        assert!(count > 50, "{}: the imports were not found: {uses:?}", each.sources);
        // Files go, once all that they use has gone.
        let mut left = uses;
        while each.files_too && !left.is_empty() {
            let count = left.len();
            let names: BTreeSet<String> = left.keys().cloned().collect();
            left.retain(|_, uses| uses.iter().any(|used| names.contains(used)));
            assert!(left.len() < count, "these use each other, or what does: {left:#?}");
        }
    }
}

#[test]
fn imports_are_read_as_rust_reads_them() {
    let own = ["sys".to_owned(), "compat".to_owned(), "file".to_owned()];
    let code = "use super::time::{self, Timespec32}; use crate::{mm::{space::Place, vma}, fs};\n\
                let x = super::super::poll::now(); trapgate_abi::crate_name::y();";
    let found: Vec<String> = paths(code, &own).iter().map(|path| path.join("::")).collect();
    let expected = [
        "fs",
        "mm::space::Place",
        "mm::vma",
        "sys::compat::time",
        "sys::compat::time::Timespec32",
        "sys::poll::now",
    ];
    assert_eq!(found, expected);
}

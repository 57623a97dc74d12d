//! Which file uses which: read out of the imports, held against the table of rooms in
//! lib.rs. And where unsafe code may be.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn guest() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
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

/// The file that a path leads to: that of its longest beginning that is one.
fn target<'a>(path: &[String], by_module: &'a BTreeMap<Vec<String>, String>) -> Option<&'a str> {
    (1..=path.len()).rev().find_map(|end| by_module.get(&path[..end])).map(String::as_str)
}

/// Who uses whom, by file.
fn uses() -> BTreeMap<String, BTreeSet<String>> {
    let files = files(&guest().join("kernel/src"));
    let is_kernel = |file: &String| file != "lib.rs" && !file.starts_with("tests/");
    let files: BTreeMap<_, _> = files.into_iter().filter(|(file, _)| is_kernel(file)).collect();
    let by_module = files.keys().map(|file| (module(file), file.clone())).collect();
    let of_file = |(file, text): (&String, &String)| {
        let paths = paths(&code(text), &module(file));
        let targets = paths.iter().filter_map(|path| target(path, &by_module));
        (file.clone(), targets.filter(|target| target != file).map(str::to_owned).collect())
    };
    files.iter().map(of_file).collect()
}

/// The rooms in the order of the table in lib.rs, top to bottom.
fn rooms() -> Vec<String> {
    let lib = fs::read_to_string(guest().join("kernel/src/lib.rs")).unwrap();
    let row = |line: &str| Some(line.strip_prefix("//! | [`")?.split('`').next()?.to_owned());
    lib.lines().filter_map(row).collect()
}

fn room(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

#[test]
fn the_table_of_rooms_has_every_room_and_no_other() {
    let rooms = rooms();
    let there: BTreeSet<String> = uses().keys().map(|file| room(file).to_owned()).collect();
    assert_eq!(rooms.iter().cloned().collect::<BTreeSet<_>>(), there);
    assert_eq!(rooms.len(), there.len(), "a room is there twice");
}

#[test]
fn each_room_uses_only_those_below_it() {
    let rooms = rooms();
    let height = |file: &str| rooms.iter().position(|name| name == room(file)).unwrap();
    for (file, uses) in uses() {
        for used in uses {
            assert!(height(&file) <= height(&used), "{file} uses {used}, which is above it");
        }
    }
}

#[test]
fn no_files_use_each_other() {
    let uses = uses();
    assert!(uses.values().flatten().count() > 50, "the imports were not found: {uses:?}");
    // Files go, once all that they use has gone.
    let mut left = uses.clone();
    while !left.is_empty() {
        let count = left.len();
        let names: BTreeSet<String> = left.keys().cloned().collect();
        left.retain(|_, uses| uses.iter().any(|used| names.contains(used)));
        assert!(left.len() < count, "these use each other, or what does: {left:#?}");
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

/// Where unsafe code may be, from `guest/`: the floor, the room apart, the roof, and
/// what runs in ring 3.
const UNSAFE: [&str; 4] = ["arch/src/", "job/src/", "src/", "vdso/src/"];

#[test]
fn unsafe_code_is_only_in_the_floor_the_roof_and_the_room_apart() {
    let files = files(&guest());
    let is_unsafe = |text: &str| {
        let code = code(text);
        let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
        words.clone().any(|word| word == "unsafe")
    };
    // In the kernel's own files the compiler looks.
    for (file, text) in files.iter().filter(|(file, _)| !file.starts_with("kernel/src/")) {
        let may_be = UNSAFE.iter().any(|place| file.starts_with(place));
        assert!(may_be || !is_unsafe(text), "guest/{file} has unsafe code");
    }
    let lib = &files["kernel/src/lib.rs"];
    assert!(lib.contains("#![forbid(unsafe_code)]"));
    assert!(UNSAFE.iter().all(|place| files.keys().any(|file| file.starts_with(place))));
}

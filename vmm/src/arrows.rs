//! Which room uses which: read out of the imports, held against the table of rooms
//! in lib.rs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All Rust files in `directory` and below.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let in_it = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    in_it.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// The rooms in the order of the table in lib.rs, top to bottom.
fn rooms() -> Vec<String> {
    let lib = fs::read_to_string(source().join("lib.rs")).unwrap();
    let row = |line: &str| Some(line.strip_prefix("//! | `")?.split('`').next()?.to_owned());
    lib.lines().filter_map(row).collect()
}

/// The room that a file is in.
fn room(file: &Path) -> String {
    let below = file.strip_prefix(source()).unwrap();
    let first = below.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// What code names behind `crate::`, one step deep; groups are taken apart.
fn named(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = code.lines().map(|line| line.split("//").next().unwrap());
    let code = lines.collect::<Vec<_>>().join("\n");
    let word = |text: &str| {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        text.trim_start().chars().take_while(|c| is_part(*c)).collect::<String>()
    };
    let mut found = BTreeSet::new();
    for piece in code.split("crate::").skip(1) {
        let Some(group) = piece.strip_prefix('{') else {
            found.insert(word(piece));
            continue;
        };
        let mut depth = 0;
        let mut start = true;
        for (at, c) in group.char_indices() {
            if start && !c.is_whitespace() {
                found.insert(word(&group[at..]));
                start = false;
            }
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' => start = depth == 0,
                _ => {}
            }
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

/// Files that are in no room: what is for all of them, and what is for tests.
const APART: [&str; 4] = ["lib", "error", "schemas", "arrows"];

#[test]
fn the_table_of_rooms_has_every_room_and_no_other() {
    let there: BTreeSet<_> = files(&source()).iter().map(|file| room(file)).collect();
    let apart = APART.map(str::to_owned);
    let rooms: BTreeSet<_> = rooms().into_iter().chain(apart).collect();
    assert!(there.is_subset(&rooms), "{there:?}");
    assert!(rooms.difference(&there).all(|room| APART.contains(&room.as_str())), "{rooms:?}");
}

#[test]
fn each_room_uses_only_those_below_it() {
    let rooms = rooms();
    let height = |name: &str| rooms.iter().position(|room| room == name);
    let mut arrows = 0;
    for file in files(&source()) {
        let (own, text) = (room(&file), fs::read_to_string(&file).unwrap());
        if APART.contains(&own.as_str()) || file.ends_with("tests.rs") {
            continue;
        }
        for name in named(&text) {
            let used = match name.as_str() {
                // By the names that users have for them.
                "Error" | "error" | "schemas" => continue,
                "ByteSize" => "size",
                name => name,
            };
            let below =
                height(used).unwrap_or_else(|| panic!("{file:?}: crate::{used} is no room"));
            assert!(height(&own) <= Some(below), "{file:?} uses {used}, which is above it");
            arrows += usize::from(used != own);
        }
    }
    assert!(arrows > 30, "the imports were not found");
}

#[test]
fn imports_are_read_as_rust_reads_them() {
    let code = "use crate::{Error, machine::{memory::GuestRam, kvm}, host};\n\
                let x = crate::boot::features(); // crate::comment";
    let found: Vec<_> = named(code).into_iter().collect();
    assert_eq!(found, ["Error", "boot", "host", "machine"]);
}

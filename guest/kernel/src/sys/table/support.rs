//! What the documents say of the calls, out of the lists that the tables are made of.
//! `TRAPGATE_BLESS=1 cargo test -p trapgate-kernel support` writes it.

use super::build::{find, find_compat};
use super::{COMPAT_ENTRIES, ENTRIES};
use core::fmt::Write;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{env, fs};
use trapgate_uapi::syscall::{I386, Row, X86_64};

/// How much there is of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Support {
    /// All.
    Full,
    /// What the note says.
    Partial(&'static str),
    /// Nothing: ENOSYS.
    No,
}

fn by_note(note: Option<&'static str>) -> Support {
    note.map_or(Support::Full, Support::Partial)
}

/// Of a row of x86-64's.
fn of_x86_64(row: &Row) -> Support {
    find(row, ENTRIES).map_or(Support::No, |entry| by_note(entry.note))
}

/// Of a row of i386's.
fn of_i386(row: &Row) -> Support {
    if let Some(entry) = find_compat(row, COMPAT_ENTRIES) {
        return by_note(entry.note);
    }
    let both = find(row, ENTRIES).filter(|entry| entry.ia32.is_some());
    both.map_or(Support::No, |entry| by_note(entry.note))
}

/// Calls by name.
#[derive(Default)]
struct Calls {
    full: BTreeSet<&'static str>,
    partial: BTreeMap<&'static str, &'static str>,
}

impl Calls {
    fn add(&mut self, row: &Row, support: Support) {
        match support {
            Support::Full => drop(self.full.insert(row.name)),
            Support::Partial(note) => drop(self.partial.insert(row.name, note)),
            Support::No => {}
        }
    }

    /// The names that note, and those of calls with the same one.
    fn notes(&self) -> Vec<(String, &'static str)> {
        let mut notes: Vec<(Vec<&str>, &str)> = Vec::new();
        for (name, note) in &self.partial {
            match notes.iter_mut().find(|(_, other)| other == note) {
                Some((names, _)) => names.push(name),
                None => notes.push((vec![name], note)),
            }
        }
        notes.into_iter().map(|(names, note)| (quoted(names), note)).collect()
    }
}

fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted = names.into_iter().map(|name| format!("`{name}`"));
    quoted.collect::<Vec<_>>().join(" ")
}

/// x86-64's calls, and those of i386's that have no such name there, or nothing behind
/// it.
fn calls() -> [Calls; 2] {
    let (mut wide, mut narrow) = (Calls::default(), Calls::default());
    X86_64.iter().for_each(|row| wide.add(row, of_x86_64(row)));
    let answered = |name| wide.full.contains(name) || wide.partial.contains_key(name);
    for row in I386.iter().filter(|row| !answered(row.name)) {
        narrow.add(row, of_i386(row));
    }
    [wide, narrow]
}

fn table(calls: &Calls) -> String {
    let mut text = String::from("| call | what there is of it |\n|---|---|\n");
    writeln!(text, "| {} | all |", quoted(calls.full.iter().copied())).unwrap();
    for (names, note) in calls.notes() {
        writeln!(text, "| {names} | {note} |").unwrap();
    }
    text
}

/// Compares what stands between two marks of a document, or writes it.
fn hold(document: &str, what: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(document);
    let text = fs::read_to_string(&path).unwrap();
    let start = format!("<!-- {what} of guest/kernel/src/sys/table.rs -->\n");
    let (before, rest) = text.split_once(&start).expect("a mark where it begins");
    let (there, after) = rest.split_once("<!-- end -->").expect("a mark where it ends");
    if env::var_os("TRAPGATE_BLESS").is_some() {
        fs::write(path, format!("{before}{start}{expected}<!-- end -->{after}")).unwrap();
    } else {
        let stale = there.lines().find(|line| !expected.lines().any(|other| other == *line));
        let how = "TRAPGATE_BLESS=1 cargo test -p trapgate-kernel support";
        assert!(there == expected, "{document} is not as the table, such as {stale:?}: {how}");
    }
}

#[test]
fn the_documents_say_of_each_call_what_the_table_says() {
    let [wide, narrow] = calls();
    hold("docs/supported.md", "64-bit calls", &table(&wide));
    hold("docs/supported.md", "i386's own", &table(&narrow));
    // Linux answers some names with ENOSYS, too.
    let all = X86_64.iter().filter(|row| !row.entry.is_empty()).count();
    let (full, partial) = (wide.full.len(), wide.partial.len());
    let sentence = format!(
        "Of x86-64's {all} system calls the kernel answers {full} in full and {partial} in part, \
         and the same of i386's; the others are ENOSYS. \
         [docs/supported.md](docs/supported.md) has which, and what runs.\n"
    );
    hold("README.md", "the count", &sentence);
}

#[test]
fn a_call_is_supported_in_part_or_not_as_its_row_says() {
    let row = |name| X86_64.iter().find(|row| row.name == name).unwrap();
    assert_eq!(of_x86_64(row("getpid")), Support::Full);
    assert!(matches!(of_x86_64(row("ioctl")), Support::Partial(_)));
    assert_eq!(of_x86_64(row("init_module")), Support::No);
    let row = |name| I386.iter().find(|row| row.name == name).unwrap();
    assert_eq!(of_i386(row("getpid")), Support::Full);
    assert!(matches!(of_i386(row("modify_ldt")), Support::Partial(_)));
    assert_eq!(of_i386(row("vm86")), Support::No);
}

#[test]
fn notes_are_short_and_fit_into_a_table() {
    let [wide, narrow] = calls();
    for note in wide.partial.values().chain(narrow.partial.values()) {
        assert!(note.len() < 200 && !note.contains(['|', '\n']), "{note}");
        assert!(!note.ends_with('.'), "{note}");
    }
}

//! Where tests run, and the table `tests/places.toml`: which file of `tests/tests`
//! runs in which place, and how long it takes there.
//!
//! Used by the rest of `test`. docs/testing.md shows the table, and has the rule.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::rig::Cpu;
use crate::sh;

/// Where tests run. The rigs' places differ in what their time-stamp counter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Place {
    /// This machine, with its KVM.
    Host,
    /// The AMD rig: QEMU's counter tells the time.
    Amd,
    /// The AMD rig, whose counter counts instructions.
    AmdCounting,
    /// The AMD rig, whose Linux does not trust the counter.
    AmdUnstableTsc,
    /// The Intel rig: Bochs's counter counts instructions.
    Intel,
}

impl Place {
    pub(super) const ALL: [Place; 5] =
        [Place::Host, Place::Amd, Place::AmdCounting, Place::AmdUnstableTsc, Place::Intel];

    /// For people, in at most 16 columns.
    pub(super) fn name(self) -> &'static str {
        match self {
            Place::Host => "this machine",
            Place::Amd => "AMD rig",
            Place::AmdCounting => "AMD rig counting",
            Place::AmdUnstableTsc => "AMD rig unstable",
            Place::Intel => "Intel rig",
        }
    }

    /// The rig that it is.
    pub(super) fn rig(self) -> Option<Cpu> {
        match self {
            Place::Host => None,
            Place::Amd | Place::AmdCounting | Place::AmdUnstableTsc => Some(Cpu::Amd),
            Place::Intel => Some(Cpu::Intel),
        }
    }

    /// What a boot costs before the first test, in seconds.
    pub(super) fn boot(self) -> f64 {
        match self {
            Place::Host => 0.0,
            Place::Amd | Place::AmdUnstableTsc => 5.0,
            Place::AmdCounting => 10.0,
            Place::Intel => 30.0,
        }
    }
}

/// A file's stay in a place.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "Row")]
pub(super) struct Stay {
    /// Expected, on an idle machine.
    pub(super) seconds: f64,
    /// The same in a long run.
    pub(super) long: f64,
    /// Parts of the names of those tests that run there; none: all of them.
    pub(super) only: Vec<String>,
}

/// As it is written.
#[derive(Deserialize)]
#[serde(untagged)]
enum Row {
    Seconds(f64),
    Part {
        seconds: f64,
        long: Option<f64>,
        #[serde(default)]
        only: Vec<String>,
    },
}

impl From<Row> for Stay {
    fn from(row: Row) -> Self {
        match row {
            Row::Seconds(seconds) => Self { seconds, long: seconds, only: Vec::new() },
            Row::Part { seconds, long, only } => {
                Self { seconds, long: long.unwrap_or(seconds), only }
            }
        }
    }
}

impl Stay {
    /// Expected of a run that is long or is not.
    pub(super) fn expected(&self, long: bool) -> f64 {
        if long { self.long } else { self.seconds }
    }

    /// Whether this test of the file runs there.
    pub(super) fn takes(&self, test: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| test.contains(part.as_str()))
    }
}

/// The whole table: file, place, stay.
#[derive(Deserialize)]
pub(super) struct Table(BTreeMap<String, BTreeMap<Place, Stay>>);

impl Table {
    /// Reads the workspace's.
    pub(super) fn read() -> Result<Self> {
        let path = sh::root().join("tests/places.toml");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    }

    /// The file's stay in a place, if it goes there.
    pub(super) fn stay(&self, file: &str, place: Place) -> Option<&Stay> {
        self.0.get(file)?.get(&place)
    }

    /// What goes to a place, in the table's order.
    pub(super) fn files(&self, place: Place) -> impl Iterator<Item = (&str, &Stay)> {
        let files = self.0.iter();
        files.filter_map(move |(file, stays)| Some((file.as_str(), stays.get(&place)?)))
    }

    /// The table as Markdown.
    #[cfg(test)]
    fn markdown(&self) -> String {
        use std::fmt::Write as _;

        let mut text = String::from("| file |");
        text.extend(Place::ALL.map(|place| format!(" {} |", place.name())));
        text += "\n|---|---|---|---|---|---|\n";
        for (file, stays) in &self.0 {
            write!(text, "| `{file}` |").unwrap();
            for place in Place::ALL {
                match stays.get(&place) {
                    Some(Stay { seconds, long, only }) => {
                        write!(text, " {seconds}").unwrap();
                        if long != seconds {
                            write!(text, " ({long})").unwrap();
                        }
                        if !only.is_empty() {
                            write!(text, ": {}", only.join(", ")).unwrap();
                        }
                        text += " |";
                    }
                    None => text += " |",
                }
            }
            text += "\n";
        }
        let sum = |place| self.files(place).map(|(_, stay)| stay.seconds).sum::<f64>();
        text += "| together |";
        text.extend(Place::ALL.map(|place| format!(" {} |", sum(place))));
        text + "\n"
    }
}

/// How long a file that should take so many seconds may take before it is ended:
/// the machine may be busy, and may be slow.
pub(super) fn limit(seconds: f64) -> Duration {
    Duration::from_secs_f64(120.0 + 10.0 * seconds)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn read(path: &str) -> String {
        fs::read_to_string(sh::root().join(path)).unwrap()
    }

    #[test]
    fn a_stay_is_of_a_whole_file_or_of_named_tests() {
        let table: Table = toml::from_str(
            "[a]\nhost = 1\namd = { seconds = 3, long = 60 }\n\
             intel = { seconds = 2.5, only = [\"x\", \"y::\"] }\n",
        )
        .unwrap();
        let expected = |place| {
            let stay = table.stay("a", place).unwrap();
            [stay.expected(false), stay.expected(true)]
        };
        assert_eq!(expected(Place::Host), [1.0, 1.0]);
        assert_eq!(expected(Place::Amd), [3.0, 60.0]);
        assert_eq!(expected(Place::Intel), [2.5, 2.5]);
        assert!(table.stay("a", Place::Host).unwrap().takes("anything"));
        let part = table.stay("a", Place::Intel).unwrap();
        assert_eq!(part.seconds, 2.5);
        assert!(part.takes("with_x") && part.takes("y::a") && !part.takes("y"));
        let none = [("a", Place::AmdCounting), ("b", Place::Host)];
        assert!(none.iter().all(|(file, place)| table.stay(file, *place).is_none()));
    }

    /// A test file without a row would run nowhere but under plain `cargo test`.
    #[test]
    fn each_file_of_tests_has_a_row_and_is_part_of_what_the_rigs_get() {
        let entries = fs::read_dir(sh::root().join("tests/tests")).unwrap();
        let files = entries.map(|entry| entry.unwrap().path());
        let files = files.filter(|path| path.extension().is_some_and(|end| end == "rs"));
        let stem = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
        let files: BTreeSet<_> = files.map(|path| stem(&path)).filter(|f| f != "all").collect();
        let rows: BTreeSet<_> = Table::read().unwrap().0.into_keys().collect();
        assert_eq!(files, rows, "files of tests/tests, and rows of tests/places.toml");
        let all = read("tests/tests/all.rs");
        let all = all.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
        assert_eq!(files, all.map(str::to_owned).collect(), "and mods of tests/tests/all.rs");
    }

    #[test]
    fn each_part_of_a_name_is_one_of_a_test_or_module_of_its_file() {
        for (file, stays) in Table::read().unwrap().0 {
            let text = read(&format!("tests/tests/{file}.rs"));
            for part in stays.values().flat_map(|stay| &stay.only) {
                assert!(text.contains(part.as_str()), "{file}: {part}");
            }
        }
    }

    /// `TRAPGATE_BLESS=1` writes the table anew.
    #[test]
    fn the_table_in_docs_is_that_of_places_toml() {
        const START: &str = "<!-- of tests/places.toml -->\n";
        const END: &str = "<!-- end -->\n";
        let text = read("docs/testing.md");
        let (before, rest) = text.split_once(START).unwrap();
        let (table, after) = rest.split_once(END).unwrap();
        let expected = Table::read().unwrap().markdown();
        if std::env::var_os("TRAPGATE_BLESS").is_some() {
            let text = format!("{before}{START}{expected}{END}{after}");
            fs::write(sh::root().join("docs/testing.md"), text).unwrap();
        } else {
            assert_eq!(table, expected, "TRAPGATE_BLESS=1 cargo test -p xtask places");
        }
    }
}

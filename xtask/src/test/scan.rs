//! Which tests a filter asks for, and where they can be: found in the sources, so
//! that only what has them is built.
//!
//! Used by `host` and `rigs`.

use std::fs;
use std::path::Path;

/// The filters of a run; none: everything.
pub(super) struct Filters<'a>(pub(super) &'a [String]);

impl Filters<'_> {
    pub(super) fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a test of this name, its file before it, is asked for.
    pub(super) fn take(&self, name: &str) -> bool {
        self.is_none() || self.0.iter().any(|filter| name.contains(filter.as_str()))
    }

    /// Whether sources can hold a test that is asked for: all words between a
    /// filter's `::` stand in them, or in the name of their file or package. More
    /// than have one may, never fewer: documentation's tests are called by file and
    /// line (`vmm/src/lib.rs - (line 24)`), which stand nowhere.
    fn reach(&self, name: &str, sources: &str) -> bool {
        let there = |word: &str| name.contains(word) || sources.contains(word);
        let by_line = |filter: &str| name.ends_with("/src/") && filter.contains(".rs");
        let may = |filter: &String| by_line(filter) || filter.split("::").all(there);
        self.is_none() || self.0.iter().any(may)
    }

    /// The same for a file, or for all Rust files in a directory.
    pub(super) fn reach_path(&self, name: &str, path: &Path) -> bool {
        self.is_none() || self.reach(name, &sources(path))
    }
}

/// The text of a Rust file, or of all in a directory and below.
pub(crate) fn sources(path: &Path) -> String {
    if path.is_dir() {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        return entries.map(|entry| sources(&entry.path())).collect();
    }
    let is_rust = path.extension().is_some_and(|extension| extension == "rs");
    if is_rust { fs::read_to_string(path).unwrap_or_default() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::libtest::listed;
    use super::*;
    use crate::sh;

    #[test]
    fn a_filter_is_part_of_a_name_with_its_file() {
        let filters = ["exact::modes".to_owned(), "hello".to_owned()];
        let filters = Filters(&filters);
        assert!(filters.take("exact::modes::a") && filters.take("doors::hello_x"));
        assert!(!filters.take("exact::model"));
        assert!(Filters(&[]).take("anything"));
    }

    #[test]
    fn sources_without_a_word_of_the_filter_are_not_reached() {
        let filters = ["modes::a_jump".to_owned()];
        let filters = Filters(&filters);
        assert!(filters.reach("exact", "mod modes { fn a_jump_into() {} }"));
        assert!(!filters.reach("exact", "mod modes { fn another() {} }"));
        assert!(filters.reach("modes", "fn a_jump_into() {}"));
        let by_line = ["vmm/src/lib.rs - (line 24)".to_owned()];
        assert!(Filters(&by_line).reach("vmm/src/", "//! text"));
        assert!(!Filters(&by_line).reach("exact", "fn a_jump_into() {}"));
    }

    #[test]
    fn each_test_of_this_very_program_is_reached_by_its_name() {
        let own = std::env::current_exe().unwrap();
        let output = Command::new(own).args(["--list", "--format", "terse"]).output().unwrap();
        let names = listed(&String::from_utf8(output.stdout).unwrap());
        assert!(names.len() > 20);
        let sources = sources(&sh::root().join("xtask/src"));
        for name in names {
            assert!(Filters(std::slice::from_ref(&name)).reach("xtask", &sources), "{name}");
        }
    }
}

//! counts.toml: read with care, written in one form, so that a blessed file differs
//! from the old one in its numbers only.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::programs;
use crate::sh;

/// What stands above the first operation. The rest is written from the values.
const HEAD: &str = "\
# What each operation costs: guest instructions and exits to the VMM, in the AMD rig,
# whose time-stamp counter counts instructions (1 GiB, default mitigations). A gate:
# `cargo xtask counts` and `cargo xtask test` measure anew and fail if something is
# worse. docs/measuring.md has the rule, and how to add a row.
#
# program    what measures it (tests/ops, tests/programs32); options: of trapgate run
# linux      the same program's count on the rig's Linux, as last measured
# count      what trapgate has reached; not there: the operation does not exist yet
# exits      returns to the VMM for each operation; of a whole run, all exits to KVM
# target     what it should come to
# slack      instructions that a count may be off by: the host's work is in it
# why        the count has risen, which it may once
#
# `cargo xtask counts --bless` writes this file; only `what`, `why`, `slack` and
# `target` are a person's.
";

/// All of it, in order.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    #[serde(rename = "operation")]
    pub(crate) operations: Vec<Operation>,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Operation {
    pub(crate) name: String,
    /// For people.
    pub(crate) what: String,
    /// Program and arguments.
    pub(crate) program: Vec<String>,
    /// Of `trapgate run`.
    #[serde(default)]
    pub(crate) options: Vec<String>,
    /// Its exits are those of the whole run, and its instructions are not counted.
    #[serde(default)]
    pub(crate) whole_run: bool,
    pub(crate) linux: Option<u64>,
    pub(crate) count: Option<u64>,
    pub(crate) exits: Option<f64>,
    pub(crate) slack: Option<u64>,
    pub(crate) target: Target,
    pub(crate) why: Option<String>,
}

/// What it should come to.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Target {
    pub(crate) count: Option<u64>,
    pub(crate) exits: f64,
}

impl Operation {
    /// Whether trapgate is known to have it.
    pub(crate) fn is_written_down(&self) -> bool {
        self.exits.is_some()
    }

    fn check(&self) -> Result<()> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        ensure!(!self.name.is_empty() && self.name.chars().all(plain), "a name is a-z, 0-9 and -");
        let program = self.program.first().context("`program` is empty")?;
        let known = programs::NAMES;
        ensure!(known.contains(&program.as_str()), "no program {program}: {}", known.join(", "));
        if self.whole_run {
            let counts = [self.linux, self.count, self.target.count, self.slack];
            ensure!(counts.iter().all(Option::is_none), "a whole run has exits and no count");
        } else {
            ensure!(self.target.count.is_some(), "`target` has no count");
            ensure!(
                self.count.is_some() == self.exits.is_some(),
                "`count` and `exits` come together"
            );
        }
        let exits = [self.exits.unwrap_or(0.0), self.target.exits];
        ensure!(exits.iter().all(|exits| *exits >= 0.0), "exits are not negative");
        Ok(())
    }
}

impl Table {
    /// Reads the workspace's.
    pub(crate) fn read() -> Result<Self> {
        let text = fs::read_to_string(path()).context("counts.toml")?;
        Self::parse(&text)
    }

    /// What is wrong with it is one line.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let table: Self = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let line = text[..start.min(text.len())].matches('\n').count() + 1;
            let message = error.message().replace('\n', ", ");
            anyhow::anyhow!("counts.toml, line {line}: {message}")
        })?;
        let mut names = BTreeSet::new();
        for operation in &table.operations {
            let name = &operation.name;
            operation.check().with_context(|| format!("counts.toml, operation {name}"))?;
            if !names.insert(name) {
                bail!("counts.toml, operation {name}: it is there twice");
            }
        }
        Ok(table)
    }

    /// The operations whose name has one of these words in it; without words, all.
    pub(crate) fn filtered(&self, words: &[String]) -> Self {
        let has = |operation: &&Operation| {
            words.is_empty() || words.iter().any(|word| operation.name.contains(word.as_str()))
        };
        Self { operations: self.operations.iter().filter(has).cloned().collect() }
    }

    /// Writes the workspace's anew.
    pub(super) fn write(&self) -> Result<()> {
        fs::write(path(), self.text()).context("counts.toml")
    }

    /// In the one form that it has.
    fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        for operation in &self.operations {
            text += "\n[[operation]]\n";
            text += &operation.text();
        }
        text
    }
}

impl Operation {
    fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |key: &str, value: String| {
            writeln!(text, "{key} = {value}").expect("a String takes all");
        };
        let string = |value: &String| format!("{value:?}");
        let list = |words: &[String]| {
            format!("[{}]", words.iter().map(string).collect::<Vec<_>>().join(", "))
        };
        line("name", string(&self.name));
        line("what", string(&self.what));
        line("program", list(&self.program));
        if !self.options.is_empty() {
            line("options", list(&self.options));
        }
        if self.whole_run {
            line("whole-run", "true".to_owned());
        }
        for (key, value) in [("linux", self.linux), ("count", self.count)] {
            value.into_iter().for_each(|value| line(key, value.to_string()));
        }
        self.exits.into_iter().for_each(|exits| line("exits", number(exits)));
        self.slack.into_iter().for_each(|slack| line("slack", slack.to_string()));
        let Target { count, exits } = self.target;
        let count = count.map_or_else(String::new, |count| format!("count = {count}, "));
        line("target", format!("{{ {count}exits = {} }}", number(exits)));
        self.why.iter().for_each(|why| line("why", string(why)));
        text
    }
}

/// Exits: to three digits, and whole ones without any.
pub(super) fn number(exits: f64) -> String {
    let text = format!("{exits:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn path() -> PathBuf {
    sh::root().join("counts.toml")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = "[[operation]]\nname = \"a\"\nwhat = \"\"\nprogram = [\"ops\", \"a\"]\n\
                       target = { count = 3, exits = 0 }\n";

    fn problem(text: &str) -> String {
        let problem = format!("{:#}", Table::parse(text).unwrap_err());
        assert_eq!(problem.lines().count(), 1, "{problem}");
        problem
    }

    #[test]
    fn the_file_has_the_form_that_blessing_gives_it() {
        let text = fs::read_to_string(path()).unwrap();
        let table = Table::parse(&text).unwrap();
        assert_eq!(text, table.text(), "run `cargo xtask counts --bless`, or write it so");
        assert!(table.operations.len() > 40);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut table = Table::parse(ROW).unwrap();
        table.operations[0].why = Some("it has \"more\" to do".into());
        table.operations[0].options = vec!["--root".into(), "/".into()];
        table.operations[0].count = Some(7);
        table.operations[0].exits = Some(0.25);
        assert_eq!(Table::parse(&table.text()).unwrap(), table);
    }

    #[test]
    fn a_bad_file_is_one_line_that_says_where() {
        assert!(problem(&ROW.replace("what = \"\"\n", "")).contains("missing field `what`"));
        let unknown = format!("{ROW}cuont = 4\n");
        assert!(problem(&unknown).starts_with("counts.toml, line 6: unknown field `cuont`"));
        assert!(problem("[[operation]\n").starts_with("counts.toml, line 1: "));
        assert!(problem(&ROW.repeat(2)).ends_with("operation a: it is there twice"));
        assert!(problem(&ROW.replace("ops", "rm")).contains("operation a: no program rm: ops"));
        let half = format!("{ROW}count = 3\n");
        assert!(problem(&half).ends_with("operation a: `count` and `exits` come together"));
        let run = ROW.replace("what", "whole-run = true\nwhat");
        assert!(problem(&run).ends_with("a whole run has exits and no count"));
        assert!(problem(&ROW.replace("exits = 0", "exits = -1")).ends_with("not negative"));
        assert!(problem(&ROW.replace("count = 3, ", "")).ends_with("`target` has no count"));
        assert!(problem(&ROW.replace("\"a\"\nwhat", "\"A b\"\nwhat")).ends_with("0-9 and -"));
    }

    #[test]
    fn a_filter_is_part_of_a_name() {
        let table = Table::read().unwrap();
        assert_eq!(table.filtered(&[]), table);
        let some = table.filtered(&["ping-pong".into(), "getpid".into()]);
        let names = some.operations.iter().map(|operation| operation.name.as_str());
        assert!(names.clone().any(|name| name == "getpid"));
        assert!(names.clone().all(|name| name == "getpid" || name.contains("ping-pong")));
    }

    #[test]
    fn exits_have_three_digits_at_most() {
        assert_eq!([0.0, 1.0, 0.001_95, 10.5].map(number), ["0", "1", "0.002", "10.5"]);
    }
}

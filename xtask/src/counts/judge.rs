//! A measurement beside what is written down. Pure.

use serde::Serialize;

use super::file::{Operation, number};
use super::script::{Seen, Sightings};

/// What came of an operation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "verdict", content = "why")]
pub(crate) enum Verdict {
    /// As written down.
    Holds,
    /// Less than written down.
    Better,
    /// More: in words.
    Worse(String),
    /// It is not written down, and exists.
    New,
    /// It is not written down, and does not exist: which call is missing.
    NotYet(String),
    /// It cannot be measured: why.
    NotMeasured(String),
}

/// An operation, measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Judged {
    pub(crate) operation: Operation,
    /// Linux's count now.
    pub(crate) linux: Option<u64>,
    /// Ours.
    pub(crate) count: Option<u64>,
    pub(crate) exits: Option<f64>,
    #[serde(flatten)]
    pub(crate) verdict: Verdict,
}

/// Compares what was seen with what is written down.
pub(crate) fn judge(operation: &Operation, sightings: &Sightings) -> Judged {
    let linux = match sightings.native(&operation.name) {
        Seen::Counted { instructions, .. } => instructions.map(whole),
        Seen::Absent(_) | Seen::Failed(_) => None,
    };
    let (count, exits, verdict) = match sightings.sandbox(&operation.name, operation.whole_run) {
        Seen::Counted { instructions, exits } => {
            let (count, exits) = (instructions.map(whole), exits.unwrap_or_default());
            // To the digits that are written.
            let exits = (exits.max(0.0) * 1000.0).round() / 1000.0;
            (count, Some(exits), compare(operation, count, exits))
        }
        Seen::Absent(call) if operation.is_written_down() => {
            let why = format!("it is written down, and does not exist (ENOSYS: {call})");
            (None, None, Verdict::NotMeasured(why))
        }
        Seen::Absent(call) => (None, None, Verdict::NotYet(call)),
        Seen::Failed(why) => (None, None, Verdict::NotMeasured(why)),
    };
    Judged { operation: operation.clone(), linux, count, exits, verdict }
}

fn compare(operation: &Operation, count: Option<u64>, exits: f64) -> Verdict {
    let Some(written_exits) = operation.exits else { return Verdict::New };
    let mut worse = Vec::new();
    let mut better = exits < written_exits;
    if let (Some(count), Some(written)) = (count, operation.count) {
        let slack = operation.slack.unwrap_or(0);
        if count > written + slack {
            worse.push(format!("{count} instructions, written down are {written}"));
        }
        better |= count + slack < written;
    }
    if exits > written_exits {
        let (exits, written) = (number(exits), number(written_exits));
        worse.push(format!("{exits} exits, written down are {written}"));
    }
    match worse.is_empty() {
        false => Verdict::Worse(worse.join("; ")),
        true if better => Verdict::Better,
        true => Verdict::Holds,
    }
}

/// Instructions are whole; an average over pages need not be.
fn whole(instructions: f64) -> u64 {
    instructions.max(0.0).round() as u64
}

impl Judged {
    /// Why the gate fails on it, if it does: one line.
    pub(crate) fn failure(&self) -> Option<String> {
        let name = &self.operation.name;
        match &self.verdict {
            Verdict::Worse(what) => Some(format!("{name}: {what}")),
            Verdict::NotMeasured(why) if self.operation.is_written_down() => {
                Some(format!("{name}: not measured: {why}"))
            }
            _ => None,
        }
    }

    /// What somebody should write down.
    pub(crate) fn note(&self) -> Option<String> {
        let name = &self.operation.name;
        match &self.verdict {
            Verdict::New => Some(format!("{name} exists, and is not written down")),
            Verdict::Better => Some(format!("{name} is better than written down")),
            _ => None,
        }
    }

    /// Whether it is where it should be.
    pub(super) fn reaches_target(&self) -> Option<bool> {
        let target = self.operation.target;
        let count = match (self.count, target.count) {
            (Some(count), Some(target)) => count <= target,
            _ => true,
        };
        self.exits.map(|exits| count && exits <= target.exits)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::file::Table;
    use super::*;

    /// One row, with what is written down.
    pub(in super::super) fn row(written: &str) -> Operation {
        let row = "[[operation]]\nname = \"a\"\nwhat = \"a call\"\nprogram = [\"ops\", \"a\"]\n\
                   target = { count = 300, exits = 0 }\n";
        Table::parse(&format!("{row}{written}")).unwrap().operations.remove(0)
    }

    /// What a rig says that counted so many instructions and exits of `a`.
    pub(in super::super) fn seen(count: f64, exits: u32) -> Sightings {
        let mut sightings = Sightings::default();
        let line = format!("instructions={count} elements=10");
        let text = format!(
            "COUNTS native a\ninstructions=900.00 elements=10\nCOUNTS-STATUS 0\n\
             COUNTS sandbox a 20\n{line}\n{{\"vmm_exits\":3}}\nCOUNTS-STATUS 0\n\
             COUNTS sandbox a 40\n{line}\n{{\"vmm_exits\":{}}}\nCOUNTS-STATUS 0\n",
            3 + 200 * exits
        );
        text.lines().for_each(|line| drop(sightings.line(line)));
        sightings
    }

    fn verdict(written: &str, count: f64, exits: u32) -> Verdict {
        judge(&row(written), &seen(count, exits)).verdict
    }

    const WRITTEN: &str = "count = 250\nexits = 0\n";

    #[test]
    fn one_instruction_more_is_worse_and_one_less_is_better() {
        assert_eq!(verdict(WRITTEN, 250.4, 0), Verdict::Holds);
        assert_eq!(verdict(WRITTEN, 249.0, 0), Verdict::Better);
        let worse = "251 instructions, written down are 250".to_owned();
        assert_eq!(verdict(WRITTEN, 251.0, 0), Verdict::Worse(worse));
        // Also where the count is: the target is not the gate.
        assert!(matches!(verdict(WRITTEN, 299.0, 0), Verdict::Worse(_)));
    }

    #[test]
    fn an_exit_more_is_worse_whatever_the_count() {
        let worse = "1 exits, written down are 0".to_owned();
        assert_eq!(verdict(WRITTEN, 100.0, 1), Verdict::Worse(worse));
        assert_eq!(verdict("count = 250\nexits = 1\n", 250.0, 0), Verdict::Better);
    }

    #[test]
    fn slack_is_for_counts_with_the_hosts_work_in_them() {
        let written = format!("{WRITTEN}slack = 20\n");
        assert_eq!(verdict(&written, 270.0, 0), Verdict::Holds);
        assert_eq!(verdict(&written, 230.0, 0), Verdict::Holds);
        assert_eq!(verdict(&written, 229.0, 0), Verdict::Better);
        assert!(matches!(verdict(&written, 271.0, 0), Verdict::Worse(_)));
    }

    #[test]
    fn an_operation_that_exists_and_is_not_written_down_is_a_note() {
        let judged = judge(&row(""), &seen(250.0, 0));
        assert_eq!(judged.verdict, Verdict::New);
        assert_eq!((judged.linux, judged.count, judged.exits), (Some(900), Some(250), Some(0.0)));
        assert_eq!(judged.failure(), None);
        assert_eq!(judged.note().unwrap(), "a exists, and is not written down");
        assert_eq!(judged.reaches_target(), Some(true));
    }

    #[test]
    fn what_is_written_down_must_be_measured_and_what_is_not_need_not_exist() {
        let mut absent = Sightings::default();
        let text = "COUNTS sandbox a 20\nabsent=pipe\n{}\nCOUNTS-STATUS 3\n";
        text.lines().for_each(|line| drop(absent.line(line)));
        let judged = judge(&row(""), &absent);
        assert_eq!(judged.verdict, Verdict::NotYet("pipe".into()));
        assert_eq!(judged.failure(), None);
        let failure = judge(&row(WRITTEN), &absent).failure().unwrap();
        assert_eq!(
            failure,
            "a: not measured: it is written down, and does not exist (ENOSYS: pipe)"
        );
        let nothing = judge(&row(WRITTEN), &Sightings::default()).failure().unwrap();
        assert_eq!(nothing, "a: not measured: the rig did not get to it");
        assert_eq!(judge(&row(""), &Sightings::default()).failure(), None);
    }
}

//! What the rig does, as a shell script; and what it said, read. Pure.
//!
//! Each run stands between two marks: which it is, and its status. Programs say
//! `instructions=N elements=N`, or `absent=WHY` with status 3 if a call that they
//! need answered ENOSYS.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

use super::file::Table;
use super::programs::DIRECTORY;

/// Before each run: `native NAME`, `sandbox NAME REPEATS`; and behind it the status.
const MARK: &str = "COUNTS ";
const MARK_STATUS: &str = "COUNTS-STATUS ";

/// A program's, where the operation does not exist.
const STATUS_ABSENT: i32 = 3;

/// Repeats of the two runs in a sandbox, whose difference in exits is that of so
/// many repeats.
const REPEATS: [u32; 2] = [20, 40];

/// /tmp as the Linux column has it, and the loopback device. Standard output is a
/// pipe, standard input /dev/null, natively and in a sandbox.
const PROLOGUE: &str = r#"mount -t tmpfs tmpfs /tmp
ifconfig lo 127.0.0.1 up
run() {
    said=$("$@" 2>&1 </dev/null)
    status=$?
    echo "$said"
}
native() {
    echo "@MARK@native $1"
    shift
    run "$@"
    echo "@STATUS@$status"
}
sandbox() {
    name=$1
    shift
    for repeats in @REPEATS@; do
        echo "@MARK@sandbox $name $repeats"
        rm -f /counts/stats
        run trapgate run --timeout 100s --stats-json /counts/stats "$@" $repeats
        test ! -f /counts/stats || tr -d '\n' </counts/stats
        echo
        echo "@STATUS@$status"
        test $status = 0 || return 0
    done
}
"#;

/// Measures these operations.
pub(crate) fn script(table: &Table) -> Result<String> {
    let repeats = REPEATS.map(|repeats| repeats.to_string()).join(" ");
    let mut script = PROLOGUE
        .replace("@MARK@", MARK)
        .replace("@STATUS@", MARK_STATUS)
        .replace("@REPEATS@", &repeats);
    let mut line = |words: &[&str]| -> Result<()> {
        script += &shlex::try_join(words.iter().copied())?;
        script += "\n";
        Ok(())
    };
    for operation in &table.operations {
        let (program, args) = operation.program.split_first().context("`program` is empty")?;
        let program = format!("{DIRECTORY}/{program}");
        let program: Vec<_> =
            [program.as_str()].into_iter().chain(args.iter().map(String::as_str)).collect();
        let options: Vec<_> = operation.options.iter().map(String::as_str).collect();
        if !operation.whole_run {
            line(&[&["native", &operation.name], &program[..]].concat())?;
        }
        line(&[&["sandbox", &operation.name], &options[..], &program].concat())?;
    }
    Ok(script + "ifconfig lo down\numount /tmp\n")
}

/// What was seen of one run.
#[derive(Clone, Debug, Default, PartialEq)]
struct Run {
    said: Vec<String>,
    /// Not there if it has not ended.
    status: Option<i32>,
}

/// What a place has of an operation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    Counted {
        /// Not there for whole runs.
        instructions: Option<f64>,
        /// Natively there are none.
        exits: Option<f64>,
    },
    /// A call answered ENOSYS: which.
    Absent(String),
    /// It cannot be measured: why.
    Failed(String),
}

/// Everything that the rig said, run by run.
#[derive(Default)]
pub(crate) struct Sightings {
    runs: BTreeMap<String, Run>,
    current: Option<String>,
}

impl Sightings {
    /// Takes a line. Answers which run begins, for people, if one does.
    pub(crate) fn line(&mut self, line: &str) -> Option<String> {
        if let Some(key) = line.strip_prefix(MARK) {
            self.runs.insert(key.to_owned(), Run::default());
            self.current = Some(key.to_owned());
            let mut words = key.split(' ');
            let place = words.next().unwrap_or_default();
            return Some(format!("{} ({place})", words.next().unwrap_or_default()));
        }
        let run = self.current.as_ref().and_then(|key| self.runs.get_mut(key))?;
        match line.strip_prefix(MARK_STATUS) {
            Some(status) => {
                run.status = status.trim().parse().ok();
                self.current = None;
            }
            None => run.said.push(line.to_owned()),
        }
        None
    }

    /// How many operations were begun, in either place.
    pub(crate) fn begun(&self) -> usize {
        let second = format!(" {}", REPEATS[1]);
        self.runs.keys().filter(|key| !key.ends_with(&second)).count()
    }

    /// What Linux has of it.
    pub(super) fn native(&self, name: &str) -> Seen {
        match self.run(&format!("native {name}")) {
            Ok(run) => match run.instructions() {
                Some(instructions) => {
                    Seen::Counted { instructions: Some(instructions), exits: None }
                }
                None => Seen::Failed(run.words()),
            },
            Err(other) => other,
        }
    }

    /// What trapgate has of it.
    pub(super) fn sandbox(&self, name: &str, whole_run: bool) -> Seen {
        let run = |repeats| self.run(&format!("sandbox {name} {repeats}"));
        let [first, second] = match (run(REPEATS[0]), run(REPEATS[1])) {
            (Ok(first), Ok(second)) => [first, second],
            (Err(other), _) | (_, Err(other)) => return other,
        };
        let unknown = || Seen::Failed("trapgate's statistics lack the exits".to_owned());
        if whole_run {
            let exits = first.kvm_exits();
            return exits.map_or_else(unknown, |exits| Seen::Counted {
                instructions: None,
                exits: Some(exits),
            });
        }
        let [Some(few), Some(many)] = [first, second].map(|run| run.statistic("vmm_exits")) else {
            return unknown();
        };
        let (Some(instructions), Some(elements)) = (first.instructions(), first.elements()) else {
            return Seen::Failed(first.words());
        };
        let repeats = f64::from(REPEATS[1] - REPEATS[0]);
        let exits = (many - few) / (repeats * elements.max(1.0));
        Seen::Counted { instructions: Some(instructions), exits: Some(exits) }
    }

    /// A run that ended well; or why there is none.
    fn run(&self, key: &str) -> Result<&Run, Seen> {
        let Some(run) = self.runs.get(key) else {
            return Err(Seen::Failed("the rig did not get to it".to_owned()));
        };
        match run.status {
            Some(0) => Ok(run),
            Some(STATUS_ABSENT) if run.field("absent").is_some() => {
                Err(Seen::Absent(run.field("absent").unwrap_or_default().to_owned()))
            }
            Some(status) => Err(Seen::Failed(format!("status {status}: {}", run.words()))),
            None => Err(Seen::Failed(format!("it did not end: {}", run.words()))),
        }
    }
}

impl Run {
    /// What stands behind `name=`, to the end of its line.
    fn field(&self, name: &str) -> Option<&str> {
        self.said.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    }

    fn instructions(&self) -> Option<f64> {
        self.field("instructions")?.split(' ').next()?.parse().ok()
    }

    fn elements(&self) -> Option<f64> {
        self.field("instructions")?.split_once("elements=")?.1.parse().ok()
    }

    /// A number of the run's statistics.
    fn statistic(&self, name: &str) -> Option<f64> {
        let line = self.said.iter().rev().find(|line| line.starts_with('{'))?;
        serde_json::from_str::<Value>(line).ok()?[name].as_f64()
    }

    /// All exits to KVM but those that the host's interrupts caused.
    fn kvm_exits(&self) -> Option<f64> {
        Some(self.statistic("kvm_exits")? - self.statistic("irq_exits")?)
    }

    /// All that was said but the statistics, in one line.
    fn words(&self) -> String {
        let said = self.said.iter().map(|line| line.trim());
        let words: Vec<_> =
            said.filter(|line| !line.is_empty() && !line.starts_with('{')).collect();
        if words.is_empty() { "it said nothing".to_owned() } else { words.join("; ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sightings(text: &str) -> Sightings {
        let mut sightings = Sightings::default();
        text.lines().for_each(|line| drop(sightings.line(line)));
        sightings
    }

    fn counted(instructions: f64, exits: Option<f64>) -> Seen {
        Seen::Counted { instructions: Some(instructions), exits }
    }

    #[test]
    fn each_operation_runs_natively_and_twice_in_a_sandbox() {
        let rows = "[[operation]]\nname = \"a\"\nwhat = \"\"\nprogram = [\"ops\", \"a b\"]\n\
                    options = [\"--root\", \"/\"]\ntarget = { count = 3, exits = 0 }\n\
                    [[operation]]\nname = \"r\"\nwhat = \"\"\nprogram = [\"ops\", \"hello\"]\n\
                    whole-run = true\ntarget = { exits = 3 }\n";
        let script = script(&Table::parse(rows).unwrap()).unwrap();
        assert!(script.ends_with(
            "}\nnative a /counts/ops 'a b'\nsandbox a --root / /counts/ops 'a b'\n\
             sandbox r /counts/ops hello\nifconfig lo down\numount /tmp\n"
        ));
        assert!(script.contains("for repeats in 20 40;"));
        assert!(!script.replace("$@", "").contains('@'), "{script}");
    }

    #[test]
    fn exits_of_an_operation_are_those_of_further_repeats() {
        let text = "COUNTS native a\ninstructions=380.00 elements=500\nCOUNTS-STATUS 0\n\
                    COUNTS sandbox a 20\ninstructions=108.50 elements=500\n\
                    {  \"vmm_exits\": 3}\nCOUNTS-STATUS 0\n\
                    COUNTS sandbox a 40\ninstructions=108.50 elements=500\n\
                    {  \"vmm_exits\": 5003}\nCOUNTS-STATUS 0\n";
        let seen = sightings(text);
        assert_eq!(seen.native("a"), counted(380.0, None));
        assert_eq!(seen.sandbox("a", false), counted(108.5, Some(0.5)));
        assert!(matches!(seen.sandbox("a", true), Seen::Failed(_)));
        assert_eq!(seen.begun(), 2);
    }

    #[test]
    fn exits_of_a_whole_run_are_kvms_without_the_hosts_interrupts() {
        let stats = "{\"vmm_exits\": 2, \"kvm_exits\": 5, \"irq_exits\": 2}";
        let run =
            |repeats| format!("COUNTS sandbox a {repeats}\nhello\n{stats}\nCOUNTS-STATUS 0\n");
        let seen = sightings(&[run(20), run(40)].concat());
        assert_eq!(seen.sandbox("a", true), Seen::Counted { instructions: None, exits: Some(3.0) });
    }

    #[test]
    fn only_a_call_that_answered_enosys_makes_an_operation_absent() {
        let absent = "COUNTS sandbox a 20\nabsent=pipe\n\
                      trapgate: hint: pipe(2)\n{\"vmm_exits\": 3}\nCOUNTS-STATUS 3\n";
        let seen = sightings(absent).sandbox("a", false);
        assert_eq!(seen, Seen::Absent("pipe".into()));
        let died = "COUNTS sandbox a 20\n[ERROR] no\n{\"vmm_exits\": 3}\nCOUNTS-STATUS 138\n";
        let seen = sightings(died).sandbox("a", false);
        assert_eq!(seen, Seen::Failed("status 138: [ERROR] no".into()));
        let three = "COUNTS sandbox a 20\nhello\n\nCOUNTS-STATUS 3\n";
        let seen = sightings(three).sandbox("a", false);
        assert_eq!(seen, Seen::Failed("status 3: hello".into()));
    }

    #[test]
    fn what_the_rig_did_not_get_to_was_not_measured() {
        let seen = sightings("COUNTS native a\nhalf");
        assert_eq!(seen.native("a"), Seen::Failed("it did not end: half".into()));
        let never = Seen::Failed("the rig did not get to it".into());
        assert_eq!(seen.sandbox("a", false), never);
        let odd = sightings("COUNTS native a\nwhat?\nCOUNTS-STATUS 0\n");
        assert_eq!(odd.native("a"), Seen::Failed("what?".into()));
    }
}

//! What `trapgate bench` writes and reads: the record of one run, as serde
//! types. docs/bench-schema.json is made of them.
//!
//! The floor of `bench`: [`crate::bench::measure`] fills records in,
//! [`crate::bench::show`] and [`crate::bench::judge`] work on them. Beside the types
//! stands what figures are made by and of:
//!
//! | file | what it does |
//! |---|---|
//! | [`clock`] | the time-stamp counter, and the smallest step of it |
//! | [`stats`] | samples become figures with confidence intervals |
//! | [`units`] | figures in words |
//! | [`environment`] | where a run was made, and how two such places differ |
//! | `read` | a file of a record, read with suspicion |
//!
//! A field that is not here is refused, not skipped: a reader that knows less
//! than the writer would compare the wrong things. Who changes a type raises
//! [`VERSION`].

pub mod clock;
pub mod environment;
mod read;
pub mod stats;
mod timed;
pub mod units;

use crate::bench::record::environment::Environment;
pub use crate::doors::Delivery;
pub use read::{ReadError, read};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;
pub use timed::{Block, Distribution, Lead, LeadOf, OutlierCount, Outliers, Summary, Timed};

/// What the first field of every record says.
pub const SCHEMA: &str = "trapgate-bench";
/// The version of the types in this file and in [`crate::bench::record::environment`].
pub const VERSION: u32 = 2;

/// One run of `trapgate bench`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// [`VERSION`].
    pub version: u32,
    /// When the run began, in UTC: `2026-11-24T09:30:00Z` (RFC 3339).
    pub date: String,
    /// Whether the run was interrupted: then there are fewer measurements, or
    /// samples, than the method says.
    pub partial: bool,
    /// Where it ran.
    pub environment: Environment,
    /// How it was measured.
    pub method: Method,
    /// What was measured, in the order in which it is shown.
    pub measurements: Vec<Measurement>,
    /// What a reader has to know: a frequency that changed, samples that were
    /// too few.
    pub notes: Vec<String>,
}

impl Report {
    /// A record without measurements, of a run that begins now.
    pub fn new(environment: Environment, method: Method) -> Report {
        Report {
            schema: SCHEMA.to_owned(),
            version: VERSION,
            date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            partial: false,
            environment,
            method,
            measurements: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// The measurement of this id.
    pub fn find(&self, id: &str) -> Option<&Measurement> {
        self.measurements.iter().find(|measurement| measurement.id == id)
    }

    /// Whether a measurement failed because this kind of KVM cannot do it at all,
    /// and not because something is wrong: a software KVM has neither legacy mode
    /// nor every bare round trip.
    pub fn is_beyond_kvm(&self, measurement: &Measurement) -> bool {
        let failed = matches!(measurement.delivery, Some(Delivery::Failed { .. }));
        let without_program = matches!(measurement.mode.as_deref(), Some("legacy" | "bare"));
        failed && without_program && self.environment.kvm.software
    }
}

/// What one can pick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// A null call by each door in each mode.
    Doors,
    /// Representative calls.
    Calls,
    /// Ways out of the guest and back.
    Exits,
    /// Where the time of a call goes.
    Steps,
    /// From nothing to the program's end.
    Start,
}

impl Group {
    /// All of them, in the order in which they are measured and shown.
    pub const ALL: [Group; 5] =
        [Group::Doors, Group::Calls, Group::Exits, Group::Steps, Group::Start];

    /// Its name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Group::Doors => "doors",
            Group::Calls => "calls",
            Group::Exits => "exits",
            Group::Steps => "steps",
            Group::Start => "start",
        }
    }

    /// What it holds, in a few words.
    pub fn title(self) -> &'static str {
        match self {
            Group::Doors => "Doors: a null call by each door",
            Group::Calls => "Calls",
            Group::Exits => "Exits: out of the guest and back",
            Group::Steps => "Steps: where the time of a call goes",
            Group::Start => "Start: from nothing to the program's end",
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How a run was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Method {
    /// The groups that were asked for.
    pub groups: Vec<Group>,
    /// Samples of each measurement, in all blocks.
    pub samples: u64,
    /// Calls before the samples, in all blocks; fewer where one takes long.
    pub warm_up: u64,
    /// Into how many blocks each measurement was divided. Each block has a
    /// sandbox or a process of its own, and between two of them all others had
    /// theirs: how far their medians lie apart shows what changes slowly.
    pub blocks: u64,
    /// Calls in a batch of what VMs without a program measure: legacy mode, bare
    /// round trips, exits.
    pub batch: u64,
    /// Samples of each start, which costs so much more than a call.
    pub starts: u64,
    /// Whether it was a look and no result.
    pub quick: bool,
    /// Whether instructions were counted.
    pub counted: bool,
}

/// Where the measured code ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// In a sandbox.
    Guest,
    /// In an ordinary process of the host's.
    Host,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Place::Guest => "guest",
            Place::Host => "host",
        })
    }
}

/// One thing that was measured, in one place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Measurement {
    /// Its name for machines, the same in every run:
    /// `doors/syscall/64-bit/guest`, made of letters, digits, `_`, `-` and `/`;
    /// mitigation steps stand behind a `+` each.
    pub id: String,
    /// Its group.
    pub group: Group,
    /// Its name for people: `SYSCALL`.
    pub name: String,
    /// The CPU's mode, if there is a choice: `64-bit`, `compatibility`,
    /// `legacy`.
    pub mode: Option<String>,
    /// Where it ran.
    pub place: Place,
    /// How the door's instruction arrived, if it is about a door.
    pub delivery: Option<Delivery>,
    /// Mitigation steps that were switched on for it.
    pub with: Vec<String>,
    /// Times.
    pub timed: Option<Timed>,
    /// Counts.
    pub counted: Option<Counted>,
    /// The pieces that its time is made of, in order; none if it was not taken
    /// apart.
    pub steps: Vec<Step>,
    /// What a reader has to know about it: a perturbation, an estimate.
    pub notes: Vec<String>,
}

impl Measurement {
    /// A measurement without figures. `name` and `mode` go into the id in small
    /// letters, with one hyphen for whatever else stands between letters,
    /// digits and underscores: `#UD, IRET behind it` is `ud-iret-behind-it`.
    pub fn new(group: Group, name: &str, mode: Option<&str>, place: Place) -> Measurement {
        let mode_part = mode.map(|mode| slug(mode) + "/").unwrap_or_default();
        Measurement {
            id: format!("{group}/{}/{mode_part}{place}", slug(name)),
            group,
            name: name.to_owned(),
            mode: mode.map(str::to_owned),
            place,
            delivery: None,
            with: Vec::new(),
            timed: None,
            counted: None,
            steps: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// With these mitigation steps on, which its id then names too.
    #[must_use]
    pub fn with(mut self, steps: &[&str]) -> Measurement {
        for step in steps {
            self.id.push('+');
            self.id.push_str(step);
            self.with.push((*step).to_owned());
        }
        self
    }

    /// Whether it is about the same thing in the same place, whatever was
    /// switched on for it.
    pub fn is_same_as(&self, other: &Measurement) -> bool {
        (self.group, self.place, &self.name, &self.mode)
            == (other.group, other.place, &other.name, &other.mode)
    }

    /// The median in nanoseconds, without the empty bracket.
    pub fn median_ns(&self) -> Option<f64> {
        self.timed.as_ref().map(|timed| timed.ns.subtracted.median)
    }

    /// The figure that stands for it, in nanoseconds.
    pub fn lead_ns(&self) -> Option<f64> {
        self.timed.as_ref().map(|timed| timed.lead.ns)
    }

    /// Guest instructions, if they were counted.
    pub fn instructions(&self) -> Option<f64> {
        self.counted.as_ref()?.instructions
    }

    /// Exits, if they were counted.
    pub fn exits(&self) -> Option<f64> {
        self.counted.as_ref()?.exits
    }

    /// Exits, if they were as many each time they were counted.
    pub fn repeated_exits(&self) -> Option<f64> {
        self.counted.as_ref().filter(|counted| counted.exits_repeated)?.exits
    }

    /// Notes what is wrong with its cross-check.
    pub(super) fn judge_cross_check(&mut self) {
        self.notes.extend(self.timed.as_ref().and_then(Timed::cross_check));
    }

    /// Its name, its mode and what was switched on for it.
    pub fn label(&self) -> String {
        let steps = self.with.iter().map(|step| format!(" + {step}"));
        self.plain_label() + &steps.collect::<String>()
    }

    /// Its name and its mode.
    pub fn plain_label(&self) -> String {
        match &self.mode {
            Some(mode) => format!("{}, {mode}", self.name),
            None => self.name.clone(),
        }
    }
}

/// A part of an id.
fn slug(text: &str) -> String {
    let text = text.to_lowercase();
    let words = text.split(|one: char| !one.is_ascii_alphanumeric() && one != '_');
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
}

/// Counts of one call (or one start). They do not depend on time, and are what
/// CI gates on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Counted {
    /// Guest instructions, by single steps or by a TSC that counts them.
    pub instructions: Option<f64>,
    /// Exits to KVM, without those of the host's own interrupts.
    pub exits: Option<f64>,
    /// Whether they were counted several times in the run and were as many each
    /// time. Only such a figure is gated on.
    pub exits_repeated: bool,
    /// Exits by kind, as far as they are told apart.
    pub exits_by_kind: BTreeMap<String, f64>,
}

impl Counted {
    /// One of several counts of the same: the host's interrupts come and go, and
    /// the least disturbed counts. Whether its exits repeated is noted.
    pub(super) fn least(counts: Vec<Counted>) -> Option<Counted> {
        let exits = |one: &Counted| one.exits.unwrap_or(f64::INFINITY);
        let several = counts.len() > 1;
        let least = counts.iter().map(exits).min_by(f64::total_cmp)?;
        let exits_repeated = several && counts.iter().all(|one| one.exits == Some(least));
        let counted = counts.into_iter().min_by(|a, b| exits(a).total_cmp(&exits(b)))?;
        Some(Counted { exits_repeated, ..counted })
    }
}

/// A piece of a measurement's time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What happens in it.
    pub name: String,
    /// Median, in nanoseconds.
    pub ns: f64,
    /// Guest instructions of it, if they were counted.
    pub instructions: Option<f64>,
}

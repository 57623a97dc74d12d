//! What `trapgate run --stats-json` writes: a run's end and its [`Stats`], as
//! serde types. docs/stats-schema.json is made of them.
//!
//! Units are in the names: `_us` is microseconds, `_bytes` is bytes; whatever
//! has none is a count. Who changes a type raises [`VERSION`].

use super::Stats;
use crate::report::{Doing, Place, signal_name};
use crate::sandbox::{End, Outcome};
use serde::Serialize;

/// What the first field of every record says.
pub const SCHEMA: &str = "trapgate-stats";
/// The version of the types in this file and in [`super`].
pub const VERSION: u32 = 2;

/// The JSON schema of the records that this version writes.
pub const SCHEMA_JSON: &str = include_str!("../../../docs/stats-schema.json");

/// One run.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Record<'a> {
    /// "trapgate-stats".
    pub schema: &'static str,
    /// The version of this form.
    pub version: u32,
    /// trapgate's version.
    pub trapgate: &'static str,
    /// The program.
    pub program: &'a str,
    /// How it ended.
    pub end: Ended,
    /// The exit status that trapgate makes of it.
    pub exit_status: u8,
    /// Where it was, if it was ended from outside and said so in time.
    pub place: Option<At>,
    /// The name of the last call that was answered with ENOSYS, where it has
    /// one.
    pub last_unknown_name: Option<&'static str>,
    /// What it cost.
    #[serde(flatten)]
    pub stats: &'a Stats,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "how")]
pub enum Ended {
    /// It exited.
    Exited {
        /// With this status.
        status: u8,
    },
    /// A signal killed it.
    Killed {
        /// The signal's number, signal(7).
        signal: u8,
        /// Its name.
        name: &'static str,
    },
    /// Its time was up.
    TimedOut,
    /// It was stopped from outside.
    Stopped,
    /// It wrote more than is kept, and was stopped.
    TooMuchOutput,
}

/// Where a program was when it was ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct At {
    /// The address of its next instruction, in hexadecimal with 0x.
    pub rip: String,
    /// The function there, if it has symbols.
    pub function: Option<String>,
    /// The number of the system call that it waited in; without one it computed.
    pub call: Option<u32>,
    /// The call's name.
    pub call_name: Option<&'static str>,
}

impl From<&Place> for At {
    fn from(place: &Place) -> At {
        At {
            rip: format!("{:#x}", place.rip),
            function: place.location.clone(),
            call: match place.doing {
                Doing::Waiting { number, .. } => Some(number),
                Doing::Computing => None,
            },
            call_name: place.doing.call(),
        }
    }
}

impl From<&End> for Ended {
    fn from(end: &End) -> Ended {
        match end {
            End::Exited(status) => Ended::Exited { status: *status },
            End::Killed(crash) => {
                Ended::Killed { signal: crash.signal, name: signal_name(crash.signal).0 }
            }
            End::TimedOut => Ended::TimedOut,
            End::Stopped => Ended::Stopped,
            End::TooMuchOutput => Ended::TooMuchOutput,
        }
    }
}

impl<'a> Record<'a> {
    /// Of a run of `program`, of which trapgate makes `exit_status`.
    pub fn new(program: &'a str, outcome: &'a Outcome, exit_status: u8) -> Record<'a> {
        Record {
            schema: SCHEMA,
            version: VERSION,
            trapgate: env!("CARGO_PKG_VERSION"),
            program,
            end: (&outcome.end).into(),
            exit_status,
            place: outcome.place.as_ref().map(At::from),
            last_unknown_name: outcome.stats.last_unknown_name(),
            stats: &outcome.stats,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schemas;

    /// `TRAPGATE_BLESS=1` writes the file anew.
    #[test]
    fn the_schema_in_docs_is_that_of_the_types() {
        let schema = schemars::schema_for!(Record<'static>);
        schemas::hold("stats-schema.json", &schema, SCHEMA_JSON);
    }

    #[test]
    fn an_end_is_data() {
        let json = |end: &End| serde_json::to_value(Ended::from(end)).expect("JSON");
        let exited = serde_json::json!({ "how": "exited", "status": 3 });
        assert_eq!(json(&End::Exited(3)), exited);
        assert_eq!(json(&End::TimedOut), serde_json::json!({ "how": "timed_out" }));
        assert_eq!(json(&End::Stopped), serde_json::json!({ "how": "stopped" }));
    }
}

//! What came of a run.

use crate::machine::teardown::Teardown;
use crate::report::{Crash, Place, signal_name};
use crate::sandbox::stats::Stats;
use crate::trace::Traced;
use std::fmt;
use trapgate_abi::stamps::Record;

/// How a program ended.
///
/// ```no_run
/// use trapgate::{End, Sandbox};
///
/// let end = Sandbox::builder().program("./prog").build()?.run()?.end;
/// match &end {
///     End::Exited(0) => println!("it went well"),
///     End::Exited(status) => println!("it failed with status {status}"),
///     End::Killed(crash) => println!("{crash}"),
///     other => println!("{other}"),
/// }
/// assert_eq!(end.success(), end.code() == Some(0));
/// # Ok::<(), trapgate::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// It exited with this status.
    Exited(u8),
    /// A signal killed it.
    Killed(Box<Crash>),
    /// Its time was up.
    TimedOut,
    /// It was stopped through its [`crate::KillHandle`].
    Stopped,
    /// It was stopped because it wrote more than
    /// [`crate::Builder::output_limit`] lets one keep.
    TooMuchOutput,
}

impl End {
    /// Whether it exited with status 0.
    pub fn success(&self) -> bool {
        self.code() == Some(0)
    }

    /// The status that it exited with, if it did.
    pub fn code(&self) -> Option<u8> {
        match self {
            End::Exited(status) => Some(*status),
            _ => None,
        }
    }

    /// The signal that killed it, if one did: signal(7).
    pub fn signal(&self) -> Option<u8> {
        match self {
            End::Killed(crash) => Some(crash.signal),
            _ => None,
        }
    }
}

impl fmt::Display for End {
    /// In a few words. A [`Crash`] has more to say.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Exited(status) => write!(f, "exited with status {status}"),
            End::Killed(crash) => {
                let (name, meaning) = signal_name(crash.signal);
                write!(f, "killed by {name} ({meaning})")
            }
            End::TimedOut => f.write_str("ended by its timeout"),
            End::Stopped => f.write_str("stopped"),
            End::TooMuchOutput => f.write_str("stopped: it wrote more than is kept"),
        }
    }
}

/// A finished run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// Where it was, if it was ended from outside and said so in time: by its
    /// timeout, or by a signal or a kill of a [`crate::KillHandle`]. The guest's
    /// claim.
    pub place: Option<Place>,
    /// What it cost.
    pub stats: Stats,
    /// The steps of its calls, if they were stamped ([`crate::Builder::stamps`]):
    /// the guest's claim.
    pub stamps: Vec<Record>,
    /// What came of its trace, if it was traced ([`crate::Builder::trace`]).
    pub trace: Option<Traced>,
    /// The taking down of its VM, which nobody has to wait for.
    pub teardown: Teardown,
}

impl Outcome {
    /// The same, `timed_out` if that is why it was stopped.
    pub(super) fn at_its_time(self, timed_out: bool) -> Outcome {
        match self.end {
            End::Stopped if timed_out => Outcome { end: End::TimedOut, ..self },
            _ => self,
        }
    }
}

/// A finished run, and what the program wrote: of [`crate::Sandbox::output`].
///
/// ```no_run
/// use trapgate::Sandbox;
///
/// let output = Sandbox::builder().program("/bin/busybox").args(["sort", "-r"])
///     .stdin_bytes("a\nb\n")
///     .build()?
///     .output()?;
/// assert!(output.end.success(), "{}", String::from_utf8_lossy(&output.stderr));
/// assert_eq!(output.stdout, b"b\na\n");
/// # Ok::<(), trapgate::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Output {
    /// How it ended; [`End::TooMuchOutput`], whatever came after that, if one
    /// of the files was longer than [`crate::Builder::output_limit`].
    pub end: End,
    /// What it wrote to standard output, up to the limit; nothing, if that
    /// went elsewhere.
    pub stdout: Vec<u8>,
    /// The same of standard error.
    pub stderr: Vec<u8>,
    /// Where it was, as [`Outcome::place`].
    pub place: Option<Place>,
    /// What it cost.
    pub stats: Stats,
    /// The taking down of its VM, which nobody has to wait for.
    pub teardown: Teardown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_status_0_is_a_success() {
        assert!(End::Exited(0).success());
        for end in [End::Exited(1), End::TimedOut, End::Stopped, End::TooMuchOutput] {
            assert!(!end.success(), "{end}");
        }
        assert_eq!(End::Exited(7).code(), Some(7));
        assert_eq!(End::TimedOut.code(), None);
        assert_eq!(End::Stopped.signal(), None);
    }
}

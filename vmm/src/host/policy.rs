//! Which requests a sandbox may make. A request outside is refused and
//! counted.

use std::fmt;
use trapgate_abi::hypercall::{NEVER, Request};
use trapgate_uapi::Errno;

/// Something that a sandbox can be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Grant {
    /// Read standard input.
    Stdin,
    /// Write standard output.
    Stdout,
    /// Write standard error.
    Stderr,
    /// Sleep, and know the time.
    Clock,
    /// Random numbers of the host's.
    Random,
}

impl Grant {
    /// All there are: the default.
    pub const ALL: [Grant; 5] =
        [Grant::Stdin, Grant::Stdout, Grant::Stderr, Grant::Clock, Grant::Random];

    /// The grant of standard file `number`.
    pub fn of_file(number: u32) -> Option<Grant> {
        [Grant::Stdin, Grant::Stdout, Grant::Stderr].get(number as usize).copied()
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Grant::Stdin => "stdin",
            Grant::Stdout => "stdout",
            Grant::Stderr => "stderr",
            Grant::Clock => "clock",
            Grant::Random => "random",
        })
    }
}

/// A set of grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    grants: Vec<Grant>,
}

impl Default for Policy {
    /// Standard input, output and error, clock and randomness: nothing else
    /// exists yet.
    fn default() -> Self {
        Policy { grants: Grant::ALL.to_vec() }
    }
}

impl Policy {
    /// Exactly these grants.
    pub fn only(grants: impl IntoIterator<Item = Grant>) -> Self {
        Policy { grants: grants.into_iter().collect() }
    }

    /// Takes grants away.
    pub fn deny(&mut self, denied: &[Grant]) {
        self.grants.retain(|grant| !denied.contains(grant));
    }

    /// Whether it has this grant.
    pub fn allows(&self, grant: Grant) -> bool {
        self.grants.contains(&grant)
    }

    /// Whether the standard file `number` is granted.
    ///
    /// # Errors
    /// EPERM, or EBADF for a file that does not exist.
    pub fn check_file(&self, number: u32) -> Result<(), Errno> {
        self.require(Grant::of_file(number).ok_or(Errno::EBADF)?)
    }

    /// Whether waiting for so long is granted: while no file is `watched` it is
    /// sleeping. To wait for ever tells nobody the time. It keeps a program without the
    /// grant from sleeping as such, not from waiting for a file that is never ready:
    /// what the grant keeps is the date.
    ///
    /// # Errors
    /// EPERM.
    pub fn check_wait(&self, watched: bool, timeout_ns: u64) -> Result<(), Errno> {
        if watched || matches!(timeout_ns, 0 | NEVER) { Ok(()) } else { self.require(Grant::Clock) }
    }

    fn require(&self, grant: Grant) -> Result<(), Errno> {
        if self.allows(grant) { Ok(()) } else { Err(Errno::EPERM) }
    }

    /// Decides about a request. What it has attached is checked by whoever
    /// reads that.
    ///
    /// A terminal can be read and written by each of its descriptors, so the
    /// grants of reading and writing hold whatever the file's number is.
    ///
    /// # Errors
    /// EPERM, or EBADF for a file that does not exist.
    pub fn check(&self, request: &Request) -> Result<(), Errno> {
        match *request {
            // How a run ends, and memory of the guest's own.
            Request::Exit { .. }
            | Request::Killed { .. }
            | Request::Failed { .. }
            | Request::NotStarted { .. }
            | Request::SwapFpu { .. }
            | Request::Discard
            | Request::Drain => Ok(()),
            // What is attached, and whether that is sleeping, `wait` looks at.
            Request::Watch { .. } | Request::Wait { .. } => Ok(()),
            // Its own time on the CPU, which the counter tells it of anyway.
            Request::Tick { .. } => Ok(()),
            // The counter, which nobody can take away, says as much.
            Request::Elapsed => Ok(()),
            Request::Read { file, .. } | Request::ReadAt { file, .. } => {
                self.check_file(file)?;
                self.require(Grant::Stdin)
            }
            Request::Write { file: 0, .. } => {
                self.require(Grant::Stdin)?;
                self.require(Grant::Stdout)
            }
            Request::Write { file, .. }
            | Request::Seek { file, .. }
            | Request::Status { file }
            | Request::TerminalAttributes { file }
            | Request::WindowSize { file } => self.check_file(file),
            Request::Random => self.require(Grant::Random),
            // A handle is the grant: there is none but of a directory that is bound.
            Request::File(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_its_grant_is_refused() {
        let write = Request::Write { file: 1, flags: 0 };
        assert_eq!(Policy::default().check(&write), Ok(()));
        assert_eq!(Policy::only([Grant::Stderr]).check(&write), Err(Errno::EPERM));
        assert_eq!(
            Policy::default().check(&Request::Read { file: 3, flags: 0 }),
            Err(Errno::EBADF)
        );
        let none = Policy::only([]);
        assert_eq!(none.check(&Request::Random), Err(Errno::EPERM));
        assert_eq!(none.check(&Request::Exit { status: 0 }), Ok(()));
    }

    #[test]
    fn a_terminals_other_descriptors_are_no_way_around_a_grant() {
        let mut policy = Policy::default();
        policy.deny(&[Grant::Stdin]);
        assert_eq!(policy.check(&Request::Read { file: 1, flags: 0 }), Err(Errno::EPERM));
        assert_eq!(policy.check(&Request::Write { file: 1, flags: 0 }), Ok(()));
        let mut policy = Policy::default();
        policy.deny(&[Grant::Stdout]);
        assert_eq!(policy.check(&Request::Write { file: 0, flags: 0 }), Err(Errno::EPERM));
        assert_eq!(policy.check(&Request::Read { file: 0, flags: 0 }), Ok(()));
    }

    #[test]
    fn waiting_for_nothing_needs_the_clock() {
        let none = Policy::only([]);
        assert_eq!(none.check_wait(false, 1), Err(Errno::EPERM));
        for (watched, timeout_ns) in [(false, 0), (false, NEVER), (true, 1)] {
            assert_eq!(none.check_wait(watched, timeout_ns), Ok(()));
        }
        assert_eq!(Policy::default().check_wait(false, 1), Ok(()));
        assert_eq!(none.check_file(0), Err(Errno::EPERM));
    }

    #[test]
    fn denying_takes_grants_away() {
        let mut policy = Policy::default();
        policy.deny(&[Grant::Clock, Grant::Stdin]);
        assert!(!policy.allows(Grant::Clock) && policy.allows(Grant::Stdout));
    }
}

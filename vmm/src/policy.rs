//! Which requests a sandbox may make. A request outside is refused and
//! counted.

use serde::Deserialize;
use std::fmt;
use trapgate_abi::Errno;
use trapgate_abi::hypercall::Request;

/// Something that a sandbox can be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
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

    /// Decides about a request.
    ///
    /// # Errors
    /// EPERM, or EBADF for a file that does not exist.
    pub fn check(&self, request: &Request) -> Result<(), Errno> {
        let needed = match *request {
            // How a run ends, and memory of the guest's own.
            Request::Exit { .. }
            | Request::Killed { .. }
            | Request::Failed { .. }
            | Request::Poll { .. }
            | Request::Discard => return Ok(()),
            Request::Write { file }
            | Request::Read { file }
            | Request::ReadAt { file, .. }
            | Request::Seek { file, .. }
            | Request::Status { file }
            | Request::TerminalAttributes { file }
            | Request::WindowSize { file } => Grant::of_file(file).ok_or(Errno::EBADF)?,
            Request::Sleep { .. } => Grant::Clock,
            Request::Random => Grant::Random,
        };
        if self.allows(needed) { Ok(()) } else { Err(Errno::EPERM) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_its_grant_is_refused() {
        let write = Request::Write { file: 1 };
        assert_eq!(Policy::default().check(&write), Ok(()));
        assert_eq!(Policy::only([Grant::Stderr]).check(&write), Err(Errno::EPERM));
        assert_eq!(Policy::default().check(&Request::Read { file: 3 }), Err(Errno::EBADF));
        let none = Policy::only([]);
        for refused in [Request::Random, Request::Sleep { duration_ns: 1 }] {
            assert_eq!(none.check(&refused), Err(Errno::EPERM));
        }
        assert_eq!(none.check(&Request::Exit { status: 0 }), Ok(()));
    }

    #[test]
    fn denying_takes_grants_away() {
        let mut policy = Policy::default();
        policy.deny(&[Grant::Clock, Grant::Stdin]);
        assert!(!policy.allows(Grant::Clock) && policy.allows(Grant::Stdout));
    }
}

//! What a test has to say besides that it passed or failed: something is
//! missing; a case belongs to another place; the oracle does not agree with
//! itself.
//!
//! One line each on standard error, which `cargo xtask test` reads
//! (`xtask/src/test/libtest.rs`): it counts the first kind as skipped, sees to it
//! that the second has run somewhere, and names the third. docs/testing.md says
//! what becomes of each.

use std::io::Write;
use std::thread;

/// Where a test, or a case of it, can show what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// An ordinary machine, not a rig.
    Host,
    /// Either rig: a KVM on (emulated) hardware, and root.
    Rig,
    /// The AMD rig.
    AmdRig,
    /// The Intel rig.
    IntelRig,
    /// A rig whose time-stamp counter counts instructions.
    CountingRig,
    /// A machine with a CPU that no rig has.
    OtherCpu,
    /// A run that is not a quick one.
    FullRun,
}

impl Home {
    /// As the line has it.
    fn words(self) -> &'static str {
        match self {
            Home::Host => "the host",
            Home::Rig => "a rig",
            Home::AmdRig => "the AMD rig",
            Home::IntelRig => "the Intel rig",
            Home::CountingRig => "a counting rig",
            Home::OtherCpu => "another CPU",
            Home::FullRun => "a full run",
        }
    }
}

/// The case of a test that is left out as a whole.
const WHOLE: &str = "all of it";

/// Says that this test, or a part of it, is skipped, because the machine lacks
/// something that one could install or switch on: a package, a compiler, a KVM.
pub fn missing(what: &str) {
    say("SKIPPED", what);
}

/// Says that this test cannot show here what it is about, and where it can.
pub fn elsewhere(home: Home, why: &str) {
    case_elsewhere(WHOLE, home, why);
}

/// The same of one case of a test. A case has the same name in every place: by
/// that it is known whether it ran in one of them.
pub fn case_elsewhere(case: &str, home: Home, why: &str) {
    assert!(!case.contains(": "), "{case:?}: what names a case holds no colon");
    say("ELSEWHERE", &format!("{case}: {}: {why}", home.words()));
}

/// Says that the native run of a case does not agree with itself, so that it
/// says nothing about the sandbox's.
pub(crate) fn unstable(case: &str, outcomes: &str) {
    say("UNSTABLE", &format!("{}: {outcomes}", case.replace(": ", ":")));
}

/// Writes the line. Not through `eprintln!`, which libtest swallows when a test
/// passes.
fn say(what: &str, words: &str) {
    let test = thread::current();
    let test = test.name().unwrap_or("a test");
    let words = words.replace('\n', " ");
    // If nobody can be told, there is nobody to tell.
    let _ = std::io::stderr().write_all(format!("{what}: {test}: {words}\n").as_bytes());
}

//! The harness of the behaviour tests: what every file in `tests/tests` stands on.
//!
//! A test describes a run as a [`Case`], makes it natively and in a sandbox,
//! and compares: natively is how Linux does it, so that nobody has to write
//! down what `sort` answers. Every failure shows the command line, what was
//! expected, and what came.
//!
//! ```no_run
//! use trapgate_tests::{Case, busybox};
//!
//! let Some(busybox) = busybox() else { return };
//! Case::new(busybox).args(["sort", "-r"]).stdin_bytes("a\nb\n").differential();
//! ```
//!
//! Each test executable is complete: the programs are embedded
//! ([`programs`]), so it also runs in a rig, where there are neither sources nor
//! compilers. What it finds beside itself there is `/bin/trapgate` and
//! `/bin/busybox`.
//!
//! | variable | meaning |
//! |---|---|
//! | `TRAPGATE_BIN` | the `trapgate` to test; by default it is built, or the rig's |
//! | `TRAPGATE_RIG` | `amd` or `intel`: this is that rig |
//! | `TRAPGATE_TSC` | `instructions`: this rig's time-stamp counter counts them |
//! | `TRAPGATE_NO_KVM` | `skip`: without KVM, skip instead of fail |
//! | `TRAPGATE_QUICK` | set: tests that [take long](takes_long!) are left to a full run |
//! | `TRAPGATE_LONG` | set: what repeats itself does so [far more often](rounds) |

pub mod calls;
mod case;
mod cli;
mod debian;
pub mod elf;
mod oracle;
pub mod patch;
mod place;
mod process;
pub mod programs;
mod skip;
pub mod streams;
pub mod tools;
mod trace;

pub use case::{Case, Stdin, Stdout};
pub use cli::trapgate;
pub use debian::{Root, debian};
pub use place::{
    Place, counts_instructions, kvm, place, rounds, scale, sysenter_arrives, tsc_is_a_clock,
};
pub use process::{Ran, Started, children, shown};
pub use programs::{Program, busybox, compiled, program};
pub use skip::{Home, case_elsewhere, elsewhere, missing};
pub use trace::Death;

/// Ends the test at once where there is no KVM: with a failure, or loudly
/// skipped if `TRAPGATE_NO_KVM=skip`.
#[macro_export]
macro_rules! needs_kvm {
    () => {
        if !$crate::kvm() {
            return;
        }
    };
}

/// Ends the test at once in a quick run (`cargo xtask test --quick`). For each test
/// that takes more than ten seconds on an ordinary machine; the rule is
/// docs/testing.md's.
#[macro_export]
macro_rules! takes_long {
    () => {
        if ::std::env::var_os("TRAPGATE_QUICK").is_some() {
            return $crate::elsewhere($crate::Home::FullRun, "it takes long");
        }
    };
}

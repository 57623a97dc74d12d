//! trapgate: run unmodified Linux programs in ring 3 of a tiny kernel of their
//! own, on KVM.
//!
//! ```no_run
//! use trapgate::{End, Sandbox};
//!
//! let sandbox = Sandbox::builder().program("/bin/busybox").args(["echo", "hello"]).build()?;
//! let outcome = sandbox.run()?;
//! assert_eq!(outcome.end, End::Exited(0));
//! # Ok::<(), trapgate::Error>(())
//! ```
//!
//! The way of a run: [`config`] says what; [`image`] reads the program;
//! `boot` puts kernel, program and page tables into [`memory`]; [`kvm`] makes
//! the VM; `run` enters it and decodes its exits ([`exit`]); a request of the
//! kernel passes [`policy`] before `host` carries it out.

pub mod affinity;
pub mod bench;
pub mod boot;
pub mod config;
pub mod doctor;
pub mod doors;
pub mod error;
pub mod exit;
mod host;
pub mod image;
pub mod job;
pub mod kernel;
pub mod kvm;
mod log_ring;
pub mod memory;
pub mod mitigation;
pub mod policy;
pub mod recipe;
pub mod report;
mod run;
pub mod running;
pub mod sandbox;
#[cfg(test)]
mod schemas;
pub mod size;
pub mod stack;
pub mod stats;
mod step;
pub mod vdso;
pub mod version;

pub use config::{Builder, ClockSource, Config, Program, Stdio};
pub use error::Error;
pub use mitigation::Mitigations;
pub use policy::{Grant, Policy};
pub use running::{KillHandle, Running};
pub use sandbox::{End, Outcome, Sandbox};
pub use size::ByteSize;

//! Run unmodified Linux programs in ring 3 of a tiny kernel of their own, on
//! KVM.
//!
//! ```no_run
//! use trapgate::Sandbox;
//!
//! let sandbox = Sandbox::builder().program("/bin/busybox").args(["echo", "hello"]).build()?;
//! let output = sandbox.output()?;
//! assert!(output.end.success());
//! assert_eq!(output.stdout, b"hello\n");
//! # Ok::<(), trapgate::Error>(())
//! ```
//!
//! # A short tour
//!
//! It is all as with [`std::process::Command`], as far as that goes.
//!
//! - [`Sandbox::builder`] describes a run: a static Linux executable as a file or
//!   as bytes, its arguments and environment (empty, unless it is filled), limits
//!   of memory and time, and what it is granted ([`Policy`]).
//!   [`Builder::build`] makes the VM and loads the program.
//! - Then [`Sandbox::run`] waits for its end, [`Sandbox::output`] keeps what it
//!   writes, up to a limit, and [`Sandbox::start`] comes back at once with a
//!   [`Running`]: pipes to it, [`Running::try_wait`], [`Running::wait_timeout`],
//!   a [`KillHandle`] for other threads.
//! - [`Stdio`] says what its standard files are; [`Builder::stdin_bytes`] gives
//!   it input that is there already.
//! - [`Builder::root`] gives it files: an image of a root, which [`root`] makes of an
//!   archive.
//! - An [`Outcome`] has how it ended ([`End`]) and what it cost ([`Stats`]). A
//!   program that fails is an outcome; whatever keeps it from running is an
//!   [`Error`], in one line for a person.
//!
//! The crate `trapgate-measure` says whether a host can run sandboxes at all, and
//! measures; `trapgate-cli` is the program.
//!
//! # Features
//!
//! None is on by default. `images` makes roots of archives and OCI layouts, which
//! without it must be EROFS images already. `recipe` reads programs with their limits and grants
//! from TOML files, `serde` makes statistics data, `schema` has their JSON schema,
//! and `clap` lets a command line take options' types as they are.
//!
//! A program cannot be run where this process cannot open /dev/kvm. One process
//! can hold many sandboxes, from any thread; stopping them uses the process's
//! signal `SIGRTMIN+1`.
//!
//! The VMM does not confine its own process yet, so do not rely on it against
//! hostile code.
//!
//! # The way of a run
//!
//! For who reads on in the source: a sandbox says what; `trapgate_loader` reads the
//! program; `boot` puts kernel, program and page tables into RAM; the machine is
//! made, and entered again after each exit; a request of the kernel passes the
//! host's policy before the host carries it out.
//!
//! The rooms, top to bottom. Each uses those below it and none above: a test
//! (`xtask: arrows`) reads this table and the imports.
//!
//! | room | what it is for |
//! |---|---|
//! | `sandbox` | what to run, within which limits, and what came of it |
//! | `root` | the root of the program's files: from a source to an image |
//! | `doors` | which doors there are, and whose CPUs have them |
//! | `boot` | what is in RAM before the first instruction: kernel, vDSO, tables, steps |
//! | `host` | the services, and the policy that decides about them |
//! | `trace` | the program's calls, out of the guest's rings, as lines |
//! | `machine` | RAM, the vCPU and its state, its thread, and the loop that enters it |
//! | `report` | crashes, of the program and of the kernel, in words |
//! | `symbols` | addresses as names |
//! | `size` | sizes of memory as people write them |
//!
//! [`error`] is apart: every room may fail with it, and it names what each can come
//! to. Modules that are public but not listed below are for trapgate's own crates
//! and tests, and may change at any time.

// For users.
pub mod error;
pub mod report;

// The rooms, and what the program `trapgate` and the tests, which are other
// crates, need of them.
#[doc(hidden)]
pub mod boot;
#[doc(hidden)]
pub mod doors;
#[doc(hidden)]
pub mod host;
#[doc(hidden)]
pub mod machine;
pub mod root;
#[doc(hidden)]
pub mod sandbox;
#[cfg(feature = "schema")]
#[doc(hidden)]
pub mod schemas;
#[doc(hidden)]
pub mod size;
#[doc(hidden)]
pub mod symbols;
pub(crate) mod trace;

#[doc(inline)]
pub use boot::mitigation::{self, Mitigations};
#[doc(inline)]
pub use error::Error;
#[doc(inline)]
pub use host::policy::{Grant, Policy};
#[doc(inline)]
pub use machine::kvm::Kind;
#[doc(inline)]
pub use machine::teardown::Teardown;
#[doc(inline)]
pub use machine::vcpu_thread::KillHandle;
#[doc(inline)]
pub use report::Crash;
#[doc(inline)]
pub use sandbox::Sandbox;
#[doc(inline)]
pub use sandbox::builder::Builder;
#[doc(inline)]
pub use sandbox::config::{Access, Bind, CacheMode, ClockSource, Config, Program};
#[doc(inline)]
pub use sandbox::outcome::{End, Outcome, Output};
#[cfg(feature = "recipe")]
#[doc(inline)]
pub use sandbox::recipe;
#[doc(inline)]
pub use sandbox::running::Running;
#[doc(inline)]
pub use sandbox::stats::{self, Stats};
#[doc(inline)]
pub use sandbox::stdio::Stdio;
#[doc(inline)]
pub use size::ByteSize;
#[doc(inline)]
pub use trace::Traced;

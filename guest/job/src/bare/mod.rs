//! Bare round trips: from 64-bit ring 3 into ring 0 and back, with handlers that
//! do nothing but answer.
//!
//! They are what a call costs before a kernel does anything: the floor under
//! the figures of the kernel's own doors. The way is
//!
//! ```text
//! measure           pages of ring 3 mapped; gates, MSRs    ring 0
//!   switch::run     IRET                                   → ring 3
//!     ring3         the loops                              ⇄ doors: ring 0 and back
//!   bare_leave      HLT is #GP, or another exception       → ring 0
//! measure           gates and MSRs back, answer
//! ```
//!
//! Nothing here exchanges GS: it stays the kernel's, and ring 3 is only ever the
//! code in `ring3`.

#[cfg(target_os = "none")]
mod doors;
#[cfg(target_os = "none")]
mod measure;
#[cfg(target_os = "none")]
mod ring3;
#[cfg(target_os = "none")]
mod switch;
pub mod tables;

#[cfg(target_os = "none")]
pub use measure::measure;

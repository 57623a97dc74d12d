//! Legacy protected mode (EFER.LMA = 0): measures one door there, instead of
//! running a program.
//!
//! The way is
//!
//! ```text
//! measure           tables and MSRs ready          64-bit mode, paging on
//!   switch::run     CS, CR0.PG, EFER.LME off       → legacy mode, paging off
//!     ring3         the loops, ring 3              ⇄ doors: ring 0 and back
//!   switch (back)   EFER.LME, CR0.PG, CS           → 64-bit mode
//! measure           MSRs back, registers compared, answer
//! ```
//!
//! What is measured is the CPU's door and the way back, and nothing of this
//! kernel: ring 0 answers with one instruction. Paging stays off in legacy mode
//! (Intel SDM vol. 3, 9.8.5.4 asks for tables below 4 GiB otherwise, and gives
//! nothing that a door needs), so ring 3 could reach all memory: it is only
//! ever the code in `ring3`.

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

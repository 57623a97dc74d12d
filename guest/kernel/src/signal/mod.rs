//! Signals: what was sent, what is wanted, and what comes of it.
//!
//! `process` sends them and acts on them; the frames that handlers find are built here.

pub mod action;
pub mod alternate_stack;
pub mod context;
pub mod decide;
pub mod exception;
pub mod frame32;
pub mod frame64;
pub mod fregs;
pub mod info;
pub mod number;
pub mod pending;
pub mod restart;
pub mod signals;
pub mod xstate;

//! Signals: what was sent, what is wanted, and what comes of it.
//!
//! `process` acts on it; handlers cannot be called yet.

pub mod action;
pub mod decide;
pub mod exception;
pub mod number;
pub mod queue;

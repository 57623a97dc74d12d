//! Signals.

pub mod exception;

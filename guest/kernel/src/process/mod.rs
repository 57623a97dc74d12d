//! Processes and their tasks.

pub mod task;

//! `trapgate bench`.

pub mod probe;
pub mod steps;

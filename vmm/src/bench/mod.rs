//! `trapgate bench`.

pub mod probe;

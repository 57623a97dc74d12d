//! Open files: what a descriptor refers to, and how bytes get there.
//!
//! `sys` carries the calls out.

pub mod file;
pub mod table;
pub mod transfer;

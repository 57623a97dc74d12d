//! What is in a program's memory before its first instruction: its file's
//! segments ([`image`]) and its first stack ([`stack`]).
//!
//! Called by the VMM, which starts a sandbox's program with it. Pure: no I/O, no
//! state; bytes go in, a description of memory comes out.
#![forbid(unsafe_code)]

pub mod image;
pub mod stack;

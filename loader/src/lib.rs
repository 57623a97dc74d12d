//! What is in a program's memory before its first instruction: its file's
//! segments ([`image`]) and its first stack ([`stack`]); and who runs a file that
//! is a script ([`script`]). And text that others chose, fit for a terminal ([`text`]).
//!
//! Called by the VMM for the program that a sandbox starts with. Pure: no I/O, no
//! state; bytes go in, a description of memory comes out. Nothing that a file
//! claims makes it allocate more than a few times the file's 64 KiB of program
//! headers; a stack is as large as the limit that the caller gives.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod image;
pub mod script;
pub mod stack;
pub mod text;

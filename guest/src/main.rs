//! The kernel's image. All of it is in the library; the entry point is
//! `_start` in `start.rs`.
#![no_std]
#![no_main]

use trapgate_guest as _;

//! Ring 3 of legacy mode: a program for each door, of `job::ring3`'s text.
//!
//! A loop with SYSENTER and SYSEXIT is two instructions more than the others:
//! their caller says in ECX and EDX where to come back.
#![allow(unsafe_code, reason = "assembly")]

use super::tables::{FINISH, PHYSICAL, at};
use crate::ring3::{assemble, program};

// The programs, by their addresses in the kernel's image.
unsafe extern "C" {
    pub(super) fn legacy_ring3_int80();
    pub(super) fn legacy_ring3_sysenter();
    pub(super) fn legacy_ring3_syscall();
}

/// SYSENTER and back; `$place` makes labels differ.
macro_rules! sysenter {
    ($place:literal) => {
        concat!(
            "mov ecx, esp\n", // what SYSEXIT puts into ESP
            "mov edx, offset .Llegacy_back_",
            $place,
            " + {physical}\n", // and into EIP
            "sysenter\n",
            ".Llegacy_back_",
            $place,
            ":\n"
        )
    };
}

/// The address of one of `Ring3`'s words.
macro_rules! word {
    ($field:ident) => {
        at!(ring3.$field)
    };
}

/// A program, which says by a gate that it is done.
macro_rules! ring3 {
    ($name:literal, $first:expr, $batch:expr, $single:expr) => {
        program!($name, "int {finish}\n", $first, $batch, $single)
    };
}

assemble!(
    word,
    ".pushsection .legacy, \"ax\"",
    ".code32",
    ring3!("legacy_ring3_int80", "int 0x80\n", "int 0x80\n", "int 0x80\n"),
    ring3!("legacy_ring3_sysenter", sysenter!("first"), sysenter!("batch"), sysenter!("single")),
    ring3!("legacy_ring3_syscall", "syscall\n", "syscall\n", "syscall\n"), // ecx = eip
    ".globl legacy_ring3_int80",
    ".globl legacy_ring3_sysenter",
    ".globl legacy_ring3_syscall",
    ".code64",
    ".popsection"
    ; physical = const PHYSICAL, finish = const FINISH
);

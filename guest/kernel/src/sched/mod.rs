//! Threads: which runs, which could, and what each waits for.
//!
//! Below what is a process's: a [`thread::Thread`] is all that is known here. The
//! kernel is not preempted, and has interrupts off: between two calls of this room
//! nobody else runs.

pub mod thread;

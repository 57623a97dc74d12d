//! linux/ioprio.h: which task's reading and writing goes first. linux-raw-sys has none of
//! it.

/// ioprio_set(2), `which`: a task.
pub const IOPRIO_WHO_PROCESS: i32 = 1;
/// The tasks of a process group.
pub const IOPRIO_WHO_PGRP: i32 = 2;
/// The tasks of a user.
pub const IOPRIO_WHO_USER: i32 = 3;

/// Where the class begins in a value; the level is below.
pub const IOPRIO_CLASS_SHIFT: u32 = 13;
/// No class of its own: nice(2) decides.
pub const IOPRIO_CLASS_NONE: u32 = 0;
/// Before all others.
pub const IOPRIO_CLASS_RT: u32 = 1;
/// In turn.
pub const IOPRIO_CLASS_BE: u32 = 2;
/// When nobody else wants to.
pub const IOPRIO_CLASS_IDLE: u32 = 3;
/// The level's bits.
pub const IOPRIO_LEVEL_MASK: u32 = 7;
/// The class's bits.
pub const IOPRIO_CLASS_MASK: u32 = 7;

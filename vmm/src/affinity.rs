//! Which of the host's CPUs a thread runs on: sched_setaffinity(2).
//!
//! For measuring: a thread that migrates brings cold caches and another
//! counter along.
#![allow(unsafe_code, reason = "sched_setaffinity takes a pointer")]

use crate::Error;
use std::io;
use std::mem;

/// The CPUs that this thread may run on, ascending.
///
/// # Errors
/// [`Error::Host`].
pub fn allowed() -> Result<Vec<usize>, Error> {
    // SAFETY: an all-zero set is an empty one.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the set is as long as it says, and this thread's.
    let done = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
    if done != 0 {
        return Err(Error::host("sched_getaffinity")(io::Error::last_os_error()));
    }
    // SAFETY: the number is below the set's size.
    let is_in = |&cpu: &usize| unsafe { libc::CPU_ISSET(cpu, &set) };
    Ok((0..libc::CPU_SETSIZE as usize).filter(is_in).collect())
}

/// The last of them: the CPU to measure on, because the first one gets most of
/// the host's interrupts.
///
/// # Errors
/// [`Error::Host`].
pub fn last() -> Result<usize, Error> {
    // There is always one.
    allowed().map(|cpus| cpus.last().copied().unwrap_or(0))
}

/// Keeps this thread on one CPU.
///
/// # Errors
/// [`Error::Host`]: there is no such CPU, or it is not this process's.
pub fn stay_on(cpu: usize) -> Result<(), Error> {
    set(0, cpu).map_err(Error::host("sched_setaffinity"))
}

/// Keeps another process's first thread on one CPU.
///
/// # Errors
/// Those of sched_setaffinity(2).
pub fn set(process: i32, cpu: usize) -> io::Result<()> {
    if cpu >= libc::CPU_SETSIZE as usize {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: an all-zero set is an empty one, the number is below its size,
    // and the set is as long as it says.
    let done = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(process, size_of_val(&set), &raw const set)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

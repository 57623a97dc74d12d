//! Which of the host's CPUs a thread runs on: sched_setaffinity(2).
//!
//! For measuring: a thread that migrates brings cold caches and another
//! counter along.

use crate::Error;
use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};
use std::io;

/// The CPUs that this thread may run on, ascending.
///
/// # Errors
/// [`Error::Host`].
pub fn allowed() -> Result<Vec<usize>, Error> {
    let set =
        sched_getaffinity(None).map_err(|errno| Error::host("sched_getaffinity")(errno.into()))?;
    Ok((0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect())
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

/// Keeps another process's first thread on one CPU; 0 is this thread.
///
/// # Errors
/// Those of sched_setaffinity(2).
pub fn set(process: i32, cpu: usize) -> io::Result<()> {
    if cpu >= CpuSet::MAX_CPU {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(Pid::from_raw(process), &set)?)
}

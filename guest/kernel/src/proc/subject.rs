//! What a file of /proc is about.

use crate::process::task::{Process, Task, find};
use alloc::sync::Arc;
use trapgate_uapi::Errno;

/// What a file is about; 0 of what it is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// A process.
    pub pid: u32,
    /// A task of it.
    pub tid: u32,
    /// A descriptor of it.
    pub fd: u32,
}

impl Subject {
    /// The task.
    ///
    /// # Errors
    /// ESRCH, if it is gone.
    pub fn task(self) -> Result<Arc<Task>, Errno> {
        find(self.tid).filter(|task| task.pid == self.pid).ok_or(Errno::ESRCH)
    }

    /// Its process.
    ///
    /// # Errors
    /// ESRCH, if it is gone.
    pub fn process(self) -> Result<Arc<Process>, Errno> {
        Ok(self.task()?.process.clone())
    }
}

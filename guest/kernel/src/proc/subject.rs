//! What a file of /proc is about.

use crate::process::task::{Process, Task, current};
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
    /// The task. There is no table of tasks yet: of the running process, it is the
    /// running one.
    ///
    /// # Errors
    /// ESRCH, if it is gone.
    pub fn task(self) -> Result<&'static Task, Errno> {
        let task = current();
        let is_this = self.tid == task.tid || self.tid == task.pid;
        if self.pid == task.pid && is_this { Ok(task) } else { Err(Errno::ESRCH) }
    }

    /// Its process.
    ///
    /// # Errors
    /// ESRCH, if it is gone.
    pub fn process(self) -> Result<&'static Process, Errno> {
        Ok(&self.task()?.process)
    }
}

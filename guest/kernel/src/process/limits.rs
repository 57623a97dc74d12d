//! Limits of a process: getrlimit(2).

use crate::fs::table::{DESCRIPTORS, MAX_DESCRIPTORS};
use crate::fs::write_rules;
use crate::memory::try_insert;
use alloc::collections::BTreeMap;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use spin::Mutex;
use trapgate_abi::layout::{MAX_THREADS, USER_STACK_SIZE};
use trapgate_uapi::Errno;
use trapgate_uapi::resource::{
    RLIM_INFINITY, RLIM_NLIMITS, RLIMIT_CORE, RLIMIT_FSIZE, RLIMIT_NICE, RLIMIT_NOFILE,
    RLIMIT_NPROC, RLIMIT_RTPRIO, RLIMIT_STACK, Rlimit,
};

/// Soft and hard limits, as far as they were set, by resource.
pub struct Limits {
    set: Mutex<BTreeMap<u32, Rlimit>>,
    /// The soft `RLIMIT_NOFILE`: each new descriptor asks for it.
    descriptors: AtomicUsize,
    /// The soft `RLIMIT_FSIZE`.
    file_size: AtomicU64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            set: Mutex::default(),
            descriptors: AtomicUsize::new(DESCRIPTORS),
            file_size: AtomicU64::new(RLIM_INFINITY),
        }
    }
}

impl Limits {
    /// The soft and hard limit of `resource` now.
    ///
    /// # Errors
    /// EINVAL.
    pub fn get(&self, resource: u32) -> Result<Rlimit, Errno> {
        if resource >= RLIM_NLIMITS {
            return Err(Errno::EINVAL);
        }
        if let Some(&limit) = self.set.lock().get(&resource) {
            return Ok(limit);
        }
        let soft = |rlim_cur| Rlimit { rlim_cur, rlim_max: RLIM_INFINITY };
        Ok(match resource {
            RLIMIT_STACK => soft(USER_STACK_SIZE),
            RLIMIT_CORE => soft(0),
            RLIMIT_NPROC => Rlimit::both(MAX_THREADS),
            RLIMIT_NICE | RLIMIT_RTPRIO => Rlimit::both(0),
            RLIMIT_NOFILE => {
                Rlimit { rlim_cur: DESCRIPTORS as u64, rlim_max: MAX_DESCRIPTORS as u64 }
            }
            _ => Rlimit::both(RLIM_INFINITY),
        })
    }

    /// Sets both. `may_raise`: the hard one may be raised (`CAP_SYS_RESOURCE`).
    ///
    /// # Errors
    /// EINVAL; EPERM for a hard limit above the one there is; ENOMEM.
    pub fn set(&self, resource: u32, new: Rlimit, may_raise: bool) -> Result<(), Errno> {
        let old = self.get(resource)?;
        if new.rlim_cur > new.rlim_max {
            return Err(Errno::EINVAL);
        }
        if new.rlim_max > old.rlim_max && !may_raise {
            return Err(Errno::EPERM);
        }
        // As if by /proc/sys/fs/nr_open.
        if resource == RLIMIT_NOFILE && new.rlim_max > MAX_DESCRIPTORS as u64 {
            return Err(Errno::EPERM);
        }
        try_insert(&mut self.set.lock(), resource, new)?;
        match resource {
            RLIMIT_NOFILE => self.descriptors.store(new.rlim_cur as usize, Ordering::Relaxed),
            RLIMIT_FSIZE => {
                self.file_size.store(new.rlim_cur, Ordering::Relaxed);
                write_rules::begin();
            }
            _ => {}
        }
        Ok(())
    }

    /// The soft limit is one more from now on; one that was set.
    pub fn raise_soft(&self, resource: u32) {
        if let Some(limit) = self.set.lock().get_mut(&resource) {
            limit.rlim_cur = limit.rlim_cur.saturating_add(1);
        }
    }

    /// How long a file may get by its writing: the soft `RLIMIT_FSIZE`, in bytes.
    pub fn file_size(&self) -> u64 {
        self.file_size.load(Ordering::Relaxed)
    }

    /// How many descriptors the process may have: the soft `RLIMIT_NOFILE`.
    pub fn descriptors(&self) -> usize {
        self.descriptors.load(Ordering::Relaxed)
    }
}

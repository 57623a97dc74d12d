//! Limits of a process: getrlimit(2).

use crate::fs::table::MAX_DESCRIPTORS;
use alloc::collections::BTreeMap;
use spin::Mutex;
use trapgate_abi::layout::USER_STACK_SIZE;
use trapgate_uapi::Errno;

/// `RLIMIT_*` of getrlimit(2) with a default that is not "unlimited".
pub mod rlimit {
    /// The stack, in bytes.
    pub const STACK: u32 = 3;
    /// A core dump, in bytes.
    pub const CORE: u32 = 4;
    /// Processes of the user.
    pub const NPROC: u32 = 6;
    /// Descriptors.
    pub const NOFILE: u32 = 7;
    /// How many kinds of limits there are.
    pub const COUNT: u32 = 16;
}

/// `RLIM_INFINITY`: no limit.
pub const INFINITY: u64 = u64::MAX;

/// Soft and hard limits, as far as they were set, by resource.
#[derive(Default)]
pub struct Limits(Mutex<BTreeMap<u32, [u64; 2]>>);

impl Limits {
    /// The soft and hard limit of `resource` now.
    ///
    /// # Errors
    /// EINVAL.
    pub fn get(&self, resource: u32) -> Result<[u64; 2], Errno> {
        if resource >= rlimit::COUNT {
            return Err(Errno::EINVAL);
        }
        if let Some(&limit) = self.0.lock().get(&resource) {
            return Ok(limit);
        }
        let files = MAX_DESCRIPTORS as u64;
        Ok(match resource {
            rlimit::STACK => [USER_STACK_SIZE, INFINITY],
            rlimit::CORE => [0, INFINITY],
            rlimit::NPROC => [1, 1],
            rlimit::NOFILE => [files, files],
            _ => [INFINITY, INFINITY],
        })
    }

    /// Sets both.
    ///
    /// # Errors
    /// EINVAL; EPERM for a hard limit above the one there is.
    pub fn set(&self, resource: u32, new: [u64; 2]) -> Result<(), Errno> {
        let [_, hard] = self.get(resource)?;
        if new[0] > new[1] {
            return Err(Errno::EINVAL);
        }
        if new[1] > hard {
            return Err(Errno::EPERM);
        }
        self.0.lock().insert(resource, new);
        Ok(())
    }

    /// How many descriptors the process may have: the soft `RLIMIT_NOFILE`.
    pub fn descriptors(&self) -> usize {
        self.get(rlimit::NOFILE).map_or(0, |[soft, _]| soft as usize)
    }
}

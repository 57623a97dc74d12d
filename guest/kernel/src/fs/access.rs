//! Who may do what with a file (credentials(7), path_resolution(7)).

use crate::fs::inode::Inode;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use spin::Mutex;
use trapgate_uapi::Errno;
use trapgate_uapi::capability::{CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_LAST_CAP};
use trapgate_uapi::stat::{S_IXGRP, S_IXOTH, S_IXUSR};

/// An access, with `st_mode`'s bits.
pub type Access = u32;
/// Read, or list.
pub const READ: Access = 4;
/// Write, or change names.
pub const WRITE: Access = 2;
/// Execute, or search.
pub const EXEC: Access = 1;

/// A set of capabilities(7), a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities(pub u64);

impl Capabilities {
    /// None.
    pub const NONE: Capabilities = Capabilities(0);
    /// All that Linux knows.
    pub const ALL: Capabilities = Capabilities((1 << (CAP_LAST_CAP + 1)) - 1);

    /// Those whose numbers are in a list.
    pub const fn of(mut numbers: &[u32]) -> Capabilities {
        let mut set = 0;
        while let [number, rest @ ..] = numbers {
            set |= 1 << *number;
            numbers = rest;
        }
        Capabilities(set)
    }

    /// Whether the one of this number is among them.
    #[inline(always)]
    pub const fn has(self, capability: u32) -> bool {
        self.0 & 1 << capability != 0
    }

    /// Whether all of them are among `others`.
    pub const fn are_in(self, others: Capabilities) -> bool {
        self.0 & !others.0 == 0
    }

    /// Those that are in either.
    pub const fn or(self, others: Capabilities) -> Capabilities {
        Capabilities(self.0 | others.0)
    }

    /// Those that are in both.
    pub const fn and(self, others: Capabilities) -> Capabilities {
        Capabilities(self.0 & others.0)
    }

    /// Those that are not in `others`.
    pub const fn without(self, others: Capabilities) -> Capabilities {
        Capabilities(self.0 & !others.0)
    }
}

/// Further groups of a task's: setgroups(2).
pub type Groups = Mutex<Vec<u32>>;

/// A task's rights on files, which each path asks for: without a lock.
#[derive(Default)]
pub struct Rights {
    /// The user for files, and above it the group.
    owner: AtomicU64,
    /// The effective capabilities.
    capabilities: AtomicU64,
    /// Further groups, ascending.
    pub groups: Groups,
}

impl Rights {
    /// From now on they are these.
    pub fn set(&self, uid: u32, gid: u32, capabilities: Capabilities) {
        self.owner.store(u64::from(uid) | u64::from(gid) << 32, Ordering::Relaxed);
        self.capabilities.store(capabilities.0, Ordering::Relaxed);
    }
}

/// Whose rights count.
#[derive(Clone, Copy)]
pub struct Credentials<'a>(pub &'a Rights);

impl Credentials<'_> {
    /// The user for files.
    pub fn uid(self) -> u32 {
        self.0.owner.load(Ordering::Relaxed) as u32
    }

    /// The group for files.
    pub fn gid(self) -> u32 {
        (self.0.owner.load(Ordering::Relaxed) >> 32) as u32
    }

    /// The effective capabilities.
    #[inline(always)]
    pub fn capabilities(self) -> Capabilities {
        Capabilities(self.0.capabilities.load(Ordering::Relaxed))
    }

    /// Whether they have a capability.
    #[inline(always)]
    pub fn can(self, capability: u32) -> bool {
        self.capabilities().has(capability)
    }

    /// Whether no directory's permissions keep them from searching it.
    #[inline(always)]
    pub fn is_privileged(self) -> bool {
        self.can(CAP_DAC_OVERRIDE)
    }

    /// Whether a group is among theirs.
    pub fn is_in(self, group: u32) -> bool {
        self.gid() == group || self.0.groups.lock().contains(&group)
    }

    /// Whether an access is allowed.
    ///
    /// # Errors
    /// EACCES.
    #[inline]
    pub fn may(self, inode: &Inode, access: Access) -> Result<(), Errno> {
        if self.can(CAP_DAC_OVERRIDE) && (access & EXEC == 0 || inode.is_directory()) {
            return Ok(());
        }
        self.by_permissions(inode, access)
    }

    fn by_permissions(self, inode: &Inode, access: Access) -> Result<(), Errno> {
        let meta = inode.meta();
        let class = match () {
            () if meta.uid == self.uid() => meta.permissions >> 6,
            () if self.is_in(meta.gid) => meta.permissions >> 3,
            () => meta.permissions,
        };
        if access & !class == 0 || self.overrides(inode, meta.permissions, access) {
            return Ok(());
        }
        Err(Errno::EACCES)
    }

    /// Whether a capability allows what the permissions do not.
    fn overrides(self, inode: &Inode, permissions: u32, access: Access) -> bool {
        let reads = if inode.is_directory() { access & WRITE == 0 } else { access == READ };
        // Something of a file must be executable at all.
        let executable = permissions & (S_IXUSR | S_IXGRP | S_IXOTH) != 0;
        self.can(CAP_DAC_OVERRIDE) && (access & EXEC == 0 || inode.is_directory() || executable)
            || self.can(CAP_DAC_READ_SEARCH) && reads
    }

    /// Whether they own the file, or may act so.
    pub fn owns(self, inode: &Inode) -> bool {
        self.can(CAP_FOWNER) || inode.meta().uid == self.uid()
    }
}

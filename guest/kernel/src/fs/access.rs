//! Who may do what with a file (credentials(7), path_resolution(7)).

use crate::fs::inode::Inode;
use trapgate_uapi::Errno;
use trapgate_uapi::stat::{S_IXGRP, S_IXOTH, S_IXUSR};

/// An access, with `st_mode`'s bits.
pub type Access = u32;
/// Read, or list.
pub const READ: Access = 4;
/// Write, or change names.
pub const WRITE: Access = 2;
/// Execute, or search.
pub const EXEC: Access = 1;

/// Whose rights count. Nobody is in a further group: there is no setgroups(2) yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl Credentials {
    /// The user that every program is: root of its own sandbox.
    pub const ROOT: Credentials = Credentials { uid: 0, gid: 0 };

    /// Whether it has all capabilities.
    #[inline]
    pub const fn is_privileged(self) -> bool {
        self.uid == 0
    }

    /// Whether an access is allowed.
    ///
    /// # Errors
    /// EACCES.
    #[inline]
    pub fn may(self, inode: &Inode, access: Access) -> Result<(), Errno> {
        // CAP_DAC_OVERRIDE.
        if self.is_privileged() && (access & EXEC == 0 || inode.is_directory()) {
            return Ok(());
        }
        self.by_permissions(inode, access)
    }

    fn by_permissions(self, inode: &Inode, access: Access) -> Result<(), Errno> {
        let meta = inode.meta();
        let class = match () {
            () if self.is_privileged() => {
                // Something of the file must be executable at all.
                match meta.permissions & (S_IXUSR | S_IXGRP | S_IXOTH) {
                    0 => READ | WRITE,
                    _ => READ | WRITE | EXEC,
                }
            }
            () if meta.uid == self.uid => meta.permissions >> 6,
            () if meta.gid == self.gid => meta.permissions >> 3,
            () => meta.permissions,
        };
        if access & !class == 0 { Ok(()) } else { Err(Errno::EACCES) }
    }

    /// Whether it owns the file, or may act so (`CAP_FOWNER`).
    pub fn owns(self, inode: &Inode) -> bool {
        self.is_privileged() || inode.meta().uid == self.uid
    }
}

//! Who a task is, and what it may become (credentials(7), capabilities(7)).
//!
//! A program is root of its own sandbox and may become somebody else. No file gives
//! rights back: set-user-ID files run as with `PR_SET_NO_NEW_PRIVS`, and none has
//! capabilities.

mod identity;

pub use identity::Identity;

use crate::fs::access::{Capabilities, Credentials, Rights};
use crate::fs::write_rules;
use crate::memory::{try_collect, try_extend};
use alloc::vec::Vec;
use spin::Mutex;
use trapgate_abi::boot_info::{MAX_GROUPS, User};
use trapgate_uapi::Errno;
use trapgate_uapi::capability::{
    CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID, CAP_LINUX_IMMUTABLE,
    CAP_MAC_OVERRIDE, CAP_MKNOD, CAP_SETGID, CAP_SETPCAP, CAP_SETUID,
};

/// The user with all capabilities, and its group.
const ROOT: u32 = 0;

/// Capabilities that go and come with the user for files alone (Linux: `CAP_FS_SET`).
const FOR_FILES: Capabilities = Capabilities::of(&[
    CAP_CHOWN,
    CAP_MKNOD,
    CAP_DAC_OVERRIDE,
    CAP_DAC_READ_SEARCH,
    CAP_FOWNER,
    CAP_FSETID,
    CAP_LINUX_IMMUTABLE,
    CAP_MAC_OVERRIDE,
]);

/// Numbers and capabilities of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// Its user.
    pub users: Identity,
    /// Its group.
    pub groups: Identity,
    /// Capabilities that a program's file could give back.
    pub inheritable: Capabilities,
    /// Those that it may have.
    pub permitted: Capabilities,
    /// Those that it has.
    pub effective: Capabilities,
    /// Those that a program may get.
    pub bounding: Capabilities,
    /// Those that a program without capabilities of its own keeps.
    pub ambient: Capabilities,
    /// `PR_SET_KEEPCAPS`: they stay permitted when root becomes another user.
    pub keeps_capabilities: bool,
}

impl Ids {
    /// Root, which may do everything.
    const ROOT: Ids = Ids {
        users: Identity::of(ROOT),
        groups: Identity::of(ROOT),
        inheritable: Capabilities::NONE,
        permitted: Capabilities::ALL,
        effective: Capabilities::ALL,
        bounding: Capabilities::ALL,
        ambient: Capabilities::NONE,
        keeps_capabilities: false,
    };

    /// Another user, out of the one it is and whether it may be anybody; capabilities
    /// follow.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn change_user(
        &mut self,
        to: impl FnOnce(Identity, bool) -> Result<Identity, Errno>,
    ) -> Result<(), Errno> {
        let (old, new) = (self.users, to(self.users, self.effective.has(CAP_SETUID))?);
        self.users = new;
        if old.is(ROOT) && !new.is(ROOT) && !self.keeps_capabilities {
            self.permitted = Capabilities::NONE;
            self.effective = Capabilities::NONE;
            self.ambient = Capabilities::NONE;
        }
        match (old.effective == ROOT, new.effective == ROOT) {
            (true, false) => self.effective = Capabilities::NONE,
            (false, true) => self.effective = self.permitted,
            _ => {}
        }
        Ok(())
    }

    /// Another group, in the same way.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn change_group(
        &mut self,
        to: impl FnOnce(Identity, bool) -> Result<Identity, Errno>,
    ) -> Result<(), Errno> {
        self.groups = to(self.groups, self.effective.has(CAP_SETGID))?;
        Ok(())
    }

    /// Another user for files alone; the capabilities for files follow.
    pub fn change_user_for_files(&mut self, id: u32) {
        let old = self.users.files;
        self.users = self.users.with_files(id, self.effective.has(CAP_SETUID));
        match (old == ROOT, self.users.files == ROOT) {
            (true, false) => self.effective = self.effective.without(FOR_FILES),
            (false, true) => self.effective = self.effective.or(self.permitted.and(FOR_FILES)),
            _ => {}
        }
    }

    /// Another group for files alone.
    pub fn change_group_for_files(&mut self, id: u32) {
        self.groups = self.groups.with_files(id, self.effective.has(CAP_SETGID));
    }

    /// capset(2)
    ///
    /// # Errors
    /// EPERM.
    pub fn set_capabilities(
        &mut self,
        effective: Capabilities,
        permitted: Capabilities,
        inheritable: Capabilities,
    ) -> Result<(), Errno> {
        let has = self.inheritable.or(self.permitted);
        let allowed = (self.effective.has(CAP_SETPCAP) || inheritable.are_in(has))
            && inheritable.are_in(self.inheritable.or(self.bounding))
            && permitted.are_in(self.permitted)
            && effective.are_in(permitted);
        if !allowed {
            return Err(Errno::EPERM);
        }
        (self.effective, self.permitted, self.inheritable) = (effective, permitted, inheritable);
        self.ambient = self.ambient.and(permitted.and(inheritable));
        Ok(())
    }

    /// `PR_CAPBSET_DROP`
    ///
    /// # Errors
    /// EPERM.
    pub fn drop_bounding(&mut self, capability: u32) -> Result<(), Errno> {
        if !self.effective.has(CAP_SETPCAP) {
            return Err(Errno::EPERM);
        }
        self.bounding = self.bounding.without(Capabilities::of(&[capability]));
        Ok(())
    }

    /// execve(2) of a file that gives nothing.
    fn begin_program(&mut self) {
        self.users = self.users.saved_as_effective();
        self.groups = self.groups.saved_as_effective();
        let as_root = self.users.real == ROOT || self.users.effective == ROOT;
        // Root's programs get what is not bound; nobody gets more than there was.
        let gets = if as_root { self.bounding.or(self.inheritable) } else { self.ambient };
        self.permitted = self.permitted.and(gets);
        let has = self.users.effective == ROOT;
        self.effective = if has { self.permitted } else { self.ambient };
        self.keeps_capabilities = false;
    }
}

/// Who a task is. What each path asks for is beside the rest.
pub struct TaskCredentials {
    ids: Mutex<Ids>,
    /// What follows from these.
    pub rights: Rights,
}

impl TaskCredentials {
    fn new(ids: Ids, groups: Vec<u32>) -> TaskCredentials {
        let rights = Rights::default();
        *rights.groups.lock() = groups;
        let credentials = TaskCredentials { ids: Mutex::new(ids), rights };
        credentials.tell(&credentials.get());
        credentials
    }

    /// Those that the first program begins with.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn first(user: &User) -> Result<TaskCredentials, Errno> {
        let mut ids = Ids { groups: Identity::of(user.group), ..Ids::ROOT };
        ids.change_user(|_, _| Ok(Identity::of(user.user)))?;
        let count = (user.group_count as usize).min(MAX_GROUPS);
        let mut groups = try_collect([user.group].into_iter())?;
        try_extend(&mut groups, &user.groups[..count])?;
        Ok(TaskCredentials::new(ids, groups))
    }

    /// The same for another task.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn try_clone(&self) -> Result<TaskCredentials, Errno> {
        let mut groups = Vec::new();
        try_extend(&mut groups, &self.rights.groups.lock())?;
        Ok(TaskCredentials::new(self.get(), groups))
    }

    /// Its numbers and capabilities.
    pub fn get(&self) -> Ids {
        *self.ids.lock()
    }

    /// Changes them; an error leaves all as it was.
    ///
    /// # Errors
    /// Those of `change`.
    pub fn change(&self, change: impl FnOnce(&mut Ids) -> Result<(), Errno>) -> Result<(), Errno> {
        let mut ids = self.ids.lock();
        let mut new = *ids;
        change(&mut new)?;
        *ids = new;
        self.tell(&new);
        Ok(())
    }

    /// Whether it has a capability.
    pub fn can(&self, capability: u32) -> bool {
        self.for_files().can(capability)
    }

    /// Its rights on files.
    #[inline]
    pub fn for_files(&self) -> Credentials<'_> {
        Credentials(&self.rights)
    }

    fn tell(&self, ids: &Ids) {
        self.rights.set(ids.users.files, ids.groups.files, ids.effective);
        if !ids.effective.has(CAP_FSETID) {
            write_rules::begin();
        }
    }

    /// As long as the result lives, its rights on files are its real user's: access(2).
    #[must_use]
    pub fn as_real(&self) -> AsReal<'_> {
        let mut ids = self.get();
        ids.users.files = ids.users.real;
        ids.groups.files = ids.groups.real;
        let is_root = ids.users.real == ROOT;
        ids.effective = if is_root { ids.permitted } else { Capabilities::NONE };
        self.tell(&ids);
        AsReal(self)
    }

    /// It begins another program.
    pub fn begin_program(&self) {
        let mut ids = self.ids.lock();
        ids.begin_program();
        self.tell(&ids);
    }
}

/// A task that acts as its real user.
pub struct AsReal<'a>(&'a TaskCredentials);

impl Drop for AsReal<'_> {
    fn drop(&mut self) {
        self.0.tell(&self.0.get());
    }
}

#[cfg(test)]
mod tests;

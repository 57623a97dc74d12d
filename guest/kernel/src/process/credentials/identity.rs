//! A user or a group that a task is, in four roles, and how they change: setuid(2),
//! setreuid(2), setresuid(2), setfsuid(2), which are the same for groups.

use trapgate_uapi::Errno;

/// User or group numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who has started it.
    pub real: u32,
    /// Whose rights it has.
    pub effective: u32,
    /// Whose rights it may take again.
    pub saved: u32,
    /// Whose rights it has on files.
    pub files: u32,
}

impl Identity {
    /// One in all roles.
    pub const fn of(id: u32) -> Identity {
        Identity { real: id, effective: id, saved: id, files: id }
    }

    /// Whether it is this one in one of the first three roles.
    pub const fn is(self, id: u32) -> bool {
        self.real == id || self.effective == id || self.saved == id
    }

    const fn with_effective(self, id: u32) -> Identity {
        Identity { effective: id, files: id, ..self }
    }

    /// setuid(2). `anybody`: it may become anybody.
    ///
    /// # Errors
    /// EPERM.
    pub const fn set(self, id: u32, anybody: bool) -> Result<Identity, Errno> {
        match anybody {
            true => Ok(Identity::of(id)),
            false if id == self.real || id == self.saved => Ok(self.with_effective(id)),
            false => Err(Errno::EPERM),
        }
    }

    /// setreuid(2): `None` stays as it is.
    ///
    /// # Errors
    /// EPERM.
    pub fn set_two(
        self,
        real: Option<u32>,
        effective: Option<u32>,
        anybody: bool,
    ) -> Result<Identity, Errno> {
        let may_be_real = |id| anybody || id == self.real || id == self.effective;
        let may_be_effective = |id| anybody || self.is(id);
        if !real.is_none_or(may_be_real) || !effective.is_none_or(may_be_effective) {
            return Err(Errno::EPERM);
        }
        let mut new = self.with_effective(effective.unwrap_or(self.effective));
        new.real = real.unwrap_or(self.real);
        if real.is_some() || effective.is_some_and(|id| id != self.real) {
            new.saved = new.effective;
        }
        Ok(new)
    }

    /// setresuid(2): real, effective, saved.
    ///
    /// # Errors
    /// EPERM.
    pub fn set_three(self, ids: [Option<u32>; 3], anybody: bool) -> Result<Identity, Errno> {
        if !anybody && !ids.iter().flatten().all(|&id| self.is(id)) {
            return Err(Errno::EPERM);
        }
        let [real, effective, saved] = ids;
        Ok(Identity {
            real: real.unwrap_or(self.real),
            saved: saved.unwrap_or(self.saved),
            ..self.with_effective(effective.unwrap_or(self.effective))
        })
    }

    /// setfsuid(2), which is silent.
    pub const fn with_files(self, id: u32, anybody: bool) -> Identity {
        let files = if anybody || self.is(id) { id } else { self.files };
        Identity { files, ..self }
    }

    /// As execve(2) leaves it.
    pub const fn saved_as_effective(self) -> Identity {
        Identity { saved: self.effective, files: self.effective, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIXED: Identity = Identity { real: 1, effective: 2, saved: 3, files: 4 };

    fn roles(identity: Result<Identity, Errno>) -> Result<[u32; 4], Errno> {
        identity.map(|new| [new.real, new.effective, new.saved, new.files])
    }

    #[test]
    fn setuid_changes_all_roles_of_the_privileged_and_one_of_others() {
        assert_eq!(roles(MIXED.set(9, true)), Ok([9; 4]));
        assert_eq!(roles(MIXED.set(1, false)), Ok([1, 1, 3, 1]));
        assert_eq!(roles(MIXED.set(3, false)), Ok([1, 3, 3, 3]));
        assert_eq!(roles(MIXED.set(2, false)), Err(Errno::EPERM));
    }

    #[test]
    fn setreuid_saves_unless_the_effective_one_was_the_real_one() {
        assert_eq!(roles(MIXED.set_two(None, Some(1), false)), Ok([1, 1, 3, 1]));
        assert_eq!(roles(MIXED.set_two(None, Some(3), false)), Ok([1, 3, 3, 3]));
        assert_eq!(roles(MIXED.set_two(None, Some(2), false)), Ok([1, 2, 2, 2]));
        assert_eq!(roles(MIXED.set_two(Some(2), None, false)), Ok([2, 2, 2, 2]));
        assert_eq!(roles(MIXED.set_two(Some(2), Some(1), false)), Ok([2, 1, 1, 1]));
        assert_eq!(roles(MIXED.set_two(Some(3), None, false)), Err(Errno::EPERM));
        assert_eq!(roles(MIXED.set_two(Some(8), Some(9), true)), Ok([8, 9, 9, 9]));
        assert_eq!(roles(MIXED.set_two(None, None, false)), Ok([1, 2, 3, 2]));
    }

    #[test]
    fn setresuid_takes_any_of_the_three() {
        let three = |ids| roles(MIXED.set_three(ids, false));
        assert_eq!(three([Some(3), Some(1), Some(2)]), Ok([3, 1, 2, 1]));
        assert_eq!(three([None, None, Some(1)]), Ok([1, 2, 1, 2]));
        assert_eq!(three([None, None, Some(4)]), Err(Errno::EPERM));
        assert_eq!(roles(MIXED.set_three([Some(7); 3], true)), Ok([7; 4]));
    }

    #[test]
    fn setfsuid_refuses_in_silence() {
        assert_eq!(MIXED.with_files(3, false).files, 3);
        assert_eq!(MIXED.with_files(9, false).files, 4);
        assert_eq!(MIXED.with_files(9, true).files, 9);
    }
}

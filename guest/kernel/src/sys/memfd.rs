//! Files in memory without a place in the tree: memfd_create(2), and their seals, which
//! fcntl(2) adds and tells.

use crate::fs::file::{OpenFile, writable};
use crate::fs::table::Descriptor;
use crate::fs::unnamed;
use crate::memory::Text;
use crate::process::task::current;
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::path::view;
use crate::sys::space::content;
use crate::user::{UserPtr, UserString, read_string};
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::{
    F_SEAL_EXEC, F_SEAL_FUTURE_WRITE, F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_WRITE,
};
use trapgate_uapi::memfd::{
    MFD_ALLOW_SEALING, MFD_CLOEXEC, MFD_EXEC, MFD_HUGETLB, MFD_NOEXEC_SEAL,
};
use trapgate_uapi::stat::{S_IRWXUGO, S_IXGRP, S_IXOTH, S_IXUSR};

/// The longest name that a program gives.
const NAME_MAX: usize = 249;
/// Bits by which somebody may execute a file.
const EXECUTABLE: u32 = S_IXUSR | S_IXGRP | S_IXOTH;
/// Seals against everything that changes what is in a file.
const SEALS_OF_CONTENT: u32 = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;

syscall_define! {
    /// memfd_create(2)
    fn memfd_create(name: UserPtr<u8>, flags: u32) {
        let known = MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC;
        let both = MFD_NOEXEC_SEAL | MFD_EXEC;
        if flags & MFD_HUGETLB != 0 {
            // There are no large pages.
            return Err(Errno::ENOSYS);
        }
        if flags & !known != 0 || flags & both == both {
            return Err(Errno::EINVAL);
        }
        let UserString { bytes, terminated } = read_string(name, NAME_MAX + 1)?;
        if !terminated {
            return Err(Errno::EINVAL);
        }
        let mut shown = Text::default();
        shown.add(b"memfd:")?;
        shown.add(&bytes)?;
        let (permissions, seals) = match flags {
            _ if flags & MFD_NOEXEC_SEAL != 0 => (S_IRWXUGO & !EXECUTABLE, F_SEAL_EXEC),
            _ if flags & MFD_ALLOW_SEALING != 0 => (S_IRWXUGO, 0),
            _ => (S_IRWXUGO, F_SEAL_SEAL),
        };
        let process = &current().process;
        let who = view().who;
        let file = unnamed::memory(&process.unnamed, who, shown.bytes(), permissions, seals)?;
        let descriptor = Descriptor { file, close_on_exec: flags & MFD_CLOEXEC != 0 };
        let limit = process.limits.descriptors();
        process.files.lock().insert(0, limit, descriptor).map(u64::from)
    }
}

/// fcntl(2) `F_GET_SEALS`
pub(super) fn seals(file: &OpenFile) -> SysResult {
    content(file).map(|object| object.seals().into()).ok_or(Errno::EINVAL)
}

/// fcntl(2) `F_ADD_SEALS`
pub(super) fn add_seals(file: &OpenFile, seals: u32) -> SysResult {
    if !writable(file.flags()) {
        return Err(Errno::EPERM);
    }
    if seals & !(F_SEAL_SEAL | F_SEAL_EXEC | SEALS_OF_CONTENT) != 0 {
        return Err(Errno::EINVAL);
    }
    let object = content(file).ok_or(Errno::EINVAL)?;
    let there = object.seals();
    if there & F_SEAL_SEAL != 0 {
        return Err(Errno::EPERM);
    }
    let is_new = seals & F_SEAL_WRITE != 0 && there & F_SEAL_WRITE == 0;
    if is_new && current().process.memory.lock().may_write(object) {
        return Err(Errno::EBUSY);
    }
    // What can be run stays as it is.
    let permissions = file.as_inode().map_or(0, |file| file.dentry.inode.meta().permissions);
    let runs = seals & F_SEAL_EXEC != 0 && permissions & EXECUTABLE != 0;
    object.set_seals(there | seals | if runs { SEALS_OF_CONTENT } else { 0 });
    Ok(0)
}

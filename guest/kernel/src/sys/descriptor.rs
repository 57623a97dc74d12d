//! Descriptors: close(2), dup(2), fcntl(2).

use crate::fs::file::OpenFile;
use crate::fs::table::Descriptor;
use crate::process::task::current;
use crate::sys::define::{SysResult, syscall_define};
use alloc::sync::Arc;
use trapgate_abi::file::TRANSFER_FLAGS;
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::{
    F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_GETFL, F_SETFD, F_SETFL, FD_CLOEXEC, O_CLOEXEC,
};

/// The file behind a descriptor of the running task.
pub(super) fn file(fd: u32) -> Result<Arc<OpenFile>, Errno> {
    current().process.files.lock().file(fd)
}
syscall_define! {
    /// close(2)
    fn close(fd: u32) { current().process.files.lock().close(fd).map(|()| 0) }
}
syscall_define! {
    /// dup(2)
    fn dup(fd: u32) { duplicate(fd, 0, false) }
}
syscall_define! {
    /// dup2(2)
    fn dup2(old: u32, new: u32) {
        if old == new {
            return file(old).map(|_| new.into());
        }
        duplicate_to(old, new, false)
    }
}
syscall_define! {
    /// dup3(2)
    fn dup3(old: u32, new: u32, flags: u32) {
        if flags & !O_CLOEXEC != 0 || old == new {
            return Err(Errno::EINVAL);
        }
        duplicate_to(old, new, flags & O_CLOEXEC != 0)
    }
}

fn duplicate(fd: u32, least: u32, close_on_exec: bool) -> SysResult {
    let mut files = current().process.files.lock();
    let file = files.file(fd)?;
    files
        .insert(least, current().process.limits.descriptors(), Descriptor { file, close_on_exec })
        .map(u64::from)
}

fn duplicate_to(old: u32, new: u32, close_on_exec: bool) -> SysResult {
    let mut files = current().process.files.lock();
    let file = files.file(old)?;
    files
        .replace(new, current().process.limits.descriptors(), Descriptor { file, close_on_exec })
        .map(|()| new.into())
}

/// fcntl(2) for either width: no command here has a structure of two forms.
pub(super) fn control(fd: u32, command: u32, argument: u64) -> SysResult {
    let file = file(fd)?;
    match command {
        F_DUPFD | F_DUPFD_CLOEXEC => duplicate(fd, argument as u32, command == F_DUPFD_CLOEXEC),
        F_GETFD => {
            let mut files = current().process.files.lock();
            Ok(files.descriptor(fd)?.close_on_exec.into())
        }
        F_SETFD => {
            let mut files = current().process.files.lock();
            files.descriptor(fd)?.close_on_exec = argument as u32 & FD_CLOEXEC != 0;
            Ok(0)
        }
        F_GETFL => Ok(file.flags().into()),
        F_SETFL => {
            file.set_flags(TRANSFER_FLAGS, argument as u32);
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}
syscall_define! {
    /// fcntl(2)
    fn fcntl(fd: u32, command: u32, argument: u64) { control(fd, command, argument) }
}

//! fcntl(2).

use crate::fs::file::OpenFile;
use crate::process::task::current;
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::descriptor::{duplicate, opened};
use crate::sys::lock::{control_lock, is_about_locks};
use crate::sys::memfd::{add_seals, seals};
use crate::sys::path::view;
use crate::sys::{owner, pipe};
use crate::user::UserPtr;
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::{
    F_ADD_SEALS, F_DUPFD, F_DUPFD_CLOEXEC, F_GET_SEALS, F_GETFD, F_GETFL, F_GETLEASE, F_GETOWN,
    F_GETOWN_EX, F_GETPIPE_SZ, F_GETSIG, F_SETFD, F_SETFL, F_SETOWN, F_SETOWN_EX, F_SETPIPE_SZ,
    F_SETSIG, F_UNLCK, FD_CLOEXEC, Flock, O_NOATIME,
};

/// fcntl(2) for either width; `others`: what is left, whose structures have two forms.
#[inline]
pub(super) fn control(
    fd: u32,
    command: u32,
    argument: u64,
    others: impl FnOnce() -> SysResult,
) -> SysResult {
    let files = &current().process.files;
    match command {
        F_GETFL => Ok(files.lock().descriptor(fd)?.file.flags().into()),
        F_GETFD => Ok(files.lock().descriptor(fd)?.close_on_exec.into()),
        F_SETFD => {
            files.lock().descriptor(fd)?.close_on_exec = argument as u32 & FD_CLOEXEC != 0;
            Ok(0)
        }
        F_DUPFD | F_DUPFD_CLOEXEC => duplicate(fd, argument as u32, command == F_DUPFD_CLOEXEC),
        F_SETFL => {
            let file = opened(fd)?;
            check_flags(&file, argument as u32)?;
            file.set_flags(file.settable_flags(), argument as u32);
            Ok(0)
        }
        _ => others(),
    }
}
syscall_define! {
    /// fcntl(2)
    fn fcntl(fd: u32, command: u32, argument: u64) {
        control(fd, command, argument, || control_locks(fd, command, argument))
    }
}

/// fcntl(2) for either width: commands that are rare, and about no lock.
#[inline(never)]
pub(super) fn control_rarely(fd: u32, command: u32, argument: u64) -> SysResult {
    let file = opened(fd)?;
    match command {
        F_GETOWN | F_SETOWN | F_GETOWN_EX | F_SETOWN_EX | F_GETSIG | F_SETSIG => {
            owner::control(&file, command, argument)
        }
        F_GETLEASE => Ok(F_UNLCK as u64),
        F_GET_SEALS => seals(&file),
        F_ADD_SEALS => add_seals(&file, argument as u32),
        F_GETPIPE_SZ => pipe::size(&file),
        F_SETPIPE_SZ => pipe::set_size(&file, argument),
        _ => Err(Errno::EINVAL),
    }
}

/// Whether `F_SETFL` may set these: not being noted as a reader is for who owns a file.
fn check_flags(file: &OpenFile, flags: u32) -> Result<(), Errno> {
    let inode = file.as_inode().map(|file| &file.dentry.inode);
    match inode.filter(|_| flags & O_NOATIME & !file.flags() != 0) {
        Some(inode) if !view().who.owns(inode) => Err(Errno::EPERM),
        _ => Ok(()),
    }
}

#[inline(never)]
fn control_locks(fd: u32, command: u32, argument: u64) -> SysResult {
    if !is_about_locks(command) {
        return control_rarely(fd, command, argument);
    }
    let lock = UserPtr::<Flock>::new(argument);
    match control_lock(fd, command, || lock.read())? {
        Some(found) => lock.write(found).map(|()| 0),
        None => Ok(0),
    }
}

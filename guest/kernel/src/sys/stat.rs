//! The status of a file: stat(2), fstat(2), fstatat(2), statx(2).

use crate::fs::file::Kind;
use crate::fs::standard::Standard;
use crate::fs::status;
use crate::fs::walk::Last;
use crate::host::Call;
use crate::process::task::current;
use crate::sys::define::syscall_define;
use crate::sys::descriptor::file;
use crate::sys::path::{Target, target};
use crate::user::UserPtr;
use trapgate_abi::file::FileStatus;
use trapgate_abi::hypercall::Request;
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::{
    AT_EMPTY_PATH, AT_FDCWD, AT_NO_AUTOMOUNT, AT_STATX_SYNC_TYPE, AT_SYMLINK_NOFOLLOW,
};
use trapgate_uapi::stat::{S_IFREG, Stat};
use trapgate_uapi::statx::{STATX__RESERVED, Statx};
use trapgate_uapi::time::Timespec;

/// The host's answer, as x86-64 has it.
fn stat(status: &FileStatus) -> Stat {
    Stat {
        st_dev: status.dev,
        st_ino: status.ino,
        st_nlink: status.nlink,
        st_mode: status.mode as u32,
        st_uid: status.uid as u32,
        st_gid: status.gid as u32,
        __pad0: 0,
        st_rdev: status.rdev,
        st_size: status.size as i64,
        st_blksize: status.blksize as i64,
        st_blocks: status.blocks as i64,
        st_atime: status.atime,
        st_atime_nsec: status.atime_nsec,
        st_mtime: status.mtime,
        st_mtime_nsec: status.mtime_nsec,
        st_ctime: status.ctime,
        st_ctime_nsec: status.ctime_nsec,
        __unused: [0; 3],
    }
}

/// What fstat(2) tells of a standard file.
fn of_standard(file: &Standard) -> Result<Stat, Errno> {
    if file.is(S_IFREG) {
        let mut call = Call::new(Request::Status { file: file.host });
        call.submit()?;
        return Ok(stat(&FileStatus::from_words(&call.data())));
    }
    Ok(stat(file.status()))
}

/// What fstat(2) tells of a file, whichever structure it goes into.
pub(super) fn status(fd: u32) -> Result<Stat, Errno> {
    let mut files = current().process.files.lock();
    match &files.descriptor(fd)?.file.kind {
        // The host may have to be asked, which nobody is with the table locked.
        Kind::Standard(standard) if standard.is(S_IFREG) => {}
        Kind::Standard(standard) => return Ok(stat(standard.status())),
        Kind::Inode(file) => return Ok(status::status(&file.dentry).0),
    }
    drop(files);
    match &file(fd)?.kind {
        Kind::Standard(standard) => of_standard(standard),
        Kind::Inode(file) => Ok(status::status(&file.dentry).0),
    }
}

/// What fstatat(2) tells, and when the file was made, where that is known.
fn status_and_birth(
    directory: i32,
    path: UserPtr<u8>,
    flags: u32,
) -> Result<(Stat, Option<Timespec>), Errno> {
    let last = if flags & AT_SYMLINK_NOFOLLOW != 0 { Last::Keep } else { Last::Follow };
    Ok(match target(directory, path, last, flags & AT_EMPTY_PATH != 0)? {
        Target::Named(dentry) => {
            let (stat, born) = status::status(&dentry);
            (stat, Some(born))
        }
        Target::Open(file) => match &file.kind {
            Kind::Standard(standard) => (of_standard(standard)?, None),
            Kind::Inode(file) => {
                let (stat, born) = status::status(&file.dentry);
                (stat, Some(born))
            }
        },
    })
}

/// What fstatat(2) tells.
pub(super) fn status_at(directory: i32, path: UserPtr<u8>, flags: u32) -> Result<Stat, Errno> {
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE) != 0 {
        return Err(Errno::EINVAL);
    }
    Ok(status_and_birth(directory, path, flags)?.0)
}

/// What stat(2) and, with `AT_SYMLINK_NOFOLLOW`, lstat(2) tell.
pub(super) fn status_of(path: UserPtr<u8>, flags: u32) -> Result<Stat, Errno> {
    Ok(status_and_birth(AT_FDCWD, path, flags)?.0)
}

syscall_define! {
    /// fstat(2)
    fn newfstat(fd: u32, buffer: UserPtr<Stat>) {
        buffer.write(status(fd)?).map(|()| 0)
    }
}
syscall_define! {
    /// fstatat(2)
    fn newfstatat(directory: i32, path: UserPtr<u8>, buffer: UserPtr<Stat>, flags: u32) {
        buffer.write(status_at(directory, path, flags)?).map(|()| 0)
    }
}
syscall_define! {
    /// stat(2)
    fn newstat(path: UserPtr<u8>, buffer: UserPtr<Stat>) {
        buffer.write(status_of(path, 0)?).map(|()| 0)
    }
}
syscall_define! {
    /// lstat(2)
    fn newlstat(path: UserPtr<u8>, buffer: UserPtr<Stat>) {
        buffer.write(status_of(path, AT_SYMLINK_NOFOLLOW)?).map(|()| 0)
    }
}
syscall_define! {
    /// statx(2): of the basic fields and the time of birth; what the mask asks for
    /// besides is not answered, as its reply says.
    fn statx(
        directory: i32,
        path: UserPtr<u8>,
        flags: u32,
        mask: u32,
        buffer: UserPtr<Statx>,
    ) {
        let known = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE;
        if mask & STATX__RESERVED != 0
            || flags & !known != 0
            || flags & AT_STATX_SYNC_TYPE == AT_STATX_SYNC_TYPE
        {
            return Err(Errno::EINVAL);
        }
        let (stat, born) = status_and_birth(directory, path, flags)?;
        let statx = Statx::from(&stat);
        buffer.write(born.map_or(statx, |born| statx.born(born))).map(|()| 0)
    }
}

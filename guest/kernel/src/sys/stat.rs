//! The status of a file: stat(2), fstat(2), fstatat(2), statx(2).

use crate::fs::dentry::Dentry;
use crate::fs::file::{Kind, OpenFile};
use crate::fs::standard::Standard;
use crate::fs::status;
use crate::fs::walk::Last;
use crate::host::Call;
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::descriptor::file;
use crate::sys::path::{Target, no_path, target};
use crate::user::UserPtr;
use trapgate_abi::file::FileStatus;
use trapgate_abi::hypercall::Request;
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::{
    AT_EMPTY_PATH, AT_FDCWD, AT_NO_AUTOMOUNT, AT_STATX_SYNC_TYPE, AT_SYMLINK_NOFOLLOW,
};
use trapgate_uapi::stat::{S_IFREG, Stat};
use trapgate_uapi::statx::{STATX__RESERVED, STATX_BTIME, Statx};

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

/// What the host says of a regular file of its own: it may have changed.
#[cold]
fn ask(file: &Standard) -> Result<Stat, Errno> {
    let mut call = Call::new(Request::Status { file: file.host });
    call.submit()?;
    Ok(stat(&FileStatus::from_words(&call.data())))
}

/// What fstat(2) tells of a standard file.
fn of_standard(file: &Standard) -> Result<Stat, Errno> {
    if file.is(S_IFREG) { ask(file) } else { Ok(stat(file.status())) }
}

/// Hands on what fstat(2) tells: into whichever structure it goes, it is made but once.
#[inline(always)]
pub(super) fn tell_open(fd: u32, tell: impl FnOnce(Stat) -> Result<(), Errno>) -> SysResult {
    tell_file(&*file(fd)?, tell)
}

#[inline(always)]
fn tell_file(file: &OpenFile, tell: impl FnOnce(Stat) -> Result<(), Errno>) -> SysResult {
    match &file.kind {
        Kind::Inode(file) => tell(status::status(&file.dentry)),
        Kind::Standard(standard) if standard.is(S_IFREG) => tell(ask(standard)?),
        Kind::Standard(standard) => tell(stat(standard.status())),
    }
    .map(|()| 0)
}

/// Hands on what fstatat(2) tells.
#[inline(always)]
pub(super) fn tell_at(
    directory: i32,
    path: UserPtr<u8>,
    flags: u32,
    tell: impl FnOnce(Stat) -> Result<(), Errno>,
) -> SysResult {
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE) != 0 {
        return Err(Errno::EINVAL);
    }
    match target_or_no_path(directory, path, flags)? {
        Target::Named(dentry) => tell(status::status(&dentry)).map(|()| 0),
        Target::Open(file) => tell_file(&file, tell),
    }
}

/// What stat(2) and, with `AT_SYMLINK_NOFOLLOW`, lstat(2) tell.
#[inline(always)]
pub(super) fn tell_of(
    path: UserPtr<u8>,
    flags: u32,
    tell: impl FnOnce(Stat) -> Result<(), Errno>,
) -> SysResult {
    tell_at(AT_FDCWD, path, flags, tell)
}

/// The file that is meant; with `AT_EMPTY_PATH`, no path is as good as an empty one.
#[inline(always)]
fn target_or_no_path(directory: i32, path: UserPtr<u8>, flags: u32) -> Result<Target, Errno> {
    let may_be_empty = flags & AT_EMPTY_PATH != 0;
    match may_be_empty && path.is_null() {
        true => no_path(directory),
        false => target(directory, path, last(flags), may_be_empty),
    }
}

fn last(flags: u32) -> Last {
    if flags & AT_SYMLINK_NOFOLLOW != 0 { Last::Keep } else { Last::Follow }
}

syscall_define! {
    /// fstat(2)
    fn newfstat(fd: u32, buffer: UserPtr<Stat>) {
        tell_open(fd, |stat| buffer.write(stat))
    }
}
syscall_define! {
    /// fstatat(2)
    fn newfstatat(directory: i32, path: UserPtr<u8>, buffer: UserPtr<Stat>, flags: u32) {
        tell_at(directory, path, flags, |stat| buffer.write(stat))
    }
}
syscall_define! {
    /// stat(2)
    fn newstat(path: UserPtr<u8>, buffer: UserPtr<Stat>) {
        tell_of(path, 0, |stat| buffer.write(stat))
    }
}
syscall_define! {
    /// lstat(2)
    fn newlstat(path: UserPtr<u8>, buffer: UserPtr<Stat>) {
        tell_of(path, AT_SYMLINK_NOFOLLOW, |stat| buffer.write(stat))
    }
}
/// What statx(2) tells of a file of a file system, to who asks for this.
fn of_inode(dentry: &Dentry, mask: u32) -> Statx {
    let statx = Statx::from(&status::status(dentry));
    if mask & STATX_BTIME != 0 { statx.born(status::born(dentry)) } else { statx }
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
        let target = target_or_no_path(directory, path, flags)?;
        let statx = match &target {
            Target::Named(dentry) => of_inode(dentry, mask),
            Target::Open(file) => match &file.kind {
                Kind::Inode(file) => of_inode(&file.dentry, mask),
                Kind::Standard(standard) => Statx::from(&of_standard(standard)?),
            },
        };
        buffer.write(statx).map(|()| 0)
    }
}

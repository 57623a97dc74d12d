//! What of a file can be set: chmod(2), chown(2), utimensat(2) and their kin.

use crate::fs::attributes::{NewTime, set_owner, set_permissions, set_times};
use crate::fs::dentry::Dentry;
use crate::fs::file::{Kind, OpenFile};
use crate::fs::walk::Last;
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::descriptor::opened;
use crate::sys::path::{Target, named, target, view};
use crate::user::UserPtr;
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW};
use trapgate_uapi::stat::{UTIME_NOW, UTIME_OMIT};
use trapgate_uapi::time::{NSEC_PER_SEC, NSEC_PER_USEC, Timespec, Timeval};
use zerocopy::FromBytes;

/// Does it with the name of what was found; a standard file's is the host's.
fn of_target(found: &Target, change: impl FnOnce(&Dentry) -> Result<(), Errno>) -> SysResult {
    match found {
        Target::Named(dentry) => change(dentry).map(|()| 0),
        Target::Open(file) => of_file(file, change),
    }
}

fn of_file(file: &OpenFile, change: impl FnOnce(&Dentry) -> Result<(), Errno>) -> SysResult {
    match &file.kind {
        Kind::Inode(file) => change(&file.dentry).map(|()| 0),
        Kind::Standard(_) => Err(Errno::EPERM),
    }
}

const fn last(flags: u32) -> Last {
    if flags & AT_SYMLINK_NOFOLLOW != 0 { Last::Keep } else { Last::Follow }
}

fn chmod_at(directory: i32, path: UserPtr<u8>, mode: u32, flags: u32) -> SysResult {
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let found = target(directory, path, last(flags), flags & AT_EMPTY_PATH != 0)?;
    of_target(&found, |file| set_permissions(view().who, file, mode))
}
syscall_define! {
    /// chmod(2)
    fn chmod(path: UserPtr<u8>, mode: u32) { chmod_at(AT_FDCWD, path, mode, 0) }
}
syscall_define! {
    /// fchmod(2)
    fn fchmod(fd: u32, mode: u32) {
        of_file(&*opened(fd)?, |file| set_permissions(view().who, file, mode))
    }
}
syscall_define! {
    /// fchmodat(2), which has no flags.
    fn fchmodat(directory: i32, path: UserPtr<u8>, mode: u32) {
        chmod_at(directory, path, mode, 0)
    }
}
syscall_define! {
    /// fchmodat2(2)
    fn fchmodat2(directory: i32, path: UserPtr<u8>, mode: u32, flags: u32) {
        chmod_at(directory, path, mode, flags)
    }
}

/// An owner: -1 stays as it is.
pub(super) const fn owner(id: u32) -> Option<u32> {
    if id == u32::MAX { None } else { Some(id) }
}

/// chown(2) by a path, for all its forms.
pub(super) fn chown_at(
    directory: i32,
    path: UserPtr<u8>,
    ids: [Option<u32>; 2],
    flags: u32,
) -> SysResult {
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let found = target(directory, path, last(flags), flags & AT_EMPTY_PATH != 0)?;
    of_target(&found, |file| set_owner(view().who, file, ids[0], ids[1]))
}

/// fchown(2) for either width of numbers.
pub(super) fn chown_file(fd: u32, ids: [Option<u32>; 2]) -> SysResult {
    of_file(&*opened(fd)?, |file| set_owner(view().who, file, ids[0], ids[1]))
}
syscall_define! {
    /// chown(2)
    fn chown(path: UserPtr<u8>, uid: u32, gid: u32) {
        chown_at(AT_FDCWD, path, [owner(uid), owner(gid)], 0)
    }
}
syscall_define! {
    /// lchown(2)
    fn lchown(path: UserPtr<u8>, uid: u32, gid: u32) {
        chown_at(AT_FDCWD, path, [owner(uid), owner(gid)], AT_SYMLINK_NOFOLLOW)
    }
}
syscall_define! {
    /// fchown(2)
    fn fchown(fd: u32, uid: u32, gid: u32) { chown_file(fd, [owner(uid), owner(gid)]) }
}
syscall_define! {
    /// fchownat(2)
    fn fchownat(directory: i32, path: UserPtr<u8>, uid: u32, gid: u32, flags: u32) {
        chown_at(directory, path, [owner(uid), owner(gid)], flags)
    }
}

/// Both times of a file; `None`: now.
pub(super) type Times = Option<[Timespec; 2]>;

/// utimensat(2) for either width: `times` reads them.
pub(super) fn change_times(
    directory: i32,
    path: UserPtr<u8>,
    times: Times,
    flags: u32,
) -> SysResult {
    if times.is_some_and(|times| times.iter().all(|time| time.tv_nsec == UTIME_OMIT)) {
        return Ok(0);
    }
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let change = |file: &Dentry| set_times(view().who, file, new_times(times)?);
    // Without a path, of the descriptor itself.
    if path.is_null() && directory != AT_FDCWD {
        if flags != 0 {
            return Err(Errno::EINVAL);
        }
        return of_file(&*opened(directory as u32)?, change);
    }
    let found = target(directory, path, last(flags), flags & AT_EMPTY_PATH != 0)?;
    of_target(&found, change)
}

fn new_times(times: Times) -> Result<[NewTime; 2], Errno> {
    let Some(times) = times else { return Ok([NewTime::Now; 2]) };
    let [accessed, modified] = times.map(|time| match time.tv_nsec {
        UTIME_NOW => Ok(NewTime::Now),
        UTIME_OMIT => Ok(NewTime::Omit),
        0..NSEC => Ok(NewTime::At(time)),
        _ => Err(Errno::EINVAL),
    });
    Ok([accessed?, modified?])
}

/// Nanoseconds in a second.
const NSEC: i64 = NSEC_PER_SEC as i64;

/// Times in microseconds, as utimes(2) has them.
pub(super) fn of_microseconds(times: [Timeval; 2]) -> Result<[Timespec; 2], Errno> {
    let [accessed, modified] = times.map(|Timeval { tv_sec, tv_usec }| match tv_usec {
        0..1_000_000 => Ok(Timespec { tv_sec, tv_nsec: tv_usec * NSEC_PER_USEC as i64 }),
        _ => Err(Errno::EINVAL),
    });
    Ok([accessed?, modified?])
}

/// utimes(2) and futimesat(2) for either width.
pub(super) fn change_times_us(
    directory: i32,
    path: UserPtr<u8>,
    times: Option<[Timeval; 2]>,
) -> SysResult {
    let times = times.map(of_microseconds).transpose()?;
    change_times(directory, path, times, 0)
}

/// utime(2) for either width: whole seconds.
pub(super) fn change_times_s(path: UserPtr<u8>, times: Option<[i64; 2]>) -> SysResult {
    let whole = |tv_sec| Timespec { tv_sec, tv_nsec: 0 };
    let dentry = named(AT_FDCWD, path, Last::Follow)?;
    let times = times.map(|times| times.map(whole));
    set_times(view().who, &dentry, new_times(times)?).map(|()| 0)
}

/// What a pointer points to, if it is not null.
pub(super) fn read_if<T: FromBytes>(from: UserPtr<T>) -> Result<Option<T>, Errno> {
    if from.is_null() { Ok(None) } else { from.read().map(Some) }
}

syscall_define! {
    /// utimensat(2)
    fn utimensat(directory: i32, path: UserPtr<u8>, times: UserPtr<[Timespec; 2]>, flags: u32) {
        change_times(directory, path, read_if(times)?, flags)
    }
}
syscall_define! {
    /// futimesat(2)
    fn futimesat(directory: i32, path: UserPtr<u8>, times: UserPtr<[Timeval; 2]>) {
        change_times_us(directory, path, read_if(times)?)
    }
}
syscall_define! {
    /// utimes(2)
    fn utimes(path: UserPtr<u8>, times: UserPtr<[Timeval; 2]>) {
        change_times_us(AT_FDCWD, path, read_if(times)?)
    }
}
syscall_define! {
    /// utime(2)
    fn utime(path: UserPtr<u8>, times: UserPtr<[i64; 2]>) {
        change_times_s(path, read_if(times)?)
    }
}

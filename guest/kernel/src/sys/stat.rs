//! The status of a file: stat(2), fstat(2), fstatat(2).

use crate::host::Call;
use crate::sys::define::syscall_define;
use crate::sys::descriptor::file;
use crate::sys::path::{no_such_file, read_path};
use crate::user::UserPtr;
use trapgate_abi::file::FileStatus;
use trapgate_abi::hypercall::Request;
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::AT_EMPTY_PATH;
use trapgate_uapi::stat::{S_IFREG, Stat};

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

/// What fstat(2) tells of a file, whichever structure it goes into.
pub(super) fn status(fd: u32) -> Result<Stat, Errno> {
    let file = file(fd)?;
    if file.is(S_IFREG) {
        let mut call = Call::new(Request::Status { file: file.host });
        call.submit()?;
        return Ok(stat(&FileStatus::from_words(&call.data())));
    }
    Ok(stat(file.status()))
}

/// What fstatat(2) tells: of an open file; no path names one.
pub(super) fn status_at(fd: u32, path: UserPtr<u8>, flags: u32) -> Result<Stat, Errno> {
    let path = read_path(path)?;
    if path.is_empty() && flags & AT_EMPTY_PATH != 0 {
        return status(fd);
    }
    Err(Errno::ENOENT)
}
syscall_define! {
    /// fstat(2)
    fn newfstat(fd: u32, buffer: UserPtr<Stat>) {
        buffer.write(status(fd)?).map(|()| 0)
    }
}
syscall_define! {
    /// fstatat(2)
    fn newfstatat(fd: u32, path: UserPtr<u8>, buffer: UserPtr<Stat>, flags: u32) {
        buffer.write(status_at(fd, path, flags)?).map(|()| 0)
    }
}
syscall_define! {
    /// stat(2)
    fn newstat(path: UserPtr<u8>) { no_such_file(path) }
}
syscall_define! {
    /// lstat(2)
    fn newlstat(path: UserPtr<u8>) { no_such_file(path) }
}

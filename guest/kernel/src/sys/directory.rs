//! The names of a directory: getdents64(2), getdents(2).

use crate::fs::inode_file::InodeFile;
use crate::fs::list::{Listed, list};
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::descriptor::file;
use crate::user::UserPtr;
use core::sync::atomic::Ordering;
use trapgate_uapi::Errno;
use trapgate_uapi::dirent::{Dirent, Form, MAX_DIRENT};

/// Names that are put together before they are copied out.
const CHUNK: usize = 4 * MAX_DIRENT;

/// getdents(2) for all its forms: answers the bytes written. Names go out in chunks, since
/// the directory is locked while it is listed.
pub(super) fn read_directory(fd: u32, to: UserPtr<u8>, size: u32, form: Form) -> SysResult {
    let file = file(fd)?;
    let directory = file.as_inode().ok_or(Errno::ENOTDIR)?;
    if directory.is_path() {
        return Err(Errno::EBADF);
    }
    let size = size as usize;
    let mut written = 0;
    loop {
        let mut chunk = [0; CHUNK];
        let room = (size - written).min(CHUNK);
        let taken = match fill(directory, &mut chunk[..room], form) {
            Ok(taken) => taken,
            Err(_) if written > 0 => break,
            Err(error) => return Err(error),
        };
        match taken {
            Taken { bytes: 0, full: true, .. } if written == 0 => return Err(Errno::EINVAL),
            Taken { bytes: 0, .. } => break,
            Taken { bytes, next, .. } => {
                let at = to.offset(written as u64);
                if at.write_slice(&chunk[..bytes]).is_err() {
                    return if written > 0 { Ok(written as u64) } else { Err(Errno::EFAULT) };
                }
                directory.position.store(next, Ordering::Relaxed);
                written += bytes;
            }
        }
    }
    directory.dentry.inode.accessed();
    Ok(written as u64)
}

/// What fits into a chunk.
struct Taken {
    bytes: usize,
    /// Where it goes on.
    next: u64,
    /// There was more.
    full: bool,
}

fn fill(directory: &InodeFile, chunk: &mut [u8], form: Form) -> Result<Taken, Errno> {
    let from = directory.position.load(Ordering::Relaxed);
    let (mut bytes, mut full, mut error) = (0, false, None);
    let next = list(&directory.dentry, from, &mut |listed: Listed| {
        let Listed { name, number, kind, next } = listed;
        let dirent = Dirent { number, next, kind, name };
        match form.write(&dirent, &mut chunk[bytes..]) {
            Ok(Some(length)) => bytes += length,
            Ok(None) => full = true,
            Err(overflow) => error = Some(overflow),
        }
        !full && error.is_none()
    })?;
    match error {
        Some(error) if bytes == 0 => Err(error),
        _ => Ok(Taken { bytes, next, full }),
    }
}

syscall_define! {
    /// getdents64(2)
    fn getdents64(fd: u32, buffer: UserPtr<u8>, size: u32) {
        read_directory(fd, buffer, size, Form::Dirent64)
    }
}
syscall_define! {
    /// getdents(2)
    fn getdents(fd: u32, buffer: UserPtr<u8>, size: u32) {
        read_directory(fd, buffer, size, Form::Dirent)
    }
}

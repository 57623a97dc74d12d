//! open(2), openat(2), openat2(2), creat(2); and whether one may: access(2).

use crate::fs::file::Kind;
use crate::fs::open::{How, open as open_path};
use crate::fs::path::PathName;
use crate::fs::table::Descriptor;
use crate::fs::walk::{Last, Start};
use crate::process::task::current;
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::path::{Target, read_path, start, target, view};
use crate::user::{StringBuffer, UserPtr};
use trapgate_arch::usercopy;
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::{
    AT_EACCESS, AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, O_CLOEXEC, O_CREAT, O_LARGEFILE,
    O_TRUNC, O_WRONLY, R_OK, W_OK, X_OK,
};
use trapgate_uapi::openat2::OpenHow;

/// openat(2) for either width; `large`: `O_LARGEFILE`, where it is implied.
pub(super) fn open_at(
    directory: i32,
    path: UserPtr<u8>,
    flags: u32,
    mode: u32,
    large: u32,
) -> SysResult {
    let how = How::of_open(flags | large, mode)?;
    let mut buffer = StringBuffer::default();
    let path = read_path(path, &mut buffer)?;
    open_with(&start(directory, path)?, path, how, flags)
}

fn open_with(start: &Start, path: PathName, how: How, flags: u32) -> SysResult {
    let process = &current().process;
    let limit = process.limits.descriptors();
    // Nothing is created that there is no descriptor for.
    let slot = process.files.lock().free_slot(0, limit)?;
    let file = open_path(start, path, how)?;
    let descriptor = Descriptor { file, close_on_exec: flags & O_CLOEXEC != 0 };
    process.files.lock().fill(slot, limit, descriptor).map(u64::from)
}

syscall_define! {
    /// open(2)
    fn open(path: UserPtr<u8>, flags: u32, mode: u32) {
        open_at(AT_FDCWD, path, flags, mode, O_LARGEFILE)
    }
}
syscall_define! {
    /// openat(2)
    fn openat(directory: i32, path: UserPtr<u8>, flags: u32, mode: u32) {
        open_at(directory, path, flags, mode, O_LARGEFILE)
    }
}
syscall_define! {
    /// creat(2)
    fn creat(path: UserPtr<u8>, mode: u32) {
        open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode, O_LARGEFILE)
    }
}

/// The longest structure that an extensible call takes: a page.
const LONGEST: u64 = 4096;

syscall_define! {
    /// openat2(2)
    fn openat2(directory: i32, path: UserPtr<u8>, how: UserPtr<OpenHow>, size: u64) {
        const SIZE: u64 = size_of::<OpenHow>() as u64;
        match size {
            ..SIZE => return Err(Errno::EINVAL),
            SIZE..=LONGEST => {}
            _ => return Err(Errno::E2BIG),
        }
        let OpenHow { flags, mode, resolve } = how.read()?;
        only_zeroes(how.offset(1).cast(), size - SIZE)?;
        let how = How::of_openat2(flags, mode, resolve)?;
        let mut buffer = StringBuffer::default();
        let path = read_path(path, &mut buffer)?;
        // In the root that it names, an absolute path begins at the descriptor, too.
        let from = if resolve == 0 || path.is_empty() { path } else { b".".as_slice().into() };
        let start = Start { resolve, ..start(directory, from)? };
        open_with(&start, path, how, flags as u32)
    }
}

/// What a program of a later header says must say nothing.
pub(super) fn only_zeroes(from: UserPtr<u8>, length: u64) -> Result<(), Errno> {
    let mut chunk = [0; 64];
    let mut done = 0;
    while done < length {
        let piece = &mut chunk[..(length - done).min(64) as usize];
        let got = usercopy::read_prefix(piece, from.offset(done).address());
        if piece[..got].iter().any(|&byte| byte != 0) {
            return Err(Errno::E2BIG);
        }
        if got < piece.len() {
            return Err(Errno::EFAULT);
        }
        done += got as u64;
    }
    Ok(())
}

/// access(2) for all its forms.
fn check_access(directory: i32, path: UserPtr<u8>, mode: u32, flags: u32) -> SysResult {
    if mode & !(R_OK | W_OK | X_OK) != 0
        || flags & !(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0
    {
        return Err(Errno::EINVAL);
    }
    let last = if flags & AT_SYMLINK_NOFOLLOW != 0 { Last::Keep } else { Last::Follow };
    let _as_real = (flags & AT_EACCESS == 0).then(|| current().credentials.as_real());
    let found = target(directory, path, last, flags & AT_EMPTY_PATH != 0)?;
    let dentry = match &found {
        Target::Named(dentry) => dentry,
        Target::Open(file) => match &file.kind {
            Kind::Inode(file) => &file.dentry,
            Kind::Standard(_) => return Ok(0),
        },
    };
    // access(2) has the bits of `st_mode`.
    view().who.may(&dentry.inode, mode)?;
    if mode & W_OK != 0 && dentry.inode.filesystem.is_read_only() {
        return Err(Errno::EROFS);
    }
    Ok(0)
}
syscall_define! {
    /// access(2)
    fn access(path: UserPtr<u8>, mode: u32) { check_access(AT_FDCWD, path, mode, 0) }
}
syscall_define! {
    /// faccessat(2), which has no flags.
    fn faccessat(directory: i32, path: UserPtr<u8>, mode: u32) {
        check_access(directory, path, mode, 0)
    }
}
syscall_define! {
    /// faccessat2(2)
    fn faccessat2(directory: i32, path: UserPtr<u8>, mode: u32, flags: u32) {
        check_access(directory, path, mode, flags)
    }
}

//! What may not be written to a file: beyond `RLIMIT_FSIZE`, what is sealed, and beyond
//! 2 GiB without `O_LARGEFILE`; and that it is no longer set-user-ID then.

use crate::fs::content::MAX_SIZE;
use crate::fs::file::OpenFile;
use crate::fs::inode::Kind;
use crate::fs::inode_file::{At, InodeFile};
use crate::fs::write_rules::{MAX_NON_LFS, any};
use crate::mm::object::Object;
use crate::process::task::current;
use core::sync::atomic::Ordering;
use trapgate_uapi::Errno;
use trapgate_uapi::capability::CAP_FSETID;
use trapgate_uapi::fcntl::O_LARGEFILE;
use trapgate_uapi::signal::SIGXFSZ;

/// How many of so many bytes may be written, with `append` at the end.
///
/// # Errors
/// EFBIG, EINVAL, EPERM.
#[inline(always)]
pub(super) fn allowed(file: &InodeFile, at: At, length: u64, append: bool) -> Result<u64, Errno> {
    if any() { limited(file, at, length, append) } else { Ok(length) }
}

#[cold]
fn limited(file: &InodeFile, at: At, length: u64, append: bool) -> Result<u64, Errno> {
    let Kind::Regular(object) = &file.dentry.inode.kind else { return Ok(length) };
    let start = match at {
        _ if append => object.size(),
        At::Position => file.position.load(Ordering::Relaxed),
        At::Offset(offset) => offset,
    };
    // That much is at no address.
    if length == 0 || length > MAX_SIZE {
        return Ok(length);
    }
    if start.checked_add(length).is_none_or(|end| end > MAX_SIZE) {
        return Err(Errno::EINVAL);
    }
    let limit = current().process.limits.file_size();
    if start >= limit {
        return too_large();
    }
    let is_large = file.flags.load(Ordering::Relaxed) & O_LARGEFILE != 0;
    let largest = if is_large { MAX_SIZE } else { MAX_NON_LFS };
    if start >= largest {
        return Err(Errno::EFBIG);
    }
    let length = length.min(limit.min(largest) - start);
    object.check_seals(Some(start + length))?;
    if !current().credentials.can(CAP_FSETID) {
        file.dentry.inode.take_set_id();
    }
    Ok(length)
}

/// The process would go beyond its limit.
fn too_large<T>() -> Result<T, Errno> {
    current().send(SIGXFSZ);
    Err(Errno::EFBIG)
}

/// Whether a file may get so long.
///
/// # Errors
/// EFBIG.
pub(super) fn check_size(object: &Object, size: u64) -> Result<(), Errno> {
    let limit = current().process.limits.file_size();
    if size > limit && size > object.size() { too_large() } else { Ok(()) }
}

/// The same of an open file of any kind.
///
/// # Errors
/// EFBIG.
pub(super) fn check_size_of(file: &OpenFile, size: u64) -> Result<(), Errno> {
    match file.as_inode().map(|file| &file.dentry.inode.kind) {
        Some(Kind::Regular(object)) => check_size(object, size),
        _ => Ok(()),
    }
}

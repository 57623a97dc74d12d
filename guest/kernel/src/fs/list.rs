//! getdents64(2): the names of a directory, one after the other.
//!
//! Cookies 1 and 2 are behind `.` and `..`; then come the names that are only in memory,
//! each with its own (`names`); then those of the lower directory, whose cookies begin
//! where the others end, each as memory has it now. So a name is listed once, although
//! it may come into memory between two calls.

use crate::fs::dentry::{Dentry, Entry};
use crate::fs::generated::Generated;
use crate::fs::inode::Inode;
use crate::fs::lower::LowerName;
use crate::fs::names::END_COOKIE;
use alloc::sync::Arc;
use trapgate_uapi::Errno;
use trapgate_uapi::dirent::DT_DIR;

/// A name of a directory.
pub struct Listed<'a> {
    /// The name.
    pub name: &'a [u8],
    /// Its inode's number.
    pub number: u64,
    /// `DT_*`
    pub kind: u8,
    /// Where it goes on after it.
    pub next: u64,
}

/// What `d_type` says of a file: the type in `st_mode`, without the permissions.
pub const fn kind_of(inode: &Inode) -> u8 {
    (inode.file_type() >> 12) as u8
}

/// Calls `take` with each name from the cookie `from` on, until it answers false. It must
/// not touch user memory: the directory is locked. Answers the cookie of what was
/// not taken.
///
/// # Errors
/// ENOTDIR, ENOENT for a directory that was removed; those of the lower one.
pub fn list(
    directory: &Arc<Dentry>,
    from: u64,
    take: &mut dyn FnMut(Listed) -> bool,
) -> Result<u64, Errno> {
    let number = directory.inode.number;
    let generated = directory.made().and_then(Generated::as_directory);
    if directory.children()?.dead && generated.is_none() {
        return Err(Errno::ENOENT);
    }
    let mut next = from;
    if next == 0 {
        if !take(Listed { name: b".", number, kind: DT_DIR, next: 1 }) {
            return Ok(next);
        }
        next = 1;
    }
    if next == 1 {
        let above = directory.parent().map_or(number, |above| above.inode.number);
        if !take(Listed { name: b"..", number: above, kind: DT_DIR, next: 2 }) {
            return Ok(next);
        }
        next = 2;
    }
    if let Some(generated) = generated {
        return generated.list(next, &mut |LowerName { name, number, kind, next }| {
            take(Listed { name, number, kind, next })
        });
    }
    if next < END_COOKIE.into() {
        next = list_memory(directory, next as u32, take)?;
    }
    if next < END_COOKIE.into() {
        return Ok(next);
    }
    list_lower(directory, next, take)
}

/// The names that are only in memory. [`END_COOKIE`], if all were taken and the lower
/// directory's come next.
fn list_memory(
    directory: &Arc<Dentry>,
    from: u32,
    take: &mut dyn FnMut(Listed) -> bool,
) -> Result<u64, Errno> {
    let mut reached = u64::from(from);
    let children = directory.children()?;
    for (cookie, entry) in children.names.from(from) {
        let Entry::Present(dentry) = entry else { continue };
        let inode = &dentry.inode;
        let taken = dentry.with_name(|name| {
            let next = u64::from(cookie) + 1;
            take(Listed { name, number: inode.number, kind: kind_of(inode), next })
        });
        if !taken {
            return Ok(cookie.into());
        }
        reached = u64::from(cookie) + 1;
    }
    Ok(if directory.below().is_some() { END_COOKIE.into() } else { reached })
}

/// The names of the lower directory, as far as they are still there.
fn list_lower(
    directory: &Arc<Dentry>,
    from: u64,
    take: &mut dyn FnMut(Listed) -> bool,
) -> Result<u64, Errno> {
    let base = u64::from(END_COOKIE);
    let mut reached = from;
    let Some(below) = directory.below() else { return Ok(reached) };
    below.directory.list(from - base, &mut |listed| {
        let LowerName { name, number, kind, next } = listed;
        let next = base + next;
        let (number, kind, is_gone) = match in_memory(directory, name) {
            Some(Some((number, kind))) => (number, kind, false),
            Some(None) => (number, kind, true),
            None => (number, kind, false),
        };
        if !is_gone && !take(Listed { name, number, kind, next }) {
            return false;
        }
        reached = next;
        true
    })?;
    Ok(reached)
}

/// What memory has for a name: a file's number and type, or that it is gone.
fn in_memory(directory: &Dentry, name: &[u8]) -> Option<Option<(u64, u8)>> {
    let children = directory.children().ok()?;
    let entry = children.get(name)?;
    Some(entry.dentry().map(|dentry| (dentry.inode.number, kind_of(&dentry.inode))))
}

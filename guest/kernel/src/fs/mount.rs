//! Other file systems in the tree: the host's directories, each at its path.

use crate::clock::Clock;
use crate::fs::dentry::Dentry;
use crate::fs::filesystem::{Changed, FileSystem, Limits, Type};
use crate::fs::inode::{Inode, Kind, Linked, Meta};
use crate::fs::lower::{LowerContent, LowerInode};
use crate::fs::over::{kind_of, meta_of};
use crate::memory::{try_arc, try_extend};
use alloc::sync::Arc;
use alloc::vec::Vec;
use trapgate_uapi::Errno;

/// What the host's are called. What `f_type` is, the host says.
const HOST: Type = Type { name: "host", magic: 0 };

/// The most links that a path leads over: Linux's `MAXSYMLINKS`.
const MAX_LINKS: u32 = 40;

/// Puts a directory or a file of another's into the tree, instead of what is at `path`;
/// directories that are missing on the way there are made. Nothing in it is changed here.
///
/// # Errors
/// ENOMEM; ENOTDIR, ELOOP for a path that cannot be; what is wrong with what is there.
pub fn add(
    root: &Arc<Dentry>,
    path: &[u8],
    lower: LowerInode,
    (device, changed): (u64, Changed),
    (clock, limits): (Clock, Limits),
) -> Result<Arc<Dentry>, Errno> {
    let (directory, name) = place(root, path)?;
    let mounted = top(b"", lower, (device, changed), (clock, limits))?;
    cover(&directory, &name, &mounted)?;
    Ok(mounted)
}

/// A file of another's that is read-only and in no directory yet: it is called by its path.
///
/// # Errors
/// ENOMEM.
pub fn file(
    path: &[u8],
    lower: LowerInode,
    device: u64,
    environment: (Clock, Limits),
) -> Result<Arc<Dentry>, Errno> {
    top(path, lower, (device, Changed::Nowhere), environment)
}

/// Puts such a file into the tree at its path; false, if something is there. Directories
/// that are missing on the way are made.
///
/// # Errors
/// ENOMEM; ENOTDIR, ELOOP for a path that cannot be; what is wrong with what is there.
pub fn add_file(root: &Arc<Dentry>, path: &[u8], file: &Arc<Dentry>) -> Result<bool, Errno> {
    let (directory, name) = place(root, path)?;
    if directory.child(&name)?.is_some() {
        return Ok(false);
    }
    cover(&directory, &name, file).map(|()| true)
}

/// What is at the top of another's file system.
fn top(
    name: &[u8],
    lower: LowerInode,
    (device, changed): (u64, Changed),
    (clock, limits): (Clock, Limits),
) -> Result<Arc<Dentry>, Errno> {
    let space = match &lower.content {
        LowerContent::Directory(lower) => Some(lower.clone()),
        _ => None,
    };
    let filesystem = FileSystem::of_another(device, HOST, clock, limits, (changed, space))?;
    let (number, meta) = (lower.number, meta_of(&lower));
    let kind = kind_of(lower, &try_arc(Linked::default())?, &filesystem)?;
    Dentry::new(name, Inode::over(&filesystem, number, kind, meta)?)
}

/// Puts the root of a file system where it covers what is there.
///
/// # Errors
/// ENOMEM; those of the lower directory.
pub fn cover(directory: &Arc<Dentry>, name: &[u8], root: &Arc<Dentry>) -> Result<(), Errno> {
    if root.is_directory() && directory.child(name)?.is_none() {
        directory.inode.built(|meta| meta.links += 1);
    }
    root.put_into(directory, name)
}

/// The directory at a path, which is made where it is not there.
///
/// # Errors
/// ENOMEM; ENOTDIR, ELOOP; what is wrong with what is there.
pub fn directory(root: &Arc<Dentry>, path: &[u8]) -> Result<Arc<Dentry>, Errno> {
    if path.iter().all(|&byte| byte == b'/') {
        return Ok(root.clone());
    }
    // Its last name may be a link: one more, which is no name, makes `place` follow it.
    let mut within = Vec::new();
    try_extend(&mut within, path)?;
    try_extend(&mut within, b"/x")?;
    place(root, &within).map(|(directory, _)| directory)
}

/// The directory that a path leads to, and its last name, which is no link. A directory
/// is made where there is none.
fn place(root: &Arc<Dentry>, path: &[u8]) -> Result<(Arc<Dentry>, Vec<u8>), Errno> {
    let (mut at, mut links) = (root.clone(), 0);
    let mut rest = Vec::new();
    try_extend(&mut rest, path)?;
    loop {
        let start = rest.iter().position(|&byte| byte != b'/').ok_or(Errno::EBUSY)?;
        let mut parts = rest[start..].splitn(2, |&byte| byte == b'/');
        let (name, behind) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let is_last = behind.iter().all(|&byte| byte == b'/');
        let next = match name {
            b"." => Some(at.clone()),
            b".." if Arc::ptr_eq(&at, root) => Some(at.clone()),
            b".." => at.parent(),
            _ => at.child(name)?,
        };
        let next = match next {
            Some(next) => match &next.inode.kind {
                Kind::Symlink(target) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Errno::ELOOP);
                    }
                    if target.first() == Some(&b'/') {
                        at = root.clone();
                    }
                    let mut path = Vec::new();
                    for part in [target, &b"/"[..], behind] {
                        try_extend(&mut path, part)?;
                    }
                    rest = path;
                    continue;
                }
                _ if is_last => None,
                Kind::Directory(_) => Some(next),
                _ => return Err(Errno::ENOTDIR),
            },
            None if is_last => None,
            None => Some(made(&at, name)?),
        };
        let mut kept = Vec::new();
        let Some(next) = next else {
            try_extend(&mut kept, name)?;
            return Ok((at, kept));
        };
        try_extend(&mut kept, behind)?;
        (at, rest) = (next, kept);
    }
}

/// A new directory.
fn made(directory: &Arc<Dentry>, name: &[u8]) -> Result<Arc<Dentry>, Errno> {
    let filesystem = &directory.inode.filesystem;
    let meta = Meta { links: 2, ..Meta::at(filesystem.start(), 0o755, 0, 0) };
    let made = Dentry::new(name, Inode::new(filesystem, Kind::Directory(None), meta)?)?;
    directory.inode.built(|meta| meta.links += 1);
    made.put_into(directory, name)?;
    Ok(made)
}

//! New files: creat(2), mkdir(2), symlink(2), mknod(2), and files without a name.

use crate::fs::access::{EXEC, WRITE};
use crate::fs::dentry::Dentry;
use crate::fs::filesystem::ASK_THE_HOST;
use crate::fs::host;
use crate::fs::inode::{Inode, Kind, Meta};
use crate::fs::names::Named;
use crate::fs::walk::View;
use crate::memory::try_arc;
use crate::mm::object::Object;
use alloc::sync::Arc;
use trapgate_uapi::Errno;
use trapgate_uapi::capability::CAP_FSETID;
use trapgate_uapi::stat::{S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK, S_ISGID, S_IXGRP};

/// The content of a new regular file in this directory.
///
/// # Errors
/// ENOMEM.
pub fn regular(directory: &Dentry) -> Result<Kind, Errno> {
    let quota = directory.inode.filesystem.frames.clone();
    Ok(Kind::Regular(try_arc(Object::file(quota))?))
}

/// Whether names may be put into a directory, or taken out.
///
/// # Errors
/// EACCES, EROFS; EPERM in a directory whose names the kernel makes; [`ASK_THE_HOST`].
pub fn may_change(view: &View, directory: &Dentry) -> Result<(), Errno> {
    if directory.made().is_some() {
        return Err(Errno::EPERM);
    }
    directory.inode.filesystem.may_change()?;
    view.who.may(&directory.inode, WRITE | EXEC)
}

/// A new file in `directory`, under a name that was not there. Permissions are what is
/// left by umask(2).
///
/// # Errors
/// EEXIST, ENOENT in a directory that was removed; EACCES, EROFS, ENOSPC, ENOMEM,
/// ENAMETOOLONG.
pub fn create(
    view: &View,
    directory: &Arc<Dentry>,
    name: Named,
    kind: Kind,
    permissions: u32,
) -> Result<Arc<Dentry>, Errno> {
    let permissions = permissions & !view.umask;
    match may_change(view, directory) {
        Ok(()) => {}
        Err(ASK_THE_HOST) => {
            return there(view, directory, &name, &kind, permissions).map(|(made, _)| made);
        }
        Err(error) => return Err(error),
    }
    let dentry = Dentry::new(&name, inode(view, directory, kind, permissions)?)?;
    put(directory, name, &dentry)?;
    Ok(dentry)
}

/// The same file in a directory of the host's: what is in it besides a link's target is
/// made there. A regular one is open for both as long as its writer is.
///
/// # Errors
/// EPERM for a device; those of [`create`], as the host has them.
#[cold]
pub fn there(
    view: &View,
    directory: &Arc<Dentry>,
    name: &[u8],
    kind: &Kind,
    permissions: u32,
) -> Result<(Arc<Dentry>, Option<host::Writer>), Errno> {
    view.who.may(&directory.inode, WRITE | EXEC)?;
    let (kind, target) = match kind {
        Kind::Regular(_) => (S_IFREG, &[][..]),
        Kind::Directory(_) => (S_IFDIR, &[][..]),
        Kind::Symlink(target) => (S_IFLNK, &target[..]),
        Kind::Fifo(_) => (S_IFIFO, &[][..]),
        Kind::Socket => (S_IFSOCK, &[][..]),
        _ => return Err(Errno::EPERM),
    };
    host::names::make(directory, name, kind | permissions, target)
}

/// The same file, before it is in the directory.
///
/// # Errors
/// As for [`create`], but for what depends on the names that are there.
pub fn prepare(
    view: &View,
    directory: &Dentry,
    name: &[u8],
    kind: Kind,
    permissions: u32,
) -> Result<Arc<Dentry>, Errno> {
    may_change(view, directory)?;
    Dentry::new(name, inode(view, directory, kind, permissions & !view.umask)?)
}

/// Puts a file that was prepared into the directory.
///
/// # Errors
/// EEXIST, ENOENT, ENOMEM, ENOSPC; nothing has changed then.
pub fn put(directory: &Arc<Dentry>, name: Named, dentry: &Arc<Dentry>) -> Result<(), Errno> {
    let _changes = directory.inode.filesystem.changes.lock();
    add(directory, name, dentry)?;
    // It was made just now.
    directory.inode.change_at(dentry.inode.with_meta(|meta| meta.born), |meta| {
        meta.modified = meta.changed;
        meta.links += u32::from(dentry.is_directory());
    });
    Ok(())
}

/// Puts a name into a directory. Changes are locked.
///
/// # Errors
/// EEXIST, ENOENT, ENOMEM, ENOSPC.
pub fn add(directory: &Arc<Dentry>, name: Named, dentry: &Arc<Dentry>) -> Result<(), Errno> {
    let mut children = directory.children()?;
    if children.dead {
        return Err(Errno::ENOENT);
    }
    match children.position(name) {
        None => {
            children.names.reserve()?;
            directory.put(&mut children, name, dentry);
        }
        Some(position) => match children.names.get(position).dentry() {
            Some(_) => return Err(Errno::EEXIST),
            None => drop(directory.put_over(&mut children, position, dentry)),
        },
    }
    Ok(())
}

/// A file that is in no directory yet, with the owner that one made in `directory` has.
///
/// # Errors
/// ENOMEM, ENOSPC.
pub fn inode(
    view: &View,
    directory: &Dentry,
    kind: Kind,
    mut permissions: u32,
) -> Result<Arc<Inode>, Errno> {
    let filesystem = &directory.inode.filesystem;
    let above = directory.inode.meta();
    let is_directory = matches!(kind, Kind::Directory(_));
    // Files of a directory with the set-group-ID bit are of its group.
    let inherits = above.permissions & S_ISGID != 0;
    let gid = if inherits { above.gid } else { view.who.gid() };
    if inherits && is_directory {
        permissions |= S_ISGID;
    } else if permissions & (S_ISGID | S_IXGRP) == S_ISGID | S_IXGRP
        && !view.who.is_in(gid)
        && !view.who.can(CAP_FSETID)
    {
        permissions &= !S_ISGID;
    }
    let mut meta = Meta::new(filesystem, permissions, view.who.uid(), gid);
    meta.links += u32::from(is_directory);
    Inode::new(filesystem, kind, meta)
}

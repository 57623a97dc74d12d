//! Names that go: unlink(2), rmdir(2).

use crate::fs::access::{Credentials, EXEC, WRITE};
use crate::fs::dentry::Dentry;
use crate::fs::filesystem::ASK_THE_HOST;
use crate::fs::host;
use crate::fs::walk::{Component, Found, View};
use alloc::sync::Arc;
use trapgate_uapi::Errno;
use trapgate_uapi::stat::S_ISVTX;
use trapgate_uapi::time::Timespec;

/// What a call takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A name of what is no directory.
    File,
    /// A directory, which is empty.
    Directory,
}

/// unlink(2), rmdir(2): of a path that was walked by [`Last::Name`].
///
/// [`Last::Name`]: crate::fs::walk::Last::Name
///
/// # Errors
/// Those of unlink(2) and rmdir(2).
pub fn remove(view: &View, found: &Found, what: What) -> Result<(), Errno> {
    let directory = &found.directory;
    let victim = match check(view, found, what) {
        Err(ASK_THE_HOST) => return remove_there(view, found, what),
        checked => checked?,
    };
    if what == What::Directory {
        // The host may have to be asked, with nothing locked; then it is known.
        victim.is_empty()?;
    }
    let whiteout = directory.whiteout(&found.name())?;
    let gone = {
        let _changes = directory.inode.filesystem.changes.lock();
        if what == What::Directory {
            if !victim.is_empty()? {
                return Err(Errno::ENOTEMPTY);
            }
            victim.children()?.dead = true;
        }
        let mut children = directory.children()?;
        let position = children.position(found.name()).filter(|&position| {
            let entry = children.names.get(position).dentry();
            entry.is_some_and(|there| Arc::ptr_eq(there, victim))
        });
        let gone = Dentry::take_out(&mut children, position.ok_or(Errno::ENOENT)?, whiteout);
        victim.removed();
        gone
    };
    // With nothing locked: what goes with it may be much.
    drop(gone);
    let now = directory.inode.filesystem.now();
    has_lost_a_name(victim, directory, now);
    directory.inode.change_at(now, |meta| {
        meta.modified = meta.changed;
        meta.links -= u32::from(what == What::Directory);
    });
    Ok(())
}

/// What is to be removed, if it may be.
#[inline(always)]
fn check<'a>(view: &View, found: &'a Found, what: What) -> Result<&'a Arc<Dentry>, Errno> {
    match (found.component, what) {
        (Component::Name, _) => {}
        (_, What::File) => return Err(Errno::EISDIR),
        (Component::Dot, _) => return Err(Errno::EINVAL),
        (Component::DotDot, _) => return Err(Errno::ENOTEMPTY),
        (Component::Root, _) => return Err(Errno::EBUSY),
    }
    found.directory.inode.filesystem.may_change()?;
    check_victim(view, found, what)
}

#[inline(always)]
fn check_victim<'a>(view: &View, found: &'a Found, what: What) -> Result<&'a Arc<Dentry>, Errno> {
    let victim = found.dentry.as_ref().ok_or(Errno::ENOENT)?;
    if what == What::File && found.slashes {
        return Err(if victim.is_directory() { Errno::EISDIR } else { Errno::ENOTDIR });
    }
    may_delete(view.who, &found.directory, victim, what)?;
    if victim.is_mount() {
        return Err(Errno::EBUSY);
    }
    Ok(victim)
}

/// The same in a directory of the host's.
#[cold]
fn remove_there(view: &View, found: &Found, what: What) -> Result<(), Errno> {
    let victim = check_victim(view, found, what)?;
    host::names::unlink(&found.directory, &found.name(), victim)
}

/// A file has one name less, in this directory, from this time on.
pub fn has_lost_a_name(victim: &Dentry, directory: &Dentry, now: Timespec) {
    let links = victim.inode.change_at(now, |meta| {
        meta.links = if victim.is_directory() { 0 } else { meta.links.saturating_sub(1) };
        meta.links
    });
    if links == 0
        && let Some(below) = directory.below()
    {
        below.linked.forget(victim.inode.number);
    }
}

/// Whether a name may be taken away (Linux: `may_delete`).
///
/// # Errors
/// EACCES; EPERM in a directory with the sticky bit; ENOTDIR, EISDIR.
pub fn may_delete(
    who: Credentials,
    directory: &Dentry,
    victim: &Dentry,
    what: What,
) -> Result<(), Errno> {
    who.may(&directory.inode, WRITE | EXEC)?;
    let sticky = directory.inode.meta().permissions & S_ISVTX != 0;
    if sticky && !who.owns(&directory.inode) && !who.owns(&victim.inode) {
        return Err(Errno::EPERM);
    }
    match (what, victim.is_directory()) {
        (What::Directory, false) => Err(Errno::ENOTDIR),
        (What::File, true) => Err(Errno::EISDIR),
        // The kernel makes these names.
        _ if directory.made().is_some() => Err(Errno::EPERM),
        _ => Ok(()),
    }
}

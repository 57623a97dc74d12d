//! Names that move: rename(2), renameat2(2).

use crate::fs::access::{EXEC, WRITE};
use crate::fs::create::may_change;
use crate::fs::dentry::{self, Children, Dentry};
use crate::fs::filesystem::ASK_THE_HOST;
use crate::fs::host;
use crate::fs::names::{Named, Position};
use crate::fs::remove::{What, has_lost_a_name, may_delete};
use crate::fs::walk::{Component, Found, View};
use alloc::sync::Arc;
use trapgate_uapi::Errno;
use trapgate_uapi::fs::{RENAME_EXCHANGE, RENAME_NOREPLACE};

/// What is there under the new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is replaced.
    Replace,
    /// Nothing, or EEXIST: `RENAME_NOREPLACE`.
    Fresh,
    /// It gets the old name: `RENAME_EXCHANGE`.
    Exchange,
}

/// renameat2(2): from a path to a path, both walked by [`Last::Name`].
///
/// [`Last::Name`]: crate::fs::walk::Last::Name
///
/// # Errors
/// Those of rename(2).
pub fn rename(view: &View, from: &Found, to: &Found, mode: Mode) -> Result<(), Errno> {
    let filesystem = &from.directory.inode.filesystem;
    if !Arc::ptr_eq(filesystem, &to.directory.inode.filesystem) {
        return Err(Errno::EXDEV);
    }
    if from.component != Component::Name {
        return Err(Errno::EBUSY);
    }
    if to.component != Component::Name {
        return Err(if mode == Mode::Fresh { Errno::EEXIST } else { Errno::EBUSY });
    }
    let is_there = match filesystem.may_change() {
        Err(ASK_THE_HOST) => true,
        may => may.map(|()| false)?,
    };
    let source = from.dentry.as_ref().ok_or(Errno::ENOENT)?;
    let target = to.dentry.as_ref();
    check_names(source, target, [from.slashes, to.slashes], mode)?;
    // No lock is held while the host is asked: what is in a directory is known then.
    if let Some(target) = target
        && target.is_directory()
        && !is_there
    {
        target.is_empty()?;
    }
    let _changes = (!is_there).then(|| filesystem.changes.lock());
    if is_above(source, &to.directory) {
        return Err(Errno::EINVAL);
    }
    if let Some(target) = target
        && is_above(target, &from.directory)
    {
        return Err(if mode == Mode::Exchange { Errno::EINVAL } else { Errno::ENOTEMPTY });
    }
    if target.is_some_and(|target| Arc::ptr_eq(&target.inode, &source.inode)) {
        return Ok(());
    }
    check_permissions(view, from, to, mode)?;
    if source.is_mount() || target.is_some_and(|target| target.is_mount()) {
        return Err(Errno::EBUSY);
    }
    if is_there {
        return rename_there(from, source, to, mode);
    }
    match (mode, target) {
        (Mode::Exchange, Some(target)) => exchange(from, source, to, target)?,
        _ => replace(from, source, to)?,
    }
    source.inode.change(|_| ());
    Ok(())
}

#[cold]
fn rename_there(from: &Found, source: &Arc<Dentry>, to: &Found, mode: Mode) -> Result<(), Errno> {
    let flags = match mode {
        Mode::Replace => 0,
        Mode::Fresh => RENAME_NOREPLACE,
        Mode::Exchange => RENAME_EXCHANGE,
    };
    let (from_name, to_name) = (from.name(), to.name());
    let names = [(&from.directory, &from_name[..]), (&to.directory, &to_name[..])];
    host::names::rename(names, source, to.dentry.as_ref(), flags)
}

fn check_names(
    source: &Dentry,
    target: Option<&Arc<Dentry>>,
    [source_slashes, target_slashes]: [bool; 2],
    mode: Mode,
) -> Result<(), Errno> {
    match (mode, target) {
        (Mode::Fresh, Some(_)) => return Err(Errno::EEXIST),
        (Mode::Exchange, None) => return Err(Errno::ENOENT),
        (Mode::Exchange, Some(target)) if target_slashes && !target.is_directory() => {
            return Err(Errno::ENOTDIR);
        }
        _ => {}
    }
    if !source.is_directory() && (source_slashes || mode != Mode::Exchange && target_slashes) {
        return Err(Errno::ENOTDIR);
    }
    Ok(())
}

fn check_permissions(view: &View, from: &Found, to: &Found, mode: Mode) -> Result<(), Errno> {
    let kind = |dentry: &Dentry| if dentry.is_directory() { What::Directory } else { What::File };
    let (Some(source), who) = (&from.dentry, view.who) else { return Err(Errno::ENOENT) };
    may_delete(who, &from.directory, source, kind(source))?;
    match &to.dentry {
        None => {
            if to.directory.children()?.dead {
                return Err(Errno::ENOENT);
            }
            match may_change(view, &to.directory) {
                Err(ASK_THE_HOST) => who.may(&to.directory.inode, WRITE | EXEC)?,
                may => may?,
            }
        }
        Some(target) => {
            let what = if mode == Mode::Exchange { kind(target) } else { kind(source) };
            may_delete(who, &to.directory, target, what)?;
        }
    }
    if !Arc::ptr_eq(&from.directory, &to.directory) {
        // The name `..` in it changes.
        let moves = [Some(source), to.dentry.as_ref().filter(|_| mode == Mode::Exchange)];
        for moved in moves.into_iter().flatten().filter(|moved| moved.is_directory()) {
            who.may(&moved.inode, WRITE)?;
        }
    }
    Ok(())
}

/// Whether a directory is another one, or above it.
fn is_above(directory: &Arc<Dentry>, other: &Arc<Dentry>) -> bool {
    let mut at = Some(other.clone());
    while let Some(here) = at {
        if Arc::ptr_eq(&here, directory) {
            return true;
        }
        at = here.parent();
    }
    false
}

/// Where this file is in its directory.
fn position(children: &Children, name: Named, dentry: &Arc<Dentry>) -> Result<Position, Errno> {
    let position = children.position(name).ok_or(Errno::ENOENT)?;
    match children.names.get(position).dentry() {
        Some(there) if Arc::ptr_eq(there, dentry) => Ok(position),
        _ => Err(Errno::ENOENT),
    }
}

/// The source gets the name, and what had it goes.
fn replace(from: &Found, source: &Arc<Dentry>, to: &Found) -> Result<(), Errno> {
    let (old, new) = (&from.directory, &to.directory);
    let target = to.dentry.as_ref();
    if let Some(target) = target
        && target.is_directory()
        && !target.is_empty()?
    {
        return Err(Errno::ENOTEMPTY);
    }
    let name = dentry::name(&to.name())?;
    let whiteout = old.whiteout(&from.name())?;
    let same = Arc::ptr_eq(old, new);
    let mut children = new.children()?;
    if children.dead {
        return Err(Errno::ENOENT);
    }
    if children.position(to.name()).is_none() {
        children.names.reserve()?;
    }
    // From here on nothing fails. The new name is there before the old one goes.
    let place = children.position(to.name());
    let (gone, taken);
    if same {
        let at = position(&children, from.name(), source)?;
        taken = Dentry::take_out(&mut children, at, whiteout);
        gone = put(new, &mut children, to.name(), place, source);
        source.moved(new, name);
        drop(children);
    } else {
        let mut from_children = old.children()?;
        let at = position(&from_children, from.name(), source)?;
        gone = put(new, &mut children, to.name(), place, source);
        taken = Dentry::take_out(&mut from_children, at, whiteout);
        source.moved(new, name);
        drop((children, from_children));
    }
    if let Some(target) = target {
        if target.is_directory() {
            target.children()?.dead = true;
        }
        target.removed();
        has_lost_a_name(target, new, new.inode.filesystem.now());
    }
    drop((gone, taken));
    let is_directory = source.is_directory();
    // Of a directory, `..` goes over; one that it replaces takes its own with it.
    let replaced = is_directory && target.is_some();
    old.inode.change(|meta| {
        meta.modified = meta.changed;
        meta.links -= u32::from(is_directory && (!same || replaced));
    });
    new.inode.change(|meta| {
        meta.modified = meta.changed;
        meta.links += u32::from(is_directory && !same && !replaced);
    });
    Ok(())
}

fn put(
    directory: &Arc<Dentry>,
    children: &mut Children,
    name: Named,
    place: Option<Position>,
    dentry: &Arc<Dentry>,
) -> Option<dentry::Entry> {
    match place {
        Some(position) => Some(directory.put_over(children, position, dentry)),
        None => {
            directory.put(children, name, dentry);
            None
        }
    }
}

/// Both get the other's name.
fn exchange(
    from: &Found,
    source: &Arc<Dentry>,
    to: &Found,
    target: &Arc<Dentry>,
) -> Result<(), Errno> {
    let (old, new) = (&from.directory, &to.directory);
    let mut old_children = old.children()?;
    let source_at = position(&old_children, from.name(), source)?;
    let kept = if Arc::ptr_eq(old, new) {
        let target_at = position(&old_children, to.name(), target)?;
        [(source_at, target), (target_at, source)]
            .map(|(at, dentry)| old_children.replace(at, dentry))
    } else {
        let mut new_children = new.children()?;
        let target_at = position(&new_children, to.name(), target)?;
        let one = old_children.replace(source_at, target);
        [one, new_children.replace(target_at, source)]
    };
    source.exchanged(target);
    drop(old_children);
    drop(kept);
    target.inode.change(|_| ());
    let moved = i64::from(target.is_directory()) - i64::from(source.is_directory());
    let links = |links: u32, more: i64| (i64::from(links) + more) as u32;
    let moved = if Arc::ptr_eq(old, new) { 0 } else { moved };
    old.inode.change(|meta| {
        meta.modified = meta.changed;
        meta.links = links(meta.links, moved);
    });
    new.inode.change(|meta| {
        meta.modified = meta.changed;
        meta.links = links(meta.links, -moved);
    });
    Ok(())
}

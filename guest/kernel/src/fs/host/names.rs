//! Names of a directory that is written on the host: they come, go and move there.
//!
//! Whoever calls has checked what a program may do; what the host lets the VMM do, it
//! says. Nothing is locked.

use super::ask;
use super::buffer::Buffer;
use super::directory::Directory;
use super::node::{Node, Writer};
use super::pages::Pages;
use super::told::told;
use crate::fs::dentry::{Dentry, Name, name as copy};
use crate::fs::inode::Kind;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use trapgate_abi::boot_info::Range;
use trapgate_abi::hypercall::files::{Access, Found};
use trapgate_arch::phys;
use trapgate_uapi::Errno;
use trapgate_uapi::fs::RENAME_EXCHANGE;
use trapgate_uapi::stat::{S_IFDIR, S_IFLNK, S_IFMT, S_IFREG};

/// References to a dentry whose file nobody has open: that of the names that are known,
/// and that of who asks.
const UNUSED: usize = 2;

/// The host's directory that one is over.
fn there(directory: &Dentry) -> Result<&Directory, Errno> {
    let below = directory.below().ok_or(Errno::ENOTDIR)?;
    let any = below.directory.as_any().ok_or(Errno::EROFS)?;
    any.downcast_ref().ok_or(Errno::EROFS)
}

/// The host's file that one is, of a directory or a regular file.
pub(super) fn node_of(dentry: &Dentry) -> Option<&Arc<Node>> {
    match &dentry.inode.kind {
        Kind::Directory(_) => there(dentry).ok().map(|directory| &directory.node),
        Kind::Regular(object) => Some(&object.pager()?.downcast_ref::<Pages>()?.node),
        _ => None,
    }
}

/// The same of any file: of others, by the name in the directory.
///
/// # Errors
/// ESTALE, if that is another's by now.
pub(super) fn find_node(dentry: &Dentry) -> Result<Arc<Node>, Errno> {
    if let Some(node) = node_of(dentry) {
        return Ok(node.clone());
    }
    let above = dentry.parent().ok_or(Errno::ESTALE)?;
    let directory = there(&above)?;
    let name: Name = dentry.with_name(copy)?;
    let (mut walked, _) =
        directory.node.ask(|handle| ask::walk(handle, &[&name], &[])).map_err(gone)?;
    let found = walked.pop().ok_or(Errno::EIO)?;
    let (node, lower) = directory.found(&directory.node, &name, &found, None)?;
    if lower.number == dentry.inode.number { Ok(node) } else { Err(Errno::ESTALE) }
}

/// Looks at a directory again, of which names have come or gone.
pub fn look_again(directory: &Dentry) {
    if let Ok(there) = there(directory)
        && there.renamed.swap(false, Ordering::Relaxed)
        && let Ok(status) = there.node.ask(ask::look)
    {
        told(&directory.inode, &status);
    }
}

fn gone(error: Errno) -> Errno {
    if error == Errno::ENOENT { Errno::ESTALE } else { error }
}

/// A name that leads into a directory which is there no longer.
fn removed(error: Errno) -> Errno {
    if error == Errno::ESTALE { Errno::ENOENT } else { error }
}

/// Makes a file of this type and with these permissions, with a link's target. A regular one
/// is open for both as long as its writer is.
///
/// # Errors
/// Those of mknod(2), as the host has them; ENOMEM.
pub fn make(
    directory: &Arc<Dentry>,
    name: &[u8],
    mode: u32,
    target: &[u8],
) -> Result<(Arc<Dentry>, Option<Writer>), Errno> {
    let lower = there(directory)?;
    let buffer = if mode & S_IFMT == S_IFLNK { Some(Buffer::new(1)?) } else { None };
    let target = buffer.as_ref().map(|buffer| {
        let start = buffer.run().start;
        phys::write(start, target);
        Range { start, end: start + target.len() as u64 }
    });
    let node = &lower.node;
    let found = node.ask(|handle| ask::make(handle, name, mode, target)).map_err(removed)?;
    lower.renamed.store(true, Ordering::Relaxed);
    let made = lower.found(node, name, &found, None).and_then(|(node, inode)| {
        let mut writer = None;
        if mode & S_IFMT == S_IFREG {
            writer = Some(Writer::of(&node));
            node.opened(found.handle, Access::Both);
        }
        Ok((directory.found_there(name, inode)?, writer))
    });
    made.inspect_err(|_| {
        // Nothing has happened, as far as that is possible.
        let is_directory = mode & S_IFMT == S_IFDIR;
        let _ = node.ask(|handle| ask::unlink(handle, name, is_directory));
    })
}

/// Makes this name one more of a file.
///
/// # Errors
/// Those of link(2), as the host has them.
pub fn link(file: &Arc<Dentry>, directory: &Arc<Dentry>, name: &[u8]) -> Result<(), Errno> {
    let (node, lower) = (find_node(file)?, there(directory)?);
    node.ask(|file| lower.node.ask(|to| ask::link(file, to, name))).map_err(removed)?;
    lower.renamed.store(true, Ordering::Relaxed);
    file.inode.built(|meta| meta.links += 1);
    Ok(())
}

/// Takes a name away.
///
/// # Errors
/// Those of unlink(2) and rmdir(2), as the host has them.
pub fn unlink(directory: &Arc<Dentry>, name: &[u8], victim: &Arc<Dentry>) -> Result<(), Errno> {
    if victim.is_directory() && victim.has_names_here()? {
        return Err(Errno::ENOTEMPTY);
    }
    keep(victim);
    let is_directory = victim.is_directory();
    let lower = there(directory)?;
    lower.node.ask(|handle| ask::unlink(handle, name, is_directory)).map_err(removed)?;
    lower.renamed.store(true, Ordering::Relaxed);
    directory.gone_there(name)?;
    has_gone(victim);
    Ok(())
}

/// Who has a file open keeps it, whatever becomes of its name.
fn keep(victim: &Arc<Dentry>) {
    let used = Arc::strong_count(victim) > UNUSED || Arc::strong_count(&victim.inode) > 1;
    if used && let (Kind::Regular(_), Some(node)) = (&victim.inode.kind, node_of(victim)) {
        node.stay();
    }
}

/// A name of a file has gone.
fn has_gone(victim: &Dentry) {
    victim.inode.built(|meta| {
        meta.links = if victim.is_directory() { 0 } else { meta.links.saturating_sub(1) };
    });
    if let Ok(mut children) = victim.children() {
        children.dead = true;
    }
}

/// Moves a name, of `source`, to where `target` is, if that is something.
///
/// # Errors
/// Those of renameat2(2), as the host has them; ENOMEM.
pub fn rename(
    [(old, old_name), (new, new_name)]: [(&Arc<Dentry>, &[u8]); 2],
    source: &Arc<Dentry>,
    target: Option<&Arc<Dentry>>,
    flags: u32,
) -> Result<(), Errno> {
    let (from, to) = (there(old)?, there(new)?);
    let exchanged = target.filter(|_| flags & RENAME_EXCHANGE != 0);
    if let (Some(target), None) = (target, exchanged) {
        if target.is_directory() && target.has_names_here()? {
            return Err(Errno::ENOTEMPTY);
        }
        keep(target);
    }
    // It cannot fail when it is done.
    let (names, placed) = ([copy(new_name)?, copy(old_name)?], copy(new_name)?);
    let found = from.node.ask(|from| {
        let names = [old_name, new_name];
        to.node.ask(|to| ask::rename([from, to], names, flags)).map_err(removed)
    })?;
    for directory in [from, to] {
        directory.renamed.store(true, Ordering::Relaxed);
    }
    let moved = [(source, to, found[0]), (target.unwrap_or(source), from, found[1])];
    for ((dentry, directory, found), name) in moved.into_iter().zip(names) {
        if let Some(found) = found {
            took_place(dentry, directory, name, &found);
        }
    }
    match exchanged {
        Some(target) => {
            Dentry::exchanged_there([(old, old_name), (new, new_name)], [source, target]);
        }
        None => {
            Dentry::moved_there([(old, old_name), (new, new_name)], source, placed);
            target.into_iter().for_each(|target| has_gone(target));
        }
    }
    Ok(())
}

/// A file has another name now.
fn took_place(dentry: &Arc<Dentry>, directory: &Directory, name: Name, found: &Found) {
    match node_of(dentry) {
        Some(node) if node.is(found) && node.may_be_in(&directory.node) => {
            node.is_now_at(&directory.node, name);
            node.found_again(found.handle);
            told(&dentry.inode, &found.status);
        }
        _ => super::release::release(found.handle),
    }
}

//! Names of a lower directory that others change: they are asked for again, once a call.
//!
//! So they are not among the names in memory, where a walk would find them: beside these,
//! each with the call that has asked for it. A file that is as it was stays the same file
//! here, with the pages that were read of it; another, or one that was changed, is a new
//! one, and whoever has the old one open keeps that.

use super::{Dentry, Name, name as copy};
use crate::fs::filesystem::Changed;
use crate::fs::inode::{Below, Inode, Kind};
use crate::fs::lower::{LowerContent, LowerInode};
use crate::fs::names::{Key, Names};
use crate::fs::over::{kind_of, meta_of};
use crate::memory::try_box;
use alloc::sync::Arc;
use trapgate_arch::percpu;
use trapgate_uapi::Errno;
use trapgate_uapi::stat::S_IFMT;

/// Files that were found, by their names.
pub(super) type Known = Names<Asked>;

/// A file that was found.
pub(super) struct Asked {
    name: Name,
    dentry: Arc<Dentry>,
    /// Which call has asked for it last.
    call: u64,
}

impl Dentry {
    /// The first of these names in this directory. What is behind it is asked for with
    /// it, and need not be for the rest of this call.
    ///
    /// # Errors
    /// Those of the lower directory.
    pub(super) fn ask_again(
        self: &Arc<Self>,
        names: &[&[u8]],
        read: bool,
        below: &Below,
    ) -> Result<Option<Arc<Dentry>>, Errno> {
        let Some(&first) = names.first() else { return Ok(None) };
        let call = percpu::calls();
        if let Some((known, asked)) = self.known(first)?
            && asked == call
        {
            return Ok(Some(known));
        }
        // What is known was read, perhaps, and is not read again before it has changed.
        let read = read && !self.knows(names)?;
        let found = below.directory.walk(names, read)?;
        if found.is_empty() {
            self.gone(first)?;
            return Ok(None);
        }
        let mut result = None;
        let mut directory = self.clone();
        for (name, lower) in names.iter().zip(found) {
            let renewed = directory.renew(name, lower, call);
            let dentry = match renewed {
                Err(error) if result.is_none() => return Err(error),
                // What is wrong with it shows when the path gets there.
                Err(_) => break,
                Ok(dentry) => dentry,
            };
            result.get_or_insert_with(|| dentry.clone());
            // A file system that is mounted there is in memory.
            if dentry.below().is_none() || dentry.is_mount() {
                break;
            }
            directory = dentry;
        }
        Ok(result)
    }

    /// Whether these names were all found before.
    fn knows(self: &Arc<Self>, names: &[&[u8]]) -> Result<bool, Errno> {
        let mut at = self.clone();
        for name in names {
            match at.is_directory().then(|| at.known(name)).transpose()?.flatten() {
                Some((next, _)) => at = next,
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// What a name was last, and which call has asked for it.
    fn known(&self, name: &[u8]) -> Result<Option<(Arc<Dentry>, u64)>, Errno> {
        let children = self.children()?;
        let Some(known) = &children.again else { return Ok(None) };
        let position = known.find(Key::of(name), |asked| *asked.name == *name);
        Ok(position.map(|position| {
            let Asked { dentry, call, .. } = known.get(position);
            (dentry.clone(), *call)
        }))
    }

    /// A name is not there any more.
    fn gone(&self, name: &[u8]) -> Result<(), Errno> {
        let mut children = self.children()?;
        let Some(known) = &mut children.again else { return Ok(()) };
        let position = known.find(Key::of(name), |asked| *asked.name == *name);
        let gone = position.map(|position| known.remove(position));
        drop(children);
        if let Some(asked) = gone {
            asked.dentry.removed();
        }
        Ok(())
    }

    /// A name is this file now: the one that it was, if it is as it was.
    fn renew(
        self: &Arc<Self>,
        name: &[u8],
        lower: LowerInode,
        call: u64,
    ) -> Result<Arc<Dentry>, Errno> {
        if let Some(entry) = self.children()?.get(name).and_then(|entry| entry.dentry()) {
            return Ok(entry.clone());
        }
        let below = self.below().ok_or(Errno::ENOTDIR)?;
        let before = self.known(name)?.map(|(before, _)| before);
        let is_there = self.inode.filesystem.changed == Changed::There;
        let live = if is_there { below.linked.live(&lower) } else { None };
        let inode = match (&before, live) {
            (_, Some(live)) => {
                renew_inode(&live, &lower);
                Some(live)
            }
            (Some(before), None) if is_as(&before.inode, &lower) => {
                before.inode.built(|meta| *meta = meta_of(&lower));
                Some(before.inode.clone())
            }
            _ => None,
        };
        let same = before
            .filter(|before| inode.as_ref().is_some_and(|inode| Arc::ptr_eq(inode, &before.inode)));
        let dentry = match same {
            Some(same) => same,
            None => {
                let inode = match inode {
                    Some(inode) => inode,
                    None => {
                        let filesystem = &self.inode.filesystem;
                        let (number, meta) = (lower.number, meta_of(&lower));
                        let kind = kind_of(lower, &below.linked, filesystem)?;
                        let inode = Inode::over(filesystem, number, kind, meta)?;
                        if is_there {
                            below.linked.lives(&inode)?;
                        }
                        inode
                    }
                };
                let dentry = Dentry::new(name, inode)?;
                dentry.place.lock().parent = Some(self.clone());
                dentry
            }
        };
        self.keep_asked(name, &dentry, call)
    }

    /// Keeps what was found under a name.
    fn keep_asked(
        &self,
        name: &[u8],
        dentry: &Arc<Dentry>,
        call: u64,
    ) -> Result<Arc<Dentry>, Errno> {
        let asked = Asked { name: copy(name)?, dentry: dentry.clone(), call };
        let mut children = self.children()?;
        if children.again.is_none() {
            children.again = Some(try_box(Known::default())?);
        }
        let Some(known) = &mut children.again else { return Err(Errno::ENOMEM) };
        let key = Key::of(name);
        let replaced = match known.find(key, |asked| *asked.name == *name) {
            Some(position) => Some(known.replace(position, asked)),
            None => {
                known.reserve()?;
                known.insert(key, asked);
                None
            }
        };
        drop(children);
        if let Some(replaced) = replaced
            && !Arc::ptr_eq(&replaced.dentry, dentry)
        {
            replaced.dentry.removed();
        }
        Ok(dentry.clone())
    }
}

/// Names that are changed where the lower directory is: here they follow.
impl Dentry {
    /// What was made under this name.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn found_there(
        self: &Arc<Self>,
        name: &[u8],
        lower: LowerInode,
    ) -> Result<Arc<Dentry>, Errno> {
        self.renew(name, lower, percpu::calls())
    }

    /// This name is gone.
    ///
    /// # Errors
    /// ENOTDIR.
    pub fn gone_there(&self, name: &[u8]) -> Result<(), Errno> {
        self.gone(name)
    }

    /// A file that was in one directory is in another, where this copy of the name is its.
    /// Without memory it is found again when it is asked for.
    pub fn moved_there(
        [(old, old_name), (new, new_name)]: [(&Arc<Dentry>, &[u8]); 2],
        dentry: &Arc<Dentry>,
        name: Name,
    ) {
        let _ = old.gone(old_name);
        dentry.moved(new, name);
        dentry.place.lock().removed = false;
        let _ = new.keep_asked(new_name, dentry, percpu::calls());
    }

    /// Two files have each other's name; the same.
    pub fn exchanged_there(
        [(old, old_name), (new, new_name)]: [(&Arc<Dentry>, &[u8]); 2],
        [source, target]: [&Arc<Dentry>; 2],
    ) {
        let call = percpu::calls();
        source.exchanged(target);
        for dentry in [source, target] {
            dentry.place.lock().removed = false;
        }
        let _ = old.keep_asked(old_name, target, call);
        let _ = new.keep_asked(new_name, source, call);
    }

    /// Whether there is something in a directory that the host knows nothing of: what is
    /// mounted there.
    ///
    /// # Errors
    /// ENOTDIR.
    pub fn has_names_here(&self) -> Result<bool, Errno> {
        Ok(self.children()?.names.from(0).any(|(_, entry)| entry.dentry().is_some()))
    }
}

/// A file that is known was found again, perhaps changed by others.
fn renew_inode(inode: &Inode, found: &LowerInode) {
    if let (Kind::Regular(object), LowerContent::Regular(size, _), false) =
        (&inode.kind, &found.content, is_as(inode, found))
    {
        object.changed_there(*size);
    }
    inode.built(|meta| *meta = meta_of(found));
}

/// Whether a file is the one that was found again, and nobody has changed it.
fn is_as(inode: &Inode, found: &LowerInode) -> bool {
    let meta = inode.meta();
    let [_, modified, changed] = found.times;
    inode.number == found.number
        && inode.file_type() == found.mode & S_IFMT
        && match (&inode.kind, &found.content) {
            (Kind::Regular(object), LowerContent::Regular(size, _)) => {
                object.size() == *size && [meta.modified, meta.changed] == [modified, changed]
            }
            (Kind::Symlink(target), LowerContent::Symlink(now)) => target == now,
            _ => true,
        }
}

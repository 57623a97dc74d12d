//! Names of a lower directory that are looked up for the first time: they come into memory,
//! with those that a path has behind them.

use super::{Ahead, Dentry, Entry, name as copy};
use crate::fs::inode::Below;
use crate::fs::lower::{AHEAD, LowerInode};
use crate::fs::names::Key;
use crate::fs::over::node_over;
use alloc::sync::Arc;
use trapgate_uapi::Errno;
use trapgate_uapi::fs::NAME_MAX;

/// Names that are not there, of which a directory keeps a note: when there are more, it
/// begins anew.
const MOST_ABSENT: usize = 512;

impl Dentry {
    /// Brings a file of the lower directory into this one; and what its path leads
    /// to from there, as far as that can be had at once.
    #[cold]
    pub(super) fn bring_up(
        self: &Arc<Self>,
        name: &[u8],
        ahead: Ahead,
        below: &Below,
    ) -> Result<Option<Arc<Dentry>>, Errno> {
        let mut names = [name; AHEAD];
        let following = ahead.rest.split(|&byte| byte == b'/').filter(|name| !name.is_empty());
        let mut count = 1;
        for (to, name) in names[1..].iter_mut().zip(following) {
            if matches!(name, b"." | b"..") || name.len() > NAME_MAX {
                break;
            }
            *to = name;
            count += 1;
        }
        let names = &names[..count];
        if below.directory.changes() {
            return self.ask_again(names, ahead.read, below);
        }
        // Nothing is locked: it may have to be asked for.
        let mut found = below.directory.walk(names, ahead.read)?.into_iter();
        let Some(lower) = found.next() else { return self.absent(name).map(|()| None) };
        let (first, is_new) = self.brought(name, lower, below)?;
        let mut above = first.clone().filter(|_| is_new);
        for (name, lower) in names[1..].iter().zip(found) {
            let Some(directory) = above else { break };
            // What is wrong with them shows when the path gets there.
            let brought = directory.below().map(|below| directory.brought(name, lower, below));
            above = match brought {
                Some(Ok((next, true))) => next,
                _ => None,
            };
        }
        Ok(first)
    }

    /// Notes that the lower directory has no such name: programs ask for libraries and
    /// modules wherever they could be, again and again.
    fn absent(&self, name: &[u8]) -> Result<(), Errno> {
        let absent = copy(name)?;
        let mut children = self.children()?;
        if children.get(name).is_some() || children.dead {
            return Ok(());
        }
        if children.absent == MOST_ABSENT {
            children.names.retain(|entry| !matches!(entry, Entry::Absent(_)));
            children.absent = 0;
        }
        children.names.reserve()?;
        children.names.insert(Key::of(name), Entry::Absent(absent));
        children.absent += 1;
        Ok(())
    }

    /// Puts a file of the lower directory into this one; answers what has the name then,
    /// and whether that is this file.
    fn brought(
        self: &Arc<Self>,
        name: &[u8],
        lower: LowerInode,
        below: &Below,
    ) -> Result<(Option<Arc<Dentry>>, bool), Errno> {
        let dentry = Dentry::new(name, node_over(lower, below, &self.inode.filesystem)?)?;
        let mut children = self.children()?;
        // Somebody else may have been faster.
        if let Some(entry) = children.get(name) {
            return Ok((entry.dentry().cloned(), false));
        }
        children.names.reserve()?;
        dentry.place.lock().parent = Some(self.clone());
        children.names.insert(Key::of(name), Entry::Over(dentry.clone()));
        Ok((Some(dentry), true))
    }
}

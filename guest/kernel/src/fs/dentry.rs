//! A dentry: a name in a directory, and the file that it names.
//!
//! Those in memory are the tree: what was made, and what was looked up of a lower
//! directory. The root of a mounted file system stands among the names of the
//! directory that it covers, so a walk needs to know nothing of mounts.
//!
//! A directory's names are locked before a dentry's own place is. Names come, go and
//! move with `FileSystem::changes` held.

use crate::fs::generated::{Generated, Node};
use crate::fs::inode::{Below, Inode, Kind};
use crate::fs::names::{Key, Named, Names, Position};
use crate::memory::{try_arc, try_box};
use alloc::boxed::Box;
use alloc::sync::Arc;
use smallvec::SmallVec;
use spin::{Mutex, MutexGuard};
use trapgate_uapi::Errno;
use trapgate_uapi::fs::NAME_MAX;

mod again;
mod bring_up;

/// A name; most are short.
pub type Name = SmallVec<[u8; 24]>;

/// What will come after a name was looked up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ahead<'a> {
    /// The rest of its path.
    pub rest: &'a [u8],
    /// What the path leads to will be read.
    pub read: bool,
}

/// A copy of a name.
///
/// # Errors
/// ENOMEM, ENAMETOOLONG.
#[expect(clippy::disallowed_methods, reason = "it is reserved")]
pub fn name(bytes: &[u8]) -> Result<Name, Errno> {
    if bytes.len() > NAME_MAX {
        return Err(Errno::ENAMETOOLONG);
    }
    let mut name = Name::new();
    name.try_reserve_exact(bytes.len()).map_err(|_| Errno::ENOMEM)?;
    name.extend_from_slice(bytes);
    Ok(name)
}

/// A name in a directory, and its file.
pub struct Dentry {
    /// The file.
    pub inode: Arc<Inode>,
    place: Mutex<Place>,
    /// Of a directory: its names.
    children: Option<Box<Mutex<Children>>>,
    /// Of a file that is made when it is asked for: how. A directory has no names then.
    generated: Option<Box<Generated<Dentry>>>,
}

struct Place {
    /// `None`: it is the root of everything.
    parent: Option<Arc<Dentry>>,
    name: Name,
    /// It is in no directory any more; the place is where it was.
    removed: bool,
}

/// What a directory has in memory for a name.
pub enum Entry {
    /// A file, of which the lower directory knows nothing.
    Present(Arc<Dentry>),
    /// A file, instead of what the lower directory has.
    Over(Arc<Dentry>),
    /// Nothing, instead of what the lower directory has.
    Whiteout(Name),
    /// Nothing, as in the lower directory, which need not be asked again.
    Absent(Name),
}

impl Entry {
    /// The file, if there is one.
    #[inline]
    pub const fn dentry(&self) -> Option<&Arc<Dentry>> {
        match self {
            Entry::Present(dentry) | Entry::Over(dentry) => Some(dentry),
            Entry::Whiteout(_) | Entry::Absent(_) => None,
        }
    }

    fn is(&self, name: &[u8]) -> bool {
        match self {
            Entry::Present(dentry) | Entry::Over(dentry) => &dentry.place.lock().name[..] == name,
            Entry::Whiteout(gone) | Entry::Absent(gone) => &gone[..] == name,
        }
    }
}

/// The names of a directory.
#[derive(Default)]
pub struct Children {
    /// Those in memory.
    pub names: Names<Entry>,
    /// It was removed: nothing can come here any more.
    pub dead: bool,
    /// How many names have become [`Entry::Absent`] since those were last forgotten.
    absent: usize,
    /// Those of a lower directory that others change, as they were last: `again`.
    again: Option<Box<again::Known>>,
}

impl Children {
    /// Where a name is in memory.
    pub fn position(&self, name: Named) -> Option<Position> {
        self.names.find(name.key, |entry| entry.is(&name))
    }

    /// Puts another file in a name's place; answers what was there.
    pub fn replace(&mut self, position: Position, dentry: &Arc<Dentry>) -> Entry {
        let entry = match self.names.get(position) {
            Entry::Present(_) | Entry::Absent(_) => Entry::Present(dentry.clone()),
            Entry::Over(_) | Entry::Whiteout(_) => Entry::Over(dentry.clone()),
        };
        self.names.replace(position, entry)
    }

    /// What is in memory for a name.
    pub fn get(&self, name: &[u8]) -> Option<&Entry> {
        self.position(name.into()).map(|position| self.names.get(position))
    }
}

impl Dentry {
    /// A name that is in no directory yet.
    ///
    /// # Errors
    /// ENOMEM, ENAMETOOLONG.
    pub fn new(bytes: &[u8], inode: Arc<Inode>) -> Result<Arc<Dentry>, Errno> {
        let children = match inode.kind {
            Kind::Directory(_) => Some(try_box(Mutex::new(Children::default()))?),
            _ => None,
        };
        let place = Mutex::new(Place { parent: None, name: name(bytes)?, removed: false });
        try_arc(Dentry { inode, place, children, generated: None })
    }

    /// The name of a file that is made when it is asked for, in no directory yet.
    ///
    /// # Errors
    /// ENOMEM, ENAMETOOLONG.
    pub fn generated(bytes: &[u8], node: Node<Dentry>) -> Result<Arc<Dentry>, Errno> {
        let mut dentry = Dentry::new(bytes, node.inode)?;
        if let (Some(how), Some(new)) = (node.generated, Arc::get_mut(&mut dentry)) {
            new.generated = Some(try_box(how)?);
            if let Some(children) = &mut new.children {
                children.get_mut().dead = true;
            }
        }
        Ok(dentry)
    }

    /// How it is made, if that is when it is asked for.
    pub fn made(&self) -> Option<&Generated<Dentry>> {
        self.generated.as_deref()
    }

    /// A file that has no name, in the file system of this directory (`O_TMPFILE`).
    ///
    /// # Errors
    /// ENOMEM.
    pub fn without_a_name(
        directory: &Arc<Dentry>,
        inode: Arc<Inode>,
    ) -> Result<Arc<Dentry>, Errno> {
        let dentry = Dentry::new(b"#", inode)?;
        let mut place = dentry.place.lock();
        place.parent = Some(directory.clone());
        place.removed = true;
        drop(place);
        Ok(dentry)
    }

    /// Its directory. `None`: it is the root of everything.
    pub fn parent(&self) -> Option<Arc<Dentry>> {
        self.place.lock().parent.clone()
    }

    /// Does something with its name.
    pub fn with_name<R>(&self, with: impl FnOnce(&[u8]) -> R) -> R {
        with(&self.place.lock().name)
    }

    /// Whether it is in no directory any more.
    pub fn is_removed(&self) -> bool {
        self.place.lock().removed
    }

    /// It is in no directory any more.
    pub fn removed(&self) {
        self.place.lock().removed = true;
    }

    /// It is in another place now. Both directories' names are locked.
    pub fn moved(&self, parent: &Arc<Dentry>, name: Name) {
        let old = {
            let mut place = self.place.lock();
            place.name = name;
            place.parent.replace(parent.clone())
        };
        drop(old);
    }

    /// Puts it into a directory that nobody has yet.
    ///
    /// # Errors
    /// ENOMEM, ENAMETOOLONG.
    pub fn put_into(self: &Arc<Self>, directory: &Arc<Dentry>, bytes: &[u8]) -> Result<(), Errno> {
        let name = name(bytes)?;
        let mut children = directory.children()?;
        if let Some(position) = children.position(bytes.into()) {
            self.moved(directory, name);
            directory.put_over(&mut children, position, self);
            return Ok(());
        }
        children.names.reserve()?;
        self.moved(directory, name);
        children.names.insert(Key::of(bytes), Entry::Present(self.clone()));
        Ok(())
    }

    /// Takes all names out of a directory, and of those in it, which is not deep: what
    /// keeps each other would stay for ever.
    pub fn take_apart(&self) {
        let Ok(names) = self.children().map(|mut children| core::mem::take(&mut children.names))
        else {
            return;
        };
        names.from(0).filter_map(|(_, entry)| entry.dentry()).for_each(|child| child.take_apart());
    }

    /// Whether a file system is mounted here: what is above is of another.
    pub fn is_mount(&self) -> bool {
        self.parent()
            .is_none_or(|above| !Arc::ptr_eq(&above.inode.filesystem, &self.inode.filesystem))
    }

    /// Exchanges its place for another's.
    pub fn exchanged(&self, other: &Dentry) {
        core::mem::swap(&mut *self.place.lock(), &mut *other.place.lock());
    }

    /// The names of a directory.
    ///
    /// # Errors
    /// ENOTDIR.
    #[inline]
    pub fn children(&self) -> Result<MutexGuard<'_, Children>, Errno> {
        Ok(self.children.as_ref().ok_or(Errno::ENOTDIR)?.lock())
    }

    /// Whether it is a directory.
    #[inline]
    pub const fn is_directory(&self) -> bool {
        self.children.is_some()
    }

    /// What it is made of, if it is a directory over a lower one.
    pub fn below(&self) -> Option<&Below> {
        match &self.inode.kind {
            Kind::Directory(below) => below.as_ref(),
            _ => None,
        }
    }

    /// The file of that name in this directory; `None`, if there is none.
    ///
    /// # Errors
    /// ENOTDIR, ENAMETOOLONG; those of the lower directory.
    pub fn child(self: &Arc<Self>, name: &[u8]) -> Result<Option<Arc<Dentry>>, Errno> {
        self.child_of(Key::of(name), || (name, Ahead::default()))
    }

    /// The same of a name whose key is known; most need nothing else. `name`: the name
    /// itself, and what will come after it.
    ///
    /// # Errors
    /// As for [`Dentry::child`].
    #[inline(always)]
    pub fn child_of<'a>(
        self: &Arc<Self>,
        key: Key,
        name: impl Fn() -> (&'a [u8], Ahead<'a>),
    ) -> Result<Option<Arc<Dentry>>, Errno> {
        let children = self.children()?;
        if let Some(entry) = children.names.find_value(key, |entry| entry.is(name().0)) {
            return Ok(entry.dentry().cloned());
        }
        drop(children);
        let (name, ahead) = name();
        self.clone().unknown_child(name, ahead)
    }

    /// The directory in this one, of a name that its key is all of, if memory has it.
    #[inline(always)]
    pub fn known_directory(&self, key: Key) -> Option<Arc<Dentry>> {
        let children = self.children.as_ref()?.lock();
        let child = children.names.find_whole(key)?.dentry()?;
        child.is_directory().then(|| child.clone())
    }

    /// The file of such a name in this directory, unless it is a link; `Some(None)`, if
    /// memory knows that there is none.
    #[inline(always)]
    pub fn at_hand(&self, key: Key) -> Option<Option<Arc<Dentry>>> {
        let children = self.children.as_ref()?.lock();
        match children.names.find_whole(key).map(Entry::dentry) {
            Some(Some(child)) => (!child.inode.is_symlink()).then(|| Some(child.clone())),
            Some(None) => Some(None),
            None => self.has_no_others(key).then_some(None),
        }
    }

    /// Whether a name that is not in memory is nowhere else.
    #[inline(always)]
    fn has_no_others(&self, key: Key) -> bool {
        self.below().is_none() && self.generated.is_none() && !key.is_dots()
    }

    /// The file of a name that is not in memory.
    #[cold]
    fn unknown_child(
        self: Arc<Self>,
        name: &[u8],
        ahead: Ahead,
    ) -> Result<Option<Arc<Dentry>>, Errno> {
        match self.below() {
            _ if name.len() > NAME_MAX => Err(Errno::ENAMETOOLONG),
            None => self.generated_child(name),
            Some(below) => self.bring_up(name, ahead, below),
        }
    }

    /// The file of that name in a directory that makes them; in another, there is none.
    fn generated_child(self: &Arc<Self>, name: &[u8]) -> Result<Option<Arc<Dentry>>, Errno> {
        let Some(Generated::Directory(directory)) = self.made() else { return Ok(None) };
        let dentry = Dentry::generated(name, directory.look_up(name)?)?;
        dentry.place.lock().parent = Some(self.clone());
        Ok(Some(dentry))
    }

    /// Adds a name that is in no directory, after `reserve`.
    pub fn put(self: &Arc<Self>, children: &mut Children, name: Named, dentry: &Arc<Dentry>) {
        dentry.place.lock().parent = Some(self.clone());
        children.names.insert(name.key, Entry::Present(dentry.clone()));
    }
}

impl Dentry {
    /// Takes a name out of this directory. `whiteout`: the name again, which stays in its
    /// place if the lower directory has it, too.
    pub fn take_out(children: &mut Children, position: Position, whiteout: Option<Name>) -> Entry {
        match (children.names.get(position), whiteout) {
            (Entry::Over(_), Some(name)) => children.names.replace(position, Entry::Whiteout(name)),
            _ => children.names.remove(position),
        }
    }

    /// The name for [`Dentry::take_out`], of a directory that needs one.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn whiteout(&self, bytes: &[u8]) -> Result<Option<Name>, Errno> {
        self.below().map(|_| name(bytes)).transpose()
    }

    /// Whether a directory has no names.
    ///
    /// # Errors
    /// ENOTDIR; those of the lower directory.
    pub fn is_empty(&self) -> Result<bool, Errno> {
        let is_there = |entry: &Entry| entry.dentry().is_some();
        if self.children()?.names.from(0).any(|(_, entry)| is_there(entry)) {
            return Ok(false);
        }
        let Some(below) = self.below() else { return Ok(true) };
        let mut empty = true;
        below.directory.list(0, &mut |listed| {
            // All that memory knows is gone.
            empty = self.children().is_ok_and(|children| children.get(listed.name).is_some());
            empty
        })?;
        Ok(empty)
    }

    /// Puts a name over what there was: its cookie stays. What there was is answered.
    pub fn put_over(
        self: &Arc<Self>,
        children: &mut Children,
        position: Position,
        dentry: &Arc<Dentry>,
    ) -> Entry {
        dentry.place.lock().parent = Some(self.clone());
        children.replace(position, dentry)
    }
}

/// Directories that only this one kept go with it, one after the other: there may be
/// more than the stack has room for.
impl Drop for Dentry {
    fn drop(&mut self) {
        let mut next = self.place.get_mut().parent.take();
        while let Some(parent) = next {
            next = Arc::into_inner(parent).and_then(|mut last| last.place.get_mut().parent.take());
        }
    }
}

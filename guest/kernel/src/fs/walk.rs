//! From a path to a file (path_resolution(7)).
//!
//! One loop, a component at a time. A symbolic link's target takes its place in the
//! path, which is written down anew for that; nothing else is allocated.

use crate::fs::access::{Credentials, EXEC};
use crate::fs::dentry::Dentry;
use crate::fs::generated::Generated;
use crate::fs::inode::Kind;
use crate::fs::names::Hash;
use crate::fs::place::{self, Places};
use crate::memory::{try_extend, try_with_capacity};
use crate::mm::space::AddressSpace;
use alloc::sync::Arc;
use alloc::vec::Vec;
use spin::Mutex;
use trapgate_uapi::Errno;
use trapgate_uapi::fs::PATH_MAX;
use trapgate_uapi::openat2::{
    RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV,
};

/// The most links that one path leads over: Linux's `MAXSYMLINKS`.
const MAX_LINKS: u32 = 40;

/// All of openat2(2)'s flags that say how a path is walked.
pub const RESOLVE: u64 = RESOLVE_NO_XDEV
    | RESOLVE_NO_MAGICLINKS
    | RESOLVE_NO_SYMLINKS
    | RESOLVE_BENEATH
    | RESOLVE_IN_ROOT;

/// Who walks, and from where.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The process's root and working directory.
    pub places: &'a Mutex<Places>,
    /// Whose rights count.
    pub who: Credentials,
    /// Permissions that new files do not get.
    pub umask: u32,
    /// The process's memory, which may have files mapped.
    pub memory: &'a Mutex<AddressSpace>,
}

impl View<'_> {
    /// The process's root.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn root(&self) -> Result<Arc<Dentry>, Errno> {
        place::with(self.places, |held| held.root.clone())
    }

    /// Its working directory.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn directory(&self) -> Result<Arc<Dentry>, Errno> {
        place::with(self.places, |held| held.directory.clone())
    }
}

/// Where a walk begins.
pub struct Start<'a> {
    /// Who walks.
    pub view: View<'a>,
    /// The directory of a descriptor, for a relative path; `None`: the working directory.
    pub directory: Option<Arc<Dentry>>,
    /// openat2(2)'s flags.
    pub resolve: u64,
}

impl<'a> Start<'a> {
    /// From the working directory.
    pub const fn new(view: View<'a>) -> Start<'a> {
        Start { view, directory: None, resolve: 0 }
    }
}

/// Whether a link that the path ends with is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// It is.
    Follow,
    /// It is what is found, unless slashes follow.
    Keep,
    /// It is what is found: the call is about the name.
    Name,
}

/// What is there at a path's end.
pub struct Found<'a> {
    /// The directory of the last component; of `/`, the root itself.
    pub directory: Arc<Dentry>,
    /// What the last component names, if it is there.
    pub dentry: Option<Arc<Dentry>>,
    /// The path, as far as links have changed it.
    path: Text<'a>,
    name: [usize; 2],
    /// What the last component is.
    pub component: Component,
    /// Whether slashes follow: it must be a directory.
    pub slashes: bool,
}

/// What a path's last component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// A name.
    Name,
    /// `.`
    Dot,
    /// `..`
    DotDot,
    /// The path has none: it is slashes alone.
    Root,
}

impl Found<'_> {
    /// The last component, as it is in the path.
    pub fn name(&self) -> &[u8] {
        &self.path.bytes()[self.name[0]..self.name[1]]
    }

    /// What is there.
    ///
    /// # Errors
    /// ENOENT, if nothing is; ENOTDIR, if slashes follow what is no directory.
    pub fn existing(self) -> Result<Arc<Dentry>, Errno> {
        let dentry = self.dentry.ok_or(Errno::ENOENT)?;
        if self.slashes && !dentry.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        Ok(dentry)
    }
}

/// A path's bytes: the caller's, or those that a link has led to.
enum Text<'a> {
    Given(&'a [u8]),
    Written(Vec<u8>),
}

impl Text<'_> {
    #[inline]
    fn bytes(&self) -> &[u8] {
        match self {
            Text::Given(bytes) => bytes,
            Text::Written(bytes) => bytes,
        }
    }
}

/// The file that a path names.
///
/// # Errors
/// Those of path_resolution(7).
#[inline]
pub fn look_up(start: &Start, path: &[u8], last: Last) -> Result<Arc<Dentry>, Errno> {
    walk(start, path, last)?.existing()
}

/// Walks to the end of a path, where something is or could be.
///
/// # Errors
/// Those of path_resolution(7): ENOENT also for an empty path.
pub fn walk<'a>(start: &Start, path: &'a [u8], last: Last) -> Result<Found<'a>, Errno> {
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    if path.len() >= PATH_MAX {
        return Err(Errno::ENAMETOOLONG);
    }
    let mut walk = Walk {
        start,
        top: None,
        directory: begin(start, path)?,
        text: Text::Given(path),
        at: 0,
        links: 0,
    };
    walk.set_top();
    walk.run(last)
}

fn begin(start: &Start, path: &[u8]) -> Result<Arc<Dentry>, Errno> {
    let absolute = path[0] == b'/';
    if absolute && start.resolve & RESOLVE_BENEATH != 0 {
        return Err(Errno::EXDEV);
    }
    let in_root = start.resolve & RESOLVE_IN_ROOT != 0;
    match &start.directory {
        Some(directory) if !absolute || in_root => Ok(directory.clone()),
        None if !absolute || in_root => start.view.directory(),
        _ => start.view.root(),
    }
}

struct Walk<'a, 'b> {
    start: &'b Start<'b>,
    /// What `..` does not lead out of, instead of the process's root.
    top: Option<Arc<Dentry>>,
    /// Where it is.
    directory: Arc<Dentry>,
    text: Text<'a>,
    /// Where the rest of the path begins.
    at: usize,
    links: u32,
}

/// A component of a path: its bytes, its hash, and where the next begins: behind slashes,
/// if some follow.
struct Part {
    start: usize,
    end: usize,
    hash: u32,
    next: usize,
}

/// The next component from `at` on, past slashes; `None` at the end.
#[inline(always)]
fn part(path: &[u8], at: usize) -> Option<Part> {
    let start = past_slashes(path, at);
    let mut hash = Hash::default();
    let mut end = start;
    while let Some(&byte) = path.get(end)
        && byte != b'/'
    {
        hash.add(byte);
        end += 1;
    }
    let hash = hash.value();
    (start < end).then(|| Part { start, end, hash, next: past_slashes(path, end) })
}

#[inline(always)]
fn past_slashes(path: &[u8], mut at: usize) -> usize {
    while path.get(at) == Some(&b'/') {
        at += 1;
    }
    at
}

impl<'a> Walk<'a, '_> {
    fn run(mut self, last: Last) -> Result<Found<'a>, Errno> {
        loop {
            let text = self.text.bytes();
            let Some(Part { start, end, hash, next }) = part(text, self.at) else {
                // A path of slashes alone, or behind a link that led to a file itself.
                let (dentry, slashes) = (self.directory.clone(), text.ends_with(b"/"));
                return Ok(self.found(Some(dentry), [0, 0], Component::Root, slashes));
            };
            let is_last = next == text.len();
            let slashes = end < next;
            let name = &text[start..end];
            self.start.view.who.may(&self.directory.inode, EXEC)?;
            let component = match (name.len(), name[0]) {
                (1, b'.') => Component::Dot,
                (2, b'.') if name[1] == b'.' => Component::DotDot,
                _ => Component::Name,
            };
            let child = match component {
                Component::Name => {
                    let rest = || text.get(end..).unwrap_or_default();
                    self.directory.child_of(name, hash, rest)?
                }
                Component::DotDot => Some(self.above()?),
                _ if !self.directory.is_directory() => return Err(Errno::ENOTDIR),
                _ => Some(self.directory.clone()),
            };
            let Some(child) = child else {
                if !is_last {
                    return Err(Errno::ENOENT);
                }
                return Ok(self.found(None, [start, end], component, slashes));
            };
            let follows = match last {
                _ if !is_last => true,
                Last::Follow => true,
                Last::Keep => slashes,
                Last::Name => false,
            };
            if follows && child.inode.is_symlink() {
                self.follow(&child, end)?;
                continue;
            }
            self.check_device(&child)?;
            if is_last {
                return Ok(self.found(Some(child), [start, end], component, slashes));
            }
            if !child.is_directory() {
                return Err(Errno::ENOTDIR);
            }
            self.directory = child;
            self.at = next;
        }
    }

    fn found(
        self,
        dentry: Option<Arc<Dentry>>,
        name: [usize; 2],
        component: Component,
        slashes: bool,
    ) -> Found<'a> {
        Found { directory: self.directory, dentry, path: self.text, name, component, slashes }
    }

    /// The directory above, or the same where it ends.
    fn above(&self) -> Result<Arc<Dentry>, Errno> {
        if !self.directory.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        let at_top = match &self.top {
            Some(top) => Arc::ptr_eq(top, &self.directory),
            None => place::with(self.start.view.places, |held| {
                Arc::ptr_eq(&held.root, &self.directory)
            })?,
        };
        if at_top && self.start.resolve & RESOLVE_BENEATH != 0 {
            return Err(Errno::EXDEV);
        }
        let above = if at_top { None } else { self.directory.parent() };
        Ok(above.unwrap_or_else(|| self.directory.clone()))
    }

    /// With openat2(2)'s flags, the directory where it began is the top.
    fn set_top(&mut self) {
        if self.start.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT) != 0 {
            self.top = Some(self.directory.clone());
        }
    }

    fn check_device(&self, child: &Arc<Dentry>) -> Result<(), Errno> {
        if self.start.resolve & RESOLVE_NO_XDEV != 0
            && !Arc::ptr_eq(&child.inode.filesystem, &self.directory.inode.filesystem)
        {
            return Err(Errno::EXDEV);
        }
        Ok(())
    }

    /// Goes on with the link's target, and what comes behind `end` in the path.
    #[cold]
    fn follow(&mut self, link: &Dentry, end: usize) -> Result<(), Errno> {
        self.links += 1;
        if self.links > MAX_LINKS || self.start.resolve & RESOLVE_NO_SYMLINKS != 0 {
            return Err(Errno::ELOOP);
        }
        let Kind::Symlink(target) = &link.inode.kind else { return self.jump(link, end) };
        link.inode.accessed();
        if target.first() == Some(&b'/') {
            if self.start.resolve & RESOLVE_BENEATH != 0 {
                return Err(Errno::EXDEV);
            }
            let top = match &self.top {
                Some(top) => top.clone(),
                None => self.start.view.root()?,
            };
            self.check_device(&top)?;
            self.directory = top;
        }
        let rest = &self.text.bytes()[end..];
        let mut path = try_with_capacity(target.len() + rest.len())?;
        try_extend(&mut path, target)?;
        try_extend(&mut path, rest)?;
        self.text = Text::Written(path);
        self.at = 0;
        Ok(())
    }

    /// Goes on where a link leads that has no path.
    fn jump(&mut self, link: &Dentry, end: usize) -> Result<(), Errno> {
        let link = link.made().and_then(Generated::as_link).ok_or(Errno::EINVAL)?;
        if self.start.resolve & RESOLVE_NO_MAGICLINKS != 0 {
            return Err(Errno::ELOOP);
        }
        if self.start.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT) != 0 {
            return Err(Errno::EXDEV);
        }
        let target = link.target()?;
        self.check_device(&target)?;
        (self.directory, self.at) = (target, end);
        Ok(())
    }
}

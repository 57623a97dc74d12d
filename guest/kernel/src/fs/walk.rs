//! From a path to a file (path_resolution(7)).
//!
//! One loop, a component at a time, for which its directory is locked once. A symbolic
//! link's target takes its place in the path, which is written down anew for that;
//! nothing else is allocated.

use crate::fs::access::{Credentials, EXEC};
use crate::fs::dentry::{Ahead, Dentry};
use crate::fs::names::{DOT, DOT_DOT, Key, Named};
use crate::fs::path::{Part, PathName};
use crate::fs::place::{self, Places};
use crate::mm::space::AddressSpace;
use alloc::sync::Arc;
use alloc::vec::Vec;
use spin::Mutex;
use trapgate_uapi::Errno;
use trapgate_uapi::fs::PATH_MAX;
use trapgate_uapi::openat2::{
    RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV,
};

mod link;

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
    pub who: Credentials<'a>,
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
    /// It is, and what is there will be read.
    Read,
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
    text: Text<'a>,
    name: [usize; 2],
    key: Key,
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
    pub fn name(&self) -> Named<'_> {
        let bytes = &self.text.path().bytes()[self.name[0]..self.name[1]];
        Named { bytes, key: self.key }
    }
}

/// A path's bytes: the caller's, or those that a link has led to.
enum Text<'a> {
    Given(PathName<'a>),
    Written(Vec<u8>),
}

impl Text<'_> {
    #[inline(always)]
    fn path(&self) -> PathName<'_> {
        match self {
            Text::Given(path) => *path,
            Text::Written(bytes) => PathName::from(&bytes[..]),
        }
    }
}

/// The file that a path names.
///
/// # Errors
/// Those of path_resolution(7).
pub fn look_up<'a>(
    start: &Start,
    path: impl Into<PathName<'a>>,
    last: Last,
) -> Result<Arc<Dentry>, Errno> {
    look_up_path(start, path.into(), last)
}

fn look_up_path(start: &Start, path: PathName, last: Last) -> Result<Arc<Dentry>, Errno> {
    let (directory, at) = set_out(start, path)?;
    // No link, and no slash behind it: it is the file, whatever `last` says.
    if goes_along(start)
        && let Some(key) = path.short_end(at)
        && let Some(found) = directory.at_hand(key)
    {
        return found.ok_or(Errno::ENOENT);
    }
    look_up_slowly(start, path, last, (directory, at))
}

/// The same of a path whose last component is none of those.
#[inline(never)]
fn look_up_slowly(
    start: &Start,
    path: PathName,
    last: Last,
    from: (Arc<Dentry>, usize),
) -> Result<Arc<Dentry>, Errno> {
    let found = run(start, path, last, from)?;
    let dentry = found.dentry.ok_or(Errno::ENOENT)?;
    if found.slashes && !dentry.is_directory() {
        return Err(Errno::ENOTDIR);
    }
    Ok(dentry)
}

/// Walks to the end of a path, where something is or could be.
///
/// # Errors
/// Those of path_resolution(7): ENOENT also for an empty path.
pub fn walk<'a>(
    start: &Start,
    path: impl Into<PathName<'a>>,
    last: Last,
) -> Result<Found<'a>, Errno> {
    walk_path(start, path.into(), last)
}

fn walk_path<'a>(start: &Start, path: PathName<'a>, last: Last) -> Result<Found<'a>, Errno> {
    let (directory, at) = set_out(start, path)?;
    // As in `look_up_path`.
    if goes_along(start)
        && let Some(key) = path.short_end(at)
        && let Some(dentry) = directory.at_hand(key)
    {
        let (text, name, component) = (Text::Given(path), [at, path.len()], Component::Name);
        return Ok(Found { directory, dentry, text, name, key, component, slashes: false });
    }
    walk_slowly(start, path, last, (directory, at))
}

/// The same of a path whose last component is none of those.
#[inline(never)]
fn walk_slowly<'a>(
    start: &Start,
    path: PathName<'a>,
    last: Last,
    from: (Arc<Dentry>, usize),
) -> Result<Found<'a>, Errno> {
    run(start, path, last, from)
}

/// The walk's first steps: the directory that they lead to, and where the rest of the path
/// begins.
#[inline(always)]
fn set_out(start: &Start, path: PathName) -> Result<(Arc<Dentry>, usize), Errno> {
    match path.len() {
        0 => return Err(Errno::ENOENT),
        PATH_MAX.. => return Err(Errno::ENAMETOOLONG),
        _ => {}
    }
    let (directory, at) = (begin(start, path)?, path.past_slashes(0));
    Ok(if goes_along(start) { go_along(directory, path, at) } else { (directory, at) })
}

/// Whether names that memory has are all that matters: no permission, and no flag of
/// openat2(2)'s.
#[inline(always)]
fn goes_along(start: &Start) -> bool {
    start.resolve == 0 && start.view.who.is_privileged()
}

/// The walk from where [`set_out`] has led. Each caller has its own, with what it needs of
/// the answer.
#[inline(always)]
fn run<'a>(
    start: &Start,
    path: PathName<'a>,
    last: Last,
    (mut directory, mut at): (Arc<Dentry>, usize),
) -> Result<Found<'a>, Errno> {
    // With openat2(2)'s flags, the directory where it begins is the top.
    let is_top = start.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT) != 0;
    let top = is_top.then(|| directory.clone());
    let who = start.view.who;
    let (mut text, mut links) = (Text::Given(path), 0);
    'text: loop {
        let path = text.path();
        if at == path.len() {
            // A path of slashes alone, or behind a link that led to a file itself.
            let (dentry, slashes) = (Some(directory.clone()), path.is_slash(at.wrapping_sub(1)));
            let (name, key, component) = ([0, 0], Key::default(), Component::Root);
            return Ok(Found { directory, dentry, text, name, key, component, slashes });
        }
        loop {
            let Part { end, key, next } = path.part(at);
            let is_last = next == path.len();
            let slashes = end < next;
            if !who.is_privileged() {
                who.may(&directory.inode, EXEC)?;
            }
            let (component, child) = match key.head() {
                DOT | DOT_DOT if !directory.is_directory() => return Err(Errno::ENOTDIR),
                DOT => (Component::Dot, Some(directory.clone())),
                DOT_DOT => (Component::DotDot, Some(above(start, top.as_ref(), &directory)?)),
                _ => (Component::Name, directory.child_of(key, || ahead(path, at, end, last))?),
            };
            let Some(child) = child else {
                if !is_last {
                    return Err(Errno::ENOENT);
                }
                let (dentry, name) = (None, [at, end]);
                return Ok(Found { directory, dentry, text, name, key, component, slashes });
            };
            let follows = match last {
                _ if !is_last => true,
                Last::Follow | Last::Read => true,
                Last::Keep => slashes,
                Last::Name => false,
            };
            if follows && !child.is_directory() && child.inode.is_symlink() {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::ELOOP);
                }
                let target = link::follow(start, top.as_ref(), &directory, &child, path, end)?;
                at = if target.text.is_some() { 0 } else { end };
                directory = target.directory.unwrap_or(directory);
                if let Some(path) = target.text {
                    text = Text::Written(path);
                }
                at = text.path().past_slashes(at);
                if goes_along(start) {
                    (directory, at) = go_along(directory, text.path(), at);
                }
                continue 'text;
            }
            check_device(start, &directory, &child)?;
            if is_last {
                let (dentry, name) = (Some(child), [at, end]);
                return Ok(Found { directory, dentry, text, name, key, component, slashes });
            }
            if !child.is_directory() {
                return Err(Errno::ENOTDIR);
            }
            (directory, at) = (child, next);
        }
    }
}

/// A component, and what comes after it.
fn ahead<'a>(path: PathName<'a>, at: usize, end: usize, last: Last) -> (&'a [u8], Ahead<'a>) {
    let (name, rest) = path.split(at, end);
    (name, Ahead { rest, read: last == Last::Read })
}

/// Goes on as long as there are short names of directories that memory has, of which most
/// of a path consists. The last component is left.
#[inline(always)]
fn go_along(mut directory: Arc<Dentry>, path: PathName, mut at: usize) -> (Arc<Dentry>, usize) {
    while let Some(part) = path.short_part(at)
        && let Some(child) = directory.known_directory(part.key)
    {
        (directory, at) = (child, part.next);
    }
    (directory, at)
}

#[inline(always)]
fn begin(start: &Start, path: PathName) -> Result<Arc<Dentry>, Errno> {
    let absolute = path.is_slash(0);
    if absolute && start.resolve == 0 {
        return start.view.root();
    }
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

/// The directory above, or the same where it ends: `top`, or the process's root.
fn above(
    start: &Start,
    top: Option<&Arc<Dentry>>,
    directory: &Arc<Dentry>,
) -> Result<Arc<Dentry>, Errno> {
    let at_top = match top {
        Some(top) => Arc::ptr_eq(top, directory),
        None => place::with(start.view.places, |held| Arc::ptr_eq(&held.root, directory))?,
    };
    if at_top && start.resolve & RESOLVE_BENEATH != 0 {
        return Err(Errno::EXDEV);
    }
    let above = if at_top { None } else { directory.parent() };
    Ok(above.unwrap_or_else(|| directory.clone()))
}

#[inline(always)]
fn check_device(start: &Start, directory: &Dentry, child: &Dentry) -> Result<(), Errno> {
    if start.resolve & RESOLVE_NO_XDEV != 0
        && !Arc::ptr_eq(&child.inode.filesystem, &directory.inode.filesystem)
    {
        return Err(Errno::EXDEV);
    }
    Ok(())
}

//! Where a process is: its root and its working directory (chroot(2), chdir(2)).

use crate::clock::Clock;
use crate::fs::dentry::Dentry;
use crate::fs::filesystem::{Changed, Limits};
use crate::fs::tree::{default_root, root_over};
use crate::fs::{host, image, mount};
use crate::memory::{try_arc, try_extend, try_push, try_with_capacity};
use alloc::sync::Arc;
use alloc::vec::Vec;
use spin::Mutex;
use trapgate_abi::boot_info::{BootInfo, MAX_MOUNTS, MOUNT_ACCESS, MOUNT_READ_WRITE, Mount, Range};
use trapgate_abi::file::FileStatus;
use trapgate_arch::phys;
use trapgate_uapi::Errno;
use trapgate_uapi::fs::PATH_MAX;

/// `st_dev` of the first of the host's directories: those below are the tree's own.
const FIRST_MOUNT: u64 = 16;

/// `st_dev` of the program that the VMM has loaded.
const PROGRAM_DEVICE: u64 = FIRST_MOUNT + MAX_MOUNTS as u64;

/// A process's root and working directory.
pub struct Places {
    /// `None`: no path was walked yet, so there is no tree.
    held: Option<Held>,
    recipe: Recipe,
}

/// What a tree is made of.
#[derive(Clone, Copy)]
struct Recipe {
    below: Below,
    clock: Clock,
    limits: Limits,
}

/// What is below a tree.
#[derive(Clone, Copy)]
pub struct Below {
    /// Where the image lies that is below the root; empty, if there is none.
    pub image: Range,
    /// Directories of the host's: [`BootInfo::mounts`].
    ///
    /// [`BootInfo::mounts`]: trapgate_abi::boot_info::BootInfo::mounts
    pub mounts: &'static [Mount],
    /// The file of the program that the VMM has loaded: [`BootInfo::program`].
    ///
    /// [`BootInfo::program`]: trapgate_abi::boot_info::BootInfo::program
    pub program: Option<(Mount, FileStatus)>,
    /// The path of the first working directory: [`BootInfo::directory`].
    ///
    /// [`BootInfo::directory`]: trapgate_abi::boot_info::BootInfo::directory
    pub directory: Range,
}

impl Below {
    /// Nothing.
    pub const NOTHING: Below =
        Below { image: Range::ZERO, mounts: &[], program: None, directory: Range::ZERO };

    /// What the VMM says.
    pub fn of_boot(boot: &'static BootInfo) -> Below {
        let count = (boot.mount_count as usize).min(boot.mounts.len());
        let is_there = !boot.program.path.is_empty();
        Below {
            image: boot.root,
            mounts: &boot.mounts[..count],
            program: is_there.then_some((boot.program, boot.program_status)),
            directory: boot.directory,
        }
    }
}

/// What there is, when there is a tree.
#[derive(Clone)]
pub struct Held {
    /// `/`, which `..` does not lead out of.
    pub root: Arc<Dentry>,
    /// Where relative paths begin.
    pub directory: Arc<Dentry>,
    /// The roots of the host's directories in the tree.
    pub mounts: Arc<Vec<Arc<Dentry>>>,
    /// The file of the program that the VMM has loaded.
    pub program: Option<Arc<Dentry>>,
}

impl Places {
    /// The root that a sandbox begins with: over an image or a directory of the host's
    /// ([`root_over`]), or where there is neither over nothing ([`default_root`]). It is
    /// made when it is first needed: many a program does without.
    pub const fn at_the_start(below: Below, clock: Clock, limits: Limits) -> Places {
        Places { held: None, recipe: Recipe { below, clock, limits } }
    }

    /// At this root.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn at_root(root: Arc<Dentry>, clock: Clock, limits: Limits) -> Result<Places, Errno> {
        let (directory, mounts) = (root.clone(), try_arc(Vec::new())?);
        let places = Places::at_the_start(Below::NOTHING, clock, limits);
        Ok(Places { held: Some(Held { root, directory, mounts, program: None }), ..places })
    }

    /// The same, if there is a tree.
    pub const fn held(&self) -> Option<&Held> {
        self.held.as_ref()
    }
}

/// Does something with the root and the working directory.
///
/// # Errors
/// If they have to be made, ENOMEM, and what is wrong with what is below.
#[inline]
pub fn with<R>(places: &Mutex<Places>, does: impl FnOnce(&mut Held) -> R) -> Result<R, Errno> {
    if let Some(held) = &mut places.lock().held {
        return Ok(does(held));
    }
    make(places)?;
    places.lock().held.as_mut().map(does).ok_or(Errno::ENOMEM)
}

/// Makes the tree. Nothing is locked: the VMM may have to be asked for it.
#[cold]
fn make(places: &Mutex<Places>) -> Result<(), Errno> {
    let recipe = places.lock().recipe;
    let made = recipe.make()?;
    places.lock().held.get_or_insert(made);
    Ok(())
}

impl Recipe {
    fn make(&self) -> Result<Held, Errno> {
        let &Recipe { below: Below { image, mounts, program, directory }, clock, limits } = self;
        let is_root = |mount: &&Mount| mount.path.len() == 1;
        let root = match mounts.first().filter(is_root) {
            _ if !image.is_empty() => {
                let (lower, last_number) = image::root(image)?;
                root_over(lower, last_number, clock, limits)?
            }
            Some(mount) => root_over(host::root(mount, false)?, host::LAST_NUMBER, clock, limits)?,
            None => default_root(clock, limits)?,
        };
        let mut mounted = Vec::new();
        for (mount, device) in
            mounts.iter().zip(FIRST_MOUNT..).skip_while(|(mount, _)| is_root(mount))
        {
            let added =
                self.add(&root, mount, device).and_then(|added| try_push(&mut mounted, added));
            if let Err(error) = added {
                root.take_apart();
                return Err(error);
            }
        }
        let made = self.program(&root, program, &mut mounted).and_then(|program| {
            let path = bytes_at(directory)?;
            let (directory, mounts) = (mount::directory(&root, &path)?, try_arc(mounted)?);
            Ok(Held { root: root.clone(), directory, mounts, program })
        });
        if made.is_err() {
            root.take_apart();
        }
        made
    }

    /// The program's file: where its name leads to, if that can be and nothing is there.
    fn program(
        &self,
        root: &Arc<Dentry>,
        program: Option<(Mount, FileStatus)>,
        mounted: &mut Vec<Arc<Dentry>>,
    ) -> Result<Option<Arc<Dentry>>, Errno> {
        let Some((mount, status)) = program else { return Ok(None) };
        let path = bytes_at(mount.path)?;
        let lower = host::file(&mount, status)?;
        let (clock, limits) = (self.clock, self.limits);
        let file = mount::file(&path, lower, PROGRAM_DEVICE, (clock, limits))?;
        match mount::add_file(root, &path, &file) {
            Ok(true) => try_push(mounted, file.clone())?,
            Err(Errno::ENOMEM) => return Err(Errno::ENOMEM),
            // It has no name then, but /proc/self/exe.
            Ok(false) | Err(_) => {}
        }
        Ok(Some(file))
    }

    fn add(&self, root: &Arc<Dentry>, mount: &Mount, device: u64) -> Result<Arc<Dentry>, Errno> {
        let path = bytes_at(mount.path)?;
        let is_writable = mount.access & MOUNT_ACCESS == MOUNT_READ_WRITE;
        let changed = if is_writable { Changed::There } else { Changed::Nowhere };
        let lower = host::root(mount, is_writable)?;
        mount::add(root, &path, lower, (device, changed), (self.clock, self.limits))
    }
}

/// A path that the VMM has put into RAM.
#[expect(clippy::disallowed_methods, reason = "it is reserved")]
fn bytes_at(place: Range) -> Result<Vec<u8>, Errno> {
    let length = place.len() as usize;
    let mut path = try_with_capacity(length)?;
    path.resize(length, 0);
    phys::read_run(place.start, &mut path);
    Ok(path)
}

/// What a path leads to from the root of everything.
#[derive(Debug, PartialEq, Eq)]
pub enum Path {
    /// From the process's root.
    Within(Vec<u8>),
    /// From a directory that the process's root does not have.
    Outside(Vec<u8>),
    /// It was removed: what its path was.
    Deleted(Vec<u8>),
}

/// The path of a file, as getcwd(2) and /proc tell it.
///
/// # Errors
/// ENOMEM; ENAMETOOLONG for one that is longer than a path may be.
pub fn path_of(dentry: &Arc<Dentry>, root: &Arc<Dentry>) -> Result<Path, Errno> {
    let mut path = Backwards::new()?;
    let mut at = dentry.clone();
    let mut deleted = false;
    let outside = loop {
        if Arc::ptr_eq(&at, root) && at.is_directory() {
            break false;
        }
        deleted |= at.is_removed();
        let Some(parent) = at.parent() else {
            // What was never in a directory has a name all the same.
            at.with_name(|name| path.put(name))?;
            if deleted && !at.is_directory() {
                path.put(b"/")?;
            }
            break true;
        };
        at.with_name(|name| path.put(name))?;
        path.put(b"/")?;
        at = parent;
    };
    let path = path.end()?;
    Ok(match (deleted, outside) {
        (true, _) => Path::Deleted(path),
        (false, true) => Path::Outside(path),
        (false, false) => Path::Within(path),
    })
}

impl Path {
    /// As proc(5) shows it: of what was removed, with words behind it.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn shown(self) -> Result<Vec<u8>, Errno> {
        match self {
            Path::Within(path) | Path::Outside(path) => Ok(path),
            Path::Deleted(mut path) => try_extend(&mut path, b" (deleted)").map(|()| path),
        }
    }
}

/// The root of everything that a file is in.
pub fn top_of(dentry: &Arc<Dentry>) -> Arc<Dentry> {
    let mut top = dentry.clone();
    while let Some(parent) = top.parent() {
        top = parent;
    }
    top
}

/// A path that is written from its end.
struct Backwards {
    bytes: Vec<u8>,
    start: usize,
}

impl Backwards {
    #[expect(clippy::disallowed_methods, reason = "it is reserved")]
    fn new() -> Result<Backwards, Errno> {
        let mut bytes = try_with_capacity(PATH_MAX)?;
        bytes.resize(PATH_MAX, 0);
        Ok(Backwards { bytes, start: PATH_MAX })
    }

    fn put(&mut self, part: &[u8]) -> Result<(), Errno> {
        let start = self.start.checked_sub(part.len()).ok_or(Errno::ENAMETOOLONG)?;
        self.bytes[start..self.start].copy_from_slice(part);
        self.start = start;
        Ok(())
    }

    /// The path from its beginning; `/` if it is empty.
    fn end(mut self) -> Result<Vec<u8>, Errno> {
        if self.start == self.bytes.len() {
            self.put(b"/")?;
        }
        self.bytes.drain(..self.start);
        Ok(self.bytes)
    }
}

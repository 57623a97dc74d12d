//! The root that a sandbox begins with: an empty directory in memory, with /dev, /proc,
//! /sys, /tmp, /dev/shm and /dev/pts.

use crate::clock::Clock;
use crate::fs::dentry::Dentry;
use crate::fs::dev::number;
use crate::fs::filesystem::{FileSystem, Limits, Type};
use crate::fs::generated::Node;
use crate::fs::inode::{Inode, Kind, Linked, Meta};
use crate::fs::lower::LowerInode;
use crate::fs::mount::cover;
use crate::fs::over::{kind_of, meta_of};
use crate::memory::{try_arc, try_extend};
use alloc::sync::Arc;
use alloc::vec::Vec;
use spin::Mutex;
use trapgate_uapi::Errno;
use trapgate_uapi::statfs::{DEVPTS_SUPER_MAGIC, PROC_SUPER_MAGIC, SYSFS_MAGIC, TMPFS_MAGIC};

/// Files in memory.
const TMPFS: Type = Type { name: "tmpfs", magic: TMPFS_MAGIC };
/// The devices; Linux's is a tmpfs, too.
const DEVTMPFS: Type = Type { name: "devtmpfs", magic: TMPFS_MAGIC };
/// What the kernel tells.
const PROC: Type = Type { name: "proc", magic: PROC_SUPER_MAGIC };
/// The same.
const SYSFS: Type = Type { name: "sysfs", magic: SYSFS_MAGIC };

/// Terminals; there are none yet.
const DEVPTS: Type = Type { name: "devpts", magic: DEVPTS_SUPER_MAGIC };

/// The root of a file system whose files are made when they are asked for.
pub type Maker = fn(&Arc<FileSystem>) -> Result<Node<Dentry>, Errno>;

/// Who makes /proc and /sys: a room above.
static MAKERS: Mutex<Option<[Maker; 2]>> = Mutex::new(None);

/// Says who makes the roots of /proc and /sys, before the first path is walked.
pub fn init(makers: [Maker; 2]) {
    *MAKERS.lock() = Some(makers);
}

/// Where file systems are mounted, below the root of everything: what is above first.
pub const MOUNT_POINTS: [&[&[u8]]; 6] =
    [&[b"dev"], &[b"dev", b"pts"], &[b"dev", b"shm"], &[b"proc"], &[b"sys"], &[b"tmp"]];

/// The devices in /dev: name, and number.
const DEVICES: [(&[u8], u64); 6] = [
    (b"null", number(1, 3)),
    (b"zero", number(1, 5)),
    (b"full", number(1, 7)),
    (b"random", number(1, 8)),
    (b"urandom", number(1, 9)),
    // Nobody has a controlling terminal, so it is ENXIO.
    (b"tty", number(5, 0)),
];
/// The links in /dev.
const LINKS: [(&[u8], &[u8]); 4] = [
    (b"fd", b"/proc/self/fd"),
    (b"stdin", b"/proc/self/fd/0"),
    (b"stdout", b"/proc/self/fd/1"),
    (b"stderr", b"/proc/self/fd/2"),
];

/// Makes the root, and what is mounted in it; each of them may have so much of memory.
/// Nobody is asked what time it is: all of it is as old as the sandbox.
///
/// # Errors
/// ENOMEM.
pub fn default_root(clock: Clock, limits: Limits) -> Result<Arc<Dentry>, Errno> {
    let builder = Builder { clock, limits };
    let root = builder.root(1, TMPFS, 0o755)?;
    builder.filled(root)
}

/// The same over the root of an image, or of the host's, whose inodes have numbers up to
/// `last_number`. What it has for /dev, /proc and /sys is covered; /tmp is made where it has none.
///
/// # Errors
/// ENOMEM; ENOTDIR, EIO, EUCLEAN for what the image has.
pub fn root_over(
    lower: LowerInode,
    last_number: u64,
    clock: Clock,
    limits: Limits,
) -> Result<Arc<Dentry>, Errno> {
    let filesystem = FileSystem::new(1, TMPFS, clock, limits, last_number)?;
    let (number, meta) = (lower.number, meta_of(&lower));
    let kind = kind_of(lower, &try_arc(Linked::default())?, &filesystem)?;
    if !matches!(kind, Kind::Directory(_)) {
        return Err(Errno::ENOTDIR);
    }
    let root = Dentry::new(b"", Inode::over(&filesystem, number, kind, meta)?)?;
    Builder { clock, limits }.filled(root)
}

/// What a symbolic link to `target` is.
///
/// # Errors
/// ENOMEM.
pub fn symlink(target: &[u8]) -> Result<Kind, Errno> {
    let mut path = Vec::new();
    try_extend(&mut path, target)?;
    Ok(Kind::Symlink(path))
}

struct Builder {
    clock: Clock,
    limits: Limits,
}

impl Builder {
    /// The root with all that is in it, or nothing.
    fn filled(&self, root: Arc<Dentry>) -> Result<Arc<Dentry>, Errno> {
        match self.fill(&root) {
            Ok(()) => Ok(root),
            Err(error) => {
                root.take_apart();
                Err(error)
            }
        }
    }

    /// What is in the root.
    fn fill(&self, root: &Arc<Dentry>) -> Result<(), Errno> {
        let dev = self.mount(root, b"dev", (2, DEVTMPFS), 0o755)?;
        for (name, device) in DEVICES {
            self.add(&dev, name, Kind::Character(device), 0o666)?;
        }
        for (name, target) in LINKS {
            self.add(&dev, name, symlink(target)?, 0o777)?;
        }
        self.mount(&dev, b"shm", (3, TMPFS), 0o1777)?;
        self.mount(&dev, b"pts", (7, DEVPTS), 0o755)?;
        let makers = *MAKERS.lock();
        match makers {
            Some([proc, sys]) => {
                self.mount_generated(root, b"proc", (4, PROC), proc)?;
                self.mount_generated(root, b"sys", (5, SYSFS), sys)?;
            }
            None => {
                self.mount(root, b"proc", (4, PROC), 0o555)?;
                self.mount(root, b"sys", (5, SYSFS), 0o555)?;
            }
        }
        // What an image has there stays.
        if root.child(b"tmp")?.is_none() {
            self.mount(root, b"tmp", (6, TMPFS), 0o1777)?;
        }
        Ok(())
    }

    /// The root of a new file system.
    fn root(&self, device: u64, kind: Type, permissions: u32) -> Result<Arc<Dentry>, Errno> {
        let filesystem = FileSystem::new(device, kind, self.clock, self.limits, 0)?;
        self.dentry(&filesystem, b"", Kind::Directory(None), permissions)
    }

    fn dentry(
        &self,
        filesystem: &Arc<FileSystem>,
        name: &[u8],
        kind: Kind,
        permissions: u32,
    ) -> Result<Arc<Dentry>, Errno> {
        let links = if matches!(kind, Kind::Directory(_)) { 2 } else { 1 };
        let meta = Meta { links, ..Meta::at(filesystem.start(), permissions, 0, 0) };
        Dentry::new(name, Inode::new(filesystem, kind, meta)?)
    }

    /// A directory with another file system in it: its root stands in the place of what
    /// it covers.
    fn mount(
        &self,
        directory: &Arc<Dentry>,
        name: &[u8],
        (device, kind): (u64, Type),
        permissions: u32,
    ) -> Result<Arc<Dentry>, Errno> {
        let root = self.root(device, kind, permissions)?;
        cover(directory, name, &root)?;
        Ok(root)
    }

    /// The same of files that are made when they are asked for.
    fn mount_generated(
        &self,
        directory: &Arc<Dentry>,
        name: &[u8],
        (device, kind): (u64, Type),
        maker: Maker,
    ) -> Result<(), Errno> {
        let filesystem = FileSystem::new(device, kind, self.clock, self.limits, 0)?;
        cover(directory, name, &Dentry::generated(b"", maker(&filesystem)?)?)
    }

    fn add(
        &self,
        directory: &Arc<Dentry>,
        name: &[u8],
        kind: Kind,
        permissions: u32,
    ) -> Result<(), Errno> {
        let filesystem = &directory.inode.filesystem;
        self.dentry(filesystem, name, kind, permissions)?.put_into(directory, name)
    }
}

//! Files that were never in a directory: memory with a name of its own
//! (memfd_create(2)), pipes (pipe(2)), counters (eventfd(2)), timers (timerfd_create(2)),
//! epolls (epoll_create(2)).

use crate::clock::Clock;
use crate::fs::access::Credentials;
use crate::fs::dentry::Dentry;
use crate::fs::epoll::Epoll;
use crate::fs::event::Event;
use crate::fs::file::OpenFile;
use crate::fs::filesystem::{FileSystem, Limits, Type};
use crate::fs::inode::{Inode, Kind, Meta};
use crate::fs::inode_file::InodeFile;
use crate::fs::pipe::Pipe;
use crate::fs::timer::TimerFile;
use crate::fs::write_rules;
use crate::memory::{Text, try_arc};
use crate::mm::object::Object;
use alloc::sync::Arc;
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::{O_LARGEFILE, O_RDONLY, O_RDWR, O_WRONLY};
use trapgate_uapi::statfs::TMPFS_MAGIC;

/// `st_dev` of all of them: no file system of the tree has it.
const DEVICE: u64 = 15;

/// Who may do what with a pipe or a counter.
const PERMISSIONS: u32 = 0o600;

/// What they are in.
///
/// # Errors
/// ENOMEM.
pub fn file_system(clock: Clock, limits: Limits) -> Result<Arc<FileSystem>, Errno> {
    let kind = Type { name: "tmpfs", magic: TMPFS_MAGIC };
    FileSystem::new(DEVICE, kind, clock, limits, 0)
}

/// An empty file in memory, open to be read and written; the name is only shown.
///
/// # Errors
/// ENOMEM, ENOSPC, ENAMETOOLONG.
pub fn memory(
    filesystem: &Arc<FileSystem>,
    who: Credentials,
    name: &[u8],
    permissions: u32,
    seals: u32,
) -> Result<Arc<OpenFile>, Errno> {
    let object = Object::file(filesystem.frames.clone());
    object.set_seals(seals);
    let meta = Meta::new(filesystem, permissions, who.uid(), who.gid());
    let inode = Inode::new(filesystem, Kind::Regular(try_arc(object)?), Meta { links: 0, ..meta })?;
    let dentry = Dentry::new(name, inode)?;
    dentry.removed();
    write_rules::begin();
    OpenFile::of_inode(InodeFile::new(dentry, O_RDWR | O_LARGEFILE))
}

/// Both ends of a new pipe, to read and to write, with these flags.
///
/// # Errors
/// ENOMEM, ENOSPC.
pub fn pipe(
    filesystem: &Arc<FileSystem>,
    who: Credentials,
    flags: u32,
) -> Result<[Arc<OpenFile>; 2], Errno> {
    let pipe = try_arc(Pipe::default())?;
    let meta = Meta::new(filesystem, PERMISSIONS, who.uid(), who.gid());
    let inode = Inode::new(filesystem, Kind::Fifo(pipe.clone()), meta)?;
    let mut name = Text::default();
    write!(name, "pipe:[{}]", inode.number)?;
    let dentry = Dentry::new(name.bytes(), inode)?;
    let open = |flags: u32| {
        pipe.add_end(flags)?;
        // From here on the end goes with the file.
        OpenFile::of_inode(InodeFile::new(dentry.clone(), flags))
    };
    Ok([open(O_RDONLY | flags)?, open(O_WRONLY | flags)?])
}

/// A counter (eventfd(2)), open with these flags.
///
/// # Errors
/// ENOMEM, ENOSPC.
pub fn event(
    filesystem: &Arc<FileSystem>,
    who: Credentials,
    count: u64,
    semaphore: bool,
    flags: u32,
) -> Result<Arc<OpenFile>, Errno> {
    let kind = Kind::Event(Event::new(count, semaphore));
    anonymous(filesystem, who, b"anon_inode:[eventfd]", kind, flags)
}

/// A timer (timerfd_create(2)) of a clock, which it goes by one of: what that shows at the
/// start.
///
/// # Errors
/// ENOMEM, ENOSPC.
pub fn timer(
    filesystem: &Arc<FileSystem>,
    who: Credentials,
    clock: i32,
    base: u64,
    flags: u32,
) -> Result<Arc<OpenFile>, Errno> {
    let kind = Kind::Timer(TimerFile::new(clock, base)?);
    anonymous(filesystem, who, b"anon_inode:[timerfd]", kind, flags)
}

/// Files that are watched (epoll_create(2)).
///
/// # Errors
/// ENOMEM, ENOSPC.
pub fn epoll(filesystem: &Arc<FileSystem>, who: Credentials) -> Result<Arc<OpenFile>, Errno> {
    anonymous(filesystem, who, b"anon_inode:[eventpoll]", Kind::Epoll(Epoll::new()?), 0)
}

/// What has this name, open to be read and written with these flags.
fn anonymous(
    filesystem: &Arc<FileSystem>,
    who: Credentials,
    name: &[u8],
    kind: Kind,
    flags: u32,
) -> Result<Arc<OpenFile>, Errno> {
    let meta = Meta::new(filesystem, PERMISSIONS, who.uid(), who.gid());
    let dentry = Dentry::new(name, Inode::new(filesystem, kind, meta)?)?;
    OpenFile::of_inode(InodeFile::new(dentry, O_RDWR | flags))
}

//! open(2): from a path and flags to an open file.

use crate::fs::access::{Access, Credentials, EXEC, READ, WRITE};
use crate::fs::create;
use crate::fs::dentry::Dentry;
use crate::fs::dev::Device;
use crate::fs::file::{OpenFile, readable, writable};
use crate::fs::filesystem::ASK_THE_HOST;
use crate::fs::host;
use crate::fs::inode::{Inode, Kind};
use crate::fs::inode_file::InodeFile;
use crate::fs::path::PathName;
use crate::fs::pipe::Pipe;
use crate::fs::standard::Standard;
use crate::fs::walk::{Component, Found, Last, RESOLVE, Start, View, look_up, walk};
use crate::fs::write_rules::MAX_NON_LFS;
use crate::mm::object::Object;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_uapi::Errno;
use trapgate_uapi::capability::CAP_FSETID;
use trapgate_uapi::fcntl::{
    O_ACCMODE, O_APPEND, O_ASYNC, O_CLOEXEC, O_CREAT, O_DIRECT, O_DIRECTORY, O_DSYNC, O_EXCL,
    O_LARGEFILE, O_NOATIME, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_PATH, O_RDONLY, O_RDWR, O_SYNC,
    O_TMPFILE, O_TRUNC, O_WRONLY,
};
use trapgate_uapi::stat::S_IALLUGO;

/// All flags that open(2) knows.
const KNOWN: u32 = O_ACCMODE
    | O_CREAT
    | O_EXCL
    | O_NOCTTY
    | O_TRUNC
    | O_APPEND
    | O_NONBLOCK
    | O_DSYNC
    | O_SYNC
    | O_ASYNC
    | O_DIRECT
    | O_LARGEFILE
    | O_DIRECTORY
    | O_NOFOLLOW
    | O_NOATIME
    | O_CLOEXEC
    | O_PATH
    | O_TMPFILE;
/// Those that mean something beside `O_PATH`.
const WITH_PATH: u32 = O_DIRECTORY | O_NOFOLLOW | O_PATH | O_CLOEXEC;
/// `O_TMPFILE` without `O_DIRECTORY`, which is part of it.
const TMPFILE: u32 = O_TMPFILE & !O_DIRECTORY;
/// Flags that say how to open, and not what an open file is.
const ONCE: u32 = O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC;

/// How to open: flags that were checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct How {
    flags: u32,
    permissions: u32,
}

impl How {
    /// As open(2) takes them: what it does not know, it leaves out.
    ///
    /// # Errors
    /// EINVAL for flags that contradict each other.
    pub fn of_open(flags: u32, mode: u32) -> Result<How, Errno> {
        let flags = flags & KNOWN;
        let flags = if flags & O_PATH != 0 { flags & WITH_PATH } else { flags };
        let creates = flags & (O_CREAT | TMPFILE) != 0;
        How::checked(flags, if creates { mode & S_IALLUGO } else { 0 })
    }

    /// As openat2(2) takes them: what it does not know is refused.
    ///
    /// # Errors
    /// EINVAL.
    pub fn of_openat2(flags: u64, mode: u64, resolve: u64) -> Result<How, Errno> {
        const BOTH: u64 =
            trapgate_uapi::openat2::RESOLVE_BENEATH | trapgate_uapi::openat2::RESOLVE_IN_ROOT;
        let flags = u32::try_from(flags).map_err(|_| Errno::EINVAL)?;
        let cached = trapgate_uapi::openat2::RESOLVE_CACHED;
        if flags & !KNOWN != 0
            || resolve & !(RESOLVE | cached) != 0
            || resolve & BOTH == BOTH
            || flags & O_PATH != 0 && flags & !WITH_PATH != 0
        {
            return Err(Errno::EINVAL);
        }
        if resolve & cached != 0 && flags & (O_TRUNC | O_CREAT | TMPFILE) != 0 {
            return Err(Errno::EAGAIN);
        }
        let creates = flags & (O_CREAT | TMPFILE) != 0;
        if mode & !u64::from(if creates { S_IALLUGO } else { 0 }) != 0 {
            return Err(Errno::EINVAL);
        }
        let large = if flags & O_PATH == 0 { O_LARGEFILE } else { 0 };
        How::checked(flags | large, mode as u32)
    }

    fn checked(mut flags: u32, permissions: u32) -> Result<How, Errno> {
        if flags & TMPFILE != 0 {
            let may_write = matches!(flags & O_ACCMODE, O_WRONLY | O_RDWR);
            if flags & O_DIRECTORY == 0 || flags & O_CREAT != 0 || !may_write {
                return Err(Errno::EINVAL);
            }
        } else if flags & O_DIRECTORY != 0 && flags & O_CREAT != 0 {
            return Err(Errno::EINVAL);
        }
        // One that is created must not lead elsewhere.
        if flags & O_CREAT != 0 && flags & O_EXCL != 0 {
            flags |= O_NOFOLLOW;
        }
        Ok(How { flags, permissions })
    }

    const fn has(self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// What is done with the file.
    fn access(self) -> Access {
        let truncates = if self.has(O_TRUNC) { WRITE } else { 0 };
        let access = match self.flags & O_ACCMODE {
            O_RDONLY => READ,
            O_WRONLY => WRITE,
            _ => READ | WRITE,
        };
        access | truncates
    }

    /// The flags of the open file.
    const fn of_file(self) -> u32 {
        self.flags & !ONCE
    }
}

/// open(2)
///
/// # Errors
/// Those of open(2).
pub fn open(start: &Start, path: PathName, how: How) -> Result<Arc<OpenFile>, Errno> {
    let last = if how.has(O_NOFOLLOW) { Last::Keep } else { Last::Read };
    if how.has(TMPFILE) {
        return open_without_a_name(start, path, how, last);
    }
    if how.has(O_CREAT) {
        return open_or_create(start, path, how, last);
    }
    open_existing(&start.view, look_up(start, path, last)?, how)
}

/// The same, where a file is made if there is none.
#[inline(never)]
fn open_or_create(
    start: &Start,
    path: PathName,
    how: How,
    last: Last,
) -> Result<Arc<OpenFile>, Errno> {
    let found = walk(start, path, last).map_err(|error| no_directory(start, path, error))?;
    if found.component == Component::Name && found.slashes {
        return Err(Errno::EISDIR);
    }
    match &found.dentry {
        Some(_) if how.has(O_EXCL) => Err(Errno::EEXIST),
        Some(dentry) if dentry.is_directory() => Err(Errno::EISDIR),
        Some(dentry) => open_existing(&start.view, dentry.clone(), how),
        None => create_and_open(&start.view, &found, how),
    }
}

/// What is wrong with a path by which a file cannot be created: with a slash behind its
/// last name it means a directory, wherever a link of that name would lead.
#[cold]
#[inline(never)]
fn no_directory(start: &Start, path: PathName, error: Errno) -> Errno {
    match walk(start, path, Last::Name) {
        Ok(found) if found.component == Component::Name && found.slashes => Errno::EISDIR,
        _ => error,
    }
}

/// Makes a file and opens it: whoever makes it may do with it what he likes.
fn create_and_open(view: &View, found: &Found, how: How) -> Result<Arc<OpenFile>, Errno> {
    let directory = &found.directory;
    let kind = create::regular(directory)?;
    let dentry = match create::prepare(view, directory, &found.name(), kind, how.permissions) {
        Err(ASK_THE_HOST) => return create_there(view, found, how),
        prepared => prepared?,
    };
    // The last thing that can fail is its name.
    let file = OpenFile::of_inode(InodeFile::new(dentry.clone(), how.of_file()))?;
    match create::put(directory, found.name(), &dentry) {
        // Somebody else was faster.
        Err(Errno::EEXIST) if !how.has(O_EXCL) => {
            let dentry = directory.child(&found.name())?.ok_or(Errno::ENOENT)?;
            open_existing(view, dentry, how)
        }
        put => put.map(|()| file),
    }
}

/// The same in a directory of the host's.
#[cold]
#[inline(never)]
fn create_there(view: &View, found: &Found, how: How) -> Result<Arc<OpenFile>, Errno> {
    let (directory, name) = (&found.directory, found.name());
    let kind = create::regular(directory)?;
    let permissions = how.permissions & !view.umask;
    match create::there(view, directory, &name, &kind, permissions) {
        // Somebody else was faster.
        Err(Errno::EEXIST) if !how.has(O_EXCL) => {
            let dentry = directory.child(&name)?.ok_or(Errno::ENOENT)?;
            if dentry.inode.is_symlink() {
                return Err(Errno::EEXIST);
            }
            open_existing(view, dentry, how)
        }
        made => {
            let (dentry, writer) = made?;
            let file = match writer {
                Some(writer) => InodeFile::written_there(dentry.clone(), how.of_file(), writer),
                None => Ok(InodeFile::new(dentry.clone(), how.of_file())),
            };
            file.and_then(OpenFile::of_inode).inspect_err(|_| {
                // Nothing has happened, as far as that is possible.
                let _ = host::names::unlink(directory, &name, &dentry);
            })
        }
    }
}

/// Opens what is there.
fn open_existing(view: &View, dentry: Arc<Dentry>, how: How) -> Result<Arc<OpenFile>, Errno> {
    let inode = &dentry.inode;
    if how.has(O_DIRECTORY) && !inode.is_directory() {
        return Err(Errno::ENOTDIR);
    }
    if how.has(O_PATH) {
        return OpenFile::of_inode(InodeFile::new(dentry, how.of_file()));
    }
    match may_open(view.who, inode, how) {
        Err(ASK_THE_HOST) => return open_there(view, dentry, how),
        may => may?,
    }
    match &inode.kind {
        Kind::Host(file) => return reopen(file, how),
        Kind::Character(device) if Device::of(*device).is_none() => return Err(Errno::ENXIO),
        Kind::Fifo(pipe) => return open_fifo(pipe, &dentry, how),
        Kind::Socket | Kind::Block(_) => return Err(Errno::ENXIO),
        Kind::Regular(object) if !how.has(O_LARGEFILE) && object.size() > MAX_NON_LFS => {
            return Err(Errno::EOVERFLOW);
        }
        _ => {}
    }
    if !how.has(O_TRUNC) {
        return OpenFile::of_inode(InodeFile::new(dentry, how.of_file()));
    }
    let file = OpenFile::of_inode(InodeFile::new(dentry.clone(), how.of_file()))?;
    if let Kind::Regular(object) = &dentry.inode.kind {
        set_size(view, object, 0)?;
        dentry.inode.written(view.who.can(CAP_FSETID));
    }
    Ok(file)
}

/// Opens a regular file of the host's that is to be written.
#[cold]
#[inline(never)]
fn open_there(view: &View, dentry: Arc<Dentry>, how: How) -> Result<Arc<OpenFile>, Errno> {
    let (inode, access) = (&dentry.inode, how.access());
    view.who.may(inode, access)?;
    if how.has(O_NOATIME) && !view.who.owns(inode) {
        return Err(Errno::EPERM);
    }
    let (size, writer) = host::content::open(inode, access & READ != 0)?;
    if !how.has(O_LARGEFILE) && size > MAX_NON_LFS {
        return Err(Errno::EOVERFLOW);
    }
    let file = InodeFile::written_there(dentry.clone(), how.of_file(), writer)?;
    let file = OpenFile::of_inode(file)?;
    if how.has(O_TRUNC) {
        host::content::truncate(view.memory, &dentry.inode, 0)?;
    }
    Ok(file)
}

/// Opens a fifo: with its other end, or when somebody opens that.
fn open_fifo(pipe: &Pipe, dentry: &Arc<Dentry>, how: How) -> Result<Arc<OpenFile>, Errno> {
    let flags = how.of_file();
    let seen = pipe.open(flags)?;
    // From here on the end goes with the file.
    let file = InodeFile::new(dentry.clone(), flags);
    file.position.store(seen, Ordering::Relaxed);
    OpenFile::of_inode(file)
}

/// Opens a standard file that is open: it is the same one, as dup(2) would make it, since
/// the VMM opens none of the host's anew.
fn reopen(file: &Standard, how: How) -> Result<Arc<OpenFile>, Errno> {
    let flags = file.flags().load(Ordering::Relaxed);
    let access = how.access();
    let missing = access & READ != 0 && !readable(flags) || access & WRITE != 0 && !writable(flags);
    if missing { Err(Errno::EACCES) } else { OpenFile::of_standard(file) }
}

/// Whether an inode may be opened so.
fn may_open(who: Credentials, inode: &Inode, how: How) -> Result<(), Errno> {
    let access = how.access();
    match inode.kind {
        Kind::Symlink(_) | Kind::MagicLink => return Err(Errno::ELOOP),
        Kind::Directory(_) if access & WRITE != 0 => return Err(Errno::EISDIR),
        Kind::Regular(_) if access & WRITE != 0 => inode.filesystem.may_change()?,
        _ => {}
    }
    who.may(inode, access)?;
    check_runs(inode, access)?;
    if how.has(O_NOATIME) && !who.owns(inode) {
        return Err(Errno::EPERM);
    }
    Ok(())
}

/// A program's file does not change while it runs.
#[inline]
fn check_runs(inode: &Inode, access: Access) -> Result<(), Errno> {
    match &inode.kind {
        Kind::Regular(object) if access & WRITE != 0 && object.runs() => Err(Errno::ETXTBSY),
        _ => Ok(()),
    }
}

/// `O_TMPFILE`: a file in the file system of a directory, with no name.
fn open_without_a_name(
    start: &Start,
    path: PathName,
    how: How,
    last: Last,
) -> Result<Arc<OpenFile>, Errno> {
    let directory = look_up(start, path, last)?;
    if !directory.is_directory() {
        return Err(Errno::ENOTDIR);
    }
    match create::may_change(&start.view, &directory) {
        // The host makes none that has no name.
        Err(ASK_THE_HOST) => return Err(Errno::EOPNOTSUPP),
        may => may?,
    }
    let permissions = how.permissions & !start.view.umask;
    let kind = create::regular(&directory)?;
    let inode = create::inode(&start.view, &directory, kind, permissions)?;
    inode.built(|meta| {
        meta.links = 0;
        meta.linkable = !how.has(O_EXCL);
    });
    let dentry = Dentry::without_a_name(&directory, inode)?;
    OpenFile::of_inode(InodeFile::new(dentry, how.of_file()))
}

/// Opens a program's file for execve(2): to be read.
///
/// # Errors
/// Those of execve(2) that concern its path: ENOENT, EACCES, ELOOP, ENOMEM …
pub fn open_exec(start: &Start, path: &[u8], last: Last) -> Result<Arc<OpenFile>, Errno> {
    let dentry = look_up(start, path, last)?;
    let inode = &dentry.inode;
    match inode.kind {
        Kind::Symlink(_) | Kind::MagicLink => return Err(Errno::ELOOP),
        Kind::Regular(_) => {}
        _ => return Err(Errno::EACCES),
    }
    start.view.who.may(inode, EXEC)?;
    OpenFile::of_inode(InodeFile::new(dentry, O_RDONLY))
}

/// truncate(2) of a path, or of an open file: whoever calls has checked that it may be
/// written.
///
/// # Errors
/// EISDIR, EINVAL for what has no size; EROFS; ETXTBSY.
pub fn truncate(view: &View, inode: &Inode, size: u64) -> Result<(), Errno> {
    match (&inode.kind, inode.filesystem.may_change()) {
        (_, Err(Errno::EROFS)) => Err(Errno::EROFS),
        (Kind::Regular(object), _) if object.runs() => Err(Errno::ETXTBSY),
        (Kind::Regular(_), Err(ASK_THE_HOST)) => host::content::truncate(view.memory, inode, size),
        (Kind::Regular(object), _) => {
            set_size(view, object, size)?;
            inode.written(view.who.can(CAP_FSETID));
            Ok(())
        }
        (Kind::Directory(_), _) => Err(Errno::EISDIR),
        _ => Err(Errno::EINVAL),
    }
}

/// Cuts a file, or makes it longer; what is cut off is mapped no longer.
fn set_size(view: &View, object: &Object, size: u64) -> Result<(), Errno> {
    object.check_seals_of_size(size)?;
    let shrinks = size < object.size();
    object.set_size(size)?;
    if shrinks {
        view.memory.lock().truncate(object, size.div_ceil(PAGE_SIZE));
    }
    Ok(())
}

//! Requests that change what is in a directory. Each names one thing in a directory that is
//! writable, and Linux follows no link there.

use super::node::{Directory, Named, Node, Open};
use super::open::{self, Descriptors};
use super::server::Server;
use super::{Done, Job, Trouble, Waits, status};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, FallocateFlags, FileType, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps,
    UTIME_OMIT, Uid, chmodat, chownat, fallocate, fchmod, fdatasync, fsync, ftruncate, linkat,
    mkdirat, mknodat, renameat_with, symlinkat, unlinkat, utimensat,
};
use rustix::io;
use std::fs::File;
use std::sync::Arc;
use trapgate_abi::hypercall::files::{AT_END, Change, Found, Handle};
use trapgate_uapi::Errno;
use trapgate_uapi::stat::{
    S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK, S_ISGID,
};

impl Server {
    /// A directory in which something may be changed.
    fn writable(&mut self, handle: Handle, waits: Waits) -> Result<Arc<Directory>, Trouble> {
        let directory = self.table.directory(handle)?;
        if !directory.is_writable {
            return Err(Trouble::Refused(Errno::EROFS));
        }
        directory.must_not_wait(waits)?;
        Ok(directory)
    }

    /// A file that may be changed, and is open for it.
    pub(super) fn writing(&mut self, file: Handle) -> Result<(&Open, bool), Trouble> {
        let named = self.table.named(file)?;
        if !named.directory.is_writable {
            return Err(Trouble::Refused(Errno::EROFS));
        }
        let at_once = named.directory.is_at_once();
        let open = named.writing.as_deref().ok_or(Trouble::Refused(Errno::EBADF))?;
        Ok((open, at_once))
    }

    pub(super) fn make(
        &mut self,
        directory: Handle,
        mode: u32,
        job: &Job,
        waits: Waits,
    ) -> Result<Done, Trouble> {
        let at = self.writable(directory, waits)?;
        let [name] = job.exactly()?;
        let (kind, permissions) = (mode & S_IFMT, permissions(mode));
        let special = match kind {
            S_IFREG => return self.make_file(&at, name, permissions),
            S_IFIFO => FileType::Fifo,
            S_IFSOCK => FileType::Socket,
            S_IFDIR => FileType::Directory,
            S_IFLNK => FileType::Symlink,
            S_IFCHR | S_IFBLK => return Err(Trouble::Refused(Errno::EPERM)),
            _ => return Err(Errno::EINVAL.into()),
        };
        match special {
            FileType::Directory => mkdirat(&at.fd, name, permissions)?,
            FileType::Symlink => symlinkat(&job.input[..], &at.fd, name)?,
            special => mknodat(&at.fd, name, special, permissions, 0)?,
        }
        let (mut found, _) = self.step(&at, name, Waits::Yes)?;
        // A directory has its group's bit from the one that it is in.
        let inherited = found.status.mode as u32 & if kind == S_IFDIR { S_ISGID } else { 0 };
        let permissions = permissions | Mode::from_bits_retain(inherited);
        let wanted = u64::from(permissions.bits());
        // Without this process's umask.
        if kind != S_IFLNK && found.status.mode & 0o7777 != wanted {
            let again = self.anew(&at, name, &found)?;
            let path = Descriptors::path_of(&again);
            chmodat(self.descriptors.at()?, path, permissions, AtFlags::empty())?;
            found.status = status::of(&again)?.0;
        }
        Ok(told([found]))
    }

    /// A regular file, open for both.
    fn make_file(
        &mut self,
        at: &Arc<Directory>,
        name: &[u8],
        permissions: Mode,
    ) -> Result<Done, Trouble> {
        let counted = self.budget.take()?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let file = File::from(open::at(at.fd.as_fd(), name, flags, permissions, Waits::Yes)?);
        let (mut found, identity) = status::of(&file)?;
        if found.mode & 0o7777 != u64::from(permissions.bits()) {
            fchmod(&file, permissions)?;
            found = status::of(&file)?.0;
        }
        let open = Arc::new(Open { file, _counted: counted });
        let (reading, writing) = (Some(open.clone()), Some(open));
        let (directory, name, kind) = (at.clone(), name.into(), S_IFREG);
        let is_readable = false;
        let named = Named { directory, name, identity, kind, reading, writing, is_readable };
        let handle = self.table.insert(Node::Named(named))?;
        Ok(told([Found { handle, status: found }]))
    }

    /// A descriptor of what was made at this name, if that is still there.
    fn anew(&mut self, at: &Directory, name: &[u8], found: &Found) -> Result<OwnedFd, Trouble> {
        let fd = open::path(at, name, Waits::Yes)?;
        let (status, _) = status::of(&fd)?;
        let same = (status.dev, status.ino) == (found.status.dev, found.status.ino);
        if same { Ok(fd) } else { Err(Errno::ESTALE.into()) }
    }

    pub(super) fn link(
        &mut self,
        file: Handle,
        directory: Handle,
        job: &Job,
        waits: Waits,
    ) -> Result<Done, Trouble> {
        let to = self.writable(directory, waits)?;
        let [name] = job.exactly()?;
        let Server { table, descriptors, .. } = self;
        let named = match table.get(file)? {
            Node::Named(named) => named,
            Node::Directory(_) => return Err(Errno::EPERM.into()),
        };
        // Else what is read-only in one would be writable by its name in another.
        if named.directory.mount != to.mount {
            return Err(Errno::EXDEV.into());
        }
        let fd = Looked::at(named, waits)?;
        let path = Descriptors::path_of(&fd);
        linkat(descriptors.at()?, path, &to.fd, name, AtFlags::SYMLINK_FOLLOW)?;
        Ok(Done::default())
    }

    pub(super) fn unlink(
        &mut self,
        directory: Handle,
        is_directory: bool,
        job: &Job,
        waits: Waits,
    ) -> Result<Done, Trouble> {
        let at = self.writable(directory, waits)?;
        let [name] = job.exactly()?;
        let flags = if is_directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        unlinkat(&at.fd, name, flags)?;
        Ok(Done::default())
    }

    pub(super) fn rename(
        &mut self,
        [from, to]: [Handle; 2],
        flags: u32,
        job: &Job,
        waits: Waits,
    ) -> Result<Done, Trouble> {
        let (from, to) = (self.writable(from, waits)?, self.writable(to, waits)?);
        let [old, new] = job.exactly()?;
        if from.mount != to.mount {
            return Err(Errno::EXDEV.into());
        }
        let flags = RenameFlags::from_bits_retain(flags);
        renameat_with(&from.fd, old, &to.fd, new, flags)?;
        // It is done, whatever can be told of it.
        let mut found = vec![self.step(&to, new, Waits::Yes)];
        if flags.contains(RenameFlags::EXCHANGE) {
            found.push(self.step(&from, old, Waits::Yes));
        }
        Ok(told(found.into_iter().map_while(Result::ok).map(|(found, _)| found)))
    }

    pub(super) fn change(
        &mut self,
        file: Handle,
        change: &Change,
        waits: Waits,
    ) -> Result<Done, Trouble> {
        let Server { table, descriptors, .. } = self;
        let node = table.get(file)?;
        let directory = node.directory().clone();
        if !directory.is_writable {
            return Err(Trouble::Refused(Errno::EROFS));
        }
        directory.must_not_wait(waits)?;
        let (fd, kind, writing) = match node {
            Node::Directory(directory) => (Looked::Kept(directory.fd.as_fd()), S_IFDIR, None),
            Node::Named(named) => (Looked::at(named, waits)?, named.kind, named.writing.as_ref()),
        };
        let has = |which| change.which & which != 0;
        if has(Change::SIZE) && writing.is_none() {
            return Err(Errno::EBADF.into());
        }
        if has(Change::MODE) {
            let mode = permissions(change.mode as u32 | kind);
            chmodat(descriptors.at()?, Descriptors::path_of(&fd), mode, AtFlags::empty())?;
        }
        if has(Change::UID) || has(Change::GID) {
            let id = |which, id: u64| (has(which) && id != KEPT).then_some(id as u32);
            let uid = id(Change::UID, change.uid).map(Uid::from_raw);
            let gid = id(Change::GID, change.gid).map(Gid::from_raw);
            chownat(&fd, "", uid, gid, AtFlags::EMPTY_PATH)?;
        }
        if let (true, Some(open)) = (has(Change::SIZE), writing) {
            ftruncate(&open.file, change.size)?;
        }
        if has(Change::ATIME) || has(Change::MTIME) {
            let time = |which, seconds: u64, nanoseconds: u64| Timespec {
                tv_sec: seconds.cast_signed(),
                tv_nsec: if has(which) { nanoseconds.cast_signed() } else { UTIME_OMIT },
            };
            let times = Timestamps {
                last_access: time(Change::ATIME, change.atime, change.atime_nsec),
                last_modification: time(Change::MTIME, change.mtime, change.mtime_nsec),
            };
            let path = Descriptors::path_of(&fd);
            utimensat(descriptors.at()?, path, &times, AtFlags::empty())?;
        }
        let (status, _) = status::of(&fd)?;
        Ok(Done { data: status.to_words().to_vec(), ..Done::default() })
    }

    /// Where a file cannot be written in place.
    pub(super) fn put(&mut self, file: Handle, offset: u64, job: &Job) -> Result<Done, Trouble> {
        let (open, _) = self.writing(file)?;
        let offset = match offset {
            AT_END => status::of(&open.file)?.0.size,
            offset => offset,
        };
        let (before, _) = status::of(&open.file)?;
        let written = io::pwrite(&open.file, &job.input, offset)?;
        let (status, _) = status::of(&open.file)?;
        let data = [status.to_words(), before.to_words()].concat();
        Ok(Done { value: written as u64, data, ..Done::default() })
    }

    /// It may take as long as a disk has to write: it is never done in place.
    pub(super) fn sync(
        &mut self,
        file: Handle,
        data_only: bool,
        waits: Waits,
    ) -> Result<Done, Trouble> {
        if waits == Waits::No {
            self.table.get(file)?;
            return Err(Trouble::MayWait);
        }
        let sync = |fd: BorrowedFd<'_>| if data_only { fdatasync(fd) } else { fsync(fd) };
        match self.table.get(file)? {
            Node::Directory(directory) => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY;
                let fd = directory.fd.as_fd();
                sync(open::at(fd, b".", flags, Mode::empty(), waits)?.as_fd())?;
            }
            Node::Named(named) => {
                let open = named.writing.as_ref().or(named.reading.as_ref());
                sync(open.ok_or(Trouble::Refused(Errno::EBADF))?.file.as_fd())?;
            }
        }
        Ok(Done::default())
    }

    pub(super) fn allocate(
        &mut self,
        file: Handle,
        mode: u32,
        [offset, length]: [u64; 2],
        waits: Waits,
    ) -> Result<Done, Trouble> {
        let (open, _) = self.writing(file)?;
        if waits == Waits::No {
            return Err(Trouble::MayWait);
        }
        fallocate(&open.file, FallocateFlags::from_bits_retain(mode), offset, length)?;
        Ok(Done::default())
    }
}

/// An owner or a group that stays.
const KEPT: u64 = u32::MAX as u64;

/// A descriptor of a file that was found: its own, if it is open.
enum Looked<'a> {
    Kept(BorrowedFd<'a>),
    Opened(OwnedFd),
}

impl Looked<'_> {
    fn at(named: &Named, waits: Waits) -> Result<Looked<'_>, Trouble> {
        named.directory.must_not_wait(waits)?;
        match named.writing.as_ref().or(named.reading.as_ref()) {
            Some(open) => Ok(Looked::Kept(open.file.as_fd())),
            None => Ok(Looked::Opened(open::found(named, waits)?.0)),
        }
    }
}

impl AsFd for Looked<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Looked::Kept(fd) => *fd,
            Looked::Opened(fd) => fd.as_fd(),
        }
    }
}

/// What permissions become on the host: a program's file never runs there as its owner or
/// group, who may be more than whoever runs it.
fn permissions(mode: u32) -> Mode {
    let set_ids = if mode & S_IFMT == S_IFDIR { 0 } else { 0o6000 };
    Mode::from_bits_retain(mode & 0o7777 & !set_ids)
}

fn told(found: impl IntoIterator<Item = Found>) -> Done {
    let mut done = Done::default();
    for found in found {
        done.value += 1;
        done.data.extend(found.to_words());
    }
    done
}

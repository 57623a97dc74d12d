//! The server: requests on handles, carried out on descriptors. It touches no memory of the
//! guest's, so it can do its work on another thread.

use super::list::Listing;
use super::node::{Budget, Directory, Named, Node, Open};
use super::open::{self, Descriptors};
use super::table::Table;
use super::{Done, Job, Trouble, Waits, status};
use crate::Error;
use rustix::fd::OwnedFd;
use rustix::fs::{OFlags, SeekFrom, fstatfs, readlinkat_raw, seek};
use rustix::io;
use rustix::process::{Resource, getrlimit};
use std::fs::File;
use std::sync::Arc;
use trapgate_abi::file::{FileStatus, FileSystemStatus};
use trapgate_abi::hypercall::MAX_TRANSFER;
use trapgate_abi::hypercall::files::{Access, FileRequest, Found, Handle, MAX_WALK};
use trapgate_uapi::Errno;
use trapgate_uapi::stat::{S_IFDIR, S_IFLNK, S_IFMT};

/// A directory of the host's that a sandbox has, or one file.
#[derive(Debug)]
pub(crate) struct Shared {
    /// It, of `O_PATH`.
    pub(crate) fd: OwnedFd,
    /// Whether it, or what is in it, may be changed.
    pub(crate) is_writable: bool,
}

/// The server of a sandbox.
#[derive(Debug)]
pub(crate) struct Server {
    pub(super) table: Table,
    pub(super) budget: Budget,
    pub(super) descriptors: Descriptors,
    listing: Option<Listing>,
    /// What a request does first that may wait.
    #[cfg(test)]
    pub(super) hold: Option<fn()>,
}

/// What a sandbox has at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) descriptors: usize,
    /// Each takes some hundred bytes.
    pub(super) handles: usize,
}

const MOST: Limits = Limits { descriptors: 1 << 16, handles: 1 << 18 };

/// With fewer descriptors, a program that looks into a few directories would hear ENFILE.
const FEWEST: usize = 16;

impl Server {
    /// For these directories, and the handle of each.
    ///
    /// # Errors
    /// [`Error::Host`], if there is no /proc/self/fd, or one cannot be looked at;
    /// [`Error::Descriptors`].
    pub(crate) fn new(directories: Vec<Shared>) -> Result<(Server, Vec<Handle>), Error> {
        // Half of what this process may have: there are others beside this sandbox.
        let limit = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| limit as usize);
        let descriptors = MOST.descriptors.min(limit / 2);
        if descriptors < FEWEST {
            return Err(Error::too_few_descriptors("directories of the host".to_owned()));
        }
        Server::within(Limits { descriptors, ..MOST }, directories)
    }

    /// For none.
    pub(crate) fn without_directories() -> Server {
        Server {
            table: Table::new(MOST.handles),
            budget: Budget::new(MOST.descriptors),
            descriptors: Descriptors::NONE,
            listing: None,
            #[cfg(test)]
            hold: None,
        }
    }

    /// Adds the file of a program, open to be read, which nobody changes: its handle, and
    /// what it is. None, if it cannot be looked at, or is no regular file.
    pub(crate) fn add_program(&mut self, file: File) -> Option<(Handle, FileStatus)> {
        /// Not that of any directory.
        const MOUNT: usize = usize::MAX;
        let (status, identity) = status::of(&file).ok()?;
        let kind = status.mode as u32 & S_IFMT;
        open::must_be_regular(kind).ok()?;
        let root = Directory::root(file.into(), MOUNT, false, status.dev, &self.budget).ok()?;
        let named = Named { is_readable: true, ..Named::alone(Arc::new(root), kind, identity) };
        let handle = self.table.insert(Node::Named(named)).ok()?;
        self.table.pin();
        Some((handle, status))
    }

    pub(super) fn within(
        limits: Limits,
        directories: Vec<Shared>,
    ) -> Result<(Server, Vec<Handle>), Error> {
        let budget = Budget::new(limits.descriptors);
        let mut table = Table::new(limits.handles);
        let mut handles = Vec::with_capacity(directories.len());
        for (mount, Shared { fd, is_writable }) in directories.into_iter().enumerate() {
            let failed = |errno: io::Errno| Error::host("statx of a host directory")(errno.into());
            let (status, identity) = status::of(&fd).map_err(failed)?;
            let none_left = |_| failed(io::Errno::NFILE);
            let root =
                Directory::root(fd, mount, is_writable, status.dev, &budget).map_err(none_left)?;
            let root = Arc::new(root);
            let node = match status.mode as u32 & S_IFMT {
                S_IFDIR => Node::Directory(root),
                kind => Node::Named(Named::alone(root, kind, identity)),
            };
            handles.push(table.insert(node).map_err(none_left)?);
        }
        table.pin();
        let server = Server {
            table,
            budget,
            descriptors: Descriptors::open()?,
            listing: None,
            #[cfg(test)]
            hold: None,
        };
        Ok((server, handles))
    }

    /// Carries a request out; on a thread that must not wait, only if it cannot wait: else
    /// [`Trouble::MayWait`], and nothing was done.
    pub(super) fn carry_out(&mut self, job: &Job, waits: Waits) -> Result<Done, Trouble> {
        #[cfg(test)]
        if let (Some(hold), Waits::Yes) = (self.hold, waits) {
            hold();
        }
        match job.request {
            FileRequest::Walk { directory } => self.walk(directory, job, waits),
            FileRequest::List { directory, cookie } => {
                self.list(directory, cookie, job.room, waits)
            }
            FileRequest::ReadLink { link } => self.read_link(link, job.room, waits),
            FileRequest::Open { file, access } => self.open(file, access, waits),
            FileRequest::Get { file, offset } => self.get(file, offset, job.room),
            FileRequest::Look { file } => self.look(file, waits),
            FileRequest::Release { keep } => self.release(&job.handles, keep, waits).map(Done::of),
            FileRequest::FileSystem { file } => self.file_system(file, waits),
            FileRequest::Make { directory, mode } => self.make(directory, mode, job, waits),
            FileRequest::Link { file, directory } => self.link(file, directory, job, waits),
            FileRequest::Unlink { directory, is_directory } => {
                self.unlink(directory, is_directory, job, waits)
            }
            FileRequest::Rename { from, to, flags } => self.rename([from, to], flags, job, waits),
            FileRequest::Change { file } => {
                self.change(file, &job.change.unwrap_or_default(), waits)
            }
            FileRequest::Put { file, offset } => self.put(file, offset, job),
            FileRequest::Sync { file, data_only } => self.sync(file, data_only, waits),
            FileRequest::Allocate { file, mode, offset, length } => {
                self.allocate(file, mode, [offset, length], waits)
            }
            FileRequest::Find { file, offset, hole } => self.find(file, offset, hole, waits),
        }
    }

    fn walk(&mut self, directory: Handle, job: &Job, waits: Waits) -> Result<Done, Trouble> {
        let mut at = self.table.directory(directory)?;
        at.must_not_wait(waits)?;
        let mut done = Done::default();
        for name in job.names.iter().flat_map(|names| names.iter()).take(MAX_WALK) {
            let (found, below) = match self.step(&at, name, waits) {
                Ok(step) => step,
                Err(_) if done.value > 0 => break,
                Err(trouble) => return Err(trouble),
            };
            done.value += 1;
            done.data.extend(found.to_words());
            match below {
                Some(below) => at = below,
                None => break,
            }
        }
        Ok(done)
    }

    /// A name in a directory; and the directory that it is, if it is one.
    pub(super) fn step(
        &mut self,
        at: &Arc<Directory>,
        name: &[u8],
        waits: Waits,
    ) -> Result<(Found, Option<Arc<Directory>>), Trouble> {
        let fd = open::path(at, name, waits)?;
        let (status, identity) = status::of(&fd)?;
        let kind = status.mode as u32 & S_IFMT;
        let (node, below) = if kind == S_IFDIR {
            let below = Arc::new(at.below(fd, status.dev, &self.budget)?);
            (Node::Directory(below.clone()), Some(below))
        } else {
            let (directory, name) = (at.clone(), name.into());
            let (reading, writing, is_readable) = (None, None, false);
            let named = Named { directory, name, identity, kind, reading, writing, is_readable };
            (Node::Named(named), None)
        };
        let handle = self.table.insert(node)?;
        Ok((Found { handle, status }, below))
    }

    fn list(
        &mut self,
        handle: Handle,
        cookie: u64,
        room: usize,
        waits: Waits,
    ) -> Result<Done, Trouble> {
        let directory = self.table.directory(handle)?;
        directory.must_not_wait(waits)?;
        let listing = match self.listing.take().filter(|listing| listing.is_of(handle)) {
            Some(listing) => listing,
            None => Listing::open(handle, &directory, waits)?,
        };
        self.listing.insert(listing).read(cookie, room)
    }

    fn read_link(&mut self, link: Handle, room: usize, waits: Waits) -> Result<Done, Trouble> {
        /// `PATH_MAX`
        const LONGEST: usize = 4096;
        let named = self.table.named(link)?;
        if named.kind != S_IFLNK {
            return Err(Errno::EINVAL.into());
        }
        let (fd, _) = open::found(named, waits)?;
        let mut bytes = vec![0; room.min(LONGEST)];
        if bytes.is_empty() {
            return Err(Errno::EINVAL.into());
        }
        let length = readlinkat_raw(&fd, "", &mut bytes[..])?;
        bytes.truncate(length);
        Ok(Done { value: length as u64, bytes, ..Done::default() })
    }

    fn open(&mut self, file: Handle, access: Access, waits: Waits) -> Result<Done, Trouble> {
        let Server { table, descriptors, budget, .. } = self;
        let named = table.named(file)?;
        open::must_be_regular(named.kind)?;
        if access != Access::Read && !named.directory.is_writable {
            return Err(Trouble::Refused(Errno::EROFS));
        }
        let reads = access != Access::Write && named.reading.is_none();
        let writes = access != Access::Read && named.writing.is_none();
        let mut status = None;
        if reads || writes {
            let (fd, found) = open::found(named, waits)?;
            let reading = match reads {
                true if named.is_readable => Some(Open {
                    file: fd.try_clone().map_err(|_| Errno::ENFILE)?.into(),
                    _counted: budget.take()?,
                }),
                true => Some(descriptors.open_file(&fd, OFlags::RDONLY, budget)?),
                false => None,
            };
            if writes {
                let writing = descriptors.open_file(&fd, OFlags::WRONLY, budget)?;
                named.writing = Some(Arc::new(writing));
            }
            if let Some(reading) = reading {
                named.reading = Some(Arc::new(reading));
            }
            status = Some(found);
        }
        let status = match status {
            Some(status) => status,
            None => return self.look(file, waits),
        };
        Ok(Done { data: status.to_words().to_vec(), ..Done::default() })
    }

    /// The file that is open for reading; and whether it can be read in place.
    ///
    /// # Errors
    /// EBADF.
    pub(super) fn reading(&mut self, file: Handle) -> Result<(&Open, bool), Trouble> {
        let named = self.table.named(file)?;
        let at_once = named.directory.is_at_once();
        let open = named.reading.as_deref().ok_or(Trouble::Refused(Errno::EBADF))?;
        Ok((open, at_once))
    }

    /// Where a file cannot be read in place.
    fn get(&mut self, file: Handle, offset: u64, room: usize) -> Result<Done, Trouble> {
        let (open, _) = self.reading(file)?;
        let mut bytes = vec![0; room.min(MAX_TRANSFER as usize)];
        let mut length = 0;
        while length < bytes.len() {
            let at = offset.saturating_add(length as u64);
            match io::pread(&open.file, &mut bytes[length..], at) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(_) if length > 0 => break,
                Err(error) => return Err(error.into()),
            }
        }
        bytes.truncate(length);
        Ok(Done { value: length as u64, bytes, ..Done::default() })
    }

    /// Positions of these descriptors mean nothing.
    fn find(
        &mut self,
        file: Handle,
        offset: u64,
        hole: bool,
        waits: Waits,
    ) -> Result<Done, Trouble> {
        let named = self.table.named(file)?;
        named.directory.must_not_wait(waits)?;
        let open = named.reading.as_ref().or(named.writing.as_ref());
        let open = open.ok_or(Trouble::Refused(Errno::EBADF))?;
        let from = if hole { SeekFrom::Hole(offset) } else { SeekFrom::Data(offset) };
        Ok(Done::of(seek(&open.file, from)?))
    }

    pub(super) fn look(&mut self, file: Handle, waits: Waits) -> Result<Done, Trouble> {
        let status = match self.table.get(file)? {
            Node::Directory(directory) => {
                directory.must_not_wait(waits)?;
                status::of(&directory.fd)?.0
            }
            Node::Named(named) => {
                named.directory.must_not_wait(waits)?;
                match named.reading.as_ref().or(named.writing.as_ref()) {
                    Some(open) => status::of(&open.file)?.0,
                    None => open::found(named, waits)?.1,
                }
            }
        };
        Ok(Done { data: status.to_words().to_vec(), ..Done::default() })
    }

    fn release(&mut self, handles: &[Handle], keep: bool, waits: Waits) -> Result<u64, Trouble> {
        // To close a file may take as long as to write it.
        for &handle in handles {
            let handle = Handle(handle.0 & !Handle::NOT_WRITTEN);
            if let Ok(node) = self.table.get(handle) {
                node.directory().must_not_wait(waits)?;
            }
        }
        let mut count = 0;
        for &handle in handles {
            let stays = Handle(handle.0 & !Handle::NOT_WRITTEN);
            let known = match keep || stays != handle {
                true => self.close(stays, keep),
                false => self.table.release(handle),
            };
            self.listing.take_if(|listing| listing.is_of(stays));
            count += u64::from(known);
        }
        Ok(count)
    }

    /// Closes a file, or only for writing; false, if it is none.
    fn close(&mut self, handle: Handle, for_reading_too: bool) -> bool {
        let named = match self.table.get(handle) {
            Ok(Node::Named(named)) => named,
            Ok(Node::Directory(_)) => return true,
            Err(_) => return false,
        };
        let writing = named.writing.take();
        if for_reading_too {
            named.reading = None;
        } else if let (Some(reading), Some(writing)) = (&named.reading, &writing)
            && Arc::ptr_eq(reading, writing)
        {
            // Who reads goes on with one that does nothing else.
            let only = self.descriptors.open_file(&reading.file, OFlags::RDONLY, &self.budget);
            named.reading = only.ok().map(Arc::new);
        }
        true
    }

    fn file_system(&mut self, file: Handle, waits: Waits) -> Result<Done, Trouble> {
        let node = self.table.get(file)?;
        let directory = node.directory();
        directory.must_not_wait(waits)?;
        let status = match node {
            Node::Directory(directory) => fstatfs(&directory.fd)?,
            Node::Named(named) => match named.reading.as_ref().or(named.writing.as_ref()) {
                Some(open) => fstatfs(&open.file)?,
                None => fstatfs(open::found(named, waits)?.0)?,
            },
        };
        let status = FileSystemStatus {
            kind: (status.f_type as u32).into(),
            bsize: status.f_bsize as u64,
            blocks: status.f_blocks,
            bfree: status.f_bfree,
            bavail: status.f_bavail,
            files: status.f_files,
            ffree: status.f_ffree,
            namelen: status.f_namelen as u64,
            frsize: status.f_frsize as u64,
        };
        Ok(Done { data: status.to_words().to_vec(), ..Done::default() })
    }
}

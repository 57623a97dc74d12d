//! What a handle is.

use super::status::Identity;
use super::{Trouble, Waits};
use crate::host::filesystem::answers_at_once;
use rustix::fd::{AsFd, OwnedFd};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use trapgate_uapi::Errno;

/// A directory, or something else.
#[derive(Debug)]
pub(super) enum Node {
    Directory(Arc<Directory>),
    Named(Named),
}

/// A directory: the same one, whatever it is called.
#[derive(Debug)]
pub(super) struct Directory {
    /// Of `O_PATH`: nothing can be read or written by it.
    pub(super) fd: OwnedFd,
    /// Which of the sandbox's directories it is in, or is.
    pub(super) mount: usize,
    /// Whether what is in that one may be changed.
    pub(super) is_writable: bool,
    /// Its file system.
    device: u64,
    /// Whether that answers at once.
    at_once: bool,
    _counted: Counted,
}

/// A file of another kind: a name, and what had it when it was looked up.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) directory: Arc<Directory>,
    /// Empty of a file that is a mount of its own: `directory` is then the file itself, so
    /// that nothing beside it can be reached.
    pub(super) name: Box<[u8]>,
    pub(super) identity: Identity,
    /// `st_mode` and `S_IFMT`.
    pub(super) kind: u32,
    /// Open for reading.
    pub(super) reading: Option<Arc<Open>>,
    /// Open for writing: perhaps the same.
    pub(super) writing: Option<Arc<Open>>,
    /// A mount of its own by a descriptor that can be read: it is that which is opened.
    pub(super) is_readable: bool,
}

/// An open regular file.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) file: File,
    pub(super) _counted: Counted,
}

impl Node {
    /// The directory that says what may be done to it: itself, or the one that it is in.
    pub(super) fn directory(&self) -> &Arc<Directory> {
        match self {
            Node::Directory(directory) => directory,
            Node::Named(named) => &named.directory,
        }
    }
}

impl Named {
    /// A file that is a mount of its own.
    pub(super) fn alone(file: Arc<Directory>, kind: u32, identity: Identity) -> Named {
        let (name, reading, writing, is_readable) = (Box::default(), None, None, false);
        Named { directory: file, name, identity, kind, reading, writing, is_readable }
    }
}

impl Directory {
    /// The root of one of the sandbox's directories.
    pub(super) fn root(
        fd: OwnedFd,
        mount: usize,
        is_writable: bool,
        device: u64,
        budget: &Budget,
    ) -> Result<Directory, Errno> {
        let at_once = answers_at_once(fd.as_fd());
        Ok(Directory { fd, mount, is_writable, device, at_once, _counted: budget.take()? })
    }

    /// One that is in this one.
    pub(super) fn below(
        &self,
        fd: OwnedFd,
        device: u64,
        budget: &Budget,
    ) -> Result<Directory, Errno> {
        let Directory { mount, is_writable, .. } = *self;
        let at_once =
            if device == self.device { self.at_once } else { answers_at_once(fd.as_fd()) };
        Ok(Directory { fd, mount, is_writable, device, at_once, _counted: budget.take()? })
    }

    /// Whether its file system answers at once.
    pub(super) fn is_at_once(&self) -> bool {
        self.at_once
    }

    /// Whether who must not wait may use it.
    pub(super) fn must_not_wait(&self, waits: Waits) -> Result<(), Trouble> {
        if self.at_once || waits == Waits::Yes { Ok(()) } else { Err(Trouble::MayWait) }
    }
}

/// Has this process have as many descriptors as it may: each directory of the host's that
/// a program knows is one. What cannot be raised stays. For programs; a library leaves its
/// process as it is.
pub fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// How many descriptors a sandbox may have open.
#[derive(Debug)]
pub(super) struct Budget {
    used: Arc<AtomicUsize>,
    most: usize,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Counted(Arc<AtomicUsize>);

impl Budget {
    pub(super) fn new(most: usize) -> Budget {
        Budget { used: Arc::default(), most }
    }

    /// How many are open.
    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// One more.
    ///
    /// # Errors
    /// ENFILE: to the program they are the system's, not its own.
    pub(super) fn take(&self) -> Result<Counted, Errno> {
        let counted = Counted(self.used.clone());
        if self.used.fetch_add(1, Ordering::Relaxed) < self.most {
            Ok(counted)
        } else {
            Err(Errno::ENFILE)
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

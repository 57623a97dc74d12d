//! Where a program's files are: its root, and directories and files of the host's in it.

use super::bind::{Bind, below};
use crate::Error;
use crate::boot::Mounted;
use crate::host::directories::{Directories, Server, Shared};
use crate::root::{Directory, Image, Opened, Root, SingleFile, find_program};
use std::fs::File;
use std::path::Path;
use trapgate_abi::boot_info::{MOUNT_ACCESS, MOUNT_IN_MEMORY, MOUNT_READ_ONLY, MOUNT_READ_WRITE};
use trapgate_abi::file::FileStatus;

/// The tree, each part of which is open.
#[derive(Debug)]
pub(super) struct Tree {
    root: Option<Opened>,
    /// By its path there; those that are below others behind these.
    binds: Vec<Bound>,
}

#[derive(Debug)]
struct Bound {
    path: Vec<u8>,
    host: Host,
    access: u64,
}

/// What of the host's is bound.
#[derive(Debug)]
enum Host {
    Directory(Directory),
    File(SingleFile),
}

impl Host {
    fn open(path: &Path) -> Result<Host, Error> {
        Ok(match SingleFile::open(path)? {
            Some(file) => Host::File(file),
            None => Host::Directory(Directory::open(path)?),
        })
    }
}

impl Tree {
    /// Opens what it is made of.
    pub(super) fn open(root: Option<Root>, binds: &[Bind]) -> Result<Tree, Error> {
        let binds = Bind::in_order(binds)?.into_iter().map(|(bind, path)| {
            Ok(Bound { path, host: Host::open(&bind.host)?, access: bind.word() })
        });
        let binds = binds.collect::<Result<_, Error>>()?;
        Ok(Tree { root: root.map(Root::opened).transpose()?, binds })
    }

    /// Whether programs are found in it.
    pub(super) fn has_root(&self) -> bool {
        self.root.is_some()
    }

    /// The root's image, if it is one.
    pub(super) fn image(&self) -> Option<&Image> {
        self.root.as_ref()?.image()
    }

    /// The path of a program: [`Image::find_program`].
    pub(super) fn find_program(&self, name: &[u8], path: &[u8]) -> Result<Vec<u8>, Error> {
        let found = find_program(name, path, &|path| match self.part(path) {
            Part::Bound(directory, rest) => directory.executable(rest),
            Part::File(file) => file.executable(path),
            Part::Root(root) => root.executable(path),
            Part::Nothing => Err(self.not_found(path)),
        });
        match found {
            // A link may lead to where only the guest comes: from a bind to the root.
            Err(Error::NotFound { .. }) if name.contains(&b'/') && !self.binds.is_empty() => {
                Ok(if name.starts_with(b"/") { name.to_vec() } else { [b"/", name].concat() })
            }
            found => found,
        }
    }

    /// All bytes of the program at a path.
    pub(super) fn read_program(&self, path: &[u8]) -> Result<Vec<u8>, Error> {
        match self.part(path) {
            Part::Bound(directory, rest) => directory.read_program(rest),
            Part::File(file) => file.read_program(path),
            Part::Root(root) => root.read_program(path),
            Part::Nothing => Err(self.not_found(path)),
        }
    }

    /// All bytes of the file at a path, whether it is a program or not.
    pub(super) fn read_file(&self, path: &[u8]) -> Result<Vec<u8>, Error> {
        match self.part(path) {
            Part::Bound(directory, rest) => directory.read_file(rest),
            Part::File(file) => file.read_file(path),
            Part::Root(root) => root.read_file(path),
            Part::Nothing => Err(self.not_found(path)),
        }
    }

    /// All bytes of the file at a path, if that can be read without waiting: nobody may be
    /// there any more to end it.
    pub(super) fn read_for_symbols(&self, path: &[u8]) -> Option<Vec<u8>> {
        let at_once = match self.part(path) {
            Part::Bound(directory, _) => directory.answers_at_once(),
            Part::Root(Opened::Directory(directory)) => directory.answers_at_once(),
            Part::File(file) => file.answers_at_once(),
            Part::Root(Opened::Image(_)) => true,
            Part::Nothing => false,
        };
        at_once.then(|| self.read_file(path).ok()).flatten()
    }

    fn not_found(&self, path: &[u8]) -> Error {
        let path = super::program::to_path(path);
        Error::NotFound { path, hint: " in the sandbox".to_owned() }
    }

    /// In what a path ends, if it has no links.
    fn part<'a>(&self, path: &'a [u8]) -> Part<'_, 'a> {
        // The last one is the deepest.
        for bound in self.binds.iter().rev() {
            match &bound.host {
                Host::Directory(directory) => {
                    if let Some(rest) = below(path, &bound.path) {
                        return Part::Bound(directory, rest);
                    }
                }
                Host::File(file) if path == bound.path => return Part::File(file),
                Host::File(_) => {}
            }
        }
        self.root.as_ref().map_or(Part::Nothing, Part::Root)
    }

    /// The server of what is the host's, and what the kernel is told of it: also of the
    /// file of a program that it does not find in the root, for which there is a path.
    pub(super) fn mount(&self, program: Option<(File, Vec<u8>)>) -> Result<Served, Error> {
        let mut shared = Vec::new();
        let mut places = Vec::new();
        let mut add = |fd, access: u64, path: &[u8]| {
            let is_writable = access & MOUNT_ACCESS == MOUNT_READ_WRITE;
            shared.push(Shared { fd, is_writable });
            places.push((access, path.to_vec()));
        };
        if let Some(Opened::Directory(directory)) = &self.root {
            add(directory.to_fd()?, MOUNT_IN_MEMORY, b"/");
        }
        for bound in &self.binds {
            let fd = match &bound.host {
                Host::Directory(directory) => directory.to_fd()?,
                Host::File(file) => file.to_fd()?,
            };
            add(fd, bound.access, &bound.path);
        }
        let (mut server, handles) = match (shared.is_empty(), &program) {
            (true, None) => return Ok(Served::default()),
            (true, Some(_)) => (Server::without_directories(), Vec::new()),
            (false, _) => Server::new(shared)?,
        };
        let mounts = places.into_iter().zip(handles);
        let mounts = mounts.map(|((access, path), handle)| Mounted { handle, access, path });
        let program = program.and_then(|(file, path)| {
            let (handle, status) = server.add_program(file)?;
            Some((Mounted { handle, access: MOUNT_READ_ONLY, path }, status))
        });
        Ok(Served { directories: Directories::new(server), mounts: mounts.collect(), program })
    }
}

/// What the guest has of the host's files.
#[derive(Default)]
pub(super) struct Served {
    /// Who serves them.
    pub(super) directories: Directories,
    /// Those that are in its tree, the root first.
    pub(super) mounts: Vec<Mounted>,
    /// The program's own.
    pub(super) program: Option<(Mounted, FileStatus)>,
}

/// Where something is.
enum Part<'a, 'p> {
    /// In a directory of the host's, at this path.
    Bound(&'a Directory, &'p [u8]),
    /// It is this file of the host's.
    File(&'a SingleFile),
    /// In the root.
    Root(&'a Opened),
    /// In memory: it is not there before the program runs.
    Nothing,
}

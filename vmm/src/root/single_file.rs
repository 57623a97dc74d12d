//! One regular file of the host's that the guest sees by requests (`host::directories`).

use super::directory::{must_be_program, read_all};
use super::{open_file, unreadable};
use crate::Error;
use crate::host::filesystem::answers_at_once;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// A regular file, opened: what happens to its name then does not matter any more.
#[derive(Debug)]
pub(crate) struct SingleFile {
    path: PathBuf,
    /// To be read.
    file: File,
}

impl SingleFile {
    /// Opens the file at `path`; none, if a directory is there.
    ///
    /// # Errors
    /// [`Error::Root`], if it is neither, or one that this process may not read.
    pub(crate) fn open(path: &Path) -> Result<Option<SingleFile>, Error> {
        match open_file(path) {
            Ok(file) => Ok(Some(SingleFile { path: path.to_owned(), file })),
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => Ok(None),
            Err(error) => Err(unreadable(path, &error)),
        }
    }

    /// Whether its file system is one of those that answer at once.
    pub(crate) fn answers_at_once(&self) -> bool {
        answers_at_once(self.file.as_fd())
    }

    /// A descriptor by which it can be found, and nothing else.
    pub(crate) fn to_fd(&self) -> Result<OwnedFd, Error> {
        // Its name may be another file's by now.
        let this = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let opened = openat(CWD, this, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        opened.map_err(|errno| unreadable(&self.path, &errno.into()))
    }

    /// Whether it is a program, which is at `path` in the guest.
    pub(crate) fn executable(&self, path: &[u8]) -> Result<(), Error> {
        must_be_program(self.file.as_fd(), path)
    }

    /// All its bytes.
    pub(crate) fn read_program(&self, path: &[u8]) -> Result<Vec<u8>, Error> {
        self.executable(path)?;
        self.read_file(path)
    }

    /// The same, whether it is a program or not.
    pub(crate) fn read_file(&self, path: &[u8]) -> Result<Vec<u8>, Error> {
        read_all(&self.file, path)
    }
}

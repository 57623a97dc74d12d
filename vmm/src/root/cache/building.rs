//! An image that is being made: by one process at a time, and nobody's before it is
//! whole.

use crate::Error;
use crate::root::meter::{Progress, Step};
use rustix::fs::{FlockOperation, Mode, flock};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The file that an image is made in, locked. Removed when it is dropped unfinished;
/// who crashes leaves it, unlocked.
pub(super) struct Building {
    file: File,
    path: PathBuf,
    finished: bool,
}

impl Building {
    /// Begins one, empty. Waits for another that makes the same.
    pub(super) fn begin(path: &Path, report: &mut dyn FnMut(Progress)) -> Result<Building, Error> {
        let failed = |error: io::Error| super::cannot_make(path, &error);
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let file = options.open(path).map_err(failed)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) => {
                    report(Progress { step: Step::Waiting, done: 0, total: 0 });
                    wait(&file).map_err(failed)?;
                }
                locked => locked.map_err(|errno| failed(errno.into()))?,
            }
            // Whoever had it before may have given it another name, or removed it.
            if is_at(&file, path) {
                file.set_len(0).map_err(failed)?;
                return Ok(Building { file, path: path.to_owned(), finished: false });
            }
        }
    }

    /// The file.
    pub(super) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives it its name, when all of it is on the disk.
    pub(super) fn finish(mut self, image: &Path) -> io::Result<()> {
        rustix::fs::fchmod(&self.file, Mode::RUSR | Mode::RGRP | Mode::ROTH)?;
        self.file.sync_all()?;
        fs::rename(&self.path, image)?;
        self.finished = true;
        // The name, too: but an image without one is only made again.
        if let Some(Ok(directory)) = image.parent().map(File::open) {
            let _ = directory.sync_all();
        }
        Ok(())
    }

    /// Removes one that nobody is making.
    pub(super) fn remove_if_left(path: &Path) {
        let Ok(file) = File::open(path) else { return };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() && is_at(&file, path) {
            let _ = fs::remove_file(path);
        }
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        if !self.finished {
            // While it is locked: whoever waits for it begins anew.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Waits for the lock.
fn wait(file: &File) -> io::Result<()> {
    loop {
        match flock(file, FlockOperation::LockExclusive) {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

/// Whether a file is the one at a path.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(own), Ok(there)) => own.dev() == there.dev() && own.ino() == there.ino(),
        _ => false,
    }
}

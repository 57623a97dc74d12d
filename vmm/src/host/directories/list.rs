//! The names of a directory.

use super::node::Directory;
use super::{Done, Trouble, Waits, open};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, RawDir, SeekFrom, seek};
use std::mem::MaybeUninit;
use trapgate_abi::hypercall::files::{Entry, Handle};
use trapgate_uapi::Errno;
use trapgate_uapi::dirent::{DT_BLK, DT_CHR, DT_DIR, DT_FIFO, DT_LNK, DT_REG, DT_SOCK, DT_UNKNOWN};

/// Bytes of names that one request gives at most.
const MOST: usize = 64 << 10;

/// Bytes that are read at a time.
const PIECE: usize = 32 << 10;

/// The directory that was listed last, opened for that.
#[derive(Debug)]
pub(super) struct Listing {
    directory: Handle,
    fd: OwnedFd,
    /// The cookie of what would be read next, if that is known.
    position: Option<u64>,
}

impl Listing {
    /// Of this directory.
    pub(super) fn is_of(&self, directory: Handle) -> bool {
        self.directory == directory
    }

    /// Opens a directory to read its names.
    pub(super) fn open(
        handle: Handle,
        directory: &Directory,
        waits: Waits,
    ) -> Result<Listing, Trouble> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let fd = open::at(directory.fd.as_fd(), b".", flags, Mode::empty(), waits)?;
        Ok(Listing { directory: handle, fd, position: Some(0) })
    }

    /// As many of its names from a cookie on as `room` bytes hold.
    pub(super) fn read(&mut self, cookie: u64, room: usize) -> Result<Done, Trouble> {
        if self.position.take() != Some(cookie) {
            seek(&self.fd, SeekFrom::Start(cookie))?;
        }
        let mut bytes = vec![0; room.min(MOST)];
        let (mut length, mut next) = (0, cookie);
        let mut buffer = [MaybeUninit::uninit(); PIECE];
        let mut names = RawDir::new(&self.fd, &mut buffer);
        let mut is_at_end = true;
        while let Some(entry) = names.next() {
            let entry = match entry {
                Ok(entry) => entry,
                // What was read is told of; the error comes again.
                Err(_) if length > 0 => break,
                Err(error) => return Err(error.into()),
            };
            let (name, after) = (entry.file_name().to_bytes(), entry.next_entry_cookie());
            if !matches!(name, b"." | b"..") {
                let kind = kind(entry.file_type());
                let entry = Entry { number: entry.ino(), next: after, kind, name };
                match entry.write(&mut bytes[length..]) {
                    Some(size) => length += size,
                    None if length == 0 => return Err(Errno::EINVAL.into()),
                    None => {
                        is_at_end = false;
                        break;
                    }
                }
            }
            next = after;
        }
        if is_at_end {
            self.position = Some(next);
        }
        bytes.truncate(length);
        Ok(Done { value: length as u64, bytes, ..Done::default() })
    }
}

/// `DT_*`
fn kind(file_type: FileType) -> u8 {
    match file_type {
        FileType::RegularFile => DT_REG,
        FileType::Directory => DT_DIR,
        FileType::Symlink => DT_LNK,
        FileType::Fifo => DT_FIFO,
        FileType::Socket => DT_SOCK,
        FileType::CharacterDevice => DT_CHR,
        FileType::BlockDevice => DT_BLK,
        FileType::Unknown => DT_UNKNOWN,
    }
}

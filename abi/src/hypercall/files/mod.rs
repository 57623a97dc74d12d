//! Requests for the host's directories ([`crate::boot_info::Mount`]).
//!
//! Each file that the kernel has been told of is a **handle**: what it means stands in the
//! VMM's table, and what is no handle there is EBADF. A directory's stays the same
//! directory, whatever it is called. A file's is a name in a directory until it is open;
//! when that name is another file's by then, the answer is ESTALE. So of a file that is
//! renamed the kernel walks to the new name.
//!
//! No request follows a link: the kernel reads it and walks on. Devices, pipes and sockets
//! of the host are seen and never opened. Numbers of devices and files are the host's; a
//! directory may have other file systems below it.
//!
//! What a request changes must be in a directory that is [`MOUNT_READ_WRITE`]; it is EROFS
//! elsewhere. Owners and permissions are what the VMM's own user may do: EACCES.
//!
//! [`MOUNT_READ_WRITE`]: crate::boot_info::MOUNT_READ_WRITE

mod attached;
mod codec;
mod listing;

pub use attached::{
    Change, Found, GIVEN_BACK, MAX_GIVEN_BACK, MAX_RELEASED, change, handles, push_handle,
    put_change,
};
pub use listing::{Entries, Entry};

use super::MESSAGE_WORDS;

/// Names of one [`FileRequest::Walk`] at most.
pub const MAX_WALK: usize = (MESSAGE_WORDS - 1) / Found::WORDS;

/// The word of a reply to [`FileRequest::Walk`] that says how many bytes of the last file's
/// beginning were read; `u64::MAX`, if it is not open.
pub const WALK_OPENED: usize = 1 + MAX_WALK * Found::WORDS;
const _: () = assert!(WALK_OPENED < MESSAGE_WORDS);

/// What stands for a file or a directory of the host's: never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(pub u64);

impl Handle {
    /// In a handle that is given back: it stays, and only is no longer open for writing. No
    /// handle has this bit.
    pub const NOT_WRITTEN: u64 = 1 << 63;
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Both.
    Both,
}

/// What the kernel asks of the host's directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileRequest {
    /// What the attached names are, at most [`MAX_WALK`]: the first in `directory`, each
    /// further one in what was found before it. Reply: how many were found, at least one,
    /// else the error of the first, such as ENOENT; data: a [`Found`] of each. It ends
    /// early at what is no directory, and at what is not there or cannot be reached: of
    /// that, the kernel asks for the reason by a walk that begins there.
    ///
    /// If there are segments, at most [`super::MAX_SEGMENTS_BESIDE_NAMES`], and the last
    /// name is a regular file's, it is opened for reading, and they are filled with its
    /// beginning: [`WALK_OPENED`].
    Walk {
        /// A directory.
        directory: Handle,
    },
    /// getdents64(2). Reply: how many bytes of the attached segments are filled with
    /// [`Entries`]; none at the end. EINVAL, if the next one has no room.
    List {
        /// A directory.
        directory: Handle,
        /// The cookie of the next entry: [`Entry::next`] of the last one, 0 to begin. It
        /// means something to the host's file system only.
        cookie: u64,
    },
    /// readlink(2) into the attached segments. Reply: bytes.
    ReadLink {
        /// A symbolic link.
        link: Handle,
    },
    /// open(2) of a regular file, and its first bytes into the attached segments, if it is
    /// to be read and there are some. Reply: bytes; data: its [`FileStatus`]. What is open
    /// for this already stays so. ESTALE, if the name is another file's now.
    ///
    /// [`FileStatus`]: crate::file::FileStatus
    Open {
        /// A regular file: else EISDIR, ELOOP, or ENXIO.
        file: Handle,
        /// What for.
        access: Access,
    },
    /// pread(2) into the attached segments. Reply: bytes, fewer only at the file's end.
    Get {
        /// A file that is open for it.
        file: Handle,
        /// Where from, in bytes from the file's start.
        offset: u64,
    },
    /// statx(2). Reply data: [`FileStatus`], as it is now.
    ///
    /// [`FileStatus`]: crate::file::FileStatus
    Look {
        /// Any.
        file: Handle,
    },
    /// Forget the attached handles, at most [`MAX_RELEASED`], or only close them, or close
    /// them for writing ([`Handle::NOT_WRITTEN`]). Those that are none are passed over.
    /// Reply: how many were some.
    Release {
        /// They are not forgotten: they are files that are not open afterwards.
        keep: bool,
    },
    /// statfs(2). Reply data: [`crate::file::FileSystemStatus`].
    FileSystem {
        /// Any.
        file: Handle,
    },
    /// Make a file of the attached name, which is not there: EEXIST. Reply data: its
    /// [`Found`]. A regular file is open for both; of a symbolic link the attached segments
    /// are the target; a device is EPERM.
    Make {
        /// Where.
        directory: Handle,
        /// Type and permissions, as `st_mode` has them. No umask is taken away from them.
        mode: u32,
    },
    /// linkat(2): one more name, which is attached.
    Link {
        /// What shall have it: no directory.
        file: Handle,
        /// Where.
        directory: Handle,
    },
    /// unlinkat(2) of the attached name.
    Unlink {
        /// Where it is.
        directory: Handle,
        /// Whether it is a directory, `AT_REMOVEDIR`.
        is_directory: bool,
    },
    /// renameat2(2): the first of the attached names becomes the second. Reply data: the
    /// [`Found`] of what has the second name then, and with `RENAME_EXCHANGE` that of the
    /// first.
    Rename {
        /// Where it is.
        from: Handle,
        /// Where it shall be.
        to: Handle,
        /// Of [`RENAME_FLAGS`].
        flags: u32,
    },
    /// fchmod(2), fchown(2), ftruncate(2), utimensat(2), as the attached [`Change`] says,
    /// in this order. Reply data: [`FileStatus`] afterwards.
    ///
    /// [`FileStatus`]: crate::file::FileStatus
    Change {
        /// Any, but that a size is that of a file that is open for writing, and only an
        /// owner can be given to a link.
        file: Handle,
    },
    /// pwrite(2) of the attached segments. Reply: bytes; data: [`FileStatus`] afterwards, and
    /// behind it before, so that who keeps bytes of the file knows whether others have
    /// changed it.
    ///
    /// [`FileStatus`]: crate::file::FileStatus
    Put {
        /// A file that is open for it.
        file: Handle,
        /// Where to, in bytes from the file's start; [`AT_END`] for its end.
        offset: u64,
    },
    /// fsync(2), or fdatasync(2).
    Sync {
        /// A file that is open, or a directory.
        file: Handle,
        /// fdatasync(2).
        data_only: bool,
    },
    /// fallocate(2).
    Allocate {
        /// A file that is open for writing.
        file: Handle,
        /// `FALLOC_FL_*` of linux/falloc.h.
        mode: u32,
        /// From there.
        offset: u64,
        /// So many bytes.
        length: u64,
    },
    /// lseek(2) with `SEEK_DATA` or `SEEK_HOLE`, which moves nothing. Reply: where it is, or
    /// ENXIO.
    Find {
        /// A file that is open.
        file: Handle,
        /// From there.
        offset: u64,
        /// What is looked for: a hole, or data.
        hole: bool,
    },
}

/// [`FileRequest::Put`]: behind the last byte, wherever that is then.
pub const AT_END: u64 = u64::MAX;

/// `RENAME_NOREPLACE` and `RENAME_EXCHANGE` of linux/fs.h.
pub const RENAME_FLAGS: u32 = 1 | 2;

impl FileRequest {
    /// Whether it would change something on the host.
    pub const fn changes(&self) -> bool {
        match self {
            FileRequest::Walk { .. }
            | FileRequest::List { .. }
            | FileRequest::ReadLink { .. }
            | FileRequest::Open { access: Access::Read, .. }
            | FileRequest::Get { .. }
            | FileRequest::Look { .. }
            | FileRequest::Release { .. }
            | FileRequest::FileSystem { .. }
            | FileRequest::Sync { .. }
            | FileRequest::Find { .. } => false,
            FileRequest::Open { .. }
            | FileRequest::Make { .. }
            | FileRequest::Link { .. }
            | FileRequest::Unlink { .. }
            | FileRequest::Rename { .. }
            | FileRequest::Change { .. }
            | FileRequest::Put { .. }
            | FileRequest::Allocate { .. } => true,
        }
    }
}

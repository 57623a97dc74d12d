//! Opening what is in a directory: one name at a time, never a link, never a device.

use super::node::{Budget, Directory, Named, Open};
use super::{Trouble, Waits, status};
use crate::Error;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, ResolveFlags, fstatfs, open, openat, openat2};
use rustix::io;
use std::fs::File;
use trapgate_abi::file::FileStatus;
use trapgate_uapi::Errno;
use trapgate_uapi::stat::{S_IFLNK, S_IFREG};

/// How often Linux may say that a directory was moved meanwhile.
const TRIES: usize = 4;

/// A name in a directory. It is one component and no `..`, which was checked; the flags
/// hold if it should not have been.
pub(super) fn at(
    directory: BorrowedFd<'_>,
    name: &[u8],
    flags: OFlags,
    mode: Mode,
    waits: Waits,
) -> Result<OwnedFd, Trouble> {
    let mut resolve =
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    if waits == Waits::No {
        // Another file system may be one that does not answer at once.
        resolve |= ResolveFlags::NO_XDEV;
    }
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut tries = 0;
    loop {
        tries += 1;
        return match openat2(directory, name, flags, mode, resolve) {
            Err(io::Errno::AGAIN) if tries < TRIES => continue,
            Err(io::Errno::XDEV) if waits == Waits::No => Err(Trouble::MayWait),
            opened => Ok(opened?),
        };
    }
}

/// A descriptor by which a file can be looked at, and nothing else.
pub(super) fn path(directory: &Directory, name: &[u8], waits: Waits) -> Result<OwnedFd, Trouble> {
    at(directory.fd.as_fd(), name, OFlags::PATH, Mode::empty(), waits)
}

/// The same of a file that was looked up before.
///
/// # Errors
/// ESTALE, if its name is another file's now; those of open(2).
pub(super) fn found(named: &Named, waits: Waits) -> Result<(OwnedFd, FileStatus), Trouble> {
    named.directory.must_not_wait(waits)?;
    // A mount that is one file has it in the place of a directory.
    let fd = match &*named.name {
        b"" => named.directory.fd.try_clone().map_err(|_| Errno::ENFILE)?,
        name => path(&named.directory, name, waits)?,
    };
    let (status, identity) = status::of(&fd)?;
    if identity == named.identity { Ok((fd, status)) } else { Err(Errno::ESTALE.into()) }
}

/// /proc/self/fd, through which a file is opened that a descriptor of `O_PATH` is of. So
/// what is opened is what was looked at, whatever its name is by then.
#[derive(Debug)]
pub(super) struct Descriptors(Option<OwnedFd>);

impl Descriptors {
    /// Where nothing is opened so.
    pub(super) const NONE: Descriptors = Descriptors(None);

    /// # Errors
    /// [`Error::Host`], if it is not there.
    pub(super) fn open() -> Result<Descriptors, Error> {
        /// `PROC_SUPER_MAGIC` of linux/magic.h.
        const PROC: u32 = 0x9fa0;
        let failed =
            |errno: io::Errno| Error::host("/proc/self/fd, for host directories")(errno.into());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = open("/proc/self/fd", flags, Mode::empty()).map_err(failed)?;
        match fstatfs(&fd).map_err(failed)?.f_type as u32 {
            PROC => Ok(Descriptors(Some(fd))),
            _ => Err(failed(io::Errno::NODEV)),
        }
    }

    /// The path by which Linux finds the file of a descriptor.
    pub(super) fn path_of(fd: impl AsFd) -> String {
        fd.as_fd().as_raw_fd().to_string()
    }

    /// The directory itself.
    ///
    /// # Errors
    /// EROFS of a server of nothing that can be opened so, or changed.
    pub(super) fn at(&self) -> Result<BorrowedFd<'_>, Trouble> {
        self.0.as_ref().map(AsFd::as_fd).ok_or(Trouble::Refused(Errno::EROFS))
    }

    /// Opens the regular file of `fd`, which may be of `O_PATH`.
    pub(super) fn open_file(
        &self,
        fd: impl AsFd,
        flags: OFlags,
        budget: &Budget,
    ) -> Result<Open, Trouble> {
        let counted = budget.take()?;
        let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        let file = match openat(self.at()?, Descriptors::path_of(fd), flags, Mode::empty()) {
            // To the program these are the system's, not its own.
            Err(io::Errno::MFILE) => return Err(Errno::ENFILE.into()),
            opened => File::from(opened?),
        };
        Ok(Open { file, _counted: counted })
    }
}

/// Why a file of this kind is not opened.
pub(super) fn must_be_regular(kind: u32) -> Result<(), Errno> {
    match kind {
        S_IFREG => Ok(()),
        S_IFLNK => Err(Errno::ELOOP),
        _ => Err(Errno::ENXIO),
    }
}

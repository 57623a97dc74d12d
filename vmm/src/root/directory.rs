//! A directory of the host's that the guest sees by requests (`host::directories`), and
//! the programs in it.

use super::lookup::{LARGEST_PROGRAM, MOST_LINKS};
use super::unreadable;
use crate::Error;
use crate::host::filesystem::answers_at_once;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use rustix::io;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use trapgate_uapi::stat::{S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFMT, S_IFREG, S_IFSOCK};

/// A directory of the host's, opened: what happens to its name then does not matter any
/// more.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// Of `O_PATH`.
    fd: OwnedFd,
}

impl Directory {
    /// Opens the directory at `path`.
    ///
    /// # Errors
    /// [`Error::Root`], if it is none, or one in which this process may not look.
    pub fn open(path: impl AsRef<Path>) -> Result<Directory, Error> {
        let path = path.as_ref();
        let failed = |errno: io::Errno| match errno {
            io::Errno::NOTDIR => {
                let reason = "is no directory".to_owned();
                Error::Root { name: crate::error::shown(path), reason }
            }
            errno => unreadable(path, &errno.into()),
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = openat(CWD, path, flags, Mode::empty()).map_err(failed)?;
        // That needs the right to look for names in it.
        openat(&fd, ".", flags, Mode::empty()).map_err(failed)?;
        Ok(Directory { path: path.to_owned(), fd })
    }

    /// Where it was found.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether its file system is one of those that answer at once.
    pub(crate) fn answers_at_once(&self) -> bool {
        answers_at_once(self.fd.as_fd())
    }

    /// The same directory once more.
    pub(crate) fn to_fd(&self) -> Result<OwnedFd, Error> {
        self.fd.try_clone().map_err(|error| unreadable(&self.path, &error))
    }

    /// What is at a path in it, followed as if it were the root of all files.
    fn at(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Error> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let flags = flags | OFlags::CLOEXEC;
        let given = || Path::new(OsStr::from_bytes(path)).to_owned();
        let mut tries = 0;
        loop {
            tries += 1;
            return match openat2(self.fd.as_fd(), path, flags, Mode::empty(), resolve) {
                // A directory on the way was moved meanwhile.
                Err(io::Errno::AGAIN) if tries < MOST_LINKS => continue,
                Err(io::Errno::NOENT | io::Errno::NOTDIR) => {
                    Err(Error::NotFound { path: given(), hint: " in the root".to_owned() })
                }
                Err(errno) => Err(Error::unreadable(given(), errno.into())),
                Ok(fd) => Ok(fd),
            };
        }
    }

    /// Whether there is a program at a path.
    pub(crate) fn executable(&self, path: &[u8]) -> Result<(), Error> {
        must_be_program(self.at(path, OFlags::PATH)?.as_fd(), path)
    }

    /// All bytes of the program at a path.
    pub(crate) fn read_program(&self, path: &[u8]) -> Result<Vec<u8>, Error> {
        self.executable(path)?;
        self.read_file(path)
    }

    /// All bytes of the file at a path, if it is a regular one.
    pub(crate) fn read_file(&self, path: &[u8]) -> Result<Vec<u8>, Error> {
        // What is no such file is not opened at all: a device may do something then.
        let given = || Path::new(OsStr::from_bytes(path)).to_owned();
        let status = fstat(self.at(path, OFlags::PATH)?)
            .map_err(|errno| Error::Unreadable { path: given(), source: errno.into() })?;
        if status.st_mode & S_IFMT != S_IFREG {
            return Err(Error::NotAFile { path: given(), kind: "no regular file" });
        }
        let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK;
        read_all(&File::from(self.at(path, flags)?), path)
    }
}

/// Whether a file, which is at `path` in the guest, is a program.
pub(super) fn must_be_program(file: BorrowedFd<'_>, path: &[u8]) -> Result<(), Error> {
    let given = || Path::new(OsStr::from_bytes(path)).to_owned();
    let status =
        fstat(file).map_err(|errno| Error::Unreadable { path: given(), source: errno.into() })?;
    let kind = match status.st_mode & S_IFMT {
        S_IFREG if status.st_mode & 0o111 != 0 => return Ok(()),
        S_IFREG => return Err(Error::NotExecutable { path: given() }),
        S_IFDIR => "a directory",
        S_IFIFO => "a pipe",
        S_IFSOCK => "a socket",
        S_IFCHR | S_IFBLK => "a device",
        _ => "no regular file",
    };
    Err(Error::NotAFile { path: given(), kind })
}

/// All bytes of a file, as far as it is a regular one.
pub(super) fn read_all(file: &File, path: &[u8]) -> Result<Vec<u8>, Error> {
    let given = || Path::new(OsStr::from_bytes(path)).to_owned();
    let unreadable = |source| Error::Unreadable { path: given(), source };
    let status = file.metadata().map_err(unreadable)?;
    let length = if status.is_file() { status.len().min(LARGEST_PROGRAM) } else { 0 };
    let mut bytes = vec![0; length as usize];
    let mut done = 0;
    while done < bytes.len() {
        match file.read_at(&mut bytes[done..], done as u64).map_err(unreadable)? {
            // It is shorter now.
            0 => break,
            count => done += count,
        }
    }
    bytes.truncate(done);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn programs_are_found_inside_whatever_leads_to_them() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        fs::create_dir_all(at("usr/bin")).unwrap();
        for (name, mode) in [("usr/bin/prog", 0o755), ("usr/bin/text", 0o644)] {
            fs::write(at(name), name).unwrap();
            fs::set_permissions(at(name), PermissionsExt::from_mode(mode)).unwrap();
        }
        symlink("/usr/bin", at("bin")).unwrap();
        symlink("../../../usr/bin/prog", at("usr/bin/up")).unwrap();
        symlink("/etc/passwd", at("usr/bin/out")).unwrap();
        symlink("loop", at("usr/bin/loop")).unwrap();
        let directory = Directory::open(place.path()).unwrap();
        for path in ["/usr/bin/prog", "/bin/prog", "/bin/up", "/../bin/./prog"] {
            directory.executable(path.as_bytes()).unwrap();
            assert_eq!(directory.read_program(path.as_bytes()).unwrap(), b"usr/bin/prog");
        }
        for (path, part) in [
            ("/bin/out", "no such file in the root"),
            ("/bin/none", "no such file in the root"),
            ("/bin/prog/x", "no such file in the root"),
            ("/bin/text", "is not executable"),
            ("/bin", "is a directory"),
            ("/bin/loop", "cannot be read"),
        ] {
            let error = directory.executable(path.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains('\n'), "{path}: {error}");
        }
    }

    #[test]
    fn what_is_no_directory_is_said() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("file"), "").unwrap();
        for (name, part) in [("none", "none: no such file"), ("file", "file: is no directory")] {
            let error = Directory::open(place.path().join(name)).unwrap_err().to_string();
            assert!(error.ends_with(part), "{error}");
        }
    }
}

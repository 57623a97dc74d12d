//! Paths in an image, followed as Linux does (path_resolution(7)), and programs, found
//! as execvp(3) does.

use super::Image;
use crate::Error;
use crate::error::shown;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use trapgate_erofs::{FileType, Inode, LINK_MAX};

/// Where programs are looked for, if the environment has no PATH: as Docker does.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Links that are followed in one path.
pub(super) const MOST_LINKS: u32 = 40;

/// Bytes of the largest file that is read.
pub(super) const LARGEST_PROGRAM: u64 = 1 << 30;

/// A file in an image.
struct Found<'a> {
    files: trapgate_erofs::Image<&'a Image>,
    inode: Inode,
}

impl Image {
    /// The path in the image of the program `name`: itself, from the root on, if there is
    /// a slash in it, else the first of that name that can be executed in `path`'s
    /// directories.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotAFile`], [`Error::NotExecutable`];
    /// [`Error::Root`], if the image is damaged.
    pub fn find_program(&self, name: &[u8], path: &[u8]) -> Result<Vec<u8>, Error> {
        find_program(name, path, &|path| self.executable(path))
    }

    /// Whether there is a program.
    pub(super) fn executable(&self, path: &[u8]) -> Result<(), Error> {
        let inode = self.find(path)?.inode;
        let not = |kind| Err(Error::NotAFile { path: to_path(path), kind });
        match inode.file_type {
            FileType::Regular if inode.permissions & 0o111 != 0 => Ok(()),
            FileType::Regular => Err(Error::NotExecutable { path: to_path(path) }),
            FileType::Directory => not("a directory"),
            FileType::Fifo => not("a pipe"),
            FileType::Socket => not("a socket"),
            _ => not("a device"),
        }
    }

    /// All bytes of the file at `path`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unreadable`]; [`Error::Root`], if the image is
    /// damaged.
    pub(crate) fn read_file(&self, path: &[u8]) -> Result<Vec<u8>, Error> {
        let Found { files, inode } = self.find(path)?;
        if inode.size > LARGEST_PROGRAM {
            let source = std::io::Error::other("it is larger than 1 GiB");
            return Err(Error::Unreadable { path: to_path(path), source });
        }
        let mut bytes = vec![0; inode.size as usize];
        let count = files.read(&inode, 0, &mut bytes).map_err(|error| self.wrong(&error))?;
        bytes.truncate(count);
        Ok(bytes)
    }

    /// The file at a path, behind its links.
    fn find(&self, path: &[u8]) -> Result<Found<'_>, Error> {
        let not_found = || Error::NotFound { path: to_path(path), hint: " in the root".to_owned() };
        let files = self.files()?;
        let wrong = |error: trapgate_erofs::Error| self.wrong(&error);
        let root = files.inode(files.root()).map_err(wrong)?;
        // Names that are still to be followed, the next one last.
        let mut ahead: Vec<Vec<u8>> = Vec::new();
        push(&mut ahead, path);
        let (mut current, mut links) = (root, 0);
        let mut target = [0; LINK_MAX];
        while let Some(name) = ahead.pop() {
            if current.file_type != FileType::Directory {
                return Err(not_found());
            }
            let nid = files.lookup(&current, &name).map_err(wrong)?.ok_or_else(not_found)?;
            let next = files.inode(nid).map_err(wrong)?;
            if next.file_type != FileType::Symlink {
                current = next;
                continue;
            }
            links += 1;
            if links > MOST_LINKS {
                let source = rustix::io::Errno::LOOP.into();
                return Err(Error::Unreadable { path: to_path(path), source });
            }
            let target = files.read_link(&next, &mut target).map_err(wrong)?;
            if target.starts_with(b"/") {
                current = root;
            }
            push(&mut ahead, target);
        }
        Ok(Found { files, inode: current })
    }
}

/// As [`Image::find_program`], of whatever has programs where `executable` says so.
pub(crate) fn find_program(
    name: &[u8],
    path: &[u8],
    executable: &dyn Fn(&[u8]) -> Result<(), Error>,
) -> Result<Vec<u8>, Error> {
    if name.contains(&b'/') {
        let found = absolute(name);
        return executable(&found).map(|()| found);
    }
    let mut first_mistake = None;
    let directories = path.split(|byte| *byte == b':').filter(|directory| !directory.is_empty());
    for directory in directories {
        let found = absolute(&[directory, b"/", name].concat());
        match executable(&found) {
            Ok(()) => return Ok(found),
            Err(Error::NotFound { .. }) => {}
            Err(error) => _ = first_mistake.get_or_insert(error),
        }
    }
    // One that cannot be executed is worth a message, if there is no other.
    Err(first_mistake.unwrap_or_else(|| Error::NotFound {
        path: to_path(name),
        hint: format!(" in the root's PATH, {}", shown(&to_path(path))),
    }))
}

/// Puts a path's names ahead of those that are there.
fn push(ahead: &mut Vec<Vec<u8>>, path: &[u8]) {
    // The image has `..` in each directory: of the root, that is the root.
    let names = path.split(|byte| *byte == b'/').rev();
    ahead.extend(names.filter(|name| !matches!(*name, b"" | b".")).map(<[u8]>::to_vec));
}

/// A path from the root on: the program's first working directory is the root.
fn absolute(path: &[u8]) -> Vec<u8> {
    if path.starts_with(b"/") { path.to_vec() } else { [b"/", path].concat() }
}

fn to_path(bytes: &[u8]) -> PathBuf {
    Path::new(OsStr::from_bytes(bytes)).to_owned()
}

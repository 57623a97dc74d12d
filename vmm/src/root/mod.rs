//! The root of a program's files: from what the user has to an image that the guest
//! reads where the host has it.
//!
//! ```text
//! (this file)  an image: opened, and read as the guest reads it
//! lookup       paths in it, as Linux follows them; programs, by PATH
//! directory    a directory of the host's, which is a root as it is
//! single_file  one file of the host's, for a bind
//! configuration what an OCI image says of its program
//! source       what a source is, and the image that is made of it
//! flatten/     archives and layers as one tree
//! libs         a program of the host's with its libraries, as a source
//! cache        images that are kept: made once, whoever needs them
//! meter        how far the making is
//! ```
//!
//! Called by `sandbox`, before there is a machine. An image is read with pread(2), never
//! through a mapping: it is a file of the host's, which may become shorter.

#[cfg(feature = "images")]
mod cache;
#[cfg(feature = "images")]
mod configuration;
mod directory;
#[cfg(feature = "images")]
mod flatten;
#[cfg(feature = "images")]
mod libs;
mod lookup;
#[cfg(feature = "images")]
mod meter;
mod single_file;
#[cfg(feature = "images")]
mod source;

#[cfg(feature = "images")]
pub use cache::{Cache, Kept, SCHEMA_JSON};
#[cfg(feature = "images")]
pub use configuration::Configuration;
pub use directory::Directory;
pub use lookup::DEFAULT_PATH;
pub(crate) use lookup::find_program;
#[cfg(feature = "images")]
pub use meter::{Progress, Step};
pub(crate) use single_file::SingleFile;

use crate::Error;
use crate::error::shown;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use trapgate_erofs::{Source, Unreadable};

/// What is to be the root of a program's files.
#[derive(Debug)]
pub enum Root {
    /// What is at this path: a directory of the host's, an image, or with the feature
    /// `images` something that one can be made of (`Cache`).
    Source(PathBuf),
    /// This image.
    Image(Image),
    /// This directory, which is not written: what the program changes is changed in
    /// memory.
    Directory(Directory),
}

/// The same, once it is there.
#[derive(Debug)]
pub(crate) enum Opened {
    Image(Image),
    Directory(Directory),
}

impl Root {
    /// It, opened, and made if it must be.
    pub(crate) fn opened(self) -> Result<Opened, Error> {
        match self {
            Root::Image(image) => Ok(Opened::Image(image)),
            Root::Directory(directory) => Ok(Opened::Directory(directory)),
            #[cfg(feature = "images")]
            Root::Source(path) => open(path, &mut |_| {})?.opened(),
            #[cfg(not(feature = "images"))]
            Root::Source(path) if path.is_dir() => Root::Directory(Directory::open(path)?).opened(),
            #[cfg(not(feature = "images"))]
            Root::Source(path) => Root::Image(Image::open(path)?).opened(),
        }
    }
}

impl Opened {
    /// The image, if it is one.
    pub(crate) fn image(&self) -> Option<&Image> {
        match self {
            Opened::Image(image) => Some(image),
            Opened::Directory(_) => None,
        }
    }

    /// Whether there is a program at a path.
    pub(crate) fn executable(&self, path: &[u8]) -> Result<(), Error> {
        match self {
            Opened::Image(image) => image.executable(path),
            Opened::Directory(directory) => directory.executable(path),
        }
    }

    /// All bytes of the program at a path.
    pub(crate) fn read_program(&self, path: &[u8]) -> Result<Vec<u8>, Error> {
        match self {
            Opened::Image(image) => image.read_file(path),
            Opened::Directory(directory) => directory.read_program(path),
        }
    }

    /// All bytes of the file at a path.
    pub(crate) fn read_file(&self, path: &[u8]) -> Result<Vec<u8>, Error> {
        match self {
            Opened::Image(image) => image.read_file(path),
            Opened::Directory(directory) => directory.read_file(path),
        }
    }
}

/// What is at a path, as a root: a directory or an image itself, or the image that the
/// user's cache has of it.
///
/// # Errors
/// As [`Cache::image`], and [`Error::Input`], if a cache is needed and has no place.
#[cfg(feature = "images")]
pub fn open(path: impl AsRef<Path>, report: &mut dyn FnMut(Progress)) -> Result<Root, Error> {
    let path = path.as_ref();
    if path.is_dir() && !source::is_layout(path) {
        return Directory::open(path).map(Root::Directory);
    }
    // Who has images needs no cache, nor a place for one.
    match source::look(path)? {
        source::Found::Image(image) => Ok(Root::Image(image)),
        _ => Cache::of_user()?.image(path, report).map(Root::Image),
    }
}

/// An image that can be a root, opened: what happens to its name then does not
/// matter any more.
#[derive(Debug)]
pub struct Image {
    path: PathBuf,
    file: File,
    length: u64,
    /// What the OCI image that it was made of says of its program.
    #[cfg(feature = "images")]
    configuration: Option<Configuration>,
}

/// What there is in an image, each file of which has been looked at.
#[cfg(feature = "images")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    /// Files of all kinds, the root among them.
    pub files: u64,
    /// Bytes of the regular ones.
    pub bytes: u64,
}

/// Where the superblock of an EROFS begins, in bytes.
#[cfg(feature = "images")]
const SUPERBLOCK: u64 = 1024;

/// What it begins with.
#[cfg(feature = "images")]
const MAGIC: [u8; 4] = 0xe0f5_e1e2_u32.to_le_bytes();

impl Image {
    /// Opens the image at `path`: an EROFS, by its magic number and not by its name.
    ///
    /// # Errors
    /// [`Error::Root`], if it is none, or one that cannot be a root.
    pub fn open(path: impl AsRef<Path>) -> Result<Image, Error> {
        let path = path.as_ref();
        let file = open_file(path).map_err(|error| unreadable(path, &error))?;
        Image::of_file(path, file)
    }

    /// The image in a file that is open.
    fn of_file(path: &Path, file: File) -> Result<Image, Error> {
        let length = file.metadata().map_err(|error| unreadable(path, &error))?.len();
        let image = Image {
            path: path.to_owned(),
            file,
            length,
            #[cfg(feature = "images")]
            configuration: None,
        };
        // Once with the checksum of its first block.
        trapgate_erofs::Image::open(&image).map_err(|error| image.wrong(&error))?;
        Ok(image)
    }

    /// Where it was found.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of its file.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// What the OCI image that it was made of says of the program: of an image out of the
    /// cache. A file by itself says nothing.
    #[cfg(feature = "images")]
    pub fn configuration(&self) -> Option<&Configuration> {
        self.configuration.as_ref()
    }

    /// Looks all of it through: each directory, each file's place, no file's bytes.
    ///
    /// # Errors
    /// [`Error::Root`], with the first thing that is wrong.
    #[cfg(feature = "images")]
    pub fn check(&self) -> Result<Contents, Error> {
        let summary = self.files()?.check().map_err(|error| self.wrong(&error))?;
        Ok(Contents { files: summary.inodes, bytes: summary.bytes })
    }

    /// The same file once more, and its name for messages.
    pub(crate) fn to_file(&self) -> Result<(String, File), Error> {
        let file = self.file.try_clone().map_err(|error| unreadable(&self.path, &error))?;
        Ok((shown(&self.path), file))
    }

    /// Its files.
    fn files(&self) -> Result<trapgate_erofs::Image<&Image>, Error> {
        trapgate_erofs::Image::open_again(self).map_err(|error| self.wrong(&error))
    }

    /// What is wrong with it.
    fn wrong(&self, error: &trapgate_erofs::Error) -> Error {
        Error::Root { name: shown(&self.path), reason: error.to_string() }
    }
}

impl Source for Image {
    fn size(&self) -> u64 {
        self.length
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Unreadable> {
        self.file.read_exact_at(bytes, offset).map_err(|_| Unreadable)
    }
}

/// Whether a file has the magic number of an EROFS.
#[cfg(feature = "images")]
fn has_magic(file: &File) -> io::Result<bool> {
    let mut magic = [0; MAGIC.len()];
    match file.read_exact_at(&mut magic, SUPERBLOCK) {
        Ok(()) => Ok(magic == MAGIC),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Opens a regular file, and nothing else: a pipe would never be there, a device is
/// not the user's to read.
fn open_file(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    match file.metadata()?.file_type() {
        kind if kind.is_file() => Ok(file),
        kind if kind.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        _ => Err(io::Error::other("it is no regular file")),
    }
}

/// The error of a file that cannot be read.
fn unreadable(path: &Path, error: &io::Error) -> Error {
    if let Some(error) = Error::unless_few(error, || shown(path)) {
        return error;
    }
    let reason = match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        _ => format!("cannot be read: {error}"),
    };
    Error::Root { name: shown(path), reason }
}

#[cfg(test)]
mod tests;

//! Images that are kept: each source is made into one once.
//!
//! ```text
//! ~/.cache/trapgate/v2/
//!   DIGEST.erofs      an image, whole: it gets this name when all of it is on the disk
//!   DIGEST.json       what it was made of, and what that says of its program
//!   DIGEST.building   one that is being made, locked by who makes it; left over by a
//!                     crash, it is begun anew by the next one
//!   files/DEV-INODE   the digest of a file, with its size and times then: as long as
//!                     they are the same, the file is not read again
//! ```
//!
//! What is here is never changed. Who has opened an image goes on with it, whatever
//! happens to its name.

mod building;
mod files;

use super::flatten::hashed;
use super::libs::Files;
use super::meter::Progress;
use super::source::{self, Found};
use super::{Configuration, Image, open_file, unreadable};
use crate::Error;
use crate::error::shown;
use building::Building;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The directory that the form above has. Another form of images, or other images of
/// the same sources, get another one.
const VERSION: &str = "v2";

/// The JSON schema of a list of [`Kept`].
pub const SCHEMA_JSON: &str = include_str!("../../docs/images-schema.json");

/// Where images are kept.
#[derive(Clone, Debug)]
pub struct Cache {
    directory: PathBuf,
}

/// An image that is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Kept {
    /// What it is called: the digest of what it was made of.
    pub digest: String,
    /// The path of that, as it was given.
    pub source: String,
    /// Bytes of the image.
    pub bytes: u64,
    /// Bytes of the disk that it takes: runs of zeroes take none.
    pub disk_bytes: u64,
    /// When it was made, in seconds since 1970.
    pub made: u64,
    /// Where it is.
    pub path: PathBuf,
}

/// What stands in `DIGEST.json`.
#[derive(Serialize, Deserialize)]
struct Description {
    source: String,
    configuration: Option<Configuration>,
}

impl Description {
    /// The one of this image.
    fn read(image: &Path) -> Option<Description> {
        serde_json::from_slice(&fs::read(image.with_extension("json")).ok()?).ok()
    }
}

impl Cache {
    /// The user's: `$TRAPGATE_CACHE`, or `trapgate` in `$XDG_CACHE_HOME` or `~/.cache`.
    ///
    /// # Errors
    /// [`Error::Input`], if none of these variables is there.
    pub fn of_user() -> Result<Cache, Error> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let directory = match (variable("TRAPGATE_CACHE"), variable("XDG_CACHE_HOME")) {
            (Some(cache), _) => cache.into(),
            (None, Some(caches)) => Path::new(&caches).join("trapgate"),
            (None, None) => {
                let home = variable("HOME").ok_or_else(|| Error::Input {
                    what: "the cache of images".to_owned(),
                    reason: "has no place: set TRAPGATE_CACHE to a directory",
                })?;
                Path::new(&home).join(".cache/trapgate")
            }
        };
        Ok(Cache::at(directory))
    }

    /// The one there; it need not be there yet.
    pub fn at(directory: impl AsRef<Path>) -> Cache {
        Cache { directory: directory.as_ref().join(VERSION) }
    }

    /// The image of a source: the one at that path, or the one that is made of it, once.
    ///
    /// `report` is told how far that is; never, if there is one.
    ///
    /// # Errors
    /// [`Error::Root`].
    pub fn image(
        &self,
        path: impl AsRef<Path>,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Image, Error> {
        let path = path.as_ref();
        let found = match source::look(path)? {
            Found::Image(image) => return Ok(image),
            found => found,
        };
        let digest = found.digest(|file| self.digest(path, file, report))?;
        self.kept_or_made(path, &found, &digest, report)
    }

    /// An image of a program of the host's with its interpreter and its libraries, found
    /// as ldd(1) does, and nothing else. They have the paths that they have here.
    ///
    /// # Errors
    /// [`Error::Root`].
    pub fn program(
        &self,
        path: impl AsRef<Path>,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Image, Error> {
        let path = path.as_ref();
        let files = Files::of_program(path)?;
        let digests = files.real().map(|real| {
            let file = open_file(real).map_err(|error| unreadable(real, &error))?;
            self.digest(real, &file, report)
        });
        let digests = digests.collect::<Result<Vec<_>, Error>>()?;
        let digest = hashed::digest(&[files.describe(), digests.concat().into_bytes()].concat());
        self.kept_or_made(path, &Found::Program(files, digests), &digest, report)
    }

    /// The digest of a file: of its bytes, or as it is known from the last time.
    fn digest(
        &self,
        path: &Path,
        file: &File,
        report: &mut dyn FnMut(Progress),
    ) -> Result<String, Error> {
        let failed = |error: io::Error| unreadable(path, &error);
        let stamp = files::Stamp::of(file).map_err(failed)?;
        if let Some(digest) = files::read(&self.files(), &stamp) {
            return Ok(digest);
        }
        let digest = source::digest(file, report).map_err(failed)?;
        // Only a shortcut.
        let _ = files::write(&self.files(), &stamp, &digest);
        Ok(digest)
    }

    fn kept_or_made(
        &self,
        path: &Path,
        found: &Found,
        digest: &str,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Image, Error> {
        match self.kept(digest) {
            Some(image) => Ok(image),
            None => self.make(path, found, digest, report),
        }
    }

    /// Makes the image of a source into a file of its own, whatever is kept.
    ///
    /// # Errors
    /// [`Error::Root`].
    pub fn write(
        source: impl AsRef<Path>,
        output: impl AsRef<Path>,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Image, Error> {
        let (source, output) = (source.as_ref(), output.as_ref());
        let found = source::look(source)?;
        let digest = found.digest(|file| {
            source::digest(file, report).map_err(|error| unreadable(source, &error))
        })?;
        let directory = match output.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mut name = output.file_name().unwrap_or_default().to_owned();
        name.push(".building");
        let mut building = Building::begin(&directory.join(name), &mut |_| {})?;
        fill(source, &found, &digest, directory, &mut building, report)?;
        building.finish(output).map_err(|error| cannot_make(output, &error))?;
        Image::open(output)
    }

    /// The images that are kept, the newest first.
    ///
    /// # Errors
    /// [`Error::Root`], if the directory cannot be read.
    pub fn list(&self) -> Result<Vec<Kept>, Error> {
        let failed = |error: io::Error| unreadable(&self.directory, &error);
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut kept = Vec::new();
        for entry in entries {
            kept.extend(describe(&entry.map_err(failed)?.path()));
        }
        kept.sort_by(|one, other| (other.made, &other.digest).cmp(&(one.made, &one.digest)));
        Ok(kept)
    }

    /// Removes an image. Who has it open goes on with it.
    ///
    /// # Errors
    /// [`Error::Root`], if it cannot be removed.
    pub fn remove(&self, kept: &Kept) -> Result<(), Error> {
        for name in [self.name(&kept.digest, "erofs"), self.name(&kept.digest, "json")] {
            match fs::remove_file(&name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    let reason = format!("cannot be removed: {error}");
                    return Err(Error::Root { name: shown(&name), reason });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes what runs that crashed have left, and what is known of files.
    pub fn clean(&self) {
        for entry in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "building") {
                Building::remove_if_left(&path);
            }
        }
        // Only shortcuts.
        let _ = fs::remove_dir_all(self.files());
    }

    fn files(&self) -> PathBuf {
        self.directory.join("files")
    }

    fn name(&self, digest: &str, extension: &str) -> PathBuf {
        self.directory.join(format!("{digest}.{extension}"))
    }

    /// The image that is kept by this name, if it is a good one.
    fn kept(&self, digest: &str) -> Option<Image> {
        let path = self.name(digest, "erofs");
        let failed = |error: &Error| log::debug!("not from the cache: {error}");
        let image = Image::open(&path).inspect_err(failed).ok()?;
        let Description { configuration, .. } = Description::read(&path)?;
        Some(Image { configuration, ..image })
    }

    /// Makes an image, unless somebody else has done it meanwhile.
    fn make(
        &self,
        path: &Path,
        found: &Found,
        digest: &str,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Image, Error> {
        make_directory(&self.directory).map_err(|error| cannot_make(&self.directory, &error))?;
        let mut building = Building::begin(&self.name(digest, "building"), report)?;
        // Whoever had the lock before may have made it.
        if let Some(image) = self.kept(digest) {
            return Ok(image);
        }
        let configuration = fill(path, found, digest, &self.directory, &mut building, report)?;
        let image = self.name(digest, "erofs");
        let source = path.display().to_string();
        let description = Description { source, configuration };
        let text = serde_json::to_vec(&description).unwrap_or_default();
        let described = fs::write(self.name(digest, "json"), text);
        let named = described.and_then(|()| building.finish(&image));
        named.map_err(|error| cannot_make(&image, &error))?;
        Ok(Image { configuration: description.configuration, ..Image::open(image)? })
    }
}

/// Makes an image in the file that was begun.
fn fill(
    path: &Path,
    found: &Found,
    digest: &str,
    directory: &Path,
    building: &mut Building,
    report: &mut dyn FnMut(Progress),
) -> Result<Option<Configuration>, Error> {
    let scratch = || scratch(directory);
    source::build(found, digest, &scratch, building.file(), report).map_err(|bad| bad.at(path))
}

/// Makes a directory of the cache: the user's own.
fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// The error of something that cannot be made in the cache.
fn cannot_make(path: &Path, error: &io::Error) -> Error {
    Error::Root { name: shown(path), reason: format!("cannot be made: {error}") }
}

/// An empty file without a name.
fn scratch(directory: &Path) -> io::Result<File> {
    let access = OFlags::RDWR | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    match rustix::fs::open(directory, access | OFlags::TMPFILE, mode) {
        Ok(file) => Ok(file.into()),
        // Not every file system can.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR) => {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = directory.join(format!(".{}-{number}", std::process::id()));
            let file = rustix::fs::open(&name, access | OFlags::CREATE | OFlags::EXCL, mode)?;
            fs::remove_file(name)?;
            Ok(file.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// What is kept in this file, if it is an image.
fn describe(path: &Path) -> Option<Kept> {
    use std::os::unix::fs::MetadataExt;
    if path.extension()? != "erofs" {
        return None;
    }
    let metadata = fs::metadata(path).ok()?;
    let description = Description::read(path);
    let made = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    Some(Kept {
        digest: path.file_stem()?.to_str()?.to_owned(),
        source: description.map(|description| description.source).unwrap_or_default(),
        bytes: metadata.len(),
        disk_bytes: metadata.blocks() * 512,
        made: made.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests;

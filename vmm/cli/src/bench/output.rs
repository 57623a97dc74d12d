//! Files that results go into: found unwritable before anything is measured,
//! and never left half written.
//!
//! A regular file is written under another name beside its place and renamed
//! when it is complete, so that an interrupted run leaves the old one as it
//! was. What is no regular file (a pipe, a device) is opened and written; `-` is
//! standard output, and so is whatever else names the same file. Called by `files`.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;
use thiserror::Error;

/// What stands for standard output.
pub(super) const STDOUT: &str = "-";

/// A file that cannot be written.
#[derive(Debug, Error)]
#[error("{}: cannot be written: {why}", name(path))]
pub(super) struct OutputError {
    path: PathBuf,
    why: io::Error,
}

fn name(path: &Path) -> String {
    if path == Path::new(STDOUT) {
        return "standard output".to_owned();
    }
    trapgate_loader::text::printable(path.as_os_str().as_encoded_bytes())
}

impl OutputError {
    /// Without the temporary file's name, which says nothing to anybody.
    fn new(path: &Path, error: io::Error) -> OutputError {
        let error = trapgate::error::explain_missing(path, error);
        let is_plain = error.raw_os_error().is_some() || error.kind() == io::ErrorKind::Other;
        let why = if is_plain { error } else { error.kind().into() };
        OutputError { path: path.to_owned(), why }
    }
}

/// A place for a result.
#[derive(Debug)]
pub(super) struct Output {
    path: PathBuf,
    target: Target,
}

#[derive(Debug)]
enum Target {
    /// To be renamed to this.
    Renamed(NamedTempFile, PathBuf),
    /// Open already.
    Open(File),
    /// [`STDOUT`].
    Stdout,
}

impl Output {
    /// Makes sure that the file can be written.
    ///
    /// # Errors
    /// If it cannot.
    pub(super) fn open(path: &Path) -> Result<Output, OutputError> {
        let target = target(path).map_err(|error| OutputError::new(path, error))?;
        Ok(Output { path: path.to_owned(), target })
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// If that fails after all; then a regular file is as it was before.
    pub(super) fn write(self, bytes: &[u8]) -> Result<(), OutputError> {
        let Output { path, target } = self;
        let written = match target {
            Target::Stdout => stdout(bytes),
            Target::Open(mut file) => file.write_all(bytes),
            Target::Renamed(mut file, place) => file
                .write_all(bytes)
                .and_then(|()| file.persist(place).map_err(|error| error.error))
                .map(drop),
        };
        written.map_err(|error| OutputError::new(&path, error))
    }
}

/// Writes to standard output. A reader that has gone has read enough.
fn stdout(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Whether a path names standard output: [`STDOUT`], `/dev/stdout`, or the file
/// that it goes into. A device that forgets what is written is nobody's.
pub(super) fn is_stdout(path: &Path) -> bool {
    path == Path::new(STDOUT) || is_same(path, io::stdout())
}

fn is_same(path: &Path, open: impl AsFd) -> bool {
    let open = open.as_fd().try_clone_to_owned().map(File::from);
    let Ok(open) = open.and_then(|open| open.metadata()) else { return false };
    let of = |metadata: &Metadata| (metadata.dev(), metadata.ino(), metadata.rdev());
    let is_null = |path| fs::metadata(path).is_ok_and(|null| of(&null) == of(&open));
    !is_null("/dev/null") && fs::metadata(path).is_ok_and(|named| of(&named) == of(&open))
}

fn target(path: &Path) -> io::Result<Target> {
    if is_stdout(path) {
        return Ok(Target::Stdout);
    }
    let existing = match fs::metadata(path) {
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    if let Some(metadata) = &existing {
        // Whether one may: without a change to what is in it.
        let file = OpenOptions::new().write(true).open(path)?;
        if !metadata.is_file() {
            return Ok(Target::Open(file));
        }
    }
    // A link stays a link: what it points to is replaced.
    let place = if existing.is_some() { fs::canonicalize(path)? } else { path.to_owned() };
    let directory = match place.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if place.file_name().is_none() {
        return Err(io::Error::other("it names no file"));
    }
    // As other programs make files: the umask decides. A file that was there
    // keeps its mode.
    let mut builder = tempfile::Builder::new();
    builder.prefix(".trapgate-bench.").permissions(Permissions::from_mode(0o666));
    let file = builder.tempfile_in(directory)?;
    if let Some(metadata) = existing {
        file.as_file().set_permissions(metadata.permissions())?;
    }
    Ok(Target::Renamed(file, place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_file_is_as_it_was_until_the_new_one_is_complete() {
        let directory = tempfile::tempdir().expect("room");
        let path = directory.path().join("result");
        fs::write(&path, "old").expect("ours");
        fs::set_permissions(&path, Permissions::from_mode(0o604)).expect("ours");
        let output = Output::open(&path).expect("writable");
        assert_eq!(fs::read(&path).expect("there"), b"old");
        output.write(b"new").expect("writable");
        assert_eq!(fs::read(&path).expect("there"), b"new");
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o604);
        assert_eq!(fs::read_dir(directory.path()).expect("ours").count(), 1);
    }

    #[test]
    fn an_output_that_is_not_written_leaves_nothing_behind() {
        let directory = tempfile::tempdir().expect("room");
        drop(Output::open(&directory.path().join("result")).expect("writable"));
        assert_eq!(fs::read_dir(directory.path()).expect("ours").count(), 0);
    }

    #[test]
    fn a_link_is_followed_and_stays() {
        let directory = tempfile::tempdir().expect("room");
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        fs::write(&file, "old").expect("ours");
        symlink("file", &link).expect("ours");
        Output::open(&link).expect("writable").write(b"new").expect("writable");
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        assert_eq!(fs::read(&file).expect("there"), b"new");
    }

    #[test]
    fn what_cannot_be_written_is_found_at_once() {
        let directory = tempfile::tempdir().expect("room");
        for path in [directory.path().to_owned(), directory.path().join("none/result"), "".into()] {
            let error = Output::open(&path).expect_err("no file").to_string();
            assert!(error.contains("cannot be written"), "{error}");
            assert!(!error.contains(".trapgate-bench"), "{error}");
        }
    }

    #[test]
    fn whatever_names_the_same_file_is_that_file_and_dev_null_is_none() {
        let directory = tempfile::tempdir().expect("room");
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        let open = File::create(&file).expect("ours");
        symlink("file", &link).expect("ours");
        for (path, same) in [(&file, true), (&link, true), (&directory.path().join("x"), false)] {
            assert_eq!(is_same(path, &open), same);
        }
        let (reader, writer) = io::pipe().expect("room");
        assert!(is_same(Path::new(&format!("/proc/self/fd/{}", writer.as_raw_fd())), &writer));
        assert!(!is_same(&file, &reader));
        let null = File::open("/dev/null").expect("there");
        assert!(!is_same(Path::new("/dev/null"), &null));
    }

    #[test]
    fn a_device_is_written_and_not_replaced() {
        Output::open(Path::new("/dev/null")).expect("writable").write(b"x").expect("takes all");
        let error = Output::open(Path::new("/dev/full")).expect("opens").write(b"x");
        assert!(error.is_err());
    }
}

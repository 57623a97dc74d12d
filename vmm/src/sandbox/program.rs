//! The program that a sandbox is to run: its name, and its bytes.

use super::config::Program;
use super::tree::Tree;
use crate::Error;
use crate::root::DEFAULT_PATH;
use std::borrow::Cow;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use trapgate_loader::text::printable;

/// The program's name as bytes, for itself.
pub(super) fn path(program: &Program) -> &[u8] {
    match program {
        Program::Path(path) => path.as_os_str().as_bytes(),
        Program::Bytes { name, .. } => name.as_bytes(),
    }
}

/// The program's name for messages: nothing in it steers a terminal.
pub(super) fn name(program: &Program) -> String {
    printable(path(program))
}

/// The program, at the path in the root that its name means there, if there is one.
pub(super) fn find(
    program: Program,
    tree: &Tree,
    environment: &[Vec<u8>],
) -> Result<Program, Error> {
    let path = match &program {
        Program::Path(path) if tree.has_root() => path,
        _ => return Ok(program),
    };
    let variables = environment.iter().map(Vec::as_slice);
    let mut paths = variables.filter_map(|variable| variable.strip_prefix(b"PATH="));
    let directories = paths.next().unwrap_or(DEFAULT_PATH.as_bytes());
    let found = tree.find_program(path.as_os_str().as_bytes(), directories)?;
    Ok(Program::Path(to_path(&found)))
}

/// The program's bytes, if the kernel does not find them itself, in the root.
pub(super) fn preloaded<'a>(
    program: &'a Program,
    tree: &Tree,
) -> Result<Option<Cow<'a, [u8]>>, Error> {
    match program {
        Program::Path(_) if tree.has_root() => Ok(None),
        _ => read(program, tree).map(Some),
    }
}

/// The program's bytes.
pub(super) fn read<'a>(program: &'a Program, tree: &Tree) -> Result<Cow<'a, [u8]>, Error> {
    match program {
        Program::Path(path) if tree.has_root() => {
            Ok(Cow::Owned(tree.read_program(path.as_os_str().as_bytes())?))
        }
        Program::Path(path) => Ok(Cow::Owned(read_file(path)?)),
        Program::Bytes { bytes, .. } => Ok(Cow::Borrowed(bytes)),
    }
}

/// Bytes as a path.
pub(super) fn to_path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes.to_vec()))
}

/// The largest file that is taken for a program, in bytes.
const LARGEST_PROGRAM: u64 = 1 << 30;

/// Reads an executable regular file.
fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    let owned = || path.to_owned();
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            Error::NotFound { path: owned(), hint: String::new() }
        }
        _ => Error::unreadable(owned(), source),
    };
    let metadata = fs::metadata(path).map_err(failed)?;
    let kind = metadata.file_type();
    let not = |kind| Err(Error::NotAFile { path: PathBuf::from(path), kind });
    match kind {
        _ if kind.is_file() => {}
        _ if kind.is_dir() => return not("a directory"),
        _ if kind.is_fifo() => return not("a pipe"),
        _ if kind.is_socket() => return not("a socket"),
        _ => return not("a device"),
    }
    if metadata.len() > LARGEST_PROGRAM {
        let source = io::Error::other("it is larger than 1 GiB");
        return Err(Error::Unreadable { path: owned(), source });
    }
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut File::open(path).map_err(failed)?, &mut bytes).map_err(failed)?;
    // Of what is no program, its reader says more.
    if metadata.permissions().mode() & 0o111 == 0 && bytes.starts_with(b"\x7fELF") {
        return Err(Error::NotExecutable { path: owned() });
    }
    Ok(bytes)
}

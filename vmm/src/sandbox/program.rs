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
use trapgate_abi::hypercall::NAME_MAX;
use trapgate_loader::text::printable;
use trapgate_uapi::fs::PATH_MAX;

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

/// A program that the kernel does not find in the root.
pub(super) struct Preloaded<'a> {
    /// Its bytes.
    pub(super) bytes: Cow<'a, [u8]>,
    /// Its file, open to be read; none, if it is none of the host's.
    pub(super) file: Option<File>,
}

/// The program's bytes, if the kernel does not find them itself, in the root.
pub(super) fn preloaded<'a>(
    program: &'a Program,
    tree: &Tree,
) -> Result<Option<Preloaded<'a>>, Error> {
    Ok(match program {
        Program::Path(_) if tree.has_root() => None,
        Program::Path(path) => {
            let (bytes, file) = read_file(path)?;
            Some(Preloaded { bytes: Cow::Owned(bytes), file: Some(file) })
        }
        Program::Bytes { bytes, .. } => Some(Preloaded { bytes: Cow::Borrowed(bytes), file: None }),
    })
}

/// Where a program is that has this name for one who is in `directory` (empty: in the
/// root), by names alone; none, if nothing can be there. `..` leads to what is written
/// before it, as in a tree without links.
pub(super) fn place(name: &[u8], directory: &[u8]) -> Option<Vec<u8>> {
    let mut names: Vec<&[u8]> = Vec::new();
    let start = if name.starts_with(b"/") { &b""[..] } else { directory };
    for part in [start, name].into_iter().flat_map(|path| path.split(|byte| *byte == b'/')) {
        match part {
            b"" | b"." => {}
            b".." => drop(names.pop()),
            part => names.push(part),
        }
    }
    let path = [&b"/"[..], &names.join(&b'/')].concat();
    let is_name = |name: &&[u8]| name.len() <= NAME_MAX && !name.contains(&0);
    let can_be = !names.is_empty() && names.iter().all(is_name) && path.len() < PATH_MAX;
    can_be.then_some(path)
}

/// The program's bytes.
pub(super) fn read<'a>(program: &'a Program, tree: &Tree) -> Result<Cow<'a, [u8]>, Error> {
    match program {
        Program::Path(path) if tree.has_root() => {
            Ok(Cow::Owned(tree.read_program(path.as_os_str().as_bytes())?))
        }
        Program::Path(path) => Ok(Cow::Owned(read_file(path)?.0)),
        Program::Bytes { bytes, .. } => Ok(Cow::Borrowed(bytes)),
    }
}

/// Bytes as a path.
pub(super) fn to_path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes.to_vec()))
}

/// The largest file that is taken for a program, in bytes.
const LARGEST_PROGRAM: u64 = 1 << 30;

/// Opens and reads an executable regular file.
fn read_file(path: &Path) -> Result<(Vec<u8>, File), Error> {
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
    let (mut bytes, mut file) = (Vec::new(), File::open(path).map_err(failed)?);
    io::Read::read_to_end(&mut file, &mut bytes).map_err(failed)?;
    // Of what is no program, its reader says more.
    if metadata.permissions().mode() & 0o111 == 0 && bytes.starts_with(b"\x7fELF") {
        return Err(Error::NotExecutable { path: owned() });
    }
    Ok((bytes, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_where_its_name_leads_to_in_the_sandbox() {
        let long = "x".repeat(256);
        let deep = "/x".repeat(PATH_MAX / 2);
        for (name, directory, path) in [
            ("./prog", "", Some("/prog")),
            ("prog", "", Some("/prog")),
            ("./prog", "/work", Some("/work/prog")),
            ("/usr/bin/busybox", "/work", Some("/usr/bin/busybox")),
            ("../../target//x/./prog", "/a", Some("/target/x/prog")),
            ("../prog", "/a/b", Some("/a/prog")),
            ("..", "", None),
            ("/", "", None),
            ("a\0b", "", None),
            (&long, "", None),
            (&deep, "", None),
        ] {
            let place = place(name.as_bytes(), directory.as_bytes());
            assert_eq!(place.as_deref(), path.map(str::as_bytes), "{name} in {directory}");
        }
    }
}

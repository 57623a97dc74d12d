//! The programs that the tests run: embedded, and put into files on demand.
//!
//! `build.rs` made the table. A bare program has its source's name
//! (`poison-syscall`), a 32-bit one that and its width (`poison.32`), a C
//! program that and how it was made (`hello.musl`, `hello.gcc`, `hello.pie`), a
//! Rust program with its library `hello.std`.

use crate::process::SPAWNING;
use crate::skip::missing;
use std::env;
use std::fs::{self, Permissions};
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use tempfile::TempDir;
use trapgate_loader::image;

/// What became of a program's source.
#[allow(dead_code, reason = "where every compiler is, no program lacks one")]
enum Embedded {
    /// The executable.
    Bytes(&'static [u8]),
    /// It could not be made: there was no such compiler.
    Lacks(&'static str),
}

static PROGRAMS: &[(&str, Embedded)] = include!(concat!(env!("OUT_DIR"), "/programs.rs"));

/// An executable file in a directory of its own, which goes when this does.
/// Everybody may read and execute it.
pub struct Program {
    path: PathBuf,
    _directory: TempDir,
}

impl Program {
    /// A program of these bytes, by this name.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn new(name: &str, bytes: &[u8]) -> Program {
        let directory = directory();
        let path = directory.path().join(name);
        // No other thread may start a process meanwhile: that would have the
        // file open for writing for a moment, and this one could not execute
        // it (ETXTBSY).
        let _lock = SPAWNING.write().unwrap_or_else(PoisonError::into_inner);
        fs::write(&path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("it is ours");
        Program { path, _directory: directory }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Deref for Program {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

impl AsRef<Path> for Program {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

/// A new directory that everybody may enter; it goes with the value.
///
/// # Panics
/// If there cannot be one.
pub fn directory() -> TempDir {
    let directory = tempfile::Builder::new().prefix("trapgate-test.").tempdir();
    let directory = directory.expect("there is room for temporary files");
    let enter = Permissions::from_mode(0o755);
    fs::set_permissions(directory.path(), enter).expect("it is ours");
    directory
}

/// The bytes of a program that every machine can make.
///
/// # Panics
/// If there is none of this name.
pub fn bytes(name: &str) -> &'static [u8] {
    match find(name) {
        Embedded::Bytes(bytes) => bytes,
        Embedded::Lacks(compiler) => panic!("{name} was not made, {compiler} was missing"),
    }
}

/// A program that every machine can make: of `tests/programs` or `images`.
///
/// # Panics
/// If there is none of this name.
pub fn program(name: &str) -> Program {
    Program::new(name, bytes(name))
}

/// A C program or one with Rust's standard library; or none, with a loud skip,
/// because there was no compiler.
///
/// # Panics
/// If there is none of this name.
pub fn compiled(name: &str) -> Option<Program> {
    match find(name) {
        Embedded::Bytes(bytes) => Some(Program::new(name, bytes)),
        Embedded::Lacks(compiler) => {
            missing(compiler);
            None
        }
    }
}

/// The bytes of what a compiler makes, if it was there.
///
/// # Panics
/// If there is nothing of this name.
pub(crate) fn bytes_if_compiled(name: &str) -> Option<&'static [u8]> {
    match find(name) {
        Embedded::Bytes(bytes) => Some(bytes),
        Embedded::Lacks(_) => None,
    }
}

/// The names of the 32-bit programs that every machine can make.
pub fn names_32() -> impl Iterator<Item = &'static str> {
    PROGRAMS.iter().map(|(name, _)| *name).filter(|name| name.ends_with(".32"))
}

/// All programs that could be made here, and their names.
pub fn all() -> impl Iterator<Item = (&'static str, &'static [u8])> {
    PROGRAMS.iter().filter_map(|(name, embedded)| match embedded {
        Embedded::Bytes(bytes) => Some((*name, *bytes)),
        Embedded::Lacks(_) => None,
    })
}

/// How C programs are made, as in the table's names.
pub const C_KINDS: [&str; 3] = ["musl", "gcc", "pie"];

fn find(name: &str) -> &'static Embedded {
    let found = PROGRAMS.iter().find(|(candidate, _)| *candidate == name);
    match found {
        Some((_, embedded)) => embedded,
        None => {
            let names: Vec<_> = PROGRAMS.iter().map(|(name, _)| *name).collect();
            panic!("no program {name}; there are {}", names.join(", "));
        }
    }
}

/// A static busybox: the system's, or what `cargo xtask setup` unpacked below the
/// target directory, from which this executable comes; or none, with a loud skip.
pub fn busybox() -> Option<PathBuf> {
    let own = env::current_exe().expect("a process knows its executable");
    let unpacked = own.ancestors().map(|above| above.join("xtask/packages/busybox/bin/busybox"));
    let mut places =
        ["/bin/busybox", "/usr/bin/busybox"].map(PathBuf::from).into_iter().chain(unpacked);
    let is_static = |path: &PathBuf| fs::read(path).is_ok_and(|bytes| image::parse(&bytes).is_ok());
    let found = places.find(is_static);
    if found.is_none() {
        missing("busybox-static");
    }
    found
}

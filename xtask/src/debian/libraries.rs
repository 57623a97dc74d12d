//! The shared libraries of an unpacked tree: where they are, and whether all are
//! there that its programs ask for.
//!
//! Used by `debian` before a tree is put in its place, by `program`, and by
//! `needs` to tell a static program.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use object::elf::{DT_NEEDED, FileHeader64, PT_INTERP};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, FileKind};

/// The dynamic loader's file.
pub(crate) const LOADER: &str = "ld-linux-x86-64.so.2";

/// Where Debian's packages have libraries. Only since Debian 13 is there one
/// place for them.
const PLACES: [&str; 4] = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib", "usr/lib"];

/// The tree's directories of libraries.
pub(crate) fn directories(tree: &Path) -> Vec<PathBuf> {
    PLACES.iter().map(|place| tree.join(place)).filter(|place| place.is_dir()).collect()
}

/// The library of this name in the tree.
pub(crate) fn find(tree: &Path, name: &str) -> Option<PathBuf> {
    directories(tree).iter().map(|place| place.join(name)).find(|file| file.is_file())
}

/// What files of a tree ask for, directly or by another library.
#[derive(Default)]
pub(crate) struct Asked {
    /// The libraries that the tree has.
    pub(crate) there: Vec<PathBuf>,
    /// The names of those that it does not have.
    pub(crate) missing: Vec<String>,
}

/// The libraries that these files of the tree ask for and that it does not have.
pub(crate) fn missing(tree: &Path, files: &[&str]) -> Result<Vec<String>> {
    Ok(asked(tree, files)?.missing)
}

/// The libraries that these files of the tree ask for. Files that are no programs or
/// libraries ask for none.
pub(crate) fn asked(tree: &Path, files: &[&str]) -> Result<Asked> {
    let mut seen = BTreeSet::new();
    let mut asked = Asked::default();
    let mut queue: Vec<_> = files.iter().map(|file| tree.join(file)).collect();
    queue.retain(|file| file.is_file());
    while let Some(file) = queue.pop() {
        let bytes = fs::read(&file).with_context(|| file.display().to_string())?;
        for name in needed(&bytes) {
            if seen.insert(name.clone()) {
                match find(tree, &name) {
                    Some(library) => {
                        asked.there.push(library.clone());
                        queue.push(library);
                    }
                    None => asked.missing.push(name),
                }
            }
        }
    }
    Ok(asked)
}

/// The libraries that this program or library asks for.
fn needed(bytes: &[u8]) -> Vec<String> {
    let names = || {
        let elf = parse(bytes)?;
        let endian = elf.endian().ok()?;
        let sections = elf.sections(endian, bytes).ok()?;
        let (dynamic, strings) = sections.dynamic(endian, bytes).ok()??;
        let strings = sections.strings(endian, bytes, strings).ok()?;
        let names = dynamic.iter().filter(|entry| entry.tag(endian) == DT_NEEDED);
        let names = names.filter_map(|entry| entry.string(endian, strings).ok());
        Some(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
    };
    names().unwrap_or_default()
}

/// Whether these bytes are a 64-bit ELF program that asks for no interpreter.
pub(crate) fn is_static(bytes: &[u8]) -> bool {
    let asks_for_interpreter = || {
        let elf = parse(bytes)?;
        let endian = elf.endian().ok()?;
        let segments = elf.program_headers(endian, bytes).ok()?;
        Some(segments.iter().any(|segment| segment.p_type(endian) == PT_INTERP))
    };
    asks_for_interpreter() == Some(false)
}

fn parse(bytes: &[u8]) -> Option<&FileHeader64<Endianness>> {
    let is_elf = matches!(FileKind::parse(bytes), Ok(FileKind::Elf64));
    is_elf.then(|| FileHeader64::parse(bytes).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_no_static_program_and_needs_nothing() {
        for bytes in [&b"#!/bin/sh\n"[..], b"", b"\x7fELF\x02\x01\x01"] {
            assert!(!is_static(bytes));
            assert!(needed(bytes).is_empty());
        }
    }

    #[test]
    fn this_dynamic_test_program_is_no_static_program() {
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(is_static(&own), cfg!(target_feature = "crt-static"));
    }

    /// A tree with this very program and these libraries of the system.
    fn tree(libraries: &[&str]) -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        fs::copy(std::env::current_exe().unwrap(), tree.path().join("program")).unwrap();
        let place = tree.path().join("usr/lib/x86_64-linux-gnu");
        fs::create_dir_all(&place).unwrap();
        for name in libraries {
            let file = find(Path::new("/"), name).expect("this program runs here");
            fs::copy(file, place.join(name)).unwrap();
        }
        tree
    }

    #[test]
    fn a_library_that_is_not_there_is_named_also_if_a_library_needs_it() {
        let none = tree(&[]);
        let missing_there = missing(none.path(), &["program"]).unwrap();
        assert!(missing_there.contains(&"libc.so.6".to_owned()), "{missing_there:?}");
        // libgcc_s needs libc.
        let some = tree(&["libgcc_s.so.1"]);
        let missing_there = missing(some.path(), &["usr/lib/x86_64-linux-gnu/libgcc_s.so.1"]);
        assert_eq!(missing_there.unwrap(), ["libc.so.6"]);
        let all = tree(&["libgcc_s.so.1", "libc.so.6", "libm.so.6", LOADER]);
        assert!(missing(all.path(), &["program", "absent"]).unwrap().is_empty());
    }
}

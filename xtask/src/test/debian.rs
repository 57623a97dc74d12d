//! Debian's programs in the rigs: of the packages that are unpacked for the tests of
//! the file `debian`, what these run there, with its libraries.
//!
//! Called by `boot`, for boots in which that file runs: all of it would not fit into a
//! rig's memory.

use std::path::Path;

use anyhow::Result;

use crate::debian::libraries::asked;
use crate::needs;
use crate::rig::{Cpu, RigFile};

/// The file of tests.
pub(super) const FILE: &str = "debian";
/// Where its programs are in a rig.
const PLACE: &str = "/debian";

/// For both rigs: what one line of each interpreter needs, and no more, since the Intel
/// rig takes a second to make an image of half a megabyte.
const SMALL: &[&str] = &[
    "bin/dash",
    "bin/grep",
    "bin/sh",
    "lib64/ld-linux-x86-64.so.2",
    "usr/bin/env",
    "usr/bin/perl",
    "usr/bin/python3",
    "usr/lib/python3.11/collections",
    "usr/lib/python3.11/encodings/__init__.py",
    "usr/lib/python3.11/encodings/aliases.py",
    "usr/lib/python3.11/encodings/utf_8.py",
    "usr/lib/python3.11/json",
    "usr/lib/python3.11/re",
    "usr/lib/x86_64-linux-gnu/perl-base/strict.pm",
    "usr/lib/x86_64-linux-gnu/perl-base/warnings.pm",
];
/// The modules of Python's library among that.
const MODULES: &str = "_collections_abc _sitebuiltins abc codecs copyreg enum functools \
    genericpath io keyword operator os posixpath reprlib site stat types";
/// Files of these directories for the AMD rig, but not what is in directories there.
const FLAT: &[&str] = &["usr/lib/python3.11"];
/// For the AMD rig.
const MORE: &[&str] = &[
    "bin/gzip",
    "bin/ls",
    "bin/sed",
    "bin/tar",
    "etc",
    "lib/x86_64-linux-gnu/libgcc_s.so.1",
    "lib32/ld-linux.so.2",
    "lib32/libc.so.6",
    "lib32/libm.so.6",
    "usr/bin/bc",
    "usr/bin/diff",
    "usr/bin/find",
    "usr/bin/gawk",
    "usr/bin/jq",
    "usr/bin/lua5.4",
    "usr/bin/m4",
    "usr/bin/mawk",
    "usr/bin/openssl",
    "usr/bin/sort",
    "usr/bin/sqlite3",
    "usr/lib/python3.11/concurrent",
    "usr/lib/python3.11/ctypes",
    "usr/lib/python3.11/email",
    "usr/lib/python3.11/encodings",
    "usr/lib/python3.11/importlib",
    "usr/lib/python3.11/lib-dynload",
    "usr/lib/python3.11/logging",
    "usr/lib/python3.11/sqlite3",
    "usr/lib/python3.11/urllib",
    "usr/lib/python3.11/xml",
    "usr/lib/x86_64-linux-gnu/gconv",
    "usr/lib/x86_64-linux-gnu/ossl-modules",
    "usr/lib/x86_64-linux-gnu/perl-base",
    "usr/share/perl/5.36/File/Find.pm",
];
/// The loader of 32-bit programs, and the link by whose name they ask for it: it leads to
/// what only a root that is whole has there.
const LOADER_32: (&str, &str) = ("lib32/ld-linux.so.2", "lib/ld-linux.so.2");
/// Where the AMD rig's interpreters have libraries that they load by themselves.
const LOADED: &str = "usr/lib/python3.11/lib-dynload";

/// What a rig gets; nothing, where the packages are not there.
pub(super) fn rig_files(cpu: Cpu) -> Result<Vec<RigFile>> {
    let Some(tree) = needs::programs() else { return Ok(Vec::new()) };
    let mut names: Vec<_> = SMALL.iter().map(|name| (*name).to_owned()).collect();
    let modules = MODULES.split_whitespace();
    names.extend(modules.map(|name| format!("usr/lib/python3.11/{name}.py")));
    let mut programs = names.clone();
    if cpu == Cpu::Amd {
        for directory in FLAT {
            names.extend(files(&tree, directory)?);
        }
        names.extend(MORE.iter().map(|name| (*name).to_owned()));
        programs = [names.clone(), files(&tree, LOADED)?].concat();
    }
    let programs: Vec<_> = programs.iter().map(String::as_str).collect();
    for library in asked(&tree, &programs)?.there {
        names.push(library.strip_prefix(&tree)?.to_string_lossy().into_owned());
    }
    names.sort();
    names.dedup();
    names.retain(|name| tree.join(name).exists());
    let place = |name: &String| RigFile::new(tree.join(name), format!("{PLACE}/{name}"));
    let mut files: Vec<_> = names.iter().map(place).collect();
    let (loader, link) = LOADER_32;
    if names.iter().any(|name| name == loader) {
        files.push(RigFile::new(tree.join(loader), format!("{PLACE}/{link}")));
    }
    Ok(files)
}

/// The regular files of a directory of the tree.
fn files(tree: &Path, directory: &str) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in tree.join(directory).read_dir()? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push(format!("{directory}/{}", entry.file_name().to_string_lossy()));
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only where they were unpacked: `cargo xtask setup` made it so.
    #[test]
    fn the_intel_rig_gets_less() {
        let size = |cpu| {
            let files = rig_files(cpu).unwrap();
            files.iter().map(|file| file.source.metadata().unwrap().len()).sum::<u64>() >> 20
        };
        let (amd, intel) = (size(Cpu::Amd), size(Cpu::Intel));
        assert!(amd == 0 || intel < 17 && intel < amd, "{amd} MiB, {intel} MiB");
    }
}

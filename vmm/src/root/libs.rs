//! The files that a dynamic program of the host's needs before its first instruction:
//! itself, its interpreter, and its libraries, found as ld.so(8) finds them, without
//! running anything.

mod elf;
mod ld_cache;

use super::flatten::error::Bad;
use super::flatten::hashed::Hashed;
use super::flatten::tree::{Kind, Meta};
use super::flatten::{Flattener, Source};
use super::open_file;
use crate::Error;
use crate::error::shown;
use elf::{Class, Needs};
use ld_cache::LdCache;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Bytes of the largest file that is looked at.
const LARGEST: u64 = 1 << 30;

/// The most files that are taken.
const MOST: usize = 1000;

/// Files of the host's, by the paths that they are found by.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// By each path, the file behind all links.
    paths: BTreeMap<PathBuf, PathBuf>,
}

/// An object that is loaded, and who needs it.
struct Object {
    needs: Needs,
    /// The directory that it lies in.
    origin: PathBuf,
    /// The number of the object that needs it.
    by: Option<usize>,
}

impl Files {
    /// All that the program at `path` needs.
    ///
    /// # Errors
    /// [`Error::Root`], with the library that is not there.
    pub(super) fn of_program(path: &Path) -> Result<Files, Error> {
        let failed = |reason: String| Error::Root { name: shown(path), reason };
        let mut files = Files::default();
        let program =
            files.take(path).map_err(|error| failed(format!("cannot be read: {error}")))?;
        let needs = read(&program).map_err(failed)?;
        if let Some(interpreter) = &needs.interpreter {
            let interpreter = to_path(interpreter);
            files.take(interpreter).map_err(|error| {
                failed(format!("its interpreter, {}: {error}", shown(interpreter)))
            })?;
        }
        let system = System::of(&needs);
        let mut objects = vec![Object { origin: directory(&program), needs, by: None }];
        let mut known: Vec<Vec<u8>> = Vec::new();
        let mut at = 0;
        // As ld.so does: what an object needs comes behind what all before it need.
        while at < objects.len() {
            for name in objects[at].needs.libraries.clone() {
                if known.contains(&name) {
                    continue;
                }
                let found = system.find(&name, &objects, at).ok_or_else(|| {
                    failed(format!("needs {}, which is not there", shown(to_path(&name))))
                })?;
                if found.by_cache {
                    // The interpreter finds it by the same.
                    let _ = files.take(Path::new(ld_cache::PATH));
                }
                files
                    .take(&found.path)
                    .map_err(|error| failed(format!("needs {}: {error}", shown(&found.path))))?;
                if files.paths.len() > MOST {
                    return Err(failed(format!("needs more than {MOST} files")));
                }
                known.push(name);
                let origin = directory(&found.path);
                objects.push(Object { needs: found.needs, origin, by: Some(at) });
            }
            at += 1;
        }
        Ok(files)
    }

    /// Takes a file, by this path; answers the one behind its links.
    fn take(&mut self, path: &Path) -> io::Result<PathBuf> {
        let real = fs::canonicalize(path)?;
        let path = std::path::absolute(path)?;
        self.paths.insert(path, real.clone());
        Ok(real)
    }

    /// The files behind all links, each once.
    pub(super) fn real(&self) -> impl Iterator<Item = &Path> {
        let mut all: Vec<_> = self.paths.values().map(PathBuf::as_path).collect();
        all.sort_unstable();
        all.dedup();
        all.into_iter()
    }

    /// What tells these files from others, besides their bytes: their paths.
    pub(super) fn describe(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for (path, real) in &self.paths {
            for path in [path, real] {
                text.extend_from_slice(path.as_os_str().as_bytes());
                text.push(0);
            }
        }
        text
    }

    /// Puts them into a tree: each file where it is, and links where else it is found. The
    /// digests are those of [`Files::real`].
    pub(super) fn read(&self, digests: &[String], into: &mut Flattener) -> Result<(), Bad> {
        for (real, digest) in self.real().zip(digests) {
            let file = open_file(real).map_err(Bad::Read)?;
            let metadata = file.metadata().map_err(Bad::Read)?;
            let meta = Meta {
                mode: (metadata.mode() & 0o7777) as u16,
                uid: metadata.uid(),
                gid: metadata.gid(),
                mtime: (metadata.mtime(), metadata.mtime_nsec() as u32),
            };
            let length = metadata.len();
            let name = real.as_os_str().as_bytes();
            let mut file = Hashed::new(file);
            into.regular(name, meta, Source::Whole(&mut file, length))?;
            if file.digest().map_err(Bad::Read)? != *digest {
                return Err(Bad::Changed.of(name));
            }
        }
        for (path, real) in self.paths.iter().filter(|(path, real)| path != real) {
            let meta = Meta { mode: 0o777, uid: 0, gid: 0, mtime: (0, 0) };
            let target = real.as_os_str().as_bytes().into();
            into.add(path.as_os_str().as_bytes(), meta, Kind::Symlink(target))?;
        }
        Ok(())
    }
}

/// Where this kind of programs has its libraries.
struct System {
    class: Class,
    cache: LdCache,
    directories: Vec<PathBuf>,
}

/// A library that was found.
struct Found {
    path: PathBuf,
    needs: Needs,
    by_cache: bool,
}

impl System {
    fn of(needs: &Needs) -> System {
        let interpreter = needs.interpreter.as_deref().unwrap_or_default();
        let is_musl = interpreter.windows(8).any(|part| part == b"/ld-musl");
        let directories = match (is_musl, needs.class) {
            (true, _) => &["/lib", "/usr/local/lib", "/usr/lib"][..],
            (false, Class::X86_64) => &[
                "/lib/x86_64-linux-gnu",
                "/usr/lib/x86_64-linux-gnu",
                "/lib64",
                "/usr/lib64",
                "/lib",
                "/usr/lib",
            ],
            (false, Class::I386) => &[
                "/lib/i386-linux-gnu",
                "/usr/lib/i386-linux-gnu",
                "/lib32",
                "/usr/lib32",
                "/lib",
                "/usr/lib",
            ],
        };
        System {
            class: needs.class,
            // musl has none.
            cache: if is_musl { LdCache::default() } else { LdCache::of_this_host() },
            directories: directories.iter().map(PathBuf::from).collect(),
        }
    }

    /// Finds a library that an object needs: in DT_RPATH, if there is no DT_RUNPATH, of it
    /// and of who needs it, in its DT_RUNPATH, in the cache, in the usual directories.
    fn find(&self, name: &[u8], objects: &[Object], by: usize) -> Option<Found> {
        let by_cache = false;
        if name.contains(&b'/') {
            let path = expand(name, &objects[by].origin);
            return self.look(&path).map(|needs| Found { path, needs, by_cache });
        }
        let mut directories = Vec::new();
        if objects[by].needs.runpath.is_none() {
            let mut above = Some(by);
            while let Some(object) = above.map(|number| &objects[number]) {
                directories.extend(expanded(object.needs.rpath.as_deref(), &object.origin));
                above = object.by;
            }
        }
        directories.extend(expanded(objects[by].needs.runpath.as_deref(), &objects[by].origin));
        for directory in directories {
            let path = directory.join(to_path(name));
            if let Some(needs) = self.look(&path) {
                return Some(Found { path, needs, by_cache });
            }
        }
        if let Some(path) = self.cache.find(name, self.class)
            && let Some(needs) = self.look(&path)
        {
            return Some(Found { path, needs, by_cache: true });
        }
        self.directories.iter().find_map(|directory| {
            let path = directory.join(to_path(name));
            self.look(&path).map(|needs| Found { path, needs, by_cache })
        })
    }

    /// What the library there needs, if it is one for this kind of programs.
    fn look(&self, path: &Path) -> Option<Needs> {
        read(path).ok().filter(|needs| needs.class == self.class)
    }
}

/// What an ELF file needs.
fn read(path: &Path) -> Result<Needs, String> {
    let unreadable = |error: io::Error| format!("cannot be read: {error}");
    let mut file = open_file(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.len() > LARGEST {
        return Err("is larger than 1 GiB".to_owned());
    }
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut file, &mut bytes).map_err(unreadable)?;
    elf::read(&bytes)
}

/// The directories of a DT_RPATH or a DT_RUNPATH.
fn expanded(list: Option<&[u8]>, origin: &Path) -> Vec<PathBuf> {
    let parts = list.into_iter().flat_map(|list| list.split(|byte| *byte == b':'));
    parts.filter(|part| !part.is_empty()).map(|part| expand(part, origin)).collect()
}

/// A path with `$ORIGIN` in it.
fn expand(path: &[u8], origin: &Path) -> PathBuf {
    let mut out = Vec::new();
    let mut rest = path;
    while let Some((&first, behind)) = rest.split_first() {
        let token = [&b"$ORIGIN"[..], b"${ORIGIN}"].into_iter().find(|t| rest.starts_with(t));
        if let Some(token) = token {
            out.extend_from_slice(origin.as_os_str().as_bytes());
            rest = &rest[token.len()..];
        } else {
            out.push(first);
            rest = behind;
        }
    }
    to_path(&out).to_owned()
}

fn directory(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("/")).to_owned()
}

fn to_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests;

//! The rig's Linux: kernel image and KVM modules out of Debian's cloud kernel
//! package, kept in a cache.
//!
//! Called by the rig before every run (and by `setup`, so that later runs need no
//! network); calls `debian`, dpkg-deb and xz when the cache is empty. The cache
//! appears whole or not at all: it is filled in a directory beside its place and
//! moved there by one rename, by one process at a time.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Cpu, modules};
use crate::{debian, sh};

/// The layout of the cache; a new name makes older caches be ignored.
const LAYOUT: &str = "debian-cloud-1";

/// How the names of directories begin in which the cache is filled.
const WORK: &str = ".filling.";

/// Kernel image and modules, unpacked.
pub(crate) struct Kernel {
    dir: PathBuf,
}

impl Kernel {
    /// The kernel from the cache, fetched first if it is not there.
    pub(crate) fn get() -> Result<Self> {
        let cache = cache_dir()?;
        let dir = cache.join(LAYOUT);
        if !dir.exists() {
            fs::create_dir_all(&cache)
                .with_context(|| format!("cannot create {}", cache.display()))?;
            fill(&cache, &dir).context(
                "cannot get the rig's kernel. It needs Debian's apt-get, or the environment \
                 variable TRAPGATE_RIG_KDEB naming a linux-image-*-cloud-amd64 .deb file",
            )?;
        }
        Ok(Self { dir })
    }

    /// Whether the next [`Kernel::get`] needs no network.
    pub(crate) fn is_cached() -> bool {
        cache_dir().is_ok_and(|cache| cache.join(LAYOUT).exists())
    }

    /// The kernel image.
    pub(crate) fn image(&self) -> PathBuf {
        self.dir.join("vmlinuz")
    }

    /// The modules for this maker's KVM, in the order in which to load them.
    pub(crate) fn modules(&self, maker: Cpu) -> Result<Vec<PathBuf>> {
        let dir = self.dir.join(maker.name());
        let entries = fs::read_dir(&dir)
            .with_context(|| format!("the cache {} is damaged; remove it", self.dir.display()))?;
        let mut modules = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        modules.sort();
        Ok(modules)
    }
}

fn cache_dir() -> Result<PathBuf> {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(dir) = var("TRAPGATE_RIG_CACHE") {
        return Ok(dir.into());
    }
    let base = var("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.or_else(|| var("HOME").map(|home| Path::new(&home).join(".cache")));
    Ok(base
        .context("neither TRAPGATE_RIG_CACHE nor HOME is set: no place for the rig's kernel")?
        .join("trapgate-rig"))
}

/// Fetches and unpacks the package, then puts the result in its place; all that
/// under a lock.
fn fill(cache: &Path, place: &Path) -> Result<()> {
    let _lock = debian::lock(&cache.join(".lock"))?;
    debian::remove_leftovers(cache, WORK)?;
    if place.exists() {
        // Another run has just done it.
        return Ok(());
    }
    let work = tempfile::Builder::new().prefix(WORK).tempdir_in(cache)?;
    let package = match std::env::var_os("TRAPGATE_RIG_KDEB") {
        Some(path) => fs::canonicalize(&path)
            .with_context(|| format!("TRAPGATE_RIG_KDEB: {}", Path::new(&path).display()))?,
        None => download(work.path())?,
    };
    let tree = work.path().join("tree");
    sh::run_quietly(Command::new("dpkg-deb").arg("-x").args([&package, &tree]))?;
    let files = files_below(&tree)?;

    let new = work.path().join("new");
    fs::create_dir(&new)?;
    let image = files
        .iter()
        .find(|file| file_name(file).starts_with("vmlinuz-"))
        .context("the package holds no boot/vmlinuz-*")?;
    fs::copy(image, new.join("vmlinuz"))?;
    for maker in [Cpu::Amd, Cpu::Intel] {
        let dir = new.join(maker.name());
        fs::create_dir(&dir)?;
        let mut loaded = Vec::new();
        modules::unpack(&files, maker.module(), &dir, &mut loaded)?;
    }
    fs::rename(&new, place).with_context(|| format!("cannot create {}", place.display()))
}

/// Downloads the newest cloud kernel package that apt knows into `dir`.
fn download(dir: &Path) -> Result<PathBuf> {
    let mut apt = debian::apt()?;
    apt.update()?;
    let depends = apt.depends("linux-image-cloud-amd64")?;
    let name = versioned_package(&depends).context("apt knows no linux-image-*-cloud-amd64")?;
    let found = apt.alone(&[name])?;
    apt.download(&found, dir, "for the rigs' Linux kernel")?;
    let package = found.first().context("apt-get names no file for the kernel's package")?;
    Ok(dir.join(&package.file))
}

fn versioned_package(depends: &str) -> Option<String> {
    let is_versioned = |word: &&str| {
        let version = word.strip_prefix("linux-image-").unwrap_or_default();
        version.starts_with(|c: char| c.is_ascii_digit()) && word.ends_with("-cloud-amd64")
    };
    depends.split_whitespace().find(is_versioned).map(str::to_owned)
}

/// All files in this directory and those below.
pub(super) fn files_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.extend(files_below(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    Ok(files)
}

pub(super) fn file_name(file: &Path) -> &str {
    file.file_name().and_then(OsStr::to_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_in_the_cache_is_removed() {
        let cache = tempfile::tempdir().unwrap();
        let place = cache.path().join(LAYOUT);
        for dir in [&place, &cache.path().join(".filling.x")] {
            fs::create_dir(dir).unwrap();
        }
        // Filled by another run while this one waited for the lock.
        fill(cache.path(), &place).unwrap();
        assert!(place.exists());
        assert!(!cache.path().join(".filling.x").exists());
    }

    #[test]
    fn the_versioned_package_is_found_in_what_apt_cache_prints() {
        let depends = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-51-cloud-amd64\n";
        assert_eq!(versioned_package(depends).unwrap(), "linux-image-6.1.0-51-cloud-amd64");
        assert_eq!(versioned_package("linux-image-cloud-amd64\n"), None);
    }
}

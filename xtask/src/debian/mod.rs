//! Debian packages unpacked below cargo's target directory, and run from there.
//!
//! Called by `needs`, which knows what is needed and prefers what the system has,
//! and by the rig's kernel cache for its one package. Nothing is installed and
//! root is not needed: `apt` asks Debian's apt, with lists and state of its own,
//! what there is; each need gets a tree of its own (`target/xtask/packages/NAME`)
//! with all shared libraries, the C library too, so that it does not matter what
//! this system has (`program`, `libraries`); compilers get a script that names
//! their new places (`compilers`).
//!
//! A tree appears whole or not at all, by one rename, and one process at a time
//! fetches.

pub(crate) mod apt;
mod compilers;
pub(crate) mod libraries;
pub(crate) mod program;

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};

use self::apt::{Apt, Package};
pub(crate) use self::compilers::Compiler;
pub(crate) use self::program::Program;
use crate::sh;

/// How the names of directories begin in which trees are made.
const WORK: &str = ".new.";

/// What is to be unpacked as one tree.
pub(crate) struct Bundle {
    /// The tree's name.
    pub(crate) name: &'static str,
    pub(crate) packages: Vec<String>,
    /// Files of the tree that tell that it is there and of use. The libraries of
    /// those that are programs or libraries come with it.
    pub(crate) files: &'static [&'static str],
    /// What is wanted besides the packages.
    pub(crate) with: With,
    /// What the programs load while they run, where the packages have it: it gets
    /// its libraries, too.
    pub(crate) plugins: &'static [&'static str],
    /// For a compiler, how it is called at its new place.
    pub(crate) compiler: Option<Compiler>,
}

/// What comes with packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum With {
    /// Nothing: only files of theirs are wanted.
    Nothing,
    /// What their programs need to run here, and little of what they depend on besides.
    Libraries,
    /// Whatever they depend on: the tree is to be the root directory of a system.
    Everything,
}

/// Where everything of this module lies: `xtask` in cargo's target directory.
fn base() -> Result<&'static Path> {
    static BASE: OnceLock<PathBuf> = OnceLock::new();
    if let Some(base) = BASE.get() {
        return Ok(base);
    }
    let base = sh::target_dir()?.join("xtask");
    Ok(BASE.get_or_init(|| base))
}

/// The unpacked tree of this name, if it is there with these files.
pub(crate) fn tree(name: &str, files: &[&str]) -> Option<PathBuf> {
    let tree = base().ok()?.join("packages").join(name);
    files.iter().all(|file| tree.join(file).exists()).then_some(tree)
}

/// Fetches and unpacks these; answers with what could not be had, and why. What
/// failed once is not tried again by the same process.
pub(crate) fn get(bundles: Vec<Bundle>) -> BTreeMap<&'static str, String> {
    static FAILED: Mutex<BTreeMap<&str, String>> = Mutex::new(BTreeMap::new());
    let mut failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner);
    let names: Vec<_> = bundles.iter().map(|bundle| bundle.name).collect();
    let mut new = bundles;
    new.retain(|bundle| !failed.contains_key(bundle.name));
    if !new.is_empty() {
        let new_names: Vec<_> = new.iter().map(|bundle| bundle.name).collect();
        match fetch(new) {
            Ok(some) => failed.extend(some),
            Err(error) => failed.extend(new_names.iter().map(|name| (*name, line(&error)))),
        }
    }
    failed.iter().filter(|(name, _)| names.contains(name)).map(|(n, e)| (*n, e.clone())).collect()
}

/// An error as one line.
fn line(error: &anyhow::Error) -> String {
    format!("{error:#}").lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

/// An apt of our own, which nobody else uses at the same time.
pub(crate) fn apt() -> Result<Apt> {
    let base = base()?;
    let create = |dir: PathBuf| {
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))
    };
    create(base.join("packages"))?;
    let lock = lock(&base.join("packages/.lock"))?;
    create(base.join("apt"))?;
    Apt::open(&base.join("apt"), lock)
}

/// Waits until this file is locked for us. Dropping the file unlocks it.
pub(crate) fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    let mut said = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if sh::interrupted() => bail!("interrupted"),
            Err(TryLockError::WouldBlock) => {
                if !said {
                    sh::step("waiting for another cargo xtask that fetches packages");
                    said = true;
                }
                thread::sleep(sh::TICK);
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
    }
}

/// Fetches and unpacks under the lock; what failed, and why.
fn fetch(mut bundles: Vec<Bundle>) -> Result<BTreeMap<&'static str, String>> {
    let start = Instant::now();
    let mut apt = apt()?;
    // Another process may just have done it.
    bundles.retain(|bundle| tree(bundle.name, bundle.files).is_none());
    if bundles.is_empty() {
        return Ok(BTreeMap::new());
    }
    apt.update()?;
    let mut failed = BTreeMap::new();
    let mut plans = Vec::new();
    for bundle in bundles {
        let status = match bundle.with {
            With::Everything => apt::Status::Empty,
            With::Nothing | With::Libraries => apt::Status::Lean,
        };
        match plan(&apt, &bundle, status) {
            Ok(packages) => plans.push((bundle, packages)),
            Err(error) => drop(failed.insert(bundle.name, line(&error))),
        }
    }
    let places = base()?.join("packages");
    remove_leftovers(&places, WORK)?;
    let work = tempfile::Builder::new().prefix(WORK).tempdir_in(&places)?;
    let all: Vec<_> = plans.iter().flat_map(|(_, packages)| packages).cloned().collect();
    let names: Vec<_> = plans.iter().map(|(bundle, _)| bundle.name).collect();
    if !names.is_empty() {
        let what = format!("for {} (the system stays as it is)", names.join(", "));
        apt.download(&all, work.path(), &what)?;
        sh::step(&format!("unpacking below {}", places.display()));
    }
    for (bundle, packages) in plans {
        if let Err(error) = unpack(&mut apt, &bundle, &packages, work.path(), &places) {
            failed.insert(bundle.name, line(&error));
        }
    }
    if failed.len() < names.len() {
        sh::good(&format!("    done after {}", sh::seconds(start.elapsed())));
    }
    Ok(failed)
}

/// Removes what a process left that was killed while it unpacked: directories whose
/// names begin so. The caller has the lock: nobody is at work there.
pub(crate) fn remove_leftovers(places: &Path, prefix: &str) -> Result<()> {
    for entry in fs::read_dir(places)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn plan(apt: &Apt, bundle: &Bundle, status: apt::Status) -> Result<Vec<Package>> {
    if bundle.with != With::Nothing {
        apt.with_dependencies(&bundle.packages, status)
    } else {
        apt.alone(&bundle.packages)
    }
}

/// Makes the bundle's tree out of its downloaded packages and puts it in its place.
fn unpack(
    apt: &mut Apt,
    bundle: &Bundle,
    packages: &[Package],
    work: &Path,
    places: &Path,
) -> Result<()> {
    let tree = work.join(bundle.name);
    let extract = |packages: &[Package]| -> Result<()> {
        for package in packages {
            let file = work.join(&package.file);
            sh::run_quietly(Command::new("dpkg-deb").arg("-x").arg(file).arg(&tree))?;
        }
        Ok(())
    };
    extract(packages)?;
    let programs = [bundle.files, bundle.plugins].concat();
    if bundle.with == With::Libraries && !libraries::missing(&tree, &programs)?.is_empty() {
        // The lean choice left out something that is needed here.
        let mut rest = plan(apt, bundle, apt::Status::Empty)?;
        rest.retain(|package| !packages.contains(package));
        apt.download(&rest, work, &format!("more for {}", bundle.name))?;
        extract(&rest)?;
        let missing = libraries::missing(&tree, &programs)?;
        if !missing.is_empty() {
            bail!("the packages of {} lack {}", bundle.name, missing.join(", "));
        }
    }
    if let Some(compiler) = &bundle.compiler {
        compiler.write(&tree)?;
    }
    if let Some(absent) = bundle.files.iter().find(|file| !tree.join(file).exists()) {
        bail!("the packages {} hold no {absent}", bundle.packages.join(", "));
    }
    let place = places.join(bundle.name);
    if place.exists() {
        // Not whole, or it would not have been fetched.
        fs::remove_dir_all(&place).with_context(|| format!("cannot remove {}", place.display()))?;
    }
    fs::rename(&tree, &place).map_err(|error| anyhow!("cannot create {}: {error}", place.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_free_again_when_its_file_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = lock(&path).unwrap();
        assert!(matches!(File::create(&path).unwrap().try_lock(), Err(TryLockError::WouldBlock)));
        drop(first);
        lock(&path).unwrap();
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["qemu/bin", ".new.x/qemu"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        remove_leftovers(dir.path(), WORK).unwrap();
        assert!(dir.path().join("qemu/bin").exists());
        assert!(!dir.path().join(".new.x").exists());
    }

    #[test]
    fn an_error_is_told_in_one_line() {
        let error = anyhow!("no\n  network").context("apt-get update");
        assert_eq!(line(&error), "apt-get update: no network");
    }
}

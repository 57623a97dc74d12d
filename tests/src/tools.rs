//! Programs of others that tests compare with: the system's, or what `cargo xtask
//! setup` unpacked below the target directory.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use crate::missing;

/// Debian's loader of dynamic programs.
const LOADER: &str = "ld-linux-x86-64.so.2";
/// Where an unpacked tree has its libraries.
const PLACES: [&str; 4] = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib", "usr/lib"];

/// A program of erofs-utils: `mkfs.erofs`, `fsck.erofs`, `dump.erofs`; or none, with a
/// loud skip.
pub fn erofs_utils(name: &str) -> Option<Command> {
    let found = system(name).or_else(|| unpacked("erofs", &format!("usr/bin/{name}")));
    if found.is_none() {
        missing("erofs-utils");
    }
    found
}

fn system(name: &str) -> Option<Command> {
    let path = env::var_os("PATH")?;
    let mut places = env::split_paths(&path).map(|place| place.join(name));
    places.find(|file| file.is_file()).map(Command::new)
}

/// The tree of this name that `cargo xtask setup` unpacked, if it has this file.
pub(crate) fn unpacked_tree(name: &str, file: &str) -> Option<PathBuf> {
    let own = env::current_exe().expect("a process knows its executable");
    let mut trees = own.ancestors().map(|above| above.join("xtask/packages").join(name));
    trees.find(|tree| tree.join(file).is_file())
}

/// A program of an unpacked tree. Its own loader starts it, with its own libraries:
/// those of the system may be others.
fn unpacked(tree: &str, file: &str) -> Option<Command> {
    let tree = unpacked_tree(tree, file)?;
    let places: Vec<PathBuf> = PLACES.iter().map(|place| tree.join(place)).collect();
    let loader = places.iter().map(|place| place.join(LOADER)).find(|file| file.is_file())?;
    let mut command = Command::new(loader);
    command.args(["--inhibit-cache", "--library-path"]);
    command.arg(env::join_paths(places).ok()?).arg(tree.join(file)).env_remove("LD_PRELOAD");
    Some(command)
}

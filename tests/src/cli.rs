//! The `trapgate` program to test.

use crate::place::{Place, place};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs};

/// The `trapgate` to test: `TRAPGATE_BIN` if set, in a rig the one there,
/// otherwise the workspace's, built first, once a test executable.
///
/// Cargo hands the program of one package to that package's own tests alone
/// (`CARGO_BIN_EXE_*`). Hence a build at run time, into the target directory
/// that this executable came from: nothing to do, mostly.
///
/// # Panics
/// If it cannot be built.
pub fn trapgate() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| match (env::var_os("TRAPGATE_BIN"), place()) {
        (Some(path), _) => fs::canonicalize(&path)
            .unwrap_or_else(|error| panic!("TRAPGATE_BIN={}: {error}", path.display())),
        (None, Place::Amd | Place::Intel) => PathBuf::from("/bin/trapgate"),
        (None, Place::Host) => build(),
    })
}

fn build() -> PathBuf {
    // target/[TRIPLE/]PROFILE/deps/NAME
    let own = env::current_exe().expect("a process knows its executable");
    let mut above = own.ancestors().skip(2).map(Path::to_owned);
    let (Some(profile), Some(mut target)) = (above.next(), above.next()) else {
        panic!("{}: test executables are in PROFILE/deps", own.display());
    };
    if target.ends_with(env!("TRAPGATE_TESTS_TARGET")) {
        target.pop();
    }
    // A rig's profile is known to nobody else.
    let (name, directory) = match profile.ends_with("release") {
        true => ("release", "release"),
        false => ("dev", "debug"),
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--quiet", "--package=trapgate-cli", "--bin=trapgate"])
        .args(["--profile", name, "--target-dir"])
        .arg(&target);
    let output = command.output().expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed:\n{errors}");
    target.join(directory).join("trapgate")
}

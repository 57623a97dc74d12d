//! What measures: built here, run in the rig. Nothing but cargo is needed.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::rig::RigFile;
use crate::{sh, test};

/// As counts.toml names them.
pub(super) const NAMES: [&str; 2] = ["ops", "null-call"];

/// Where they are in the rig.
pub(super) const DIRECTORY: &str = "/counts";

/// Of ordinary static programs.
const MUSL: &str = "x86_64-unknown-linux-musl";
/// Of 32-bit ones, without a library.
const MUSL_32: &str = "i686-unknown-linux-musl";

/// The programs, built.
pub(crate) fn rig_files() -> Result<Vec<RigFile>> {
    // At fixed addresses, as a C program that is linked by `-static`.
    let ops = ["rustc", "-p", "trapgate-ops", "--bin=ops", "--profile=bare", "--target", MUSL];
    let mut ops = sh::cargo(&ops);
    ops.arg("--message-format=json-render-diagnostics").args(["--", "-Crelocation-model=static"]);
    let null_call = ["build", "-p", "trapgate-programs32", "--features=i386", "--bin=null-call"];
    let mut null_call =
        sh::cargo(&[&null_call[..], &["--profile=bare", "--target", MUSL_32]].concat());
    // As tests/build.rs builds them.
    let flags = fs::read_to_string(sh::root().join("guest-rt/i386.flags"))?;
    null_call
        .arg("--message-format=json-render-diagnostics")
        .env("CARGO_TARGET_I686_UNKNOWN_LINUX_MUSL_LINKER", "rust-lld")
        .env("CARGO_TARGET_I686_UNKNOWN_LINUX_MUSL_RUSTFLAGS", flags.trim());
    let programs = [("ops", ops), ("null-call", null_call)];
    programs.into_iter().map(|(name, command)| rig_file(name, command)).collect()
}

fn rig_file(name: &str, mut command: Command) -> Result<RigFile> {
    let built = sh::executables(&mut command)?;
    let file = built.into_iter().find(|(built, _)| built == name).map(|(_, file)| file);
    let file: PathBuf = file.with_context(|| format!("cargo built no {name}"))?;
    Ok(RigFile::new(file, format!("{DIRECTORY}/{name}")))
}

/// trapgate itself, as the tests in the rigs have it.
pub(super) fn trapgate() -> Result<RigFile> {
    test::rig_trapgate()
}

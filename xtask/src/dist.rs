//! `cargo xtask dist`: what a release hands out: one static program with its
//! documents, in a tarball that is the same wherever it is made, and its checksum.
//!
//! Called by .github/workflows/release.yml, and by people who want the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};
use object::{Object, ObjectKind, ObjectSection};
use serde_json::Value;

use crate::{builder_paths, sh};

/// Make the tarball of a release, with its checksum, in target/dist.
///
/// The program is linked statically and stripped, and no directory of this machine
/// is in it: all three are checked.
#[derive(clap::Args)]
pub(crate) struct Args {}

const MUSL: &str = "x86_64-unknown-linux-musl";

/// What a user reads.
const DOCUMENTS: [&str; 6] = [
    "README.md",
    "CHANGELOG.md",
    "SPECIFICATION.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "SECURITY.md",
];

/// Whose code is in the program, the kernel and the probes.
const PACKAGES: [&str; 4] = ["trapgate-cli", "trapgate-guest", "trapgate-vdso", "trapgate-images"];

/// Runs the subcommand.
pub(crate) fn main(_: &Args) -> Result<ExitCode> {
    let out = sh::target_dir()?.join("dist");
    let program = build(&out)?;
    check(&fs::read(&program)?).with_context(|| program.display().to_string())?;

    let name = format!("trapgate-{}-{MUSL}", env!("CARGO_PKG_VERSION"));
    let directory = out.join(&name);
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    fs::create_dir_all(directory.join("docs"))?;
    fs::copy(&program, directory.join("trapgate"))?;
    for document in DOCUMENTS {
        let from = sh::root().join(document);
        fs::copy(&from, directory.join(document)).with_context(|| from.display().to_string())?;
    }
    for entry in fs::read_dir(sh::root().join("docs"))? {
        let path = entry?.path();
        copy_all(&path, &directory.join("docs").join(path.file_name().unwrap_or_default()))?;
    }
    fs::write(directory.join("THIRD-PARTY-LICENSES"), third_parties()?)?;
    extras(&program, &directory)?;
    let tarball = format!("{name}.tar.gz");
    sh::run(
        Command::new("tar")
            .current_dir(&out)
            .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mode=a+rX,go-w"])
            .arg(format!("--mtime=@{}", commit_time()))
            .args(["--use-compress-program=gzip -n9", "-cf", &tarball, &name]),
    )?;
    let sum = sh::capture(Command::new("sha256sum").arg(&tarball).current_dir(&out))?;
    fs::write(out.join(format!("{tarball}.sha256")), sum)?;
    println!("{}", out.join(&tarball).display());
    println!("{}", out.join(format!("{tarball}.sha256")).display());
    Ok(ExitCode::SUCCESS)
}

/// The program, in a target directory of its own: its flags are other ones than
/// those of everyday builds, which would all be made anew each time.
fn build(out: &Path) -> Result<std::path::PathBuf> {
    let directory = out.join("build");
    let mut command = sh::cargo(&["build", "--release", "--locked", "-p", "trapgate-cli"]);
    command.args(["--bin", "trapgate", "--target", MUSL, "--target-dir"]).arg(&directory);
    // They stand in for those of .cargo/config.toml, of which one is needed.
    let mut flags = builder_paths::remap_flags();
    flags.push("\u{1f}-Crelocation-model=static");
    command.env("CARGO_ENCODED_RUSTFLAGS", flags);
    sh::step("building trapgate, static, without names of this machine's directories");
    sh::run_quietly(&mut command)?;
    Ok(directory.join(MUSL).join("release/trapgate"))
}

/// Copies a file, or a directory with all that is in it.
fn copy_all(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy_all(&entry.path(), &to.join(entry.file_name()))?;
        }
    } else {
        fs::copy(from, to)?;
    }
    Ok(())
}

/// Whether these bytes are a program to hand out.
fn check(program: &[u8]) -> Result<()> {
    let file = object::File::parse(program)?;
    ensure!(file.section_by_name(".interp").is_none(), "it is not linked statically");
    ensure!(file.kind() == ObjectKind::Executable, "it is linked to move itself");
    ensure!(file.symbol_table().is_none(), "it is not stripped");
    let debug = |name: object::Result<&str>| name.is_ok_and(|name| name.starts_with(".debug"));
    ensure!(!file.sections().any(|section| debug(section.name())), "it has debug information");
    if let Some(place) = builder_paths::found(program) {
        bail!("it has a directory of this machine's in it: {place}");
    }
    Ok(())
}

/// Manual pages and completions, as the program itself writes them.
fn extras(program: &Path, directory: &Path) -> Result<()> {
    sh::run_quietly(Command::new(program).arg("man").arg(directory.join("man")))?;
    let completions = directory.join("completions");
    fs::create_dir_all(&completions)?;
    for (shell, file) in
        [("bash", "trapgate.bash"), ("zsh", "_trapgate"), ("fish", "trapgate.fish")]
    {
        let text = sh::capture(Command::new(program).args(["completions", shell]))?;
        fs::write(completions.join(file), text)?;
    }
    Ok(())
}

/// The licences of all code of others that is in the program, as they are in its
/// packages.
fn third_parties() -> Result<String> {
    let list = ["tree", "--locked", "-e", "normal,no-proc-macro", "--prefix", "none"];
    let mut command = sh::cargo(&list);
    command.args(["--format", "{p}", "--target", MUSL]);
    command.args(PACKAGES.iter().flat_map(|name| ["-p", name]));
    // `NAME vVERSION`, and behind it a path or a mark for what was listed before.
    let tree = sh::capture(&mut command)?;
    let mut linked: Vec<_> = tree
        .lines()
        .filter_map(|line| line.split_once(" v"))
        .map(|(name, rest)| (name, rest.split(' ').next().unwrap_or(rest)))
        .collect();
    linked.sort_unstable();
    linked.dedup();
    let metadata = sh::capture(&mut sh::cargo(&["metadata", "--locked", "--format-version=1"]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let mut list =
        String::from("The code of others that is in this program, and its licences.\n\n");
    // The same text is that of many packages.
    let mut texts: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, version) in linked {
        let found = packages
            .iter()
            .find(|package| package["name"] == name && package["version"] == version)
            .with_context(|| format!("cargo metadata does not know {name} {version}"))?;
        // What has no source is this workspace's.
        if found["source"].is_null() {
            continue;
        }
        let word = |key: &str| found[key].as_str().unwrap_or("-");
        list += &format!("{name} {version}: {}, {}\n", word("license"), word("repository"));
        let directory = Path::new(word("manifest_path")).parent().context("a package's place")?;
        for license in licenses(directory)? {
            texts.entry(license).or_default().push(name);
        }
    }
    for (text, names) in texts {
        list += &format!("\n==== {}\n\n{text}\n", names.join(", "));
    }
    Ok(list)
}

/// What a package's files say that one may do with it.
fn licenses(package: &Path) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(package).with_context(|| package.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        let starts = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];
        if path.is_file() && starts.iter().any(|start| name.starts_with(start)) {
            texts.push(String::from_utf8_lossy(&fs::read(path)?).trim().to_owned());
        }
    }
    Ok(texts)
}

/// When the last commit was made: the same everywhere, unlike now.
fn commit_time() -> String {
    let mut git = Command::new("git");
    git.args(["log", "-1", "--format=%ct"]).current_dir(sh::root()).stderr(Stdio::null());
    let time = git.output().ok().filter(|output| output.status.success());
    let time = time.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    time.filter(|time| !time.is_empty()).unwrap_or_else(|| "0".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_symbols_and_an_interpreter_is_not_handed_out() {
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        let why = check(&own).unwrap_err().to_string();
        assert!(why.contains("statically") || why.contains("stripped"), "{why}");
        assert!(check(b"#!/bin/sh\n").is_err());
    }
}

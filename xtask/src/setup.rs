//! `cargo xtask setup`: gets what the project needs and this machine lacks.
//!
//! Called by itself and first thing by `test`, `check` and `bench-self`, which say
//! what they use; `demo` asks for the Rust toolchain alone. Rust targets are a
//! must; the rigs and the C compilers are not: without them something is left out
//! later, and said so. `needs` knows what they consist of.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::needs::{self, Use};
use crate::rig::kernel::Kernel;
use crate::sh;

/// Get what is missing: Rust targets, compilers for tests, the rigs.
///
/// Nothing is installed on the system, and root is not needed. What the system
/// has is used where it is new enough. What it lacks is fetched from Debian's
/// archive, by an apt with lists and state of its own, and unpacked below
/// target/xtask/packages, from where it runs with its own libraries; `cargo clean`
/// removes it. About 90 MiB are fetched if nothing is there. The rigs' Linux
/// kernel is kept in the user's cache directory (see `cargo xtask rig --help`).
///
/// Looked for are: busybox (static), xz, qemu-system-x86_64 (7.2), bochs-bin (2.7)
/// with its plugin for terminals and BIOSes, grub-mkimage with the modules for
/// i386-pc, xorriso, erofs-utils, gcc, musl-gcc, and what `gcc -m32 -static` needs.
/// Programs that tests run in a root directory of their own (python3, perl, sqlite3
/// and others) are fetched whatever the system has. Where there is no apt-get, or no
/// network, one line says what is missing and what is left out for it; the status is
/// still 0.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Install Debian's packages on the system instead (as root; removes nothing)
    #[arg(long)]
    system: bool,
}

/// The part of `rust-toolchain.toml` that names things to install.
#[derive(Deserialize)]
struct ToolchainFile {
    toolchain: Toolchain,
}

#[derive(Deserialize)]
struct Toolchain {
    channel: String,
    #[serde(default)]
    components: Vec<String>,
    #[serde(default)]
    targets: Vec<String>,
}

/// Runs the subcommand.
pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    if args.system {
        install()?;
    }
    ensure(Use::ALL)?;
    Ok(ExitCode::SUCCESS)
}

/// Gets what is missing for these uses. Fails only if a Rust target cannot be had.
pub(crate) fn ensure(uses: &[Use]) -> Result<()> {
    let had_rust = ensure_rust()?;
    let had_needs = ensure_needs(uses);
    let had_kernel = !uses.contains(&Use::Rig) || ensure_kernel();
    if had_rust && had_needs && had_kernel {
        sh::good("setup: nothing to do");
    }
    Ok(())
}

/// The toolchain's targets and components, which is all that building and the
/// demo need; whether all were there.
pub(crate) fn ensure_rust() -> Result<bool> {
    let path = sh::root().join("rust-toolchain.toml");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let ToolchainFile { toolchain } = toml::from_str(&text)?;
    if sh::which("rustup").is_none() {
        return require_targets_without_rustup(&toolchain.targets);
    }
    // Asked for by name, each: automatic installation may be switched off.
    let channel = toolchain.channel.as_str();
    let listed = |kind: &str| {
        let mut command = Command::new("rustup");
        command.args([kind, "list", "--installed", "--toolchain", channel]);
        let output = command.output().ok().filter(|output| output.status.success());
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let Some((targets, components)) = listed("target").zip(listed("component")) else {
        let mut command = Command::new("rustup");
        command.args(["toolchain", "install", channel, "--profile", "minimal"]);
        command.args(toolchain.components.iter().flat_map(|name| ["-c", name]));
        command.args(toolchain.targets.iter().flat_map(|name| ["-t", name]));
        sh::run(&mut command)?;
        return Ok(false);
    };
    let missing_targets = absent(&toolchain.targets, &targets);
    let missing_components = absent(&toolchain.components, &components);
    for (kind, missing) in [("target", &missing_targets), ("component", &missing_components)] {
        if !missing.is_empty() {
            let mut command = Command::new("rustup");
            command.args([kind, "add", "--toolchain", channel]).args(missing);
            sh::run(&mut command)?;
        }
    }
    Ok(missing_targets.is_empty() && missing_components.is_empty())
}

/// The names that no line of rustup's list stands for. A component's line may
/// carry the host's name behind it: `clippy-x86_64-unknown-linux-gnu`.
fn absent<'a>(names: &'a [String], list: &str) -> Vec<&'a str> {
    let is_listed = |name: &str| {
        list.lines().any(|line| {
            let rest = line.trim().strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        })
    };
    let names = names.iter().map(String::as_str);
    names.filter(|name| !is_listed(name)).collect()
}

/// A Rust of the distribution may have the targets too.
fn require_targets_without_rustup(targets: &[String]) -> Result<bool> {
    for target in targets {
        let dir = sh::capture(
            Command::new("rustc")
                .args(["--print", "target-libdir", "--target", target])
                .current_dir(sh::root()),
        );
        if !dir.is_ok_and(|dir| Path::new(dir.trim_end()).exists()) {
            bail!("the Rust target {target} is missing, and there is no rustup to add it");
        }
    }
    Ok(true)
}

/// Compilers and rigs; whether all were there.
fn ensure_needs(uses: &[Use]) -> bool {
    if needs::missing(uses).is_empty() {
        return true;
    }
    for line in needs::lines(&needs::provide(uses)) {
        sh::warn(&line);
    }
    false
}

/// What the system lacks, installed by its own apt: only on request.
fn install() -> Result<()> {
    let missing = needs::missing_of_system();
    let mut names: Vec<_> = missing.iter().flat_map(|need| need.packages()).collect();
    names.dedup();
    if names.is_empty() {
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() || sh::which("apt-get").is_none() {
        bail!(
            "--system needs root and Debian's apt-get:\n    \
             apt-get install --no-install-recommends {}",
            names.join(" ")
        );
    }
    let apt_get = |arguments: &[&str], names: &[String]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments).args(names);
        sh::run(&mut command)
    };
    // Never at the price of what is installed already.
    let install = ["-q", "-y", "--no-remove", "--no-install-recommends", "install"];
    apt_get(&["-q", "update"], &[])?;
    if apt_get(&install, &names).is_err() {
        sh::warn("not all at once, then; trying one by one");
        for need in missing {
            if let Err(error) = apt_get(&install, &need.packages()) {
                sh::warn(&format!("{error:#}; it is unpacked instead"));
            }
        }
    }
    Ok(())
}

/// The rig's kernel; whether it was there or is of no use here.
fn ensure_kernel() -> bool {
    if Kernel::is_cached() || !needs::missing(&[Use::Rig]).is_empty() {
        return true;
    }
    if let Err(error) = Kernel::get() {
        sh::warn(&format!("{error:#} (no rigs)"));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_rustup_does_not_list_is_absent() {
        let list = "clippy-x86_64-unknown-linux-gnu\nrustfmt-x86_64-unknown-linux-gnu\n";
        let names = ["clippy", "rustfmt", "llvm-tools"].map(str::to_owned);
        assert_eq!(absent(&names, list), ["llvm-tools"]);
        let targets = ["x86_64-unknown-linux-gnu", "x86_64-unknown-linux"].map(str::to_owned);
        assert!(absent(&targets[..1], "x86_64-unknown-linux-gnu\n").is_empty());
    }

    #[test]
    fn the_projects_toolchain_file_is_understood() {
        let text = fs::read_to_string(sh::root().join("rust-toolchain.toml")).unwrap();
        let file: ToolchainFile = toml::from_str(&text).unwrap();
        for target in
            ["x86_64-unknown-none", "x86_64-unknown-linux-musl", "i686-unknown-linux-musl"]
        {
            assert!(file.toolchain.targets.iter().any(|name| name == target), "{target}");
        }
        assert!(file.toolchain.components.iter().any(|name| name == "llvm-tools"));
    }
}

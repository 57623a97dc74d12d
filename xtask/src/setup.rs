//! `cargo xtask setup`: installs what the project needs and this machine lacks.
//!
//! Called by itself and first thing by `demo`, `test` and `check`. Rust targets
//! are a must; the rigs and the C compilers are not: without them something is
//! left out later, and said so.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::needs::{self, GCC_MULTILIB, Need, Use};
use crate::rig::kernel::Kernel;
use crate::sh;

/// Install what is missing: Rust targets, Debian packages, the rig's kernel.
///
/// Says what it does; on a machine that has everything it does nothing. Debian
/// packages are installed only when run as root; otherwise the command to run is
/// printed, and the status is still 0, for they are optional: without them the
/// rigs or the test programs in C are left out.
#[derive(clap::Args)]
pub(crate) struct Args {}

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
pub(crate) fn main(_: &Args) -> Result<ExitCode> {
    ensure()?;
    Ok(ExitCode::SUCCESS)
}

/// Installs what is missing. Fails only if a Rust target cannot be had.
pub(crate) fn ensure() -> Result<()> {
    let had_rust = ensure_rust()?;
    let had_packages = ensure_packages();
    let had_kernel = ensure_kernel();
    if had_rust && had_packages && had_kernel {
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

/// The Debian packages; whether all were there.
fn ensure_packages() -> bool {
    let missing = needs::missing();
    if missing.is_empty() {
        return true;
    }
    let names: Vec<_> = missing.iter().map(|need| need.package).collect();
    if sh::which("apt-get").is_none() {
        sh::warn(&format!(
            "this is no Debian; please install what these packages of Debian hold: {}",
            names.join(" ")
        ));
    } else if !nix::unistd::geteuid().is_root() {
        sh::warn(&format!(
            "packages are missing; please run\n    sudo apt-get install --no-install-recommends {}",
            names.join(" ")
        ));
    } else {
        install(&names);
    }
    for need in needs::missing() {
        sh::warn(&format!("{} is missing: {}", need.package, consequence(need)));
    }
    false
}

/// Installs the packages as root. What fails is left out, and found missing later.
fn install(names: &[&str]) {
    let (multilib, others): (Vec<&str>, Vec<&str>) =
        names.iter().partition(|name| **name == GCC_MULTILIB);
    // Where only that one is missing and known to conflict, leave apt in peace.
    if others.is_empty() && is_blocked(GCC_MULTILIB) {
        return;
    }
    if let Err(error) = sh::run(Command::new("apt-get").args(["-q", "update"])) {
        sh::warn(&format!("{error:#}"));
    }
    if !others.is_empty() && sh::run(apt_install(&mut apt_get()).args(&others)).is_err() {
        sh::warn("not all at once, then; trying one by one");
        for name in others {
            if let Err(error) = sh::run(apt_install(&mut apt_get()).arg(name)) {
                sh::warn(&format!("{error:#}"));
            }
        }
    }
    for name in multilib {
        if let Err(error) = sh::run(apt_install(&mut apt_get()).arg(name)) {
            sh::warn(&format!("{error:#}; it conflicts with cross compilers"));
        }
    }
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Never at the price of what is installed already.
fn apt_install(command: &mut Command) -> &mut Command {
    command.args(["-q", "-y", "--no-remove", "--no-install-recommends", "install"])
}

/// Whether apt would have to remove something for this package.
fn is_blocked(name: &str) -> bool {
    let output = apt_install(apt_get().arg("-s").env("LC_ALL", "C")).arg(name).output();
    output
        .is_ok_and(|output| String::from_utf8_lossy(&output.stderr).contains("remove is disabled"))
}

/// What is left out without it.
fn consequence(need: &Need) -> &'static str {
    match need.used_by {
        Use::C if need.package == GCC_MULTILIB => "no 32-bit test programs in C",
        Use::C => "no test programs in C",
        Use::Rig => "no rigs, no demo with busybox",
        Use::Amd => "no AMD rig",
        Use::Intel => "no Intel rig",
    }
}

/// The rig's kernel; whether it was there or is of no use here.
fn ensure_kernel() -> bool {
    if Kernel::is_cached() || needs::require(&[Use::Rig]).is_err() {
        return true;
    }
    sh::step("getting the rig's kernel");
    if let Err(error) = Kernel::get() {
        sh::warn(&format!("no rigs: {error:#}"));
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

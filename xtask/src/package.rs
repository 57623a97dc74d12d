//! `cargo xtask package`: the crates as they are published, built from their own
//! files.
//!
//! The crate `trapgate` embeds the kernel and the vDSOs, `trapgate-measure` the
//! probes: other packages for other targets. No crate can have those as
//! dependencies, and who installs it has not their targets: so each carries what was
//! built of them, in `prebuilt`, and its build script takes that where no sources are
//! beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{builder_paths, sh};

/// Make the packages to publish, and build them from what is in them.
///
/// Leaves what the kernel's and the probes' sources were built into in
/// vmm/prebuilt and vmm/measure/prebuilt, from where `cargo publish --allow-dirty`
/// takes it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Also from a work tree with changes that are not committed
    #[arg(long)]
    allow_dirty: bool,
}

/// What is published, in the order of its dependencies.
const CRATES: [&str; 8] = [
    "trapgate-abi",
    "trapgate-uapi",
    "trapgate-loader",
    "trapgate-erofs",
    "trapgate-build-guest",
    "trapgate",
    "trapgate-measure",
    "trapgate-cli",
];
/// Those that embed something, with their directories.
const EMBEDDING: [(&str, &str); 2] = [("trapgate", "vmm"), ("trapgate-measure", "vmm/measure")];

/// Runs the subcommand.
pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    let status = ["status", "--porcelain"];
    let changes = sh::capture(Command::new("git").args(status).current_dir(sh::root()))?;
    if !(changes.is_empty() || args.allow_dirty) {
        bail!("not all is committed (--allow-dirty packages it nevertheless):\n{changes}");
    }
    for (name, directory) in EMBEDDING {
        prebuild(name, &sh::root().join(directory).join("prebuilt"))?;
    }
    // To cargo what git ignores and a package has is a change: `prebuilt`.
    let mut package = sh::cargo(&["package", "--allow-dirty"]);
    sh::run(package.args(CRATES.iter().flat_map(|name| ["-p", name])))?;
    for path in made(&sh::target_dir()?) {
        println!("{}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// The files that cargo makes of the crates. All of the workspace has one version;
/// those of older ones may lie beside them.
fn made(target_dir: &Path) -> impl Iterator<Item = PathBuf> {
    let directory = target_dir.join("package");
    CRATES
        .iter()
        .map(move |name| directory.join(format!("{name}-{}.crate", env!("CARGO_PKG_VERSION"))))
}

/// Fills `prebuilt/TARGET` of a crate anew.
fn prebuild(name: &str, directory: &Path) -> Result<()> {
    let build = ["build", "-p", name, "--lib", "--message-format=json-render-diagnostics"];
    let mut command = sh::cargo(&build);
    sh::step(&sh::display(&command));
    let built = embedded(name, &sh::capture(&mut command)?);
    ensure!(!built.is_empty(), "the build script of {name} says nothing of what it embeds");
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| directory.display().to_string())?;
    }
    for path in built {
        let (target, name) = place(&path).with_context(|| path.display().to_string())?;
        if let Some(place) = builder_paths::found(&fs::read(&path)?) {
            bail!("{}: has a directory of this machine's in it: {place}", path.display());
        }
        let directory = directory.join(target);
        fs::create_dir_all(&directory)?;
        fs::copy(&path, directory.join(name)).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// The files that a crate's build script told the compiler of, out of cargo's
/// messages.
fn embedded(crate_name: &str, messages: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in messages.lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
        // `…/vmm/measure#trapgate-measure@0.1.0`, `…/xtask#0.1.0` if both are the same.
        let id = message["package_id"].as_str().unwrap_or_default();
        if !id.contains(&format!("#{crate_name}@")) {
            continue;
        }
        let variables = message["env"].as_array().into_iter().flatten();
        for variable in variables {
            let (name, value) = (variable[0].as_str(), variable[1].as_str());
            if let (Some(name), Some(value)) = (name, value)
                && name.starts_with("TRAPGATE_")
                && Path::new(value).is_absolute()
            {
                files.push(value.into());
            }
        }
    }
    files
}

/// `…/TARGET/bare/NAME`.
fn place(path: &Path) -> Option<(&str, &str)> {
    let target = path.parent()?.parent()?.file_name()?.to_str()?;
    Some((target, path.file_name()?.to_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crates_of_this_version_are_named() {
        let files: Vec<_> = made(Path::new("/t")).collect();
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(files[0], PathBuf::from(format!("/t/package/trapgate-abi-{version}.crate")));
        assert_eq!(files[5], PathBuf::from(format!("/t/package/trapgate-{version}.crate")));
    }

    #[test]
    fn what_is_embedded_is_found_with_its_target() {
        let messages = concat!(
            r#"{"reason":"build-script-executed","package_id":"x","env":[["OTHER","/y"]]}"#,
            "\nnot json\n",
            r#"{"reason":"build-script-executed","package_id":"path+file:///w/vmm#trapgate@0.1.0","#,
            r#""env":[["TRAPGATE_COMMIT","0123abc"],["TRAPGATE_KERNEL","/o/bare/T/bare/kernel"]]}"#,
        );
        let files = embedded("trapgate", messages);
        assert!(embedded("trapgate-measure", messages).is_empty());
        assert_eq!(files, [PathBuf::from("/o/bare/T/bare/kernel")]);
        assert_eq!(place(&files[0]), Some(("T", "kernel")));
    }
}

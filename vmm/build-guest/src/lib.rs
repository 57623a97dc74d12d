//! For the build scripts of trapgate's crates: builds what runs in the guest and
//! hands the paths to the crate, which embeds it: for `x86_64-unknown-none` or,
//! in 32 bits, for `i686-unknown-linux-musl` (without musl).
//!
//! [`embed`] is called by vmm/build.rs, with the ring-0 kernel and the vDSOs, and
//! by vmm/measure/build.rs, with the probes. Each has a table of [`Built`].
//!
//! They get a target directory of their own, because a build script runs inside a
//! cargo that holds the lock of the usual one. It is one for all crates and for each
//! set of their features, so that nothing is built twice.
//!
//! A published crate has no guest sources beside it, and whoever installs it need
//! not have those targets: it comes with what was built when it was made
//! (`cargo xtask package`), below `prebuilt/TARGET`.
//!
//! [`commit`] also finds out which commit an optimised build is made of.

mod commit;

pub use commit::commit;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Of the kernel and of 64-bit programs.
pub const BARE: &str = "x86_64-unknown-none";
/// Of 32-bit programs: no bare target has their instruction set.
pub const BARE_32: &str = "i686-unknown-linux-musl";
/// Makes the one for Linux as bare as the other: no C library, no start code,
/// no SSE. Where this file is, the guest's sources are.
const FLAGS_32: &str = "guest-rt/i386.flags";

/// Something to build.
#[derive(Clone, Copy, Debug)]
pub struct Built {
    /// The variable that tells the crate its path.
    pub variable: &'static str,
    /// The package that it is in.
    pub package: &'static str,
    /// Its name there.
    pub binary: &'static str,
    /// [`BARE`] or [`BARE_32`].
    pub target: &'static str,
    /// Further flags of rustc.
    pub flags: &'static str,
    /// A feature of the package, or nothing.
    pub feature: &'static str,
    /// The file's name, by which the crate gets it.
    pub file: &'static str,
}

impl Built {
    /// Without further flags.
    pub const fn new(
        variable: &'static str,
        package: &'static str,
        binary: &'static str,
        target: &'static str,
    ) -> Built {
        Built { variable, package, binary, target, flags: "", feature: "", file: binary }
    }

    /// With these flags of rustc beside those of its target.
    #[must_use]
    pub const fn flags(self, flags: &'static str) -> Built {
        Built { flags, ..self }
    }

    /// With this feature of its package.
    #[must_use]
    pub const fn feature(self, feature: &'static str) -> Built {
        Built { feature, ..self }
    }

    /// In a file of this name, because the binary is built more than once.
    #[must_use]
    pub const fn kept(self, file: &'static str) -> Built {
        Built { file, ..self }
    }
}

/// Builds what is in the table, or finds it below `prebuilt`; `sources` are the
/// files and directories of the workspace that it is built from, beside its
/// manifest. The crate whose build script this is lies `depth` directories below
/// the workspace.
///
/// # Panics
/// If something does not compile.
pub fn embed(table: &[Built], sources: &[&str], depth: usize) {
    let own = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let workspace = own.ancestors().nth(depth).unwrap_or(&own);
    let Ok(flags_32) = fs::read_to_string(workspace.join(FLAGS_32)) else {
        return prebuilt(table, &own.join("prebuilt"));
    };
    for watched in sources.iter().chain(&["Cargo.toml", "Cargo.lock"]) {
        println!("cargo:rerun-if-changed={}", workspace.join(watched).display());
    }
    for target in [BARE, BARE_32] {
        if !target_is_installed(target) {
            println!("cargo::error=the Rust target {target} is missing, which the guest needs");
            println!("cargo::error=install it with: rustup target add {target}");
            return;
        }
    }
    let out = target_directory();
    for built in table {
        // Another build script may be here too: each feature has a place of its
        // own, so that no binary stands in another's.
        let out = out.join(built.feature);
        build(built, workspace, &out, flags_32.trim());
        let place = |file: &str| out.join(built.target).join("bare").join(file);
        if built.file != built.binary {
            keep(&place(built.binary), &place(built.file));
        }
        println!("cargo:rustc-env={}={}", built.variable, place(built.file).display());
    }
}

/// Copies `from` to the name by which the crate has it. What is the same already
/// stays as old as it is: nobody need compile it in again.
fn keep(from: &Path, to: &Path) {
    let new = fs::read(from).expect("it was built");
    if fs::read(to).ok().as_ref() != Some(&new) {
        fs::write(to, new).expect("the directory is cargo's");
    }
}

/// Beside the directory of all build scripts: `PROFILE/guest`; or the script's own
/// one, should cargo ever put them elsewhere.
fn target_directory() -> PathBuf {
    let own = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let all = own.ancestors().find(|directory| directory.ends_with("build"));
    all.and_then(Path::parent).unwrap_or(&own).join("guest")
}

/// Hands on what the package has.
fn prebuilt(table: &[Built], directory: &Path) {
    println!("cargo:rerun-if-changed={}", directory.display());
    for built in table {
        let path = directory.join(built.target).join(built.file);
        if !path.is_file() {
            println!("cargo::error={} is missing, and so are its sources", path.display());
            println!("cargo::error=build in a clone of trapgate's repository");
            return;
        }
        println!("cargo:rustc-env={}={}", built.variable, path.display());
    }
}

fn build(built: &Built, workspace: &Path, out: &Path, flags_32: &str) {
    let Built { package, binary, target, .. } = *built;
    let mut command = clean(env::var_os("CARGO").expect("cargo sets CARGO"));
    let flags_64 = format!("{} {}", without_places(workspace), built.flags);
    let flags_32 = format!("{flags_32} {flags_64}");
    let status = command
        .current_dir(workspace)
        .args(["build", "--quiet", "--profile", "bare", "--target", target])
        .args(["--package", package, "--bin", binary, "--target-dir"])
        .arg(out)
        .args(["--features", built.feature])
        .env("CARGO_TARGET_X86_64_UNKNOWN_NONE_RUSTFLAGS", flags_64)
        .env("CARGO_TARGET_I686_UNKNOWN_LINUX_MUSL_LINKER", "rust-lld")
        .env("CARGO_TARGET_I686_UNKNOWN_LINUX_MUSL_RUSTFLAGS", flags_32)
        .status()
        .expect("cargo runs");
    assert!(status.success(), "building {binary} for {target} failed");
}

/// Flags that keep this machine's directories out of what is built: a panic
/// message names its source file. Where such a name has a space in it, it stays.
fn without_places(workspace: &Path) -> String {
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".cargo"));
    [(cargo_home.or_else(home), "cargo"), (Some(workspace.to_owned()), "trapgate")]
        .into_iter()
        .filter_map(|(from, to)| Some((from?.to_str()?.to_owned(), to)))
        .filter(|(from, _)| !from.contains(char::is_whitespace))
        .map(|(from, to)| format!("--remap-path-prefix={from}=/{to} "))
        .collect()
}

/// A command without what the outer build was told about flags and places: it is
/// not for ring 0 and ring 3. Nor that it is incremental, which makes other code,
/// and other counts.
pub fn clean(program: OsString) -> Command {
    let mut command = Command::new(program);
    for variable in [
        "CARGO_INCREMENTAL",
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_TARGET_DIR",
        "CARGO_BUILD_TARGET",
    ] {
        command.env_remove(variable);
    }
    command
}

/// Whether rustc finds a library for the target.
pub fn target_is_installed(target: &str) -> bool {
    let rustc = env::var_os("RUSTC").expect("cargo sets RUSTC");
    let output =
        Command::new(rustc).args(["--print", "target-libdir", "--target", target]).output();
    output.is_ok_and(|output| {
        let directory = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        fs::read_dir(directory).is_ok_and(|entries| entries.count() > 0)
    })
}

//! Builds what runs in the guest and hands the paths to the crate, which embeds
//! it: the ring-0 kernel, the 64-bit programs and vDSO for
//! `x86_64-unknown-none`, the 32-bit ones for `i686-unknown-linux-musl` (without
//! musl).
//!
//! They get a target directory of their own: this script runs inside a cargo
//! that holds the lock of the usual one.
//!
//! A published crate has no guest sources beside it, and whoever installs it need
//! not have those targets: it comes with what was built when it was made
//! (`cargo xtask package`), below `prebuilt/TARGET`.
//!
//! It also finds out which commit an optimised build is made of ([`commit`]).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Of the kernel and of 64-bit programs.
const BARE: &str = "x86_64-unknown-none";
/// Of 32-bit programs: no bare target has their instruction set.
const BARE_32: &str = "i686-unknown-linux-musl";
/// Makes the one for Linux as bare as the other: no C library, no start code,
/// no SSE. Where this file is, the guest's sources are.
const FLAGS_32: &str = "guest-rt/i386.flags";

/// The 64-bit vDSO may lie anywhere, unlike what else is built for that target.
const FLAGS_VDSO: &str = "-Crelocation-model=pic";
/// Unwinders go through either vDSO.
const UNWIND: &str = "-Cforce-unwind-tables=yes";

/// What is built: variable for the crate, package, binary, target.
const BUILT: [(&str, &str, &str, &str); 8] = [
    ("TRAPGATE_KERNEL", "trapgate-guest", "trapgate-kernel", BARE),
    ("TRAPGATE_VDSO_64", "trapgate-vdso", "trapgate-vdso", BARE),
    ("TRAPGATE_VDSO_32", "trapgate-vdso", "trapgate-vdso", BARE_32),
    ("TRAPGATE_DOOR_PROBE", "trapgate-images", "door-probe", BARE),
    ("TRAPGATE_DOOR_PROBE_32", "trapgate-images", "door-probe", BARE_32),
    ("TRAPGATE_BENCH_PROBE", "trapgate-images", "bench-probe", BARE),
    ("TRAPGATE_BENCH_PROBE_32", "trapgate-images", "bench-probe", BARE_32),
    ("TRAPGATE_START_PROBE", "trapgate-images", "start-probe", BARE),
];

fn main() {
    if let Some(commit) = commit() {
        println!("cargo:rustc-env=TRAPGATE_COMMIT={commit}");
    }
    let own = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let workspace = own.parent().expect("vmm/ has a parent");
    let Ok(flags_32) = fs::read_to_string(workspace.join(FLAGS_32)) else {
        return prebuilt(&own.join("prebuilt"));
    };
    for watched in [
        "abi",
        "guest",
        "guest-rt",
        "images/src",
        "images/Cargo.toml",
        "uapi",
        "Cargo.toml",
        "Cargo.lock",
    ] {
        println!("cargo:rerun-if-changed={}", workspace.join(watched).display());
    }
    for target in [BARE, BARE_32] {
        if !target_is_installed(target) {
            println!("cargo::error=the Rust target {target} is missing, which the guest needs");
            println!("cargo::error=install it with: rustup target add {target}");
            return;
        }
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("bare");
    for (variable, package, binary, target) in BUILT {
        build(workspace, &out, package, binary, target, flags_32.trim());
        let path = out.join(target).join("bare").join(binary);
        println!("cargo:rustc-env={variable}={}", path.display());
    }
}

/// Hands on what the package has.
fn prebuilt(directory: &Path) {
    println!("cargo:rerun-if-changed={}", directory.display());
    for (variable, _, binary, target) in BUILT {
        let path = directory.join(target).join(binary);
        if !path.is_file() {
            println!("cargo::error={} is missing, and so are its sources", path.display());
            println!("cargo::error=build in a clone of trapgate's repository");
            return;
        }
        println!("cargo:rustc-env={variable}={}", path.display());
    }
}

fn build(workspace: &Path, out: &Path, package: &str, binary: &str, target: &str, flags_32: &str) {
    let cargo = env::var_os("CARGO").expect("cargo sets CARGO");
    let mut command = Command::new(cargo);
    let mut flags_64 = without_places(workspace);
    let mut flags_32 = format!("{flags_32} {flags_64}");
    if package == "trapgate-vdso" {
        flags_64 = format!("{flags_64} {FLAGS_VDSO} {UNWIND}");
        flags_32 = format!("{flags_32} {UNWIND}");
    }
    let status = command
        .current_dir(workspace)
        .args(["build", "--quiet", "--profile", "bare", "--target", target])
        .args(["--package", package, "--bin", binary, "--target-dir"])
        .arg(out)
        // What the outer build was told about flags is not for ring 0.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("CARGO_BUILD_TARGET")
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

/// The commit in seven digits: of a package, what cargo noted when it was made;
/// of a work tree, what git says. `None` if neither knows. A work tree's own
/// changes since are not seen.
///
/// A debug build has none: whoever makes one commits often, and would see
/// everything that depends on this crate built anew each time.
fn commit() -> Option<String> {
    let own = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?);
    let whole = match fs::read_to_string(own.join(".cargo_vcs_info.json")) {
        // {"git":{"sha1":"…"},…}
        Ok(noted) => noted.split_once("\"sha1\"")?.1.split('"').nth(1)?.to_owned(),
        Err(_) if env::var("PROFILE").as_deref() != Ok("release") => return None,
        Err(_) => commit_of_work_tree(own.parent()?)?,
    };
    let short = whole.get(..7)?;
    short.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| short.to_owned())
}

/// HEAD, if `workspace` is the top of a work tree of git's: another project's,
/// in which it only lies, is not meant. Asks again when HEAD moves.
fn commit_of_work_tree(workspace: &Path) -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(workspace).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let top = fs::canonicalize(git(&["rev-parse", "--show-toplevel"])?).ok()?;
    if top != fs::canonicalize(workspace).ok()? {
        return None;
    }
    // HEAD names a branch, whose commit is in a file of its own or packed; in a
    // linked work tree git knows where. What is not there must not be watched:
    // cargo would take it for changed each time.
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["HEAD", "logs/HEAD", "packed-refs"].into_iter().chain(branch.as_deref()) {
        let path = workspace.join(git(&["rev-parse", "--git-path", name])?);
        if path.exists() {
            println!("cargo:rerun-if-changed={}", path.display());
        }
    }
    git(&["rev-parse", "HEAD"])
}

/// Whether rustc finds a core library for the target.
fn target_is_installed(target: &str) -> bool {
    let rustc = env::var_os("RUSTC").expect("cargo sets RUSTC");
    let output =
        Command::new(rustc).args(["--print", "target-libdir", "--target", target]).output();
    output.is_ok_and(|output| {
        let directory = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        fs::read_dir(directory).is_ok_and(|entries| entries.count() > 0)
    })
}

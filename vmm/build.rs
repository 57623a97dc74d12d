//! Builds the ring-0 kernel and the door probe for `x86_64-unknown-none` and
//! hands their paths to the crate, which embeds them.
//!
//! They get a target directory of their own: this script runs inside a cargo
//! that holds the lock of the usual one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const TARGET: &str = "x86_64-unknown-none";

fn main() {
    let own = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let workspace = own.parent().expect("vmm/ has a parent");
    for watched in
        ["abi", "guest", "guest-rt", "images/src", "images/Cargo.toml", "Cargo.toml", "Cargo.lock"]
    {
        println!("cargo:rerun-if-changed={}", workspace.join(watched).display());
    }
    if !target_is_installed() {
        println!("cargo::error=the Rust target {TARGET} is missing, which the kernel is built for");
        println!("cargo::error=install it with: rustup target add {TARGET}");
        return;
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("bare");
    let packages = [("trapgate-guest", "trapgate-kernel"), ("trapgate-images", "door-probe")];
    for (package, binary) in packages {
        build(workspace, &out, package, binary);
    }
    for (variable, binary) in
        [("TRAPGATE_KERNEL", "trapgate-kernel"), ("TRAPGATE_DOOR_PROBE", "door-probe")]
    {
        let path = out.join(TARGET).join("bare").join(binary);
        println!("cargo:rustc-env={variable}={}", path.display());
    }
}

fn build(workspace: &Path, out: &Path, package: &str, binary: &str) {
    let cargo = env::var_os("CARGO").expect("cargo sets CARGO");
    let status = Command::new(cargo)
        .current_dir(workspace)
        .args(["build", "--quiet", "--profile", "bare", "--target", TARGET])
        .args(["--package", package, "--bin", binary, "--target-dir"])
        .arg(out)
        // What the outer build was told about flags is not for ring 0.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("CARGO_BUILD_TARGET")
        .status()
        .expect("cargo runs");
    assert!(status.success(), "building {binary} for {TARGET} failed");
}

/// Whether rustc finds a core library for the target.
fn target_is_installed() -> bool {
    let rustc = env::var_os("RUSTC").expect("cargo sets RUSTC");
    let output =
        Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output();
    output.is_ok_and(|output| {
        let directory = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        fs::read_dir(directory).is_ok_and(|entries| entries.count() > 0)
    })
}

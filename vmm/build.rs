//! Builds what runs in the guest and hands the paths to the crate, which embeds
//! it: the ring-0 kernel, the 64-bit programs and vDSO for
//! `x86_64-unknown-none`, the 32-bit ones for `i686-unknown-linux-musl` (without
//! musl).
//!
//! They get a target directory of their own: this script runs inside a cargo
//! that holds the lock of the usual one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Of the kernel and of 64-bit programs.
const BARE: &str = "x86_64-unknown-none";
/// Of 32-bit programs: no bare target has their instruction set.
const BARE_32: &str = "i686-unknown-linux-musl";
/// Makes the one for Linux as bare as the other: no C library, no start code,
/// no SSE.
const FLAGS_32: &str = include_str!("../guest-rt/i386.flags");

/// The 64-bit vDSO may lie anywhere, unlike what else is built for that target.
const FLAGS_VDSO: &str = "-Crelocation-model=pic";
/// Unwinders go through either vDSO.
const UNWIND: &str = "-Cforce-unwind-tables=yes";

/// What is built: variable for the crate, package, binary, target.
const BUILT: [(&str, &str, &str, &str); 7] = [
    ("TRAPGATE_KERNEL", "trapgate-guest", "trapgate-kernel", BARE),
    ("TRAPGATE_VDSO_64", "trapgate-vdso", "trapgate-vdso", BARE),
    ("TRAPGATE_VDSO_32", "trapgate-vdso", "trapgate-vdso", BARE_32),
    ("TRAPGATE_DOOR_PROBE", "trapgate-images", "door-probe", BARE),
    ("TRAPGATE_DOOR_PROBE_32", "trapgate-images", "door-probe", BARE_32),
    ("TRAPGATE_BENCH_PROBE", "trapgate-images", "bench-probe", BARE),
    ("TRAPGATE_BENCH_PROBE_32", "trapgate-images", "bench-probe", BARE_32),
];

fn main() {
    let own = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let workspace = own.parent().expect("vmm/ has a parent");
    for watched in
        ["abi", "guest", "guest-rt", "images/src", "images/Cargo.toml", "Cargo.toml", "Cargo.lock"]
    {
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
        build(workspace, &out, package, binary, target);
        let path = out.join(target).join("bare").join(binary);
        println!("cargo:rustc-env={variable}={}", path.display());
    }
}

fn build(workspace: &Path, out: &Path, package: &str, binary: &str, target: &str) {
    let cargo = env::var_os("CARGO").expect("cargo sets CARGO");
    let mut command = Command::new(cargo);
    let mut flags_32 = FLAGS_32.trim().to_owned();
    if package == "trapgate-vdso" {
        let flags = format!("{FLAGS_VDSO} {UNWIND}");
        command.env("CARGO_TARGET_X86_64_UNKNOWN_NONE_RUSTFLAGS", flags);
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
        .env("CARGO_TARGET_I686_UNKNOWN_LINUX_MUSL_LINKER", "rust-lld")
        .env("CARGO_TARGET_I686_UNKNOWN_LINUX_MUSL_RUSTFLAGS", flags_32)
        .status()
        .expect("cargo runs");
    assert!(status.success(), "building {binary} for {target} failed");
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

//! Builds the programs that the tests run and embeds them in the harness, so
//! that each test executable has everything in it: the rigs have no compiler.
//!
//! - `tests/programs` and `images`, for `x86_64-unknown-none`;
//! - `tests/programs32` and the door probe of `images`, for 32 bits, as
//!   `NAME.32`;
//! - `tests/programs/c/NAME.c` as `NAME.musl`, `NAME.gcc` and `NAME.pie`;
//! - `tests/programs/std/NAME.rs` as `NAME.std`.
//!
//! A compiler that is not there is a warning here, and a loud skip in the tests
//! that need it. A program that does not compile is an error.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Of the ring-3 programs without a library.
const BARE: &str = "x86_64-unknown-none";
/// Of the Rust programs with the standard library.
const MUSL: &str = "x86_64-unknown-linux-musl";
/// The same for 32-bit programs.
const MUSL_32: &str = "i686-unknown-linux-musl";

/// Makes the latter as bare as the former: see vmm/build.rs.
const FLAGS_32: &str = include_str!("../guest-rt/i386.flags");

/// How a C program is made: suffix of its name, compiler, arguments.
const C_COMPILERS: [(&str, &str, &[&str]); 3] = [
    ("musl", "musl-gcc", &["-static", "-O2"]),
    ("gcc", "gcc", &["-static", "-O2"]),
    ("pie", "gcc", &["-static-pie", "-fPIE", "-O2"]),
];

/// A program, or the compiler that it lacks.
type Entry = (String, Result<PathBuf, String>);

fn main() {
    let tests = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let workspace = tests.parent().expect("tests/ has a parent");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let target = env::var("TARGET").expect("cargo sets TARGET");
    println!("cargo:rustc-env=TRAPGATE_TESTS_TARGET={target}");
    for watched in [
        "abi",
        "guest-rt",
        "images/Cargo.toml",
        "images/src",
        "tests/programs",
        "tests/programs32",
        "Cargo.toml",
    ] {
        let watched = workspace.join(watched);
        println!("cargo:rerun-if-changed={}", watched.display());
    }
    let mut entries = bare(workspace, &out);
    let programs = tests.join("programs");
    for source in sources(&programs.join("c"), "c") {
        entries.extend(C_COMPILERS.map(|how| c(&source, &out, how)));
    }
    let multilib = multilib();
    for source in sources(&programs.join("c32"), "c") {
        entries.push(c32(&source, &out, &PLAIN_32, multilib));
    }
    for source in LIBC_32.map(|name| programs.join("c").join(name)) {
        entries.push(c32(&source, &out, &STATIC_32, multilib));
    }
    for source in sources(&programs.join("std"), "rs") {
        entries.push(std(&source, &out, "std", MUSL));
        entries.push(std(&source, &out, "std32", MUSL_32));
    }
    fs::write(out.join("programs.rs"), table(&entries)).expect("OUT_DIR is writable");
}

/// The files in a directory with this extension, in order.
fn sources(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.retain(|file| file.extension().is_some_and(|found| found == extension));
    files.sort();
    files
}

fn stem(file: &Path) -> String {
    let stem = file.file_stem().expect("a file has a name");
    stem.to_string_lossy().into_owned()
}

/// The programs on guest-rt, of both widths.
fn bare(workspace: &Path, out: &Path) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (target, suffix, packages, directories) in [
        (
            BARE,
            "",
            &["--package=trapgate-programs", "--package=trapgate-images", "--bins"][..],
            &["tests/programs/src/bin", "images/src/bin"][..],
        ),
        (
            MUSL_32,
            ".32",
            &["--package=trapgate-programs32", "--bins"],
            &["tests/programs32/src/bin"],
        ),
        (MUSL_32, ".32", &["--package=trapgate-images", "--bin=door-probe"], &[]),
    ] {
        let Some(built) = build(workspace, out, target, packages) else { return Vec::new() };
        let sources = directories.iter().flat_map(|name| sources(&workspace.join(name), "rs"));
        entries.extend(sources.map(|source| {
            let name = stem(&source);
            (format!("{name}{suffix}"), Ok(built.join(name)))
        }));
    }
    let probe = out.join("bare").join(MUSL_32).join("bare/door-probe");
    entries.push(("door-probe.32".to_owned(), Ok(probe)));
    entries
}

/// Builds for a target, and says where the programs are. They get a target
/// directory of their own: this script runs inside a cargo that holds the lock
/// of the usual one.
fn build(workspace: &Path, out: &Path, target: &str, what: &[&str]) -> Option<PathBuf> {
    if !target_is_installed(target) {
        println!("cargo::error=the Rust target {target} is missing: rustup target add {target}");
        return None;
    }
    let directory = out.join("bare");
    let mut cargo = clean(env::var_os("CARGO").expect("cargo sets CARGO"));
    cargo
        .current_dir(workspace)
        .args(["build", "--quiet", "--profile", "bare", "--target", target, "--target-dir"])
        .arg(&directory)
        .args(what)
        .env("CARGO_TARGET_I686_UNKNOWN_LINUX_MUSL_LINKER", "rust-lld")
        .env("CARGO_TARGET_I686_UNKNOWN_LINUX_MUSL_RUSTFLAGS", FLAGS_32.trim());
    let status = cargo.status().expect("cargo runs");
    assert!(status.success(), "building the programs for {target} failed");
    Some(directory.join(target).join("bare"))
}

/// A C program, made one way.
fn c(source: &Path, out: &Path, (suffix, compiler, arguments): (&str, &str, &[&str])) -> Entry {
    let name = format!("{}.{suffix}", stem(source));
    let file = out.join(&name);
    let mut command = Command::new(compiler);
    command.args(arguments).arg("-o");
    command.arg(&file).arg(source);
    match command.status() {
        Ok(status) => {
            let source = source.display();
            assert!(status.success(), "{compiler} cannot compile {source}");
            (name, Ok(file))
        }
        Err(_) => {
            missing(out, compiler);
            (name, Err(compiler.to_owned()))
        }
    }
}

/// How 32-bit programs are made: without a C library, and with glibc.
const PLAIN_32: [&str; 6] = ["-m32", "-static", "-nostdlib", "-no-pie", "-fno-pie", "-O1"];
const STATIC_32: [&str; 3] = ["-m32", "-static", "-O2"];
/// The programs of `programs/c` that are made for 32 bits too.
const LIBC_32: [&str; 5] = ["abort.c", "clocks.c", "hello.c", "malloc-stress.c", "stdio.c"];

/// Whether gcc makes 32-bit programs: Debian's gcc-multilib.
fn multilib() -> bool {
    let output = Command::new("gcc").args(["-m32", "-print-file-name=libc.a"]).output();
    output.is_ok_and(|output| {
        let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Path::new(&path).is_absolute() && Path::new(&path).exists()
    })
}

/// A 32-bit C program.
fn c32(source: &Path, out: &Path, arguments: &[&str], multilib: bool) -> Entry {
    if multilib {
        return c(source, out, ("m32", "gcc", arguments));
    }
    missing(out, "gcc-multilib");
    (format!("{}.m32", stem(source)), Err("gcc-multilib".to_owned()))
}

/// Says that a compiler is missing, and lets cargo run this script again next
/// time: on account of a file that never exists.
fn missing(out: &Path, compiler: &str) {
    println!("cargo::warning={compiler} is missing, tests are skipped: cargo xtask setup");
    println!("cargo:rerun-if-changed={}", out.join("missing").display());
}

/// A Rust program with the standard library, static.
fn std(source: &Path, out: &Path, suffix: &str, target: &str) -> Entry {
    let name = format!("{}.{suffix}", stem(source));
    if !target_is_installed(target) {
        let target = format!("the Rust target {target}");
        missing(out, &target);
        return (name, Err(target));
    }
    let file = out.join(&name);
    let mut rustc = clean(env::var_os("RUSTC").expect("cargo sets RUSTC"));
    rustc.args(["--edition=2024", "-O", "--target", target, "-o"]);
    let status = rustc.arg(&file).arg(source).status().expect("rustc runs");
    assert!(status.success(), "rustc cannot compile {}", source.display());
    (name, Ok(file))
}

/// A command without what the outer build was told about flags and places.
fn clean(program: std::ffi::OsString) -> Command {
    let mut command = Command::new(program);
    for variable in [
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
fn target_is_installed(target: &str) -> bool {
    let rustc = env::var_os("RUSTC").expect("cargo sets RUSTC");
    let output =
        Command::new(rustc).args(["--print", "target-libdir", "--target", target]).output();
    output.is_ok_and(|output| {
        let directory = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        fs::read_dir(directory).is_ok_and(|entries| entries.count() > 0)
    })
}

/// The table as Rust source.
fn table(entries: &[Entry]) -> String {
    let mut text =
        String::from("// Made by tests/build.rs out of tests/programs and images.\n&[\n");
    for (name, entry) in entries {
        let value = match entry {
            Ok(file) => format!("Embedded::Bytes(include_bytes!({file:?}))"),
            Err(compiler) => format!("Embedded::Lacks({compiler:?})"),
        };
        writeln!(text, "    ({name:?}, {value}),").expect("a String takes all");
    }
    text + "]\n"
}

//! Builds the programs that the tests run and embeds them in the harness, so
//! that each test executable has everything in it: the rigs have no compiler.
//!
//! - `tests/programs` and `images`, for `x86_64-unknown-none`;
//! - `tests/programs32` and the door probe of `images`, for 32 bits, as
//!   `NAME.32`;
//! - `tests/programs/c/NAME.c` as `NAME.musl`, `NAME.gcc` and `NAME.pie`;
//! - `tests/programs/dynamic/NAME.c` as `NAME.dyn` and, for 32 bits, `NAME.dyn32`;
//! - `tests/programs/preload/NAME.c` as the shared library `NAME.so` and `NAME.so32`;
//! - `tests/programs/std/NAME.rs` as `NAME.std` and, dynamic, `NAME.gnu`;
//! - `tests/cases` as `cases.std`.
//!
//! musl-gcc and `gcc -m32` are the system's, or else what `cargo xtask setup`
//! unpacked below the target directory (xtask/src/debian). A compiler that is
//! not there is a warning here, and a loud skip in the tests that need it. A
//! program that does not compile is an error.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};
use trapgate_build_guest::{clean, target_is_installed};

/// Of the ring-3 programs without a library.
const BARE: &str = "x86_64-unknown-none";
/// Of the Rust programs with the standard library.
const MUSL: &str = "x86_64-unknown-linux-musl";
/// Of those that are dynamic.
const GNU: &str = "x86_64-unknown-linux-gnu";
/// The same for 32-bit programs.
const MUSL_32: &str = "i686-unknown-linux-musl";

/// Makes the latter as bare as the former: see vmm/build-guest.
const FLAGS_32: &str = include_str!("../guest-rt/i386.flags");

/// How a C program is made: suffix of its name, arguments.
type How = (&'static str, &'static [&'static str]);

const WITH_MUSL: [How; 1] = [("musl", &["-static", "-O2"])];
const WITH_GCC: [How; 2] =
    [("gcc", &["-static", "-O2"]), ("pie", &["-static-pie", "-fPIE", "-O2"])];
const DYNAMIC: How = ("dyn", &["-O2", "-lm"]);
const SHARED: How = ("so", &["-shared", "-fPIC", "-O2"]);
/// 32-bit programs without a C library, and with glibc.
const PLAIN_32: How = ("m32", &["-static", "-nostdlib", "-no-pie", "-fno-pie", "-O1"]);
const STATIC_32: How = ("m32", &["-static", "-O2"]);
/// By name, for libc.so is a script that names places of the system's.
const DYNAMIC_32: How =
    ("dyn32", &["-O2", "-nodefaultlibs", "-l:libm.so.6", "-l:libc.so.6", "-lc_nonshared", "-lgcc"]);
const SHARED_32: How = ("so32", &["-shared", "-fPIC", "-O2", "-nodefaultlibs", "-lgcc"]);
/// The programs of `programs/c` that are made for 32 bits too.
const LIBC_32: [&str; 9] = [
    "abort.c",
    "clocks.c",
    "futex.c",
    "hello.c",
    "malloc-stress.c",
    "shares.c",
    "signals.c",
    "stdio.c",
    "threads.c",
];

/// A compiler: its name, and how it is called if it is there.
struct Compiler {
    name: &'static str,
    words: Option<Vec<PathBuf>>,
}

impl Compiler {
    fn gcc() -> Self {
        Self { name: "gcc", words: is_there("gcc").then(|| vec!["gcc".into()]) }
    }

    fn musl(out: &Path) -> Self {
        let system = is_there("musl-gcc").then(|| vec!["musl-gcc".into()]);
        let words = system.or_else(|| unpacked(out, "musl/bin/musl-gcc"));
        Self { name: "musl-gcc", words }
    }

    fn gcc_32(out: &Path) -> Self {
        // Where Debian's gcc-multilib is not there, asm/ is only there.
        let words = ["gcc", "-m32", "-idirafter", "/usr/include/x86_64-linux-gnu"];
        let system = gcc_makes_32_bit_programs().then(|| words.map(PathBuf::from).into());
        let words = system.or_else(|| unpacked(out, "gcc32/bin/gcc-m32"));
        Self { name: "gcc -m32", words }
    }

    /// Makes the program `source` in these ways.
    fn make<const N: usize>(&self, source: &Path, out: &Path, how: [How; N]) -> [Entry; N] {
        how.map(|(suffix, arguments)| {
            let name = format!("{}.{suffix}", stem(source));
            let Some([program, first @ ..]) = self.words.as_deref() else {
                return (name, Err(self.name.to_owned()));
            };
            let file = out.join(&name);
            let mut command = Command::new(program);
            // Libraries count behind what needs them.
            command.args(first).arg("-o").args([&file, source]).args(arguments);
            let made = command.status().is_ok_and(|status| status.success());
            assert!(made, "{} cannot compile {}", self.name, source.display());
            (name, Ok(file))
        })
    }
}

/// Whether the system has this compiler.
fn is_there(compiler: &str) -> bool {
    Command::new(compiler).arg("-dumpversion").output().is_ok_and(|output| output.status.success())
}

/// gcc prints a path for a library that it has, and a bare name for one that it
/// lacks.
fn gcc_makes_32_bit_programs() -> bool {
    ["libgcc.a", "libc.a"].into_iter().all(|file| {
        let file = format!("-print-file-name={file}");
        let output = Command::new("gcc").args(["-m32", &file]).output();
        output.is_ok_and(|output| {
            let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            Path::new(&path).is_absolute() && Path::new(&path).exists()
        })
    })
}

/// A compiler that `cargo xtask setup` unpacked: OUT_DIR lies below the target
/// directory, wherever that is.
fn unpacked(out: &Path, file: &str) -> Option<Vec<PathBuf>> {
    let mut places = out.ancestors().map(|directory| directory.join("xtask/packages").join(file));
    let found = places.find(|place| place.is_file())?;
    println!("cargo:rerun-if-changed={}", found.display());
    Some(vec![found])
}

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
        "guest",
        "guest-rt",
        "images/Cargo.toml",
        "images/src",
        "tests/cases/Cargo.toml",
        "tests/cases/src",
        "tests/programs",
        "tests/programs32",
        "uapi",
        "Cargo.toml",
    ] {
        let watched = workspace.join(watched);
        println!("cargo:rerun-if-changed={}", watched.display());
    }
    let mut entries = bare(workspace, &out);
    entries.extend(kernels(workspace, &out));
    let programs = tests.join("programs");
    let (musl, gcc, gcc_32) = (Compiler::musl(&out), Compiler::gcc(), Compiler::gcc_32(&out));
    for compiler in [&musl, &gcc, &gcc_32] {
        if compiler.words.is_none() {
            missing(&out, compiler.name);
        }
    }
    for source in sources(&programs.join("c"), "c") {
        entries.extend(musl.make(&source, &out, WITH_MUSL));
        entries.extend(gcc.make(&source, &out, WITH_GCC));
    }
    for source in sources(&programs.join("dynamic"), "c") {
        entries.extend(gcc.make(&source, &out, [DYNAMIC]));
        entries.extend(gcc_32.make(&source, &out, [DYNAMIC_32]));
    }
    for source in sources(&programs.join("preload"), "c") {
        entries.extend(gcc.make(&source, &out, [SHARED]));
        entries.extend(gcc_32.make(&source, &out, [SHARED_32]));
    }
    for source in sources(&programs.join("c32"), "c") {
        entries.extend(gcc_32.make(&source, &out, [PLAIN_32]));
    }
    for source in LIBC_32.map(|name| programs.join("c").join(name)) {
        entries.extend(gcc_32.make(&source, &out, [STATIC_32]));
    }
    for source in sources(&programs.join("std"), "rs") {
        entries.push(std(&source, &out, "std", MUSL));
        entries.push(std(&source, &out, "std32", MUSL_32));
        entries.push(std(&source, &out, "gnu", GNU));
    }
    entries.push(cases(workspace, &out));
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
            &["--package=trapgate-programs32", "--features=i386", "--bins"],
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

/// The ring-0 kernel with what only tests call (`trapgate_abi::test_hook`), as its two
/// images.
fn kernels(workspace: &Path, out: &Path) -> Vec<Entry> {
    let images = [("test-hook.plain", "test-hook"), ("test-hook", "test-hook,instrumented")];
    let images = images.map(|(name, features)| {
        let features = format!("--features={features}");
        let what = ["--package=trapgate-guest", "--bin=kernel", &features];
        let built = build(workspace, out, BARE, &what)?;
        let file = out.join(name);
        fs::copy(built.join("kernel"), &file).expect("it was built");
        Some((name.to_owned(), Ok(file)))
    });
    images.into_iter().flatten().collect()
}

/// The program that makes the calls of cases.
fn cases(workspace: &Path, out: &Path) -> Entry {
    let name = "cases.std".to_owned();
    if !target_is_installed(MUSL) {
        let target = format!("the Rust target {MUSL}");
        missing(out, &target);
        return (name, Err(target));
    }
    let built = build(workspace, out, MUSL, &["--package=trapgate-cases", "--bin=cases"]);
    (name, Ok(built.expect("its target is installed").join("cases")))
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

/// Says that a compiler is missing, and lets cargo run this script again next
/// time: on account of a file that never exists.
fn missing(out: &Path, compiler: &str) {
    println!("cargo::warning={compiler} is missing, tests are skipped: cargo xtask setup");
    println!("cargo:rerun-if-changed={}", out.join("missing").display());
}

/// A Rust program with the standard library.
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

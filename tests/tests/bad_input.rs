//! Bad input: each kind has its status and one line on standard error; there
//! is no panic and no hang, and nothing is left behind.
//!
//! | status | what it means |
//! |---|---|
//! | 125 | trapgate itself: options, recipes, memory, KVM |
//! | 126 | the program was found and cannot be executed |
//! | 127 | the program was not found |

use nix::sys::signal::killpg;
use nix::unistd::{Uid, mkfifo};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use trapgate_loader::image;
use trapgate_tests::elf::{BASE, Elf, PT_DYNAMIC, PT_INTERP, RX, Segment};
use trapgate_tests::programs::{bytes, directory};
use trapgate_tests::{Case, Home, Program, Ran, case_elsewhere};
use trapgate_tests::{needs_kvm, program, scale, trapgate};

const SETUP: i32 = 125;
const CANNOT_EXECUTE: i32 = 126;
const NOT_FOUND: i32 = 127;
/// Nobody's user and group.
const NOBODY: u32 = 65534;
/// The first address after the user's half.
const USER_END: u64 = (1 << 47) - 4096;
const GIB: u64 = 1 << 30;

/// Runs a command of trapgate's as the leader of a process group of its own,
/// with a temporary directory and a working directory that it should leave
/// empty.
#[track_caller]
fn run(case: &Case, mut command: Command) -> Ran {
    let (temporary, working) = (directory(), directory());
    for directory in [&temporary, &working] {
        fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).expect("it is ours");
    }
    command.env("TMPDIR", temporary.path()).current_dir(working.path()).process_group(0);
    let started = case.start(command);
    let group = started.pid();
    let ran = started.finish(std::time::Duration::from_secs(scale(20, 60, 200)));
    for directory in [temporary, working] {
        let left = fs::read_dir(directory.path()).expect("it is ours").count();
        ran.expect(left == 0, "no file left behind");
    }
    let alive = killpg(group, None).is_ok();
    ran.expect(!alive, "no process left behind");
    ran
}

/// Many kinds of bad input; what is not refused as it should be.
#[derive(Default)]
struct Table {
    wrong: Vec<String>,
}

impl Table {
    /// One kind: `trapgate run` with this case must be refused with `status`,
    /// in words with `words` among them.
    fn case(&mut self, name: &str, status: i32, words: &str, case: &Case) {
        self.command(name, status, words, case, case.sandbox_command());
    }

    fn command(&mut self, name: &str, status: i32, words: &str, case: &Case, command: Command) {
        let ran = run(case, command);
        if let Err(problem) = ran.is_refusal(status) {
            self.wrong.push(format!("{name}:{problem}"));
        } else if !ran.stderr_text().contains(words) {
            let problem = ran.describe(&format!("{words:?} in the message"));
            self.wrong.push(format!("{name}:{problem}"));
        }
    }

    /// A file that is no program.
    fn file(&mut self, name: &str, words: &str, bytes: &[u8]) {
        let file = Program::new("bad", bytes);
        self.case(name, CANNOT_EXECUTE, words, &Case::new(&file));
    }

    #[track_caller]
    fn finish(self) {
        let count = self.wrong.len();
        assert!(count == 0, "{count} kinds of bad input:\n\n{}", self.wrong.join("\n\n"));
    }
}

/// `trapgate` with these arguments.
fn raw(arguments: &[&str]) -> Command {
    let mut command = Command::new(trapgate());
    command.args(arguments);
    command
}

#[test]
fn a_made_to_measure_program_runs_when_nothing_is_wrong_with_it() {
    needs_kvm!();
    let good = Program::new("good", &Elf::exiting(42).bytes());
    let good_32 = Program::new("good32", &Elf::exiting_32(44).bytes());
    Case::new(&good_32).differential().expect_status(44);
    Case::new(&good).differential().expect_status(42);
    let bss = Elf::exiting(43).with(Segment::empty(BASE + (1 << 20), 64 << 20));
    let good = Program::new("good", &bss.bytes());
    Case::new(&good).differential().expect_status(43);
}

#[test]
fn what_is_not_there_is_not_found() {
    let file = program("hello-syscall");
    let below = file.join("below");
    let mut table = Table::default();
    for (name, path) in [
        ("no such file", Path::new("/nonexistent")),
        ("no such directory", Path::new("/nonexistent/directory/file")),
        ("no such name in PATH", Path::new("no-such-name-in-path")),
        ("a file is no directory", &below),
    ] {
        table.case(name, NOT_FOUND, &path.display().to_string(), &Case::new(path));
    }
    table.finish();
}

#[test]
fn what_is_no_regular_file_cannot_be_executed() {
    let place = directory();
    let at = |name: &str| place.path().join(name);
    let mut table = Table::default();
    table.case("a directory", CANNOT_EXECUTE, "a directory", &Case::new(place.path()));
    table.case("a device", CANNOT_EXECUTE, "a device", &Case::new("/dev/null"));
    mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("there are fifos");
    table.case("a fifo", CANNOT_EXECUTE, "a pipe", &Case::new(at("fifo")));
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).expect("there are sockets");
    table.case("a socket", CANNOT_EXECUTE, "a socket", &Case::new(at("socket")));
    symlink("loop", at("loop")).expect("there are links");
    table.case("a loop of links", CANNOT_EXECUTE, "loop", &Case::new(at("loop")));
    symlink("nowhere", at("dangling")).expect("there are links");
    table.case("a link to nothing", NOT_FOUND, "dangling", &Case::new(at("dangling")));
    let long = "x".repeat(5000);
    table.case("a name too long", CANNOT_EXECUTE, "xxx", &Case::new(format!("/{long}")));
    table.finish();
}

#[test]
fn a_file_without_permission_cannot_be_executed() {
    let file = program("hello-syscall");
    let mut table = Table::default();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("it is ours");
    table.case("not executable", CANNOT_EXECUTE, "chmod +x", &Case::new(&file));
    // Of what is no program, chmod makes none.
    for (name, words, text) in [
        ("C source", "compile it", "int main(void) { return 0; }\n"),
        ("a script", "a script for '/bin/sh'", "#!/bin/sh\n"),
        ("nothing", "empty", ""),
    ] {
        let file = Program::new("no-program", text.as_bytes());
        fs::set_permissions(file.path(), Permissions::from_mode(0o644)).expect("it is ours");
        table.case(name, CANNOT_EXECUTE, words, &Case::new(&file));
    }
    fs::set_permissions(&file, Permissions::from_mode(0o111)).expect("it is ours");
    let case = Case::new(&file);
    let words = "cannot be read: Permission denied";
    if Uid::effective().is_root() {
        // Root may read everything.
        if let Some((_copy, command)) = as_nobody("not readable", &case) {
            table.command("not readable", CANNOT_EXECUTE, words, &case, command);
        }
    } else {
        table.case("not readable", CANNOT_EXECUTE, words, &case);
    }
    let closed = directory();
    fs::write(closed.path().join("file"), b"").expect("it is ours");
    fs::set_permissions(closed.path(), Permissions::from_mode(0o000)).expect("it is ours");
    let case = Case::new(closed.path().join("file"));
    if Uid::effective().is_root() {
        if let Some((_copy, command)) = as_nobody("in a closed directory", &case) {
            table.command("in a closed directory", CANNOT_EXECUTE, "", &case, command);
        }
    } else {
        table.case("in a closed directory", CANNOT_EXECUTE, "", &case);
    }
    fs::set_permissions(closed.path(), Permissions::from_mode(0o700)).expect("it is ours");
    table.finish();
}

/// The command that runs a case as nobody: by a copy of trapgate, which is
/// removed with the first value. None, and that is said, if nobody cannot.
fn as_nobody(name: &str, case: &Case) -> Option<(Program, Command)> {
    let copy = Program::new("trapgate", &fs::read(trapgate()).expect("trapgate is a file"));
    let with = |arguments: Vec<std::ffi::OsString>| {
        let mut command = Command::new(copy.path());
        command.args(arguments).uid(NOBODY).gid(NOBODY).current_dir("/");
        command
    };
    let works = with(vec!["--version".into()]).output();
    if !works.is_ok_and(|output| output.status.success()) {
        case_elsewhere(name, Home::Rig, "nobody's processes cannot be started here");
        return None;
    }
    let arguments = case.sandbox_command().get_args().map(ToOwned::to_owned).collect();
    let command = with(arguments);
    Some((copy, command))
}

#[test]
fn what_is_no_elf_program_cannot_be_executed() {
    let mut table = Table::default();
    table.file("an empty file", "empty", b"");
    table.file("a script", "/bin/sh", b"#!/bin/sh\necho no\n");
    table.file("a script without interpreter", "script", b"#!\n");
    table.file("text", "compile it if it is source", b"#include <stdio.h>\nint main() {}\n");
    table.file("zeroes", "not an ELF", &[0; 8192]);
    table.file("only the magic", "truncated", b"\x7fELF");
    table.file("magic and garbage", "", &[b"\x7fELF".as_slice(), &[0xff; 4096]].concat());
    table.finish();
}

#[test]
fn elf_files_for_something_else_cannot_be_executed() {
    let good = Elf::exiting(0);
    let mut table = Table::default();
    let rows: [(&str, &str, Elf); 13] = [
        ("32-bit ARM", "ARM", Elf { class: 1, machine: 40, ..good.clone() }),
        ("x32", "x32", Elf { class: 1, ..good.clone() }),
        ("no class", "class", Elf { class: 0, ..good.clone() }),
        ("class 3", "class", Elf { class: 3, ..good.clone() }),
        ("AArch64", "AArch64", Elf { machine: 183, ..good.clone() }),
        ("RISC-V", "RISC-V", Elf { machine: 243, ..good.clone() }),
        ("i386 in 64 bits", "build it", Elf { machine: 3, ..good.clone() }),
        ("big-endian", "little-endian", Elf { data: 2, machine: 21, ..good.clone() }),
        ("no endianness", "little-endian", Elf { data: 0, ..good.clone() }),
        ("an object file", "not a program", Elf { kind: 1, ..good.clone() }),
        ("a core dump", "not a program", Elf { kind: 4, ..good.clone() }),
        ("no type", "not a program", Elf { kind: 0, ..good.clone() }),
        ("type 65535", "not a program", Elf { kind: 0xffff, ..good.clone() }),
    ];
    for (name, words, elf) in rows {
        table.file(name, words, &elf.bytes());
    }
    table.finish();
}

#[test]
fn a_dynamic_executable_cannot_be_executed_yet() {
    let mut table = Table::default();
    let path = b"/lib64/ld-linux-x86-64.so.2\0";
    let mut elf = Elf::exiting(0);
    // Behind both program headers and the code.
    let offset = 64 + 2 * 56 + elf.body.len() as u64;
    elf.body.extend(path);
    let (address, size) = (BASE + offset, path.len() as u64);
    let elf = elf.with(Segment {
        kind: PT_INTERP,
        flags: RX,
        offset,
        address,
        file_size: size,
        memory_size: size,
    });
    table.file("made to measure", "-static", &elf.bytes());
    let file = Program::new("dynamic", &elf.bytes());
    let ran = run(&Case::new(&file), Case::new(&file).sandbox_command());
    let times = ran.stderr_text().matches("-static").count();
    ran.expect(times == 1, "that the reason is said once");
    // A real one, where there is one.
    let real = fs::read("/bin/ls").unwrap_or_default();
    if image::parse(&real).is_err_and(|error| error.to_string().contains("dynamic")) {
        table.case("/bin/ls", CANNOT_EXECUTE, "-static", &Case::new("/bin/ls"));
    }
    table.finish();
}

#[test]
fn a_shared_library_is_no_program() {
    let mut table = Table::default();
    // DT_NEEDED, then DT_NULL: what a library has and a static PIE has not.
    let needs: Vec<u8> = [1u64, 1, 0, 0].into_iter().flat_map(u64::to_le_bytes).collect();
    let mut elf = Elf { kind: 3, ..Elf::exiting(0) };
    // Behind both program headers and the code.
    let (offset, size) = (64 + 2 * 56 + elf.body.len() as u64, needs.len() as u64);
    elf.body.extend(needs);
    let address = BASE + offset;
    let (kind, flags) = (PT_DYNAMIC, RX);
    let dynamic = Segment { kind, flags, offset, address, file_size: size, memory_size: size };
    table.file("made to measure", "a shared library", &elf.with(dynamic).bytes());
    // A real one, where there is one.
    let real = "/lib/x86_64-linux-gnu/libm.so.6";
    if let Ok(bytes) = fs::read(real) {
        table.file(real, "a shared library", &bytes);
    }
    table.finish();
}

#[test]
fn segments_where_programs_cannot_be_are_refused() {
    let mut table = Table::default();
    let with = |segment| Elf::exiting(0).with(segment).bytes();
    let at = |address, size| with(Segment::empty(address, size));
    let moved = |address| {
        let mut elf = Elf::exiting(0);
        let by = elf.entry - BASE;
        elf.segments[0].address = address;
        elf.entry = address.wrapping_add(by);
        elf.bytes()
    };
    for (name, words, bytes) in [
        ("overlapping", "overlap", at(BASE + 0x10, 0x1000)),
        ("twice the same", "overlap", at(BASE, 0x10)),
        ("wrapping", "outside", at(0xffff_ffff_ffff_0000, 0x2_0000)),
        ("of all memory", "outside", at(BASE + 0x1000, u64::MAX)),
        ("over the kernel", "outside", at(0xffff_ffff_8000_0000, 0x1000)),
        ("in the direct map", "outside", at(0xffff_8880_0000_0000, 0x1000)),
        ("in neither half", "outside", at(1 << 47, 0x1000)),
        ("across the end of the user's half", "outside", at(USER_END - 0x1000, 0x2000)),
        ("in the user's last page", "outside", at(USER_END, 0x1000)),
        ("at address 0", "outside", moved(0)),
        ("below mmap_min_addr", "outside", moved(0x8000)),
        ("all in the kernel's half", "outside", moved(0xffff_ffff_8000_0000)),
    ] {
        table.file(name, words, &bytes);
    }
    table.finish();
}

#[test]
fn segments_where_32_bit_programs_cannot_be_are_refused() {
    const TOP: u64 = 0xffff_f000;
    let mut table = Table::default();
    let with = |segment| Elf::exiting_32(0).with(segment).bytes();
    let at = |address, size| with(Segment::empty(address, size));
    let entry = |entry| Elf { entry, ..Elf::exiting_32(0) }.bytes();
    let first = |change: fn(&mut Segment)| {
        let mut elf = Elf::exiting_32(0);
        change(&mut elf.segments[0]);
        elf.bytes()
    };
    for (name, words, bytes) in [
        ("overlapping", "overlap", at(BASE + 0x10, 0x1000)),
        ("twice the same", "overlap", at(BASE, 0x10)),
        ("wrapping at 4 GiB", "outside", at(0xffff_0000, 0x2_0000)),
        ("of all memory", "outside", at(BASE + 0x1000, 0xffff_ffff)),
        ("in the last page", "outside", at(TOP, 0x1000)),
        ("across the last page", "outside", at(TOP - 0x1000, 0x2000)),
        ("at address 0", "outside", first(|segment| segment.address = 0)),
        ("no segment", "segment", first(|segment| segment.kind = 0)),
        ("more file than memory", "memory", first(|segment| segment.memory_size -= 1)),
        ("misaligned", "page size", first(|segment| segment.address += 8)),
        ("offset beyond the file", "truncated", first(|segment| segment.offset = 1 << 30)),
        ("entry 0", "entry", entry(0)),
        ("entry before the program", "entry", entry(BASE - 1)),
        ("entry in the next page", "entry", entry(BASE + 0x1000)),
        ("entry in the last page", "entry", entry(TOP)),
    ] {
        table.file(name, words, &bytes);
    }
    table.finish();
}

#[test]
fn a_segment_of_no_size_does_no_harm_to_a_32_bit_program() {
    needs_kvm!();
    for segment in [Segment::empty(BASE + (1 << 20), 0), Segment::empty(BASE, 0)] {
        let elf = Elf::exiting_32(42).with(segment);
        let file = Program::new("sizeless", &elf.bytes());
        Case::new(&file).sandboxed().expect_status(42);
    }
}

#[test]
fn damaged_segments_and_entries_are_refused() {
    let good = Elf::exiting(0);
    let mut table = Table::default();
    let first = |change: fn(&mut Segment)| {
        let mut elf = Elf::exiting(0);
        change(&mut elf.segments[0]);
        elf.bytes()
    };
    let beyond = || {
        first(|segment| {
            segment.file_size += 1;
            segment.memory_size += 1;
        })
    };
    let entry = |entry| Elf { entry, ..Elf::exiting(0) }.bytes();
    let patched = |at: usize, value: u8| {
        let mut bytes = good.bytes();
        bytes[at] = value;
        bytes
    };
    for (name, words, bytes) in [
        ("no segment", "segment", first(|segment| segment.kind = 0)),
        ("beyond the file", "truncated", beyond()),
        ("offset beyond the file", "truncated", first(|segment| segment.offset = 1 << 40)),
        ("offset wraps", "", first(|segment| segment.offset = u64::MAX - 4095)),
        ("more file than memory", "memory", first(|segment| segment.memory_size -= 1)),
        ("misaligned", "page size", first(|segment| segment.address += 8)),
        ("entry 0", "entry", entry(0)),
        ("entry in the next page", "entry", entry(BASE + 0x1000)),
        ("entry before the program", "entry", entry(BASE - 1)),
        ("entry in the kernel", "entry", entry(0xffff_ffff_8002_0000)),
        ("entry in no half", "entry", entry(1 << 63)),
        ("e_version 2", "version", patched(20, 2)),
        ("EI_VERSION 0", "version", patched(6, 0)),
        ("e_phentsize 55", "program headers", patched(54, 55)),
        ("no program headers", "segment", patched(56, 0)),
        ("65280 program headers", "", patched(57, 0xff)),
        ("program headers far away", "truncated", patched(37, 0x10)),
    ] {
        table.file(name, words, &bytes);
    }
    table.finish();
}

#[test]
fn a_program_that_needs_more_memory_than_it_has_is_refused() {
    needs_kvm!();
    let mut table = Table::default();
    for (name, size) in [("4 GiB", 4 * GIB), ("64 TiB", GIB << 16), ("255 MiB", 255 << 20)] {
        let elf = Elf::exiting(0).with(Segment::empty(1 << 32, size));
        let file = Program::new("big", &elf.bytes());
        let case = Case::new(&file).options(["--memory", "256M"]);
        table.case(&format!("BSS of {name}"), SETUP, "--memory", &case);
    }
    table.finish();
}

#[test]
fn a_program_cut_off_anywhere_is_refused() {
    let whole = bytes("hello-syscall");
    let longest = whole.len().min(4096 + 1) - 1;
    for length in 0..=longest {
        match image::parse(&whole[..length]) {
            Ok(image) => panic!("cut off at {length} of {}, it is {image:?}", whole.len()),
            Err(error) => {
                let text = error.to_string();
                assert!(!text.contains('\n') && !text.is_empty(), "cut off at {length}: {text}");
            }
        }
    }
    let small = Elf::exiting(0).bytes();
    for length in 0..small.len() {
        assert!(image::parse(&small[..length]).is_err(), "cut off at {length}");
    }
    let mut table = Table::default();
    let few = [0, 1, 3, 4, 5, 16, 63, 64, 119, 120, 2048, 4095, 4096];
    for length in few.into_iter().filter(|length| *length <= longest) {
        table.file(&format!("cut off at {length}"), "", &whole[..length]);
    }
    table.finish();
}

#[test]
fn arguments_or_environment_too_large_cannot_be_executed() {
    needs_kvm!();
    let file = program("hello-syscall");
    let place = directory();
    let recipe = place.path().join("recipe.toml");
    let mut table = Table::default();
    // execve(2) has the same limits, so only a recipe can get there.
    let long = "x".repeat(200 << 10);
    let many = vec!["'0123456789abcdef'"; 200_000].join(",");
    for (name, text) in [
        ("one argument", format!("args = ['{long}']")),
        ("many arguments", format!("args = [{many}]")),
        ("one variable", format!("env.NAME = '{long}'")),
    ] {
        let program = file.display();
        fs::write(&recipe, format!("program = '{program}'\n{text}\n")).expect("it is ours");
        table.case(name, CANNOT_EXECUTE, "", &Case::new(&recipe));
    }
    table.finish();
}

#[test]
fn bad_options_are_refused() {
    let file = program("hello-syscall");
    let mut table = Table::default();
    let mut option = |words: &str, arguments: &[&str]| {
        let case = Case::new(&file).options(arguments);
        table.case(&arguments.join(" "), SETUP, words, &case);
    };
    for size in ["0", "1P", "nonsense", "", "-1", "1.5G", "99999999999999999999"] {
        option("--memory", &[&format!("--memory={size}")]);
    }
    for time in ["0", "nonsense", "", "-1", "1e300", "nan", "10 parsecs"] {
        option("--timeout", &[&format!("--timeout={time}")]);
    }
    option("'trapgate run --help'", &["--memory=0"]);
    option("--no-such-option", &["--no-such-option"]);
    option("did you mean '--timeout'?", &["--tiemout=5"]);
    option("disk", &["--deny", "disk"]);
    // Words of the command line do not steer the terminal.
    option("u{1b}[31m", &["--memory=\x1b[31m"]);
    option("u{202e}", &["--\u{202e}x"]);
    option("--memory", &["--memory", "64M", "--memory", "32M"]);
    let words = "there is no directory /nonexistent";
    option(words, &["--stats-json", "/nonexistent/below/stats.json"]);
    let case = Case::new(&file);
    table.command("no program", SETUP, "PROGRAM", &case, raw(&["run"]));
    table.command("no such subcommand", SETUP, "frobnicate", &case, raw(&["frobnicate"]));
    table.command("steering", SETUP, "u{202e}", &case, raw(&["\u{202e}x"]));
    let levels = "off, error, warn, info, debug, trace";
    table.command("no such level", SETUP, levels, &case, raw(&["--log=loud", "run", "x"]));
    let mut command = raw(&["run", "x"]);
    command.env("TRAPGATE_LOG", "loud");
    table.command("no such level in TRAPGATE_LOG", SETUP, levels, &case, command);
    let words = "did you mean: trapgate run ./hello";
    table.command("no subcommand", SETUP, words, &case, raw(&["./hello"]));
    let json = ["bench", "--json", "/nonexistent/below/bench.json"];
    let words = "there is no directory /nonexistent";
    table.command("no such directory", SETUP, words, &case, raw(&json));
    table.command("no such shell", SETUP, "bash", &case, raw(&["completions", "ash"]));
    table.command("no such schema", SETUP, "doctor", &case, raw(&["schema", "run"]));
    table.finish();
}

#[test]
fn memory_that_no_program_fits_into_is_refused() {
    needs_kvm!();
    let file = program("hello-syscall");
    let mut table = Table::default();
    for size in ["1", "1K", "4095", "64K", "16T", "8388607T"] {
        let case = Case::new(&file).options(["--memory", size]);
        table.case(&format!("--memory {size}"), SETUP, "--memory", &case);
    }
    table.finish();
}

#[test]
fn a_recipe_with_a_mistake_is_refused() {
    let place = directory();
    let at = |name: &str| place.path().join(name);
    let mut table = Table::default();
    for (name, words, text) in [
        ("empty", "program", ""),
        ("no TOML", "line 1", "this is no recipe\n"),
        ("unknown key", "memry", "program = 'x'\nmemry = '1M'\n"),
        ("wrong type", "line 2", "program = 'x'\nargs = 'one'\n"),
        ("bad memory", "memory", "program = 'x'\nmemory = 'lots'\n"),
        ("no memory", "memory", "program = 'x'\nmemory = '0'\n"),
        ("bad timeout", "timeout", "program = 'x'\ntimeout = 'soon'\n"),
        ("no timeout", "timeout", "program = 'x'\ntimeout = '0s'\n"),
        ("bad grant", "line 2", "program = 'x'\nallow = ['disk']\n"),
        ("a bad variable", "'A=B'", "program = 'x'\n[env]\n\"A=B\" = 'c'\n"),
        ("a key that steers", "u{1b}[31m", "program = 'x'\n\"foo\\u001b[31m\" = 1\n"),
        ("a grant that steers", "u{1b}[31m", "program = 'x'\nallow = [\"\\u001b[31mx\"]\n"),
        ("twice the same", "duplicate", "program = 'x'\nprogram = 'y'\n"),
    ] {
        fs::write(at("recipe.toml"), text).expect("it is ours");
        table.case(name, SETUP, words, &Case::new(at("recipe.toml")));
    }
    fs::write(at("recipe.toml"), b"program = '\xff'\n").expect("it is ours");
    table.case("not UTF-8", SETUP, "recipe.toml", &Case::new(at("recipe.toml")));
    fs::create_dir(at("directory.toml")).expect("it is ours");
    table.case("a directory", SETUP, "directory.toml", &Case::new(at("directory.toml")));
    table.case("not there", NOT_FOUND, "none.toml", &Case::new(at("none.toml")));
    fs::write(at("recipe.toml"), "program = 'not-there'\n").expect("it is ours");
    table.case("its program not there", NOT_FOUND, "not-there", &Case::new(at("recipe.toml")));
    table.finish();
}

#[test]
fn a_kvm_that_cannot_be_used_is_named() {
    needs_kvm!();
    let file = program("hello-syscall");
    let case = Case::new(&file);
    let mut table = Table::default();
    if let Some((_copy, command)) = as_nobody_without_kvm("no permission", &case) {
        table.command("no permission", SETUP, "/dev/kvm: Permission", &case, command);
    }
    for (name, words, setup) in [
        ("no /dev/kvm", "/dev/kvm: No such file", "mount -t tmpfs none /dev"),
        ("something else", "something else", "mount --bind /dev/null /dev/kvm"),
        ("in a container", "--device /dev/kvm", CONTAINER),
    ] {
        if let Some(command) = with_mounts(name, &case, setup) {
            table.command(name, SETUP, words, &case, command);
        }
    }
    table.finish();
}

/// A container that was given no KVM, as Podman marks its own.
const CONTAINER: &str = "mkdir -p /run && mount -t tmpfs none /run && touch /run/.containerenv \
     && mount -t tmpfs none /dev";

#[test]
fn doctor_says_what_to_do_and_not_to_run_it() {
    needs_kvm!();
    let case = Case::new("unused");
    let doctor = || raw(&["doctor"]);
    let nobody = |mut command: Command| {
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
        command
    };
    let mut commands = vec![
        under_mounts("no /dev/kvm", "mount -t tmpfs none /dev", &doctor()),
        under_mounts("something else", "mount --bind /dev/null /dev/kvm", &doctor()),
        under_mounts("in a container", CONTAINER, &doctor()),
    ];
    let copy = as_nobody_without_kvm("nobody", &case).map(|(copy, _)| copy);
    if let Some(copy) = &copy {
        let mut command = Command::new(copy.path());
        command.arg("doctor");
        commands.push(Some(nobody(command)));
    }
    for command in commands.into_iter().flatten() {
        let ran = run(&case, command);
        let text = ran.stdout_text();
        ran.expect_status(SETUP).expect(ran.stderr.is_empty(), "nothing on stderr");
        let begin = "Workloads cannot run.\n  /dev/kvm cannot be used: ";
        ran.expect(text.starts_with(begin), "the answer, then why");
        ran.expect(!text.contains("doctor"), "no word of itself");
    }
}

/// As nobody, where nobody may not open /dev/kvm.
fn as_nobody_without_kvm(name: &str, case: &Case) -> Option<(Program, Command)> {
    let mode = fs::metadata("/dev/kvm").expect("there is a KVM").permissions().mode();
    if mode & 0o006 != 0 {
        case_elsewhere(name, Home::Rig, "everybody may use /dev/kvm here");
        return None;
    }
    if !Uid::effective().is_root() {
        case_elsewhere(name, Home::Rig, "only root can become somebody else");
        return None;
    }
    as_nobody(name, case)
}

/// The case's command in a mount namespace of its own, after the shell command
/// `setup`.
fn with_mounts(name: &str, case: &Case, setup: &str) -> Option<Command> {
    under_mounts(name, setup, &case.sandbox_command())
}

/// The same of any command.
fn under_mounts(name: &str, setup: &str, command: &Command) -> Option<Command> {
    let unshare = |script: &str, arguments: &Command| {
        let mut command = Command::new("unshare");
        if !Uid::effective().is_root() {
            command.arg("-r");
        }
        command.args(["-m", "sh", "-c", script, "sh"]);
        command.arg(arguments.get_program()).args(arguments.get_args());
        command
    };
    let probe = unshare(setup, &Command::new("unused")).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        let why = format!("'{setup}' does not work in a mount namespace here");
        case_elsewhere(name, Home::Rig, &why);
        return None;
    }
    Some(unshare(&format!("{setup} && exec \"$@\""), command))
}

//! Real programs, unmodified: what they print and their status is byte for byte
//! as natively.

use std::path::PathBuf;
use std::process::Command;
use trapgate::machine::kvm::Kind;
use trapgate_tests::programs::C_KINDS;
use trapgate_tests::{Case, Home, Place, Ran, Stdin, Stdout};
use trapgate_tests::{busybox, compiled, elsewhere, needs_kvm, place, scale, takes_long, trapgate};

/// A C program in every way that it was made.
fn every_c(name: &str, check: impl Fn(Case)) {
    for kind in C_KINDS {
        if let Some(program) = compiled(&format!("{name}.{kind}")) {
            check(Case::new(&program));
        }
    }
}

#[test]
fn c_hello_is_as_natively() {
    needs_kvm!();
    every_c("hello", |case| {
        case.differential().expect_status(0);
        case.args(["pear", "fig", "apple", ""]).env("NAME", "value").differential();
    });
}

#[test]
fn c_standard_input_and_output_are_as_natively() {
    needs_kvm!();
    let input = text(scale(200_000, 50_000, 5_000));
    every_c("stdio", |case| {
        for mode in ["lines", "bytes", "words"] {
            let case = case.clone().args([mode]);
            case.clone().differential().expect_status(0);
            case.clone().stdin_bytes(&input).differential().expect_status(0);
            case.clone().stdin(Stdin::File(input.clone())).differential().expect_status(0);
        }
        case.args(["bytes"]).stdin_bytes(&input).stdout(Stdout::NoSpace).differential();
    });
}

#[test]
fn c_calls_on_files_answer_as_on_tmpfs() {
    needs_kvm!();
    if place() != Place::Host {
        // What it prints of directories differs from run to run there, natively too.
        return elsewhere(Home::Host, "the rig's own files are on no tmpfs that stays the same");
    }
    every_c("file-calls", |case| {
        let ran = case.differential();
        ran.expect_status(0);
        let cases = String::from_utf8_lossy(&ran.stdout).lines().count();
        assert!(cases > 400, "only {cases} lines");
    });
}

#[test]
fn c_malloc_keeps_every_byte() {
    needs_kvm!();
    takes_long!();
    let steps = scale("20000", "5000", "500");
    every_c("malloc-stress", |case| {
        case.args([steps]).differential().expect_status(0);
    });
}

#[test]
fn c_failed_assertion_aborts() {
    needs_kvm!();
    every_c("abort", |case| {
        let ran = case.differential();
        ran.expect_status(134).expect_in_stderr("Assertion").expect_in_stderr("SIGABRT");
    });
}

#[test]
fn rust_with_its_standard_library_is_as_natively() {
    needs_kvm!();
    let Some(program) = compiled("hello.std") else { return };
    let case = Case::new(&program);
    case.differential().expect_status(0);
    case.clone().args(["b", "a", "b", "ccc"]).env("NAME", "value").differential();
    let input = text(scale(100_000, 20_000, 2_000));
    case.clone().args(["lines"]).stdin_bytes(&input).differential().expect_status(0);
    case.clone().args(["panic"]).differential().expect_status(101);
    case.clone().args(["panic-default"]).any_stderr().differential().expect_status(101);
    case.clone().args(["catch"]).differential().expect_status(0);
    case.clone().args(["exit", "77"]).differential().expect_status(77);
}

#[test]
fn a_program_without_a_root_finds_its_own_file() {
    needs_kvm!();
    for name in ["itself.std", "itself.std32"] {
        if name.ends_with("32") && Kind::of_this_host() == Kind::Software {
            elsewhere(Home::Rig, "this software KVM interprets 32-bit code, without SSE");
            continue;
        }
        let Some(program) = compiled(name) else { continue };
        let ran = Case::new(&program).differential();
        ran.expect_status(0);
        let text = String::from_utf8_lossy(&ran.stdout);
        ran.expect(text.matches("the same code: true").count() == 3, "three programs");
    }
}

/// So many bytes of lines with words and numbers, not sorted, some of them
/// alike; the same every time.
fn text(size: usize) -> Vec<u8> {
    const WORDS: [&str; 8] = ["oak", "Ash", "elm", "fir", "beech", "box", "yew", "12"];
    let mut bytes = Vec::new();
    let mut state = 1u32;
    while bytes.len() < size {
        // Numerical Recipes' generator: any will do.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (word, other) = (WORDS[(state >> 29) as usize], WORDS[(state >> 26) as usize % 8]);
        bytes.extend(format!("{word} {} {other}\n", state >> 16 & 0x3ff).bytes());
    }
    bytes.truncate(size);
    bytes
}

/// An applet of busybox with its arguments.
fn applet(busybox: &PathBuf, line: &str) -> Case {
    Case::new(busybox).args(line.split(' '))
}

/// Applets without input; blanks separate arguments.
#[track_caller]
fn same(lines: &[&str]) {
    let Some(busybox) = busybox() else { return };
    for line in lines {
        applet(&busybox, line).differential();
    }
}

/// Applets with this input.
#[track_caller]
fn same_with_input(input: &[u8], lines: &[&str]) {
    let Some(busybox) = busybox() else { return };
    for line in lines {
        applet(&busybox, line).stdin_bytes(input).differential();
    }
}

#[test]
fn busybox_computes_as_natively() {
    needs_kvm!();
    same(&[
        "true",
        "false",
        "echo",
        "echo hello world",
        "echo -n -e a\\tb\\n\\x41\\0101",
        "printf %s:%5d|%-5s|%x|%o|%e|%c\\n text 42 left 255 8 3.14159 z",
        "printf %d\\n nonsense",
        "expr 6 * 7",
        "expr 1 / 0",
        "expr abcdef : abc\\(.*\\)",
        "expr 1 = 2",
        "seq 5",
        "seq -w 8 3 20",
        "seq 1 -0.25 0",
        "factor 2 97 360 4294967291 18446744065119617025",
        "basename /usr/lib/file.txt .txt",
        "dirname /usr/lib/file.txt",
        "test a = a",
        "test a = b",
        "[ 3 -gt 2 ]",
        "test 3 -gt two",
        "cal 2 2024",
    ]);
}

#[test]
fn busybox_says_what_the_system_is_as_natively() {
    needs_kvm!();
    same(&[
        "uname -s",
        "uname -m",
        "date -u -d @0",
        "date -u -d @1700000000 +%Y-%m-%dT%H:%M:%S",
        "date -u -d 2024-02-29 +%j,%s",
    ]);
}

#[test]
fn busybox_shows_the_environment_that_was_given() {
    needs_kvm!();
    let Some(busybox) = busybox() else { return };
    let case = applet(&busybox, "env");
    case.differential().expect_stdout("");
    let two = case.env("A", "1").env("B", "two words");
    two.differential().expect_status(0).expect_stdout("A=1\nB=two words\n");
    applet(&busybox, "printenv B").env("A", "1").env("B", "2").differential();
}

#[test]
fn calculators_compute_as_natively() {
    needs_kvm!();
    let bc = "scale=20\n1/7\nsqrt(2)\n2^200\nobase=16\n255\n\
              define f(n) { if (n < 2) return (1); return (n * f(n - 1)); }\nobase=10\nf(30)\n";
    same_with_input(bc.as_bytes(), &["bc"]);
    same_with_input(b"1 0 /\n", &["dc"]);
    same_with_input(b"20k 2v p 2 100^ p 16 o 255 p\n", &["dc"]);
}

#[test]
fn text_tools_do_as_natively() {
    needs_kvm!();
    same_with_input(
        &text(4000),
        &[
            "cat",
            "cat -n",
            "sort",
            "sort -r -u",
            "sort -k2 -n",
            "uniq -c",
            "wc",
            "wc -l",
            "tr a-z A-Z",
            "tr -d aeiou",
            "cut -d  -f2",
            "cut -c1-5",
            "head -n 3",
            "head -c 10",
            "tail -n 3",
            "tail -c 10",
            "tail -n +390",
            "sed s/o/0/g",
            "sed -n 3,5p",
            "sed -e /oak/d -e s/\\(f\\)ir/\\1IR/",
            "awk {n+=$2;c[$1]++}END{print(n,c[\"oak\"],length($0))}",
            "awk -F. BEGIN{printf(\"%.3f\\n\",atan2(0,-1))}",
            "grep oak",
            "grep -c -v oak",
            "grep -E ^(elm|fir).*[13579]$",
            "grep nothing-like-this",
            "rev",
            "tac",
            "nl",
            "fold -w 7",
            "base64",
            "od",
            "od -A x -t x1z",
            "hexdump -C",
            "xxd",
            "sha256sum",
            "md5sum",
            "sha1sum",
            "sha512sum",
            "crc32",
            "gzip -c",
            "tee",
        ],
    );
    same_with_input(b"aGVsbG8gd29ybGQK", &["base64 -d"]);
    same_with_input(b"no base 64!", &["base64 -d"]);
    same_with_input(b"one two\nthree\n", &["xargs echo", "awk {print(NR,$1)}"]);
}

#[test]
fn a_lot_of_input_is_taken_as_natively() {
    needs_kvm!();
    let input = text(scale(1 << 20, 1 << 18, 1 << 14));
    same_with_input(&input, &["sort", "sha256sum", "wc", "tr a-z A-Z", "base64", "tail -n 2"]);
    let Some(busybox) = busybox() else { return };
    for line in ["sort -r", "sha256sum", "md5sum", "cat", "wc", "tail -c 5000"] {
        applet(&busybox, line).stdin(Stdin::File(input.clone())).differential();
    }
}

#[test]
fn output_that_nobody_reads_ends_the_program_by_sigpipe() {
    needs_kvm!();
    let Some(busybox) = busybox() else { return };
    let closed = |line: &str| applet(&busybox, line).stdout(Stdout::Closed).differential();
    closed("yes").expect_status(141);
    closed("seq 100000").expect_status(141);
    closed("true").expect_status(0);
}

#[test]
fn yes_into_head_ends_as_natively() {
    needs_kvm!();
    let Some(busybox) = busybox() else { return };
    let script = "{ \"$@\" yes word; echo $? >&2; } | \"$@\" head -n 3; echo $?";
    let run = |words: &[&std::path::Path]| -> Ran {
        let mut command = Command::new(&busybox);
        command.args(["sh", "-c", script, "sh"]).args(words);
        let limit = std::time::Duration::from_secs(scale(30, 60, 200));
        Case::new("unused").start(command).finish(limit)
    };
    let native = run(&[&busybox]);
    native.expect_stdout("word\nword\nword\n0\n").expect_in_stderr("141\n");
    let sandboxed = run(&[trapgate(), "run".as_ref(), &busybox]);
    sandboxed.expect_stdout(&native.stdout);
    let same = sandboxed.stderr == native.stderr;
    sandboxed.expect(same, "as natively: 141 on stderr");
}

#[test]
fn unwritable_output_fails_as_natively() {
    needs_kvm!();
    let Some(busybox) = busybox() else { return };
    for line in ["echo hello", "seq 10", "printf x"] {
        applet(&busybox, line).stdout(Stdout::NoSpace).differential();
    }
}

#[test]
fn what_is_not_there_cannot_be_opened() {
    needs_kvm!();
    let Some(busybox) = busybox() else { return };
    let ran = applet(&busybox, "cat /nonexistent").differential();
    ran.expect_status(1).expect_in_stderr("No such file or directory");
    // What is there is found.
    let ran = applet(&busybox, "cat /proc/self/comm").differential();
    ran.expect_status(0).expect_stdout("busybox\n");
}

#[test]
fn an_unknown_applet_fails_as_natively() {
    needs_kvm!();
    same(&["no-such-applet"]);
}

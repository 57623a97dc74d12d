//! Debian's programs, which nobody here wrote, in a root directory of their own: what
//! they print, how they end and which files they leave behind is as natively.

use std::fmt::Write;
use std::time::Duration;
use trapgate::machine::kvm::Kind;
use trapgate_tests::{Case, Home, Ran, case_elsewhere, debian, elsewhere};
use trapgate_tests::{missing, needs_kvm, rounds, takes_long};

/// What cannot run yet, each with the call that it waits for. What can must become a
/// case below. Besides, ffmpeg is left out for the size of its packages, 115 MiB more, which
/// are 511 MiB unpacked: `ffmpeg -version` was tried by hand.
const NOT_YET: [(&str, &[&str]); 4] = [
    ("clone", &["git", "-C", "/cases/repository", "fsck"]),
    ("vfork", &["dash", "-c", "ls; echo"]),
    ("clone", &["dash", "-c", "echo | cat"]),
    ("socket", &["python3", "-c", "import socket; socket.socket()"]),
];

/// Longer than any case takes, where ring 0 is interpreted and the machine is busy.
const LIMIT: Duration = Duration::from_secs(300);

/// A program of the root in the usual environment, in which it says at its end what it
/// leaves in /tmp; or none, with a loud skip.
fn case(program: &str) -> Option<Case> {
    let case = bare_case(program)?;
    Some(case.env("LD_PRELOAD", "/cases/left.so"))
}

/// The same without that library.
fn bare_case(program: &str) -> Option<Case> {
    let root = debian()?;
    if !root.has(program) {
        case_elsewhere(program, Home::Host, "a rig has not all of the root's programs");
        return None;
    }
    let case = Case::in_root(root, program).limit(LIMIT);
    let case = case.env("PATH", "/usr/bin:/bin").env("HOME", "/tmp");
    Some(case.env("PYTHONDONTWRITEBYTECODE", "1"))
}

/// A program in `/cases` that a compiler made, or none, with a loud skip.
fn made(program: &str, compiler: &str) -> Option<Case> {
    let path = format!("/cases/{program}");
    if !debian()?.has(&path) {
        missing(compiler);
        return None;
    }
    bare_case(&path)
}

/// Runs it both ways; what it leaves behind was compared.
#[track_caller]
fn same(case: &Case) -> Ran {
    let ran = case.differential();
    ran.expect_in_stderr("left: /tmp ");
    ran
}

/// Runs these programs with their arguments, none of which reads anything.
#[track_caller]
fn all(lines: &[&[&str]], status: i32) {
    for words in lines {
        if let Some(case) = case(words[0]) {
            same(&case.args(&words[1..])).expect_status(status);
        }
    }
}

/// Numbers, a line each, in no order.
fn numbers(count: u64) -> String {
    (1..=count).fold(String::new(), |mut text, number| {
        writeln!(text, "{}", number * 7_919 % 100_003).expect("a String takes all");
        text
    })
}

#[test]
fn what_cannot_run_yet_names_the_call_that_it_waits_for() {
    needs_kvm!();
    takes_long!();
    for (call, words) in NOT_YET {
        let Some(case) = case(words[0]) else { continue };
        let ran = case.args(&words[1..]).sandboxed();
        ran.expect(ran.status != 0, "a failure, until there is that call");
        ran.expect_in_stderr(&format!("called {call}(2), which is not supported yet"));
    }
}

#[test]
fn one_line_programs_are_as_natively() {
    needs_kvm!();
    all(&[&["python3", "-c", "import json; print(json.dumps([1, None]))"]], 0);
    all(&[&["perl", "-we", "use strict; print join(q(,), sort 3, 1, 2), qq(\n)"]], 0);
    let Some(grep) = case("grep") else { return };
    let grep = grep.args(["-r", "-n", "import", "/usr/lib/python3.11/json", "/cases"]);
    same(&grep.any_order()).expect_status(0);
}

#[test]
fn a_start_of_python_from_an_image_asks_the_vmm_for_little() {
    needs_kvm!();
    let Some(case) = case("python3") else { return };
    let (ran, stats) = case.args(["-c", "print(1)"]).sandboxed_with_stats();
    ran.expect_status(0);
    let exits = stats["vmm_exits"].as_u64();
    assert!(exits.is_some_and(|exits| exits <= 60), "{exits:?} exits to the VMM");
}

#[test]
fn pythons_library_is_as_natively() {
    needs_kvm!();
    takes_long!();
    let Some(case) = case("python3") else { return };
    same(&case.clone().args(["/cases/library.py"])).expect_status(0);
    same(&case.args(["-c", "print(1 / 0)"])).expect_status(1);
}

#[test]
fn a_script_is_run_by_its_interpreter() {
    needs_kvm!();
    takes_long!();
    let Some(case) = case("/cases/script.py") else { return };
    same(&case.args(["one", "two words"]).stdin_bytes("lines\nof input\n")).expect_status(3);
}

#[test]
fn other_interpreters_are_as_natively() {
    needs_kvm!();
    takes_long!();
    all(&[&["perl", "/cases/files.pl"], &["php8.2", "/cases/files.php"]], 0);
    all(&[&["lua5.4", "/cases/files.lua"]], 0);
    all(&[&["perl", "-e", "die qq(no way\n) unless -e '/nowhere'"]], 2);
}

#[test]
fn databases_are_as_natively_with_journals_and_write_ahead_logs() {
    needs_kvm!();
    takes_long!();
    let Some(sqlite) = case("sqlite3") else { return };
    same(&sqlite.stdin_bytes(include_bytes!("../debian/journals.sql"))).expect_status(0);
    all(&[&["python3", "/cases/journals.py"]], 0);
}

#[test]
fn calculators_are_as_natively() {
    needs_kvm!();
    let Some(bc) = case("bc") else { return };
    same(&bc.args(["-l"]).stdin_bytes("scale=40\n4*a(1)\n2^300\nfor(i=0;i<5;i++) sqrt(i)\n"));
    let Some(jq) = case("jq") else { return };
    let json = r#"{"a": [1, 2.5, {"b": "\u20ac"}], "c": null}"#;
    same(&jq.clone().args([".a[] | select(. != 1)"]).stdin_bytes(json)).expect_status(0);
    same(&jq.args(["."]).stdin_bytes("{\"a\": ]")).expect_in_stderr("parse error");
    let Some(m4) = case("m4") else { return };
    let text = "define(`twice', `$1$1')dnl\ntwice(`ab') eval(2**20) len(`four') divert(1)late\n";
    same(&m4.stdin_bytes(text)).expect_status(0);
}

#[test]
fn digests_and_ciphers_are_as_natively() {
    needs_kvm!();
    let file = "/usr/bin/find";
    let enc = ["enc", "-aes-256-cbc", "-pbkdf2", "-nosalt", "-k", "secret", "-in", file];
    let openssl = |rest: &[&str]| {
        let Some(case) = case("openssl") else { return };
        same(&case.args(rest)).expect_status(0);
    };
    openssl(&["dgst", "-sha256", "-r", file]);
    openssl(&[&enc[..], &["-out", "/tmp/secret"]].concat());
    // Random bytes are not the same twice.
    let Some(case) = case("openssl") else { return };
    let ran = case.args(["rand", "-hex", "1000"]).sandboxed();
    ran.expect_status(0).expect(ran.stdout.len() == 2001, "1000 bytes and an end of line");
}

#[test]
fn searching_is_as_natively() {
    needs_kvm!();
    let library = "/usr/lib/python3.11";
    for words in [
        &["grep", "-r", "-n", "struct", "/usr/lib/python3.11/xml", "/etc"][..],
        &["find", library, "-name", "*.py", "-size", "+40k", "-printf", "%P %s %m %y\n"],
        &["find", "/cases", "/tmp", "-newer", "/etc", "-type", "f"],
    ] {
        let Some(case) = case(words[0]) else { return };
        same(&case.args(&words[1..]).any_order()).expect_status(0);
    }
    all(&[&["grep", "nowhere", "/cases/files.pl"]], 1);
    all(&[&["find", "/nowhere"]], 1);
}

#[test]
fn sorting_with_temporary_files_is_as_natively() {
    needs_kvm!();
    takes_long!();
    let Some(sort) = case("sort") else { return };
    let sort =
        sort.stdin_bytes(numbers(rounds(200_000, 1_000_000))).args(["-S", "1M", "--parallel=1"]);
    // They are used: without a place for them it cannot sort so much.
    same(&sort.clone().args(["-T", "/nowhere"])).expect_status(2);
    let sort = sort.args(["-T", "/tmp"]);
    same(&sort.clone().args(["-n", "-o", "/tmp/sorted"])).expect_status(0);
    same(&sort.args(["-r", "-u"])).expect_status(0);
}

#[test]
fn archives_are_packed_and_unpacked_as_natively() {
    needs_kvm!();
    let pack = ["-C", "/usr/lib/python3.11", "--sort=name", "-cf", "/tmp/x.tar", "json", "email"];
    all(&[&[&["tar"], &pack[..]].concat()], 0);
    let Some(tar) = case("tar") else { return };
    let packed = tar.clone().args(["-C", "/", "--sort=name", "-c", "cases", "etc"]).native();
    packed.expect_status(0);
    same(&tar.args(["-C", "/tmp", "-xvpf", "-"]).stdin_bytes(packed.stdout)).expect_status(0);
}

#[test]
fn compressors_are_as_natively() {
    needs_kvm!();
    let file = "/usr/bin/bc";
    all(&[&["gzip", "-9", "-n", "-c", file], &["bzip2", "-c", file], &["xz", "-c", file]], 0);
    let Some(gzip) = case("gzip") else { return };
    let packed = gzip.clone().args(["-n", "-c", file]).native();
    same(&gzip.clone().args(["-d"]).stdin_bytes(&packed.stdout)).expect_status(0);
    let cut = &packed.stdout[..packed.stdout.len() / 2];
    same(&gzip.args(["-d", "-v"]).stdin_bytes(cut)).expect_status(1);
}

#[test]
fn programs_with_threads_are_as_natively() {
    needs_kvm!();
    takes_long!();
    let file = "/usr/bin/bc";
    all(
        &[
            &["zstd", "-c", file],
            &["zstd", "-T4", "-B64K", "-c", file],
            &["xz", "-T4", "--block-size=32KiB", "-c", file],
            &["python3", "/cases/threads.py"],
        ],
        0,
    );
}

#[test]
fn text_tools_are_as_natively() {
    needs_kvm!();
    let mawk = r#"{ count[length($0)]++ } END { print NR > "/tmp/lines"; print count[0] }"#;
    let gawk =
        r#"BEGINFILE { print FILENAME } /import/ { n++; print > "/tmp/" n } END { print n }"#;
    let file = "/cases/library.py";
    all(
        &[
            &["mawk", mawk, file],
            &["gawk", gawk, file],
            &["sed", "-n", "s/import/IMPORT/p", file],
            &["file", "/usr/bin/bc", "/etc", file, "/dev/null", "/cases/left.so"],
            &["busybox", "wc", file],
        ],
        0,
    );
    all(&[&["diff", "-u", file, "/cases/journals.py"]], 1);
}

#[test]
fn small_tools_with_odd_options_are_as_natively() {
    needs_kvm!();
    takes_long!();
    let file = "/cases/library.py";
    let (from, json) = (format!("if={file}"), "/usr/lib/python3.11/json");
    all(
        &[
            &["split", "-l", "13", "-d", "--additional-suffix=.part", file, "/tmp/part"],
            &["csplit", "-f", "/tmp/cs", file, "/import/", "{2}"],
            &["dd", &from, "of=/tmp/dd", "bs=7", "count=20", "conv=ucase,sync", "status=noxfer"],
            &["cp", "-rp", "--sparse=always", json, "/tmp/json"],
            &["install", "-D", "-m", "750", file, "/tmp/a/b/c"],
            &["pr", "-3", "-t", file],
            &["od", "-A", "x", "-t", "x1z", "-N", "64", file],
            &["shuf", &format!("--random-source={file}"), "-i", "1-20"],
            &["truncate", "-s", "10M", "/tmp/sparse"],
            &["touch", "-d", "2001-02-03T04:05:06.789", "/tmp/old"],
            &["mkfifo", "-m", "600", "/tmp/fifo"],
            &["chmod", "-Rv", "u=rwx,g=,o=", "/tmp"],
            &["stat", "-c", "%n:%s:%a:%F", file, "/dev/null", "/tmp"],
            &["tac", "-s", "a", file],
            &["getopt", "-o", "ab:c", "--long", "alpha,beta:", "--", "-a", "-b", "x", "--beta=y"],
            &["namei", "-l", file],
        ],
        0,
    );
    all(&[&["rmdir", "-v", "-p", "/tmp/none"]], 1);
}

#[test]
fn a_compiler_is_as_natively() {
    needs_kvm!();
    let cc1 = "/usr/lib/gcc/x86_64-linux-gnu/12/cc1";
    all(&[&[cc1, "-quiet", "-O2", "/cases/shapes.c", "-o", "/tmp/shapes.s"]], 0);
}

#[test]
fn programs_of_the_toolchains_are_as_natively() {
    needs_kvm!();
    for (program, compiler) in [
        ("files.std", "the Rust target x86_64-unknown-linux-musl"),
        ("files.gnu", "the Rust target x86_64-unknown-linux-gnu"),
        ("library.dyn", "gcc"),
    ] {
        let Some(case) = made(program, compiler) else { continue };
        let case = case.args(["one", "two words"]).env("NAME", "value");
        match program {
            // It has no loader.
            "files.std" => case.differential().expect_status(4),
            "files.gnu" => same(&case.env("LD_PRELOAD", "/cases/left.so")).expect_status(4),
            _ => same(&case.env("LD_PRELOAD", "/cases/left.so")).expect_status(5),
        };
    }
}

#[test]
fn dynamic_programs_for_i386_are_as_natively() {
    needs_kvm!();
    if Kind::of_this_host() == Kind::Software {
        return elsewhere(Home::Rig, "this software KVM interprets 32-bit code, without SSE");
    }
    let Some(case) = made("library.dyn32", "gcc -m32") else { return };
    let case = case.args(["one", "two words"]).env("NAME", "value");
    same(&case.env("LD_PRELOAD", "/cases/left.so32")).expect_status(5);
}

#[test]
fn a_repository_is_read_as_natively() {
    needs_kvm!();
    takes_long!();
    for words in [&["log", "--stat", "-p"][..], &["status"], &["diff"]] {
        let Some(case) = case("git") else { return };
        let case = case.env("GIT_OPTIONAL_LOCKS", "0");
        same(&case.args(["-C", "/cases/repository"]).args(words)).expect_status(0);
    }
}

//! What trapgate says beside a program's own words: help, version, completions,
//! schemas; a timeout, a hint, statistics.

use std::process::Command;
use std::time::Duration;
use trapgate_tests::elf::Elf;
use trapgate_tests::programs::directory;
use trapgate_tests::{Case, Program, Ran, needs_kvm, program, scale, trapgate};

/// userfaultfd(2) and rseq(2), as x86-64 numbers them.
const USERFAULTFD: u32 = 323;
const RSEQ: u32 = 334;

/// Runs `trapgate` with these arguments.
#[track_caller]
fn run(arguments: &[&str]) -> Ran {
    let mut command = Command::new(trapgate());
    command.args(arguments);
    let limit = Duration::from_secs(scale(20, 60, 200));
    Case::new("unused").start(command).finish(limit)
}

#[test]
fn help_and_version_are_no_mistake() {
    for arguments in [
        ["--help"].as_slice(),
        &["-h"],
        &["help", "run"],
        &["--version"],
        &["run", "--help"],
        &["doctor", "--help"],
        &["bench", "--help"],
        &["bench", "compare", "--help"],
        &["image", "--help"],
        &["image", "build", "--help"],
        &["schema", "--help"],
        &["completions", "--help"],
        &["man", "--help"],
    ] {
        let ran = run(arguments);
        ran.expect_status(0).expect(!ran.stdout.is_empty(), "help on stdout");
        ran.expect(ran.stderr.is_empty(), "nothing on stderr");
        let version = arguments == ["--version"];
        ran.expect(version || ran.stdout_text().contains("Examples:\n  "), "examples");
    }
}

#[test]
fn the_version_names_commit_and_abi() {
    let ran = run(&["--version"]);
    let text = ran.stdout_text();
    let abi = trapgate_abi::ABI_VERSION;
    let start = format!("trapgate {} (", env!("CARGO_PKG_VERSION"));
    let in_parentheses = text.strip_prefix(&start).and_then(|rest| rest.strip_suffix(")\n"));
    let parts: Vec<_> = in_parentheses.unwrap_or_default().split(", ").collect();
    let is_commit = |text: &str| text.len() == 7 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let [commit, abi_named] = parts[..] else { ran.fail("RELEASE (COMMIT, ABI N)") };
    let known = is_commit(commit) || commit == "debug build" || commit == "no commit known";
    ran.expect(known && abi_named == format!("ABI {abi}"), "RELEASE (COMMIT, ABI N)");
}

#[test]
fn each_exit_status_in_the_help_is_what_happens() {
    needs_kvm!();
    let help = run(&["run", "--help"]).stdout_text();
    let says = |status: &str| {
        assert!(help.contains(&format!("\n  {status}  ")), "no {status} in:\n{help}");
    };
    let (good, spin, crash) =
        (Program::new("good", &Elf::exiting(42).bytes()), program("spin"), program("crash"));
    let status = |case: &Case| case.clone().any_stderr().sandboxed().status;
    assert_eq!(status(&Case::new(&good)), 42);
    let timeout = format!("{}ms", scale(100, 500, 2000));
    says("124");
    assert_eq!(status(&Case::new(&spin).options(["--timeout", &timeout])), 124);
    says("125");
    assert_eq!(status(&Case::new(&spin).options(["--memory", "0"])), 125);
    says("126");
    assert_eq!(status(&Case::new("/")), 126);
    says("127");
    assert_eq!(status(&Case::new("/nonexistent")), 127);
    says("128+N");
    assert_eq!(status(&Case::new(&crash).args(["ud2"])), 128 + 4);
}

#[test]
fn colours_are_where_they_were_asked_for() {
    for (arguments, coloured) in [
        (["--color", "always", "--help"], true),
        (["--color", "never", "--help"], false),
        (["--color", "auto", "--help"], false),
        (["doctor", "--color=always", "--help"], true),
    ] {
        let ran = run(&arguments);
        let found = ran.stdout.contains(&0x1b);
        ran.expect_status(0).expect(found == coloured, &format!("escapes: {coloured}"));
    }
}

#[test]
fn each_shell_has_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = run(&["completions", shell]);
        let text = ran.stdout_text();
        ran.expect_status(0).expect(text.contains("trapgate"), "trapgate's own");
        ran.expect(text.contains("clock-source"), "options");
        ran.expect(ran.stderr.is_empty(), "nothing on stderr");
    }
}

#[test]
fn schemas_are_json() {
    for what in ["stats", "doctor", "bench"] {
        let ran = run(&["schema", what]);
        let schema: serde_json::Value = serde_json::from_slice(&ran.stdout).expect("JSON");
        assert_eq!(schema["type"], "object", "{what}");
    }
}

#[test]
fn the_variable_says_what_to_log_unless_the_option_does() {
    needs_kvm!();
    let file = Program::new("calls-userfaultfd", &Elf::calling(USERFAULTFD, 0).bytes());
    let logged = |variable: Option<&str>, option: &[&str]| {
        let mut command = Command::new(trapgate());
        command.args(option).arg("run").arg(file.path());
        if let Some(level) = variable {
            command.env("TRAPGATE_LOG", level);
        }
        let ran =
            Case::new("unused").start(command).finish(Duration::from_secs(scale(20, 60, 200)));
        ran.expect_status(0);
        ran.stderr_text().contains("userfaultfd")
    };
    assert!(!logged(None, &[]));
    assert!(logged(Some("info"), &[]));
    assert!(!logged(Some("info"), &["--log", "error"]));
    assert!(logged(Some("off"), &["--log", "info"]));
}

#[test]
fn a_timeout_says_that_it_was_one_and_where_the_program_was() {
    needs_kvm!();
    let spin = program("spin");
    let timeout = format!("{}ms", scale(100, 500, 2000));
    let ran = Case::new(&spin).options(["--timeout", &timeout]).sandboxed();
    let line = format!("spin: ended after {} (--timeout)\n", timeout.replace("000ms", "s"));
    ran.expect_status(124).expect(ran.stderr_text().matches('\n').count() == 2, "two lines");
    ran.expect_in_stderr(&format!("{line}  at 0x")).expect_in_stderr(">, computing\n");
    let place = directory();
    let recipe = place.path().join("spin.toml");
    let text = format!("program = '{}'\ntimeout = 0.1\n", spin.display());
    std::fs::write(&recipe, text).expect("it is ours");
    let ran = Case::new(&recipe).sandboxed();
    ran.expect_status(124).expect_in_stderr("ended after 100ms (the recipe's timeout)");
}

#[test]
fn a_program_that_failed_after_a_call_that_is_not_there_gets_a_hint() {
    needs_kvm!();
    let ran = |number, status| {
        let file = Program::new("caller", &Elf::calling(number, status).bytes());
        Case::new(&file).sandboxed()
    };
    let failed = ran(USERFAULTFD, 1);
    let text = failed.stderr_text();
    failed.expect_status(1).expect(text.starts_with("trapgate: hint: "), "a hint");
    failed
        .expect_in_stderr("called userfaultfd(2)")
        .expect(text.matches('\n').count() == 1, "a line");
    for (number, status, why) in [
        (USERFAULTFD, 0, "it did not fail"),
        (RSEQ, 1, "every program does without rseq"),
        (5000, 1, "Linux has no such call"),
    ] {
        let ran = ran(number, status);
        ran.expect(ran.stderr.is_empty(), &format!("nothing on stderr: {why}"));
    }
}

#[test]
fn statistics_have_the_end_as_data_and_units_in_their_names() {
    needs_kvm!();
    let (hello, crash, spin) = (program("hello-syscall"), program("crash"), program("spin"));
    let (_, stats) = Case::new(&hello).sandboxed_with_stats();
    assert_eq!(stats["schema"], "trapgate-stats");
    assert_eq!(stats["end"], serde_json::json!({ "how": "exited", "status": 0 }));
    assert_eq!(stats["exit_status"], 0);
    assert_eq!(stats["ram_bytes"], 256 << 20);
    assert!(stats["time"]["run_us"].is_u64(), "{stats}");
    let (_, stats) = Case::new(&crash).args(["ud2"]).sandboxed_with_stats();
    let expected = serde_json::json!({ "how": "killed", "signal": 4, "name": "SIGILL" });
    assert_eq!((&stats["end"], &stats["exit_status"]), (&expected, &132.into()));
    let spin = Case::new(&spin).options(["--timeout", "0.1"]);
    let (_, stats) = spin.sandboxed_with_stats();
    assert_eq!(stats["end"], serde_json::json!({ "how": "timed_out" }));
    let caller = Program::new("caller", &Elf::calling(USERFAULTFD, 0).bytes());
    let (_, stats) = Case::new(&caller).sandboxed_with_stats();
    let unknown = (&stats["unknown_calls"], &stats["last_unknown_name"]);
    assert_eq!(unknown, (&1.into(), &"userfaultfd".into()));
}

#[test]
fn statistics_in_words_name_the_program_and_its_end() {
    needs_kvm!();
    let hello = program("hello-syscall");
    let ran = Case::new(&hello).options(["--stats"]).sandboxed();
    let text = ran.stderr_text();
    let first = text.lines().next().unwrap_or_default();
    ran.expect(first.ends_with("hello-syscall: exited with status 0"), "the end first");
    ran.expect_in_stderr(" of 256 MiB").expect_in_stderr("2 calls, ");
    // Each row says something.
    ran.expect(text.lines().skip(1).all(|row| row.len() > 20), "no row without text");
}

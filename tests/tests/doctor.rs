//! `trapgate doctor` says what is so, and its status is the answer.

use std::process::Command;
use trapgate::kvm::Kind;
use trapgate_tests::{Case, busybox, needs_kvm, program, trapgate};

/// How each door of this kernel arrives on this kind of KVM.
fn delivery() -> &'static str {
    if Kind::of_this_host() == Kind::Software { "trapped" } else { "native" }
}

#[test]
fn doctor_tries_each_door_and_says_how_it_arrives() {
    needs_kvm!();
    let output = Command::new(trapgate()).args(["doctor", "--json"]).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["usable"], true);
    assert_eq!(report["api_version"], 12);
    let doors = report["doors"].as_array().expect("doors");
    assert_eq!(doors.len(), 2);
    for door in doors {
        assert_eq!(door["delivery"], delivery(), "{door}");
    }
    let required = report["capabilities"].as_array().expect("capabilities").iter();
    for capability in required.filter(|capability| capability["required"] == true) {
        assert_eq!(capability["present"], true, "{capability}");
    }
}

#[test]
fn doctor_speaks_plainly_and_without_colours_into_a_pipe() {
    needs_kvm!();
    let output = Command::new(trapgate()).arg("doctor").output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("text");
    for part in ["/dev/kvm", "SYSCALL, 64-bit", "INT 0x80, 64-bit", delivery(), "Workloads can run"]
    {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
    assert!(!text.contains('\x1b'), "an escape in:\n{text}");
}

#[test]
fn what_is_denied_cannot_be_used() {
    needs_kvm!();
    let Some(busybox) = busybox() else { return };
    let silent = Case::new(&busybox).args(["echo", "hello"]).options(["--deny", "stdout"]);
    let ran = silent.any_stderr().sandboxed();
    ran.expect(ran.stdout.is_empty() && ran.status != 0, "no output, and a failure");
    let deaf = Case::new(program("read-stdin")).stdin_bytes("secret").options(["--deny", "stdin"]);
    let ran = deaf.any_stderr().sandboxed();
    ran.expect(ran.stdout.is_empty(), "nothing of standard input");
    let timeless = Case::new(&busybox).args(["date", "-u", "+%Y"]).options(["--deny", "clock"]);
    timeless.sandboxed().expect_status(0).expect_stdout("1970\n");
}

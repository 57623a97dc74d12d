//! `trapgate doctor` says what is so, and its status is the answer.

use std::process::Command;
use trapgate::machine::kvm::{Kind, Maker};
use trapgate_tests::{Case, busybox, needs_kvm, program, sysenter_arrives, trapgate};

/// How each door should arrive here: SYSCALL, SYSENTER, INT 0x80 in 64-bit,
/// compatibility and legacy mode. What the makers have, Intel's SDM and AMD's
/// APM say; that a software KVM delivers none of it, `trapgate::machine::kvm::Kind`.
fn expected() -> [&'static str; 9] {
    match (Kind::of_this_host(), Maker::of_this_cpu()) {
        (Kind::Software, Maker::Amd) => [
            "trapped", "absent", "trapped", //
            "trapped", "absent", "trapped", //
            "failed", "failed", "failed",
        ],
        (Kind::Software, Maker::Intel) => {
            let sysenter = if sysenter_arrives() { "trapped" } else { "failed" };
            [
                "trapped", sysenter, "trapped", //
                "absent", sysenter, "trapped", //
                "failed", "failed", "failed",
            ]
        }
        (_, Maker::Amd) => [
            "native", "absent", "native", //
            "native", "absent", "native", //
            "native", "native", "native",
        ],
        (_, Maker::Intel) => [
            "native", "native", "native", //
            "absent", "native", "native", //
            "absent", "native", "native",
        ],
    }
}

#[test]
fn doctor_tries_each_door_in_each_mode_and_says_how_it_arrives() {
    needs_kvm!();
    let output = Command::new(trapgate()).args(["doctor", "--json"]).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&report["schema"], &report["usable"]), (&"trapgate-doctor".into(), &true.into()));
    assert_eq!(report["abi_version"], trapgate_abi::ABI_VERSION);
    assert_eq!(report["api_version"], 12);
    let doors = report["doors"].as_array().expect("doors");
    assert_eq!(doors.len(), 9);
    for (index, (door, expected)) in doors.iter().zip(expected()).enumerate() {
        assert_eq!(door["instruction"], ["SYSCALL", "SYSENTER", "INT 0x80"][index % 3]);
        assert_eq!(door["mode"], ["64-bit", "compat", "legacy"][index / 3]);
        assert_eq!(door["delivery"]["how"], expected, "{door}");
        // A reason for all that is not native; a surprise where the manuals
        // promise more.
        assert_eq!(door["delivery"]["why"].is_string(), expected != "native", "{door}");
        assert_eq!(door["unexpected"], matches!(expected, "trapped" | "failed"), "{door}");
    }
    let required = report["capabilities"].as_array().expect("capabilities").iter();
    for capability in required.filter(|capability| capability["required"] == true) {
        assert_eq!(capability["present"], true, "{capability}");
    }
}

#[test]
fn kernel_vsyscall_takes_the_best_door_that_is_native() {
    needs_kvm!();
    let output = Command::new(trapgate()).args(["doctor", "--json"]).output().expect("it runs");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let expected = match (Kind::of_this_host(), Maker::of_this_cpu()) {
        (Kind::Software, _) => "INT 0x80",
        (_, Maker::Amd) => "SYSCALL",
        (_, Maker::Intel) => "SYSENTER",
    };
    assert_eq!(report["kernel_vsyscall"], expected);
}

#[test]
fn doctor_speaks_plainly_and_without_colours_into_a_pipe() {
    needs_kvm!();
    let output = Command::new(trapgate()).arg("doctor").output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let row = |name: &str| text.lines().find(|line| line.trim_start().starts_with(name));
    let [syscall, sysenter, int80] = ["SYSCALL ", "SYSENTER ", "INT 0x80 "].map(|name| {
        let words = row(name).unwrap_or_else(|| panic!("no {name} in:\n{text}"));
        words.split_whitespace().rev().take(3).map(str::to_owned).collect::<Vec<_>>()
    });
    let expected = expected();
    for (index, row) in [syscall, sysenter, int80].iter().enumerate() {
        let wanted = [expected[6 + index], expected[3 + index], expected[index]];
        assert_eq!(*row, wanted, "in:\n{text}");
    }
    for part in ["/dev/kvm", "__kernel_vsyscall", "Workloads can run"] {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
    assert!(!text.contains('\x1b'), "an escape in:\n{text}");
    assert!(text.starts_with("Workloads can run.\n"), "the answer is not the first line:\n{text}");
    let wide = text.lines().find(|line| line.chars().count() > 100);
    assert_eq!(wide, None, "wider than 100 columns");
    let failed = text.lines().filter(|line| line.trim_start().starts_with("failed"));
    // One for legacy mode, and one for each width of SYSENTER.
    let most = if sysenter_arrives() { 1 } else { 3 };
    assert!(failed.clone().count() <= most && failed.clone().all(|line| !line.contains("data")));
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

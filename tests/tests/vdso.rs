//! The vDSO: C libraries use it, programs find it, and what they do to it ends
//! as natively.

use serde_json::Value;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};
use trapgate::machine::kvm::Kind;
use trapgate_tests::programs::C_KINDS;
use trapgate_tests::{Case, Home, compiled, elsewhere, needs_kvm, program, tsc_is_a_clock};

/// The calls of a run by all doors, native and trapped.
fn calls(stats: &Value) -> u64 {
    let doors = stats["doors"].as_array().expect("doors").iter();
    let count = |door: &Value, how: &str| door[how].as_u64().expect("a count");
    doors.map(|door| count(door, "native") + count(door, "trapped")).sum()
}

/// What a run of `clocks FUNCTION COUNT` cost.
#[track_caller]
fn costs(case: &Case, function: &str, count: &str) -> Value {
    let (ran, stats) = case.clone().args([function, count]).sandboxed_with_stats();
    ran.expect_status(0);
    stats
}

const ASK_THE_HOST: [&str; 2] = ["--clock-source", "host"];

#[test]
fn a_c_librarys_clocks_make_no_system_call_and_no_exit() {
    needs_kvm!();
    if !tsc_is_a_clock() {
        return elsewhere(Home::Rig, "the host distrusts its counter");
    }
    for kind in C_KINDS {
        let Some(program) = compiled(&format!("clocks.{kind}")) else { continue };
        let case = Case::new(&program);
        // musl asks the kernel for clock_getres(2), here as on Linux.
        let functions = ["gettime", "coarse", "timeofday", "time", "getcpu", "getres"];
        for function in &functions[..if kind == "musl" { 5 } else { 6 }] {
            let (none, many) = (costs(&case, function, "0"), costs(&case, function, "5000"));
            assert_eq!(calls(&none), calls(&many), "{function} of {kind} by the doors");
            assert_eq!(none["vmm_exits"], many["vmm_exits"], "{function} of {kind}");
            // The host's interrupts, and what wakes a vCPU, come as they like.
            let exits = |stats: &Value| stats["kvm_exits"].as_u64().unwrap_or(0);
            let more = exits(&many).saturating_sub(exits(&none));
            assert!(more < 1000, "{function} of {kind}: {more} VM exits for 5000 calls");
        }
    }
}

#[test]
fn a_c_librarys_clocks_agree_with_the_kernels() {
    needs_kvm!();
    for kind in C_KINDS {
        let Some(program) = compiled(&format!("clocks.{kind}")) else { continue };
        let case = Case::new(&program).args(["agree"]);
        case.differential().expect_status(0);
        case.options(ASK_THE_HOST).differential().expect_status(0);
    }
}

#[test]
fn where_the_counter_is_no_clock_the_host_is_asked_each_time() {
    needs_kvm!();
    let elapsed = |stats: &Value| stats["host_calls"]["by_operation"]["elapsed"].as_u64();
    for kind in C_KINDS {
        let Some(program) = compiled(&format!("clocks.{kind}")) else { continue };
        let case = Case::new(&program);
        for function in ["gettime", "coarse", "timeofday", "time"] {
            let asked = costs(&case.clone().options(ASK_THE_HOST), function, "20");
            assert_eq!(elapsed(&asked), Some(20), "{function} of {kind}");
            let by_itself = if tsc_is_a_clock() { None } else { Some(20) };
            assert_eq!(elapsed(&costs(&case, function, "20")), by_itself, "{function} of {kind}");
        }
    }
    // A 32-bit program's vDSO calls, too.
    let Some(program) = compiled("gate.m32") else { return };
    let case = Case::new(&program).options(ASK_THE_HOST);
    case.differential().expect_status(0);
    let (ran, stats) = case.args(["20"]).sandboxed_with_stats();
    ran.expect_status(0);
    assert_eq!(elapsed(&stats), Some(20));
}

#[test]
fn doctor_says_whether_the_counter_is_a_clock() {
    needs_kvm!();
    let report = trapgate_measure::doctor::examine();
    assert_eq!(report.tsc_is_a_clock, Some(tsc_is_a_clock()));
    let said = report.problems.iter().any(|problem| problem.what.contains("time-stamp counter"));
    assert_eq!(said, !tsc_is_a_clock());
    assert!(report.usable);
}

#[test]
fn a_programs_clock_is_the_hosts() {
    needs_kvm!();
    let Some(program) = compiled("clocks.musl") else { return };
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    for options in [&[][..], &ASK_THE_HOST] {
        let before = now();
        let shown = number(&Case::new(&program).args(["seconds"]).options(options));
        assert!((before..=now()).contains(&shown), "{shown} after {before}, with {options:?}");
    }
}

/// The last number that a run prints.
#[track_caller]
fn number(case: &Case) -> u64 {
    let ran = case.sandboxed();
    ran.expect_status(0);
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    let found = text.split_whitespace().find_map(|word| word.parse().ok());
    found.unwrap_or_else(|| ran.fail("a number on stdout"))
}

#[test]
fn without_the_grant_the_vdso_knows_no_time_either() {
    needs_kvm!();
    let bare = program("vdso");
    let case = Case::new(&bare).args(["clock"]);
    assert!(number(&case) > 1_000_000_000, "it is later than 2001");
    let denied = case.options(["--deny", "clock"]);
    assert!(number(&denied) < 3600, "seconds since the start");
    assert!(number(&denied.options(ASK_THE_HOST)) < 3600, "seconds since the start");
    Case::new(&bare).options(["--deny", "clock"]).sandboxed().expect_status(0);
    if let Some(program) = compiled("clocks.musl") {
        let case = Case::new(&program).args(["seconds"]);
        assert!(number(&case) > 1_000_000_000, "it is later than 2001");
        assert!(number(&case.options(["--deny", "clock"])) < 3600, "seconds since the start");
    }
}

#[test]
fn it_is_found_by_at_sysinfo_ehdr_and_answers_as_the_kernel_does() {
    needs_kvm!();
    let program = program("vdso");
    Case::new(&program).differential().expect_status(0);
}

#[test]
fn the_data_page_holds_the_clock_and_nothing_else() {
    needs_kvm!();
    if !tsc_is_a_clock() {
        return elsewhere(Home::Rig, "the host distrusts its counter");
    }
    let program = program("vdso");
    Case::new(&program).args(["data-page"]).sandboxed().expect_status(0);
}

#[test]
fn what_a_program_does_to_its_vdso_ends_as_natively() {
    needs_kvm!();
    let program = program("vdso");
    let case = Case::new(&program);
    for name in ["write", "write-data", "unmap", "no-access", "no-execute", "move"] {
        case.clone().args([name]).differential().expect_status(139);
    }
    // A vDSO writes to address 0 itself only where the counter is a clock; else
    // the kernel does, and answers EFAULT. The host's may know another counter.
    let null = case.clone().args(["null"]);
    let clock = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let hosts_is = fs::read_to_string(clock).is_ok_and(|name| name.trim() == "tsc");
    let status = if tsc_is_a_clock() { 139 } else { 0 };
    match hosts_is == tsc_is_a_clock() {
        true => null.differential().expect_status(status),
        false => null.sandboxed().expect_status(status),
    };
    for name in ["overmap", "change", "change-data", "not-handed-out"] {
        case.clone().args([name]).differential().expect_status(0);
    }
}

#[test]
fn the_32_bit_vdso_is_found_and_answers_as_the_kernel_does() {
    needs_kvm!();
    let Some(program) = compiled("gate.m32") else { return };
    let case = Case::new(&program);
    case.differential().expect_status(0).expect_stdout("by __kernel_vsyscall\n");
    case.options(["--deny", "clock"]).sandboxed().expect_status(0);
}

#[test]
fn the_32_bit_vdsos_way_to_the_kernel_works_where_it_is_moved_to() {
    needs_kvm!();
    let Some(program) = compiled("gate.m32") else { return };
    for how in ["move", "part", "itself"] {
        Case::new(&program).args([how]).differential().expect_status(0);
    }
}

#[test]
fn a_32_bit_programs_clock_makes_no_system_call() {
    needs_kvm!();
    let Some(program) = compiled("gate.m32") else { return };
    if !tsc_is_a_clock() {
        return elsewhere(Home::Rig, "the host distrusts its counter");
    }
    let calls = |count: &str| {
        let (ran, stats) = Case::new(&program).args([count]).sandboxed_with_stats();
        ran.expect_status(0);
        calls(&stats)
    };
    assert_eq!(calls("0"), 1, "exit");
    assert_eq!(calls("1000"), 1, "exit");
}

#[test]
fn a_32_bit_c_librarys_clocks_agree_with_the_kernels() {
    needs_kvm!();
    if Kind::of_this_host() == Kind::Software {
        return elsewhere(Home::Rig, "this software KVM interprets 32-bit code, without SSE");
    }
    let Some(program) = compiled("clocks.m32") else { return };
    let case = Case::new(&program);
    case.clone().args(["agree"]).differential().expect_status(0);
    case.clone().options(ASK_THE_HOST).args(["agree"]).differential().expect_status(0);
    if !tsc_is_a_clock() {
        return;
    }
    for function in ["gettime", "coarse", "timeofday", "time"] {
        let (none, many) = (costs(&case, function, "0"), costs(&case, function, "1000"));
        assert_eq!(calls(&none), calls(&many), "{function} by the doors");
    }
}

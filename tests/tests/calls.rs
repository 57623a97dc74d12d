//! System calls: each program checks what they answer, prints it in words that
//! are the same everywhere, and so shows natively that it expects the right
//! things.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use trapgate_tests::{Case, Stdin, Stdout, needs_kvm, program, scale, takes_long};

/// Runs a program both ways; what it checks must hold. `variation` says how.
#[track_caller]
fn holds(name: &str, variation: impl FnOnce(Case) -> Case) {
    let program = program(name);
    variation(Case::new(&program)).differential().expect_status(0);
}

#[test]
fn pointers_that_are_no_use_are_answered_as_linux_answers_them() {
    needs_kvm!();
    holds("usermem", |case| case);
}

#[test]
fn brk_mmap_mprotect_mremap_and_munmap_do_as_in_linux() {
    needs_kvm!();
    holds("memory", |case| case);
}

#[test]
fn thousands_of_mappings_do_not_make_the_next_one_slow() {
    needs_kvm!();
    /// Where ring 0 is interpreted it takes some 10 seconds; where each mapping looked
    /// at all the others, it took more than 100.
    const MOST: Duration = Duration::from_secs(60);
    let start = Instant::now();
    holds("many-mappings", |case| case.limit(2 * MOST));
    assert!(start.elapsed() < MOST, "{:?}", start.elapsed());
}

#[test]
fn who_the_program_is_and_what_time_it_is_is_answered_as_in_linux() {
    needs_kvm!();
    holds("identity", |case| case);
}

#[test]
fn proc_sys_and_dev_are_read_as_programs_read_linuxs() {
    needs_kvm!();
    holds("proc-files", |case| case.args(["one", "two words"]).env("KEY", "value"));
}

#[test]
fn vector_and_x87_registers_survive_whatever_happens() {
    needs_kvm!();
    holds("fpu", |case| case);
}

#[test]
fn arguments_environment_and_auxiliary_vector_are_as_in_linux() {
    needs_kvm!();
    holds("auxv", |case| case);
    holds("auxv", |case| {
        case.args(["one", "", "two words", "\u{fc}ml\u{e4}ut", "--option", "-"])
            .env("A", "1")
            .env("EMPTY", "")
            .env("EQUALS", "a=b=c")
            .env("LONG", &"x".repeat(5000))
    });
    let many: Vec<_> = (0..2000).map(|number| format!("argument {number}")).collect();
    holds("auxv", |case| case.args(&many));
}

#[test]
fn a_signal_frame_is_as_large_as_in_linux_whatever_the_programs_width() {
    needs_kvm!();
    let (program, program32) = (program("signal-frame"), program("signal-frame.32"));
    let (case, case32) = (Case::new(&program), Case::new(&program32));
    for (ran, ran32) in [(case.native(), case32.native()), (case.sandboxed(), case32.sandboxed())] {
        ran.expect_status(0);
        let line = ran.stdout_text();
        ran32.expect_stdout(line.lines().next().unwrap_or("").to_owned() + "\n");
    }
}

#[test]
fn descriptors_do_as_in_linux_whatever_is_behind_them() {
    needs_kvm!();
    holds("files", |case| case);
    holds("files", |case| case.stdin_bytes("from a pipe\n"));
    holds("files", |case| case.stdin(Stdin::File(b"from a file\n".to_vec())));
    holds("files", |case| case.stdout(Stdout::WithStderr));
}

/// With so little that the kernel's own share is small, too.
#[test]
fn without_memory_calls_are_enomem_and_the_kernel_lives() {
    needs_kvm!();
    let program = program("memory-full");
    let ran = Case::new(&program).options(["--memory", "4M"]).sandboxed();
    ran.expect_status(0).expect(ran.stderr.is_empty(), "nothing on stderr");
}

#[test]
fn fresh_pages_are_zero_and_keep_what_is_written() {
    needs_kvm!();
    takes_long!();
    let (mebibytes, rounds) = scale(("16", "8"), ("8", "4"), ("2", "2"));
    holds("stress-memory", |case| case.args([mebibytes, rounds]));
}

#[test]
fn memory_that_was_given_back_can_be_had_again() {
    needs_kvm!();
    takes_long!();
    // Each round takes most of what there is.
    let rounds = scale("20", "4", "2");
    let program = program("stress-memory");
    let case = Case::new(&program).args(["24", rounds]).options(["--memory", "32M"]);
    case.sandboxed().expect_status(0);
}

/// Requests of a run, by operation.
#[track_caller]
fn requests(case: &Case) -> BTreeMap<String, u64> {
    let (ran, stats) = case.sandboxed_with_stats();
    ran.expect_status(0);
    let operations = stats["host_calls"]["by_operation"].as_object().expect("a table");
    operations
        .iter()
        .map(|(name, count)| (name.clone(), count.as_u64().expect("a count")))
        .collect()
}

#[test]
fn getpid_costs_no_request() {
    needs_kvm!();
    for name in ["getpid-syscall", "getpid-int80"] {
        let program = program(name);
        let calls = |count: &str| requests(&Case::new(&program).args([count, "1"]));
        assert_eq!(calls("1"), calls("1000"), "{name}");
    }
}

#[test]
fn memory_costs_no_request() {
    needs_kvm!();
    let program = program("stress-memory");
    let rounds = |count: &str| requests(&Case::new(&program).args(["2", count]));
    let (few, many) = (rounds("1"), rounds(scale("50", "20", "5")));
    // What is given back may be said to the host, and is by munmap.
    let without_discard = |mut requests: BTreeMap<String, u64>| {
        requests.remove("discard");
        requests
    };
    assert_eq!(without_discard(few), without_discard(many));
}

#[test]
fn identity_time_and_memory_calls_make_no_request_of_their_own() {
    needs_kvm!();
    for (name, allowed) in [
        ("identity", &["exit", "write", "random", "wait"][..]),
        ("memory", &["exit", "write", "discard"]),
        ("auxv", &["exit", "write"]),
    ] {
        let program = program(name);
        let made = requests(&Case::new(&program));
        let others: Vec<_> = made.keys().filter(|made| !allowed.contains(&made.as_str())).collect();
        assert!(others.is_empty(), "{name} made requests {others:?}: {made:?}");
    }
}

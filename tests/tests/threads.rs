//! Threads: what libraries make of them and of futexes is as natively; each has its
//! registers, whatever runs between, which a kernel that is built for tests shows.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;
use trapgate::mitigation::{GuestCpu, Mitigations, Step};
use trapgate::{End, Kind, Sandbox};
use trapgate_tests::programs::{C_KINDS, bytes};
use trapgate_tests::{Case, Home, case_elsewhere, compiled, needs_kvm, rounds, scale, takes_long};

/// The test images of the kernel.
const PLAIN: &str = "test-hook.plain";
const INSTRUMENTED: &str = "test-hook";

/// Turns of each of two threads: fewer where a CPU is emulated; many in the long form.
fn turns() -> u64 {
    let (every, long) = scale((2_000, 500_000), (2_000, 500_000), (200, 5_000));
    rounds(every, long)
}

/// The program ends well with such a kernel.
#[track_caller]
fn ends_well(kernel: &str, program: &str, arguments: &[&str], mitigations: Mitigations) {
    let sandbox = Sandbox::builder().program_bytes(program, bytes(program)).args(arguments);
    let sandbox = sandbox.kernel(bytes(kernel)).mitigations(mitigations);
    let output = sandbox.build().expect("a sandbox").output().expect("an outcome");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.end, End::Exited(0), "{kernel} {program} {arguments:?}:\n{text}");
}

/// What the 64-bit program cannot show here, as its bits.
fn left_out() -> &'static str {
    if Kind::of_this_host() == Kind::Software {
        let why = "what ring 0 loads into DS and ES does not come to 64-bit code here";
        case_elsewhere("DS and ES", Home::Rig, why);
        return "128";
    }
    "0"
}

#[test]
fn two_threads_that_yield_keep_every_register_that_there_is() {
    needs_kvm!();
    ends_well(PLAIN, "threads", &[&turns().to_string(), "yield", left_out()], Mitigations::NONE);
}

#[test]
fn two_threads_that_are_preempted_keep_every_register_that_there_is() {
    needs_kvm!();
    let turns = scale(20, 20, 3).to_string();
    ends_well(PLAIN, "threads", &[&turns, "spin", left_out()], Mitigations::NONE);
}

#[test]
fn two_threads_of_32_bit_code_keep_registers_and_segments_when_they_yield() {
    needs_kvm!();
    ends_well(PLAIN, "threads.32", &[&turns().to_string(), "yield"], Mitigations::NONE);
}

#[test]
fn two_threads_of_32_bit_code_keep_registers_and_segments_when_they_are_preempted() {
    needs_kvm!();
    let turns = scale("20", "200", "200");
    ends_well(PLAIN, "threads.32", &[turns, "spin"], Mitigations::NONE);
}

#[test]
fn two_threads_of_the_kernels_keep_their_stacks() {
    needs_kvm!();
    let turns = (5 * turns()).to_string();
    ends_well(PLAIN, "threads", &[&turns, "kernel"], Mitigations::NONE);
}

#[test]
fn with_mitigation_steps_two_threads_keep_every_register() {
    needs_kvm!();
    let cpu = GuestCpu::of_this_host().expect("there is a KVM");
    let all = Step::ALL.into_iter().collect::<Mitigations>().available(&cpu);
    let turns = scale("200", "200", "50");
    for mitigations in [Mitigations::NONE, Mitigations::NONE.with(Step::Pti), all] {
        ends_well(INSTRUMENTED, "threads", &[turns, "yield", left_out()], mitigations);
        ends_well(INSTRUMENTED, "threads", &["3", "spin", left_out()], mitigations);
        ends_well(INSTRUMENTED, "threads.32", &[turns, "yield"], mitigations);
    }
}

/// A C program in every way that it was made, for 32 bits, too, where those run.
fn every_c(name: &str, check: impl Fn(&str, Case)) {
    for kind in C_KINDS.into_iter().chain(["m32"]) {
        if kind == "m32" && Kind::of_this_host() == Kind::Software {
            case_elsewhere("32 bits", Home::Rig, "a software KVM interprets them, without SSE");
            continue;
        }
        let name = format!("{name}.{kind}");
        if let Some(program) = compiled(&name) {
            check(&name, Case::new(&program));
        }
    }
}

#[test]
fn what_pthreads_has_is_as_natively() {
    needs_kvm!();
    every_c("threads", |_, case| {
        case.args(["basics"]).differential().expect_status(0);
    });
}

#[test]
fn threads_and_processes_end_as_natively() {
    needs_kvm!();
    every_c("threads", |_, case| {
        let with = |argument| case.clone().args([argument]);
        with("leave").differential().expect_status(3);
        with("last").differential().expect_status(0);
        with("exit-group").differential().expect_status(4);
        with("fault").differential().expect_status(139).expect_in_stderr("SIGSEGV");
    });
}

#[test]
fn a_program_that_one_of_many_threads_begins_is_alone() {
    needs_kvm!();
    every_c("threads", |name, case| {
        let case = case.stdin_bytes(bytes(name));
        for way in ["exec", "exec-first"] {
            case.clone().args([way]).differential().expect_status(0);
        }
    });
}

#[test]
fn proc_tells_of_each_thread_as_natively() {
    needs_kvm!();
    every_c("threads", |_, case| {
        case.args(["proc"]).differential().expect_status(0);
    });
}

#[test]
fn futexes_answer_as_natively() {
    needs_kvm!();
    every_c("futex", |_, case| {
        case.args(["words"]).differential().expect_status(0);
    });
}

#[test]
fn clone_refuses_what_makes_no_sense_as_natively() {
    needs_kvm!();
    every_c("futex", |_, case| {
        case.args(["clone"]).differential().expect_status(0);
    });
}

#[test]
fn many_threads_fit_into_little_memory() {
    needs_kvm!();
    takes_long!();
    let many = scale("100", "4000", "30");
    every_c("threads", |_, case| {
        let case = case.options(["--memory", "256MiB"]);
        case.clone().args(["many", many]).differential().expect_status(0);
        case.args(["churn", scale("100", "2000", "30")]).differential().expect_status(0);
    });
}

#[test]
fn no_wake_up_is_lost_between_threads_that_are_preempted_anywhere() {
    needs_kvm!();
    takes_long!();
    // Two others compute meanwhile, a slice of 4 ms each before it is anybody's turn.
    let (every, long) = scale(("300", "10000"), ("1000", "20000"), ("50", "500"));
    every_c("futex", |_, case| {
        let (usual, longer) = scale((60, 600), (120, 1200), (300, 900));
        let limit = Duration::from_secs(rounds(usual, longer));
        let (case, rounds) = (case.clone().limit(limit), rounds(every, long));
        case.clone().args(["rounds", rounds]).differential().expect_status(0);
        for seed in ["1", "2"] {
            case.clone().args(["stress", rounds, seed]).differential().expect_status(0);
        }
    });
}

#[test]
fn a_thread_that_computes_does_not_keep_another_from_running() {
    needs_kvm!();
    let Some(program) = compiled("threads.musl") else { return };
    let ran = Case::new(&program).args(["fair"]).sandboxed();
    ran.expect_status(0).expect_stdout("sleeps: in time\nanswers: in time\n");
}

#[test]
fn threads_of_rust_are_as_natively() {
    needs_kvm!();
    for name in ["threads.std", "threads.std32"] {
        if name.ends_with("32") && Kind::of_this_host() == Kind::Software {
            case_elsewhere(name, Home::Rig, "a software KVM interprets it, without SSE");
            continue;
        }
        let Some(program) = compiled(name) else { continue };
        Case::new(&program).differential().expect_status(0);
        let many = scale("50", "1000", "10");
        Case::new(&program).args(["many", many]).differential().expect_status(0);
    }
}

#[test]
fn a_hundred_threads_that_wait_use_no_cpu_and_end_when_they_are_to() {
    needs_kvm!();
    let Some(program) = compiled("threads.musl") else { return };
    let case = Case::new(&program).args(["sleep"]);
    let mut command = case.sandbox_command();
    let mut started = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut line = String::new();
    let stdout = started.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    assert_eq!(line, "all wait\n");
    // User and system time, in ticks of 10 ms.
    let ticks = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", started.id())).expect("it runs");
        let fields: Vec<u64> = stat
            .rsplit(") ")
            .next()
            .unwrap()
            .split(' ')
            .filter_map(|word| word.parse().ok())
            .collect();
        fields[10] + fields[11]
    };
    sleep(Duration::from_millis(scale(300, 300, 3000)));
    let before = ticks();
    sleep(Duration::from_secs(rounds(2, 10)));
    let after = ticks();
    started.kill().expect("it is ours");
    started.wait().expect("it was started");
    assert!(after - before <= 1, "{} ticks", after - before);
}

#[test]
fn a_timeout_ends_a_hundred_threads_that_wait() {
    needs_kvm!();
    if compiled("threads.musl").is_none() {
        return;
    }
    let sandbox = Sandbox::builder().program_bytes("threads", bytes("threads.musl"));
    let sandbox = sandbox.args(["sleep"]).timeout(Duration::from_secs(scale(10, 5, 40)));
    let output = sandbox.build().expect("a sandbox").output().expect("an outcome");
    assert_eq!((output.end, &output.stdout[..]), (End::TimedOut, &b"all wait\n"[..]));
}

//! Signals: what handlers find, how calls go on that they interrupt, timers that send some,
//! and ends by signals are as natively.

use trapgate::Kind;
use trapgate_tests::programs::C_KINDS;
use trapgate_tests::{Case, Home, case_elsewhere, compiled, needs_kvm, rounds, scale};

/// The C program in every way that it was made, for 32 bits, too, where those run.
fn every_kind(check: impl Fn(Case)) {
    for kind in C_KINDS.into_iter().chain(["m32"]) {
        if kind == "m32" && Kind::of_this_host() == Kind::Software {
            case_elsewhere("32 bits", Home::Rig, "a software KVM interprets them, without SSE");
            continue;
        }
        if let Some(program) = compiled(&format!("signals.{kind}")) {
            check(Case::new(&program));
        }
    }
}

/// How long it is in these programs until something happens, in milliseconds: longer where
/// a thread starts slowly.
fn unit() -> &'static str {
    scale("100", "100", "500")
}

/// Cases of the program, one after the other in one sandbox.
fn as_natively(cases: &[&str]) {
    needs_kvm!();
    every_kind(|case| {
        case.args([&[unit()], cases].concat()).differential().expect_status(0);
    });
}

#[test]
fn what_a_handler_is_told_is_as_natively() {
    as_natively(&["raise-and-kill", "queue-values", "faults", "traps", "floating"]);
}

#[test]
fn masks_and_what_is_pending_are_as_natively() {
    as_natively(&["flags", "masks", "pending", "limit"]);
}

#[test]
fn frames_and_stacks_of_handlers_are_as_natively() {
    as_natively(&["alternate-stacks", "overflow", "contexts", "vectors"]);
}

/// Bochs raises #DB at SYSCALL's entry although SFMASK masks TF, so there are steps there
/// that no CPU has.
#[test]
fn each_single_step_is_a_signal_as_natively() {
    as_natively(&["steps"]);
}

#[test]
fn who_waits_for_a_signal_gets_it_as_natively() {
    as_natively(&["suspends", "waits", "masked-waits"]);
}

#[test]
fn interrupted_calls_end_or_go_on_as_natively() {
    as_natively(&["interruptions", "uninterrupted"]);
}

#[test]
fn signals_reach_threads_as_natively() {
    as_natively(&["threads", "inheritance"]);
}

#[test]
fn timers_send_signals_as_natively() {
    as_natively(&["alarms", "alarm-while-computing", "posix-timers", "timers-of-threads"]);
}

#[test]
fn many_signals_all_come() {
    as_natively(&["storm", "nested-jumps"]);
}

/// Whatever a frame says, the kernel is there behind it. What becomes of the program is
/// its own business: a wrong stack pointer may end it.
#[test]
fn frames_with_wrong_words_are_never_a_failure_of_the_kernel() {
    needs_kvm!();
    let (every, long) = scale((1_000, 100_000), (5_000, 100_000), (100, 500));
    let times = rounds(every, long).to_string();
    every_kind(|case| {
        for seed in ["1", "2"] {
            let ran = case.clone().args(["forge", &times, seed]).sandboxed();
            assert_ne!(ran.status, 125, "seed {seed}: {}", ran.stderr_text());
        }
    });
}

#[test]
fn ends_by_signals_are_as_natively() {
    needs_kvm!();
    let ways = [
        ("handler-unmapped", 139),
        ("stack-unmapped", 139),
        ("blocked-fault", 139),
        ("ignored-fault", 139),
        ("fault-in-handler", 134),
        ("term", 143),
        ("real-time", 192),
        ("kill", 137),
        ("alarm", 142),
        ("exit-in-handler", 10),
        ("forged", 139),
    ];
    every_kind(|case| {
        for (way, status) in ways {
            case.clone().args(["die", way]).differential().expect_status(status);
        }
    });
}

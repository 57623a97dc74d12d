//! Threads: each has its registers, whatever runs between. A kernel that is built for
//! tests makes them, because there is no clone(2) yet.

use trapgate::mitigation::{GuestCpu, Mitigations, Step};
use trapgate::{End, Kind, Sandbox};
use trapgate_tests::programs::bytes;
use trapgate_tests::{Home, case_elsewhere, needs_kvm, rounds, scale};

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

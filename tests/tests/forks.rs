//! Forked address spaces: who writes to a page that others have, too, gets a copy. A
//! kernel that is built for tests forks, because there is no fork(2) yet.

use trapgate::mitigation::{GuestCpu, Mitigations, Step};
use trapgate::{End, Sandbox};
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_tests::programs::bytes;
use trapgate_tests::{Home, counts_instructions, elsewhere, needs_kvm, rounds, scale};

/// The test images of the kernel.
const PLAIN: &str = "test-hook.plain";
const INSTRUMENTED: &str = "test-hook";

/// How often the processes do all that they do: the first time makes room, and is not
/// compared with another.
fn times() -> String {
    let (every, long) = scale((4, 200), (4, 100), (2, 10));
    rounds(every, long).to_string()
}

/// Runs the program with such a kernel, and answers what it has printed.
#[track_caller]
fn output(kernel: &str, program: &str, argument: &str, mitigations: Mitigations) -> String {
    // Each time it reads two pages.
    let times = argument.parse().unwrap_or(0);
    let input = vec![b'Z'; times * 2 * PAGE_SIZE as usize];
    let sandbox = Sandbox::builder().program_bytes(program, bytes(program)).args([argument]);
    let sandbox = sandbox.kernel(bytes(kernel)).mitigations(mitigations).stdin_bytes(input);
    let output = sandbox.build().expect("a sandbox").output().expect("an outcome");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.end, End::Exited(0), "{kernel} {program} {argument}:\n{text}");
    text
}

#[test]
fn three_processes_find_in_every_page_what_they_must_and_lose_no_frame() {
    needs_kvm!();
    output(PLAIN, "forks", &times(), Mitigations::NONE);
}

#[test]
fn so_do_processes_of_32_bit_code() {
    needs_kvm!();
    output(PLAIN, "forks.32", &times(), Mitigations::NONE);
}

#[test]
fn so_do_processes_with_page_tables_of_ring_3s_own_and_with_all_mitigation_steps() {
    needs_kvm!();
    let cpu = GuestCpu::of_this_host().expect("there is a KVM");
    let all = Step::ALL.into_iter().collect::<Mitigations>().available(&cpu);
    for mitigations in [Mitigations::NONE.with(Step::Pti), all] {
        output(INSTRUMENTED, "forks", "2", mitigations);
    }
    output(INSTRUMENTED, "forks.32", "2", Mitigations::NONE.with(Step::Pti));
}

/// Guest instructions of the first write to a page after a fork, and what a page that is
/// there adds to a fork, the end of what it made, and noticing that: what was reached, in
/// either rig. A page should come to 40 (counts.toml, fork-page).
const MOST: [(&str, u64); 2] = [("write", 930), ("page", 75)];

#[test]
fn a_write_after_a_fork_and_a_page_of_it_take_no_more_instructions_than_they_should() {
    needs_kvm!();
    if !counts_instructions() {
        return elsewhere(Home::CountingRig, "the time-stamp counter counts no instructions");
    }
    let text = output(PLAIN, "forks", "count", Mitigations::NONE);
    for (what, most) in MOST {
        let count = text.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix('='));
        let count: u64 = count.and_then(|count| count.parse().ok()).expect("a count");
        println!("{what}: {count}");
        assert!(count <= most, "{what}: {count} instructions, at most {most} were reached");
    }
}

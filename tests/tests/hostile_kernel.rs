//! The guest kernel itself fails, or has been taken over: the sandbox ends
//! with a report, and the VMM goes on.
//!
//! The kernel is the embedded one with a few bytes of getpid(2)'s handler
//! replaced; the program calls getpid through SYSCALL.

use std::time::Duration;
use trapgate::{End, Error, Outcome, Sandbox, Stdio};
use trapgate_abi::hypercall::PORT;
use trapgate_abi::layout::{Cpu, percpu};
use trapgate_tests::patch::kernel_with;
use trapgate_tests::programs::bytes;
use trapgate_tests::{Home, Place, elsewhere, needs_kvm, place};

const HANDLER: &str = "__x64_sys_getpid";

/// Longer than any of these takes that ends by itself.
const LONG: Duration = Duration::from_secs(5);

/// A run of a program that calls getpid, on that kernel.
fn run_with(code: &[u8], timeout: Duration) -> Result<Outcome, Error> {
    Sandbox::builder()
        .program_bytes("door-probe", bytes("door-probe").to_vec())
        .args(["syscall64"])
        .kernel(kernel_with(HANDLER, code))
        .timeout(timeout)
        .stdin(Stdio::Closed)
        .stdout(Stdio::Closed)
        .stderr(Stdio::Closed)
        .build()?
        .run()
}

/// The error's text, which must have each of `parts`.
fn assert_error(code: &[u8], parts: &[&str]) {
    match run_with(code, LONG) {
        Ok(outcome) => panic!("the run ended as if nothing had happened: {outcome:?}"),
        Err(error) => {
            let text = error.to_string();
            for part in parts {
                assert!(text.contains(part), "no {part:?} in:\n{text}");
            }
        }
    }
}

#[test]
fn the_kernel_as_it_is_passes() {
    needs_kvm!();
    let outcome = run_with(&[], LONG).expect("nothing was replaced");
    assert_eq!(outcome.end, End::Exited(0));
}

#[test]
fn an_invalid_instruction_in_ring_0_is_reported_with_symbols() {
    needs_kvm!();
    assert_error(
        &[0x0f, 0x0b],
        &["the guest kernel failed", "#UD", HANDLER, "trapgate_guest::entry"],
    );
}

#[test]
fn a_null_pointer_in_ring_0_is_reported_with_its_address() {
    needs_kvm!();
    let load_from_0 = [0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0];
    assert_error(&load_from_0, &["the guest kernel failed", "reading 0x0", HANDLER]);
}

#[test]
fn a_write_to_kernel_text_in_ring_0_faults() {
    needs_kvm!();
    // lea rax, [rip]; mov [rax], eax
    let write_to_self = [0x48, 0x8d, 0x05, 0, 0, 0, 0, 0x89, 0x00];
    assert_error(&write_to_self, &["the guest kernel failed", "writing 0xffffffff8", "protected"]);
}

#[test]
fn a_halt_in_ring_0_ends_the_sandbox_with_the_cpus_state() {
    needs_kvm!();
    assert_error(&[0xf4], &["halted", "rip", HANDLER]);
}

#[test]
fn a_port_without_a_device_ends_the_sandbox() {
    needs_kvm!();
    let out_to_com1 = [0xba, 0xf8, 0x03, 0, 0, 0xee];
    assert_error(&out_to_com1, &["I/O port 0x3f8"]);
}

#[test]
fn a_request_that_is_none_ends_the_sandbox() {
    needs_kvm!();
    let page = (Cpu::FIRST.area() + percpu::HOST_CALL).to_le_bytes();
    let mut code = vec![0x48, 0xb8]; // mov rax, page
    code.extend(page);
    code.extend([0x48, 0xc7, 0x00, 0xe7, 0x03, 0, 0]); // mov qword ptr [rax], 999
    code.push(0xba); // mov edx, PORT
    code.extend(u32::from(PORT).to_le_bytes());
    code.push(0xef); // out dx, eax
    assert_error(&code, &["a request that is none", "999"]);
}

/// A kernel that loops, its interrupt flag as it is or set.
fn assert_ended_by_the_timeout(code: &[u8]) {
    let outcome = run_with(code, Duration::from_millis(200)).expect("a timeout is an outcome");
    assert_eq!(outcome.end, End::TimedOut);
}

#[test]
fn a_kernel_that_never_returns_is_ended_by_the_timeout() {
    needs_kvm!();
    if matches!(place(), Place::Intel) {
        let why = "with interrupts off Bochs holds back the host's timer too";
        return elsewhere(Home::AmdRig, why);
    }
    assert_ended_by_the_timeout(&[0xeb, 0xfe]);
}

#[test]
fn a_kernel_that_never_returns_with_interrupts_on_is_ended_by_the_timeout() {
    needs_kvm!();
    assert_ended_by_the_timeout(&[0xfb, 0xeb, 0xfe]);
}

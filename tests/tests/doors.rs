//! The doors from ring 3 into the kernel, and how their calls are delivered.

use trapgate::machine::kvm::Kind;
use trapgate_tests::{Case, Place, needs_kvm, place, program, scale};

const SYSCALL: &str = "SYSCALL, 64-bit";
const INT80: &str = "INT 0x80, 64-bit";

/// Runs a program and expects that all its calls came by `door`, in the way
/// that this KVM delivers them: the CPU itself, or by exceptions.
#[track_caller]
fn delivered_by(door: &str, name: &str, hello: &str) {
    let program = program(name);
    let (ran, stats) = Case::new(&program).sandboxed_with_stats();
    ran.expect_status(0).expect_stdout(hello);
    ran.expect(ran.stderr.is_empty(), "nothing on stderr");
    let software = Kind::of_this_host() == Kind::Software;
    for found in stats["doors"].as_array().expect("an array of doors") {
        let used = found["name"] == door;
        let count = |key: &str| found[key].as_u64().expect("a count");
        let (native, trapped) = (count("native"), count("trapped"));
        // write and exit.
        let expected = match (used, software) {
            (false, _) => (0, 0),
            (true, false) => (2, 0),
            (true, true) => (0, 2),
        };
        let message = format!("calls by {}, native and trapped: {stats:#}", found["name"]);
        assert_eq!((native, trapped), expected, "{message}");
    }
    if place() != Place::Host {
        assert_eq!(stats["kvm"], scale("", "svm", "vmx"));
    }
}

#[test]
fn syscall_says_hello_and_its_delivery_is_counted() {
    needs_kvm!();
    delivered_by(SYSCALL, "hello-syscall", "Hello from ring 3 by SYSCALL.\n");
}

#[test]
fn int80_says_hello_and_its_delivery_is_counted() {
    needs_kvm!();
    delivered_by(INT80, "hello-int80", "Hello from ring 3 by INT 0x80.\n");
}

/// The program compares for itself; natively it shows that it is right.
#[track_caller]
fn holds_natively_and_sandboxed(name: &str) {
    let program = program(name);
    Case::new(&program).differential().expect_status(0);
}

#[test]
fn syscall_preserves_every_register_that_linux_preserves() {
    needs_kvm!();
    holds_natively_and_sandboxed("poison-syscall");
}

#[test]
fn int80_preserves_every_register_that_linux_preserves() {
    needs_kvm!();
    holds_natively_and_sandboxed("poison-int80");
}

#[test]
fn flags_come_back_as_they_were_by_both_doors() {
    needs_kvm!();
    holds_natively_and_sandboxed("flags");
}

#[test]
fn numbers_without_a_call_return_enosys_and_wide_arguments_are_cut() {
    needs_kvm!();
    holds_natively_and_sandboxed("dispatch");
}

#[test]
fn the_door_probe_finds_both_doors() {
    needs_kvm!();
    let program = program("door-probe");
    for (door, status) in [("syscall64", 0), ("int80", 0), ("none", 2)] {
        Case::new(&program).args([door]).differential().expect_status(status);
    }
}

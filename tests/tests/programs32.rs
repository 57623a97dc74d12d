//! 32-bit programs, unmodified: what they print and their status is byte for
//! byte as natively.

use trapgate::machine::kvm::Kind;
use trapgate_tests::{Case, Home, compiled, elsewhere, needs_kvm, program, scale};

/// Whether ring 3 runs 32-bit code with SSE: a software KVM interprets
/// compatibility mode, integer instructions only.
fn has_sse() -> bool {
    let hardware = Kind::of_this_host() != Kind::Software;
    if !hardware {
        elsewhere(Home::Rig, "this software KVM interprets 32-bit code, without SSE");
    }
    hardware
}

#[test]
fn a_32_bit_program_gets_its_arguments_and_calls_by_int80() {
    needs_kvm!();
    let Some(program) = compiled("plain.m32") else { return };
    let case = Case::new(&program).args(["one", "two words", ""]);
    case.differential().expect_status(4);
    let (_, stats) = case.sandboxed_with_stats();
    let door = stats["doors"].as_array().expect("doors").iter();
    let door = door.into_iter().find(|door| door["name"] == "INT 0x80, compat").expect("that door");
    let calls = (door["native"].as_u64(), door["trapped"].as_u64());
    let expected = match Kind::of_this_host() {
        Kind::Software => (Some(0), Some(5)),
        _ => (Some(5), Some(0)),
    };
    assert_eq!(calls, expected, "native and trapped calls");
}

#[test]
fn c_programs_for_i386_are_as_natively() {
    needs_kvm!();
    if !has_sse() {
        return;
    }
    if let Some(hello) = compiled("hello.m32") {
        Case::new(&hello).args(["pear", "fig"]).env("NAME", "value").differential();
    }
    if let Some(stdio) = compiled("stdio.m32") {
        let input = "three words here\n".repeat(scale(2000, 500, 100));
        for mode in ["lines", "bytes", "words"] {
            Case::new(&stdio).args([mode]).stdin_bytes(&input).differential().expect_status(0);
        }
    }
    if let Some(malloc) = compiled("malloc-stress.m32") {
        Case::new(&malloc).args([scale("20000", "5000", "500")]).differential().expect_status(0);
    }
    if let Some(abort) = compiled("abort.m32") {
        Case::new(&abort).differential().expect_status(134).expect_in_stderr("SIGABRT");
    }
}

#[test]
fn an_instruction_that_32_bit_code_lacks_on_a_software_kvm_is_explained() {
    needs_kvm!();
    const WHY: &str = "this software KVM interprets 32-bit code";
    let program = program("beyond-integers.32");
    for instruction in ["xgetbv", "sse", "avx", "ud2"] {
        let case = Case::new(&program).args([instruction]);
        let native = case.native();
        let sandboxed = case.sandboxed();
        let explained = Kind::of_this_host() == Kind::Software && sandboxed.status != native.status;
        sandboxed.expect_status(if explained { 132 } else { native.status });
        let lines = sandboxed.stderr_text().lines().filter(|line| line.contains(WHY)).count();
        sandboxed.expect(lines == usize::from(explained), "why, in one line, if it is so");
    }
}

#[test]
fn rust_with_its_standard_library_for_i686_is_as_natively() {
    needs_kvm!();
    if !has_sse() {
        return;
    }
    let Some(program) = compiled("hello.std32") else { return };
    let case = Case::new(&program);
    case.clone().args(["a", "b"]).differential();
    case.clone().args(["lines"]).stdin_bytes("one\ntwo\n").differential().expect_status(0);
    case.args(["exit", "7"]).differential().expect_status(7);
}

//! What a hostile program tries on the kernel: at worst it ends itself, as on
//! Linux, and never the kernel.

use trapgate_tests::{Case, needs_kvm, takes_long};
use trapgate_tests::{Program, compiled};

fn attacks() -> Option<Program> {
    compiled("attacks.gcc")
}

#[test]
fn a_stack_segment_that_goes_away_is_the_programs_sigsegv() {
    needs_kvm!();
    takes_long!();
    let Some(program) = attacks() else { return };
    let sandboxed = Case::new(&program).args(["stack-segment"]).sandboxed();
    sandboxed.expect_status(128 + 11);
}

#[test]
fn syscall_from_compatibility_mode_reaches_no_kernel_memory() {
    needs_kvm!();
    let Some(program) = attacks() else { return };
    let ran = Case::new(&program).args(["compat-syscall"]).differential();
    // Where the CPU has that door (AMD), the call returns to the landing pad in
    // the 64-bit vDSO, which 32-bit code cannot reach; else SIGILL.
    ran.expect(matches!(ran.status, 139 | 132), "SIGSEGV or SIGILL");
}

#[test]
fn page_tables_go_back_with_what_they_mapped() {
    needs_kvm!();
    takes_long!();
    let Some(program) = attacks() else { return };
    let ran = Case::new(&program).args(["page-tables"]).options(["--memory", "4M"]).sandboxed();
    ran.expect_status(0);
}

#[test]
fn moving_a_sparse_mapping_costs_what_was_touched() {
    needs_kvm!();
    takes_long!();
    let Some(program) = attacks() else { return };
    Case::new(&program).args(["sparse-mremap"]).differential().expect_status(0);
}

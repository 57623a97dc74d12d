//! What threads have of the CPU: how much, how soon, and how that is told.

use trapgate::Kind;
use trapgate_tests::programs::C_KINDS;
use trapgate_tests::{Case, Home, case_elsewhere, compiled, needs_kvm};

/// The C program in every way that it was made, for 32 bits, too, where those run.
fn every_c(check: impl Fn(Case)) {
    for kind in C_KINDS.into_iter().chain(["m32"]) {
        if kind == "m32" && Kind::of_this_host() == Kind::Software {
            case_elsewhere("32 bits", Home::Rig, "a software KVM interprets them, without SSE");
            continue;
        }
        if let Some(program) = compiled(&format!("shares.{kind}")) {
            check(Case::new(&program));
        }
    }
}

#[test]
fn cpu_time_is_what_threads_computed_and_is_told_as_natively() {
    needs_kvm!();
    every_c(|case| {
        case.args(["clocks"]).differential().expect_status(0);
    });
}

#[test]
fn who_wakes_runs_soon_while_one_or_four_compute() {
    needs_kvm!();
    let Some(program) = compiled("shares.musl") else { return };
    for count in ["1", "4"] {
        let ran = Case::new(&program).args(["spinners", count]).sandboxed();
        ran.expect_status(0).expect_stdout("in time\n");
    }
}

#[test]
fn a_nicer_thread_has_less_of_the_cpu() {
    needs_kvm!();
    let Some(program) = compiled("shares.musl") else { return };
    let ran = Case::new(&program).args(["nice"]).sandboxed();
    ran.expect_status(0).expect_stdout("as nice as they are\n");
}

#[test]
fn a_process_ends_at_its_limit_of_cpu_time_as_natively() {
    needs_kvm!();
    let Some(program) = compiled("shares.musl") else { return };
    let with = |argument| Case::new(&program).args([argument]);
    with("limit").differential().expect_status(152);
    with("hard").differential().expect_status(137);
}

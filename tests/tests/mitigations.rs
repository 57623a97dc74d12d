//! Mitigation steps: whatever of them are on the way, programs notice nothing.

use trapgate::boot::kernel::{INSTRUMENTED, PLAIN};
use trapgate::mitigation::{GuestCpu, Mitigations, Step};
use trapgate::{End, Error, Kind, Sandbox, Stdio};
use trapgate_abi::stamps::Record;
use trapgate_measure::doctor::try_doors;
use trapgate_tests::programs::{bytes, compiled};
use trapgate_tests::{Case, Home, Program, case_elsewhere, needs_kvm, program, scale, takes_long};
use trapgate_uapi::syscall::nr64;

/// Every step that this guest's CPU can have, alone, and all of them together.
fn sets() -> Vec<Mitigations> {
    let cpu = GuestCpu::of_this_host().expect("there is a KVM");
    let all = Step::ALL.into_iter().collect::<Mitigations>().available(&cpu);
    assert!(all.has(Step::Pti) && all.has(Step::Retpoline), "{all}");
    let alone = all.iter().map(|step| Mitigations::NONE.with(step));
    alone.chain([all]).collect()
}

/// Runs a program natively once, and with each set of steps.
#[track_caller]
fn same_with_each(programs: &[Program], sets: &[Mitigations]) {
    for program in programs {
        let case = Case::new(program);
        let native = case.native();
        for set in sets {
            let steps = set.to_string();
            let ran = case.clone().options(["--mitigations", &steps]).sandboxed();
            ran.expect_status(native.status).expect_stdout(&native.stdout);
        }
    }
}

#[test]
fn with_each_step_every_register_and_flag_comes_back_and_every_number_is_answered() {
    needs_kvm!();
    let cpu = GuestCpu::of_this_host().expect("there is a KVM");
    for step in Step::ALL {
        if let Err(absent) = cpu.check(step) {
            case_elsewhere(step.name(), Home::OtherCpu, &absent.to_string());
        }
    }
    let programs = ["poison-syscall", "poison-int80", "flags", "dispatch"].map(program);
    same_with_each(&programs, &sets());
}

#[test]
fn with_all_steps_memory_comes_and_goes_faults_are_served_and_vectors_survive() {
    needs_kvm!();
    let sets = sets();
    let all = sets.last().expect("there is one");
    let mut programs = vec!["memory", "usermem", "identity", "files"];
    programs.extend(scale(&["fpu"][..], &["fpu"], &[]));
    let programs: Vec<_> = programs.into_iter().map(program).collect();
    let pti = Mitigations::NONE.with(Step::Pti);
    same_with_each(&programs, &[pti, *all]);
}

#[test]
fn with_all_steps_a_mistake_ends_the_program_as_natively() {
    needs_kvm!();
    let (sets, crash) = (sets(), program("crash"));
    let all = sets.last().expect("there is one").to_string();
    let mistakes = ["null-read", "read-kernel", "jump-kernel", "int-n", "ud2", "single-step"];
    for mistake in mistakes.into_iter().chain(["misaligned", "noncanonical-stack"]) {
        let case = Case::new(&crash).args([mistake]).options(["--mitigations", &all]);
        case.differential();
    }
}

#[test]
fn with_all_steps_attacks_end_as_without() {
    needs_kvm!();
    takes_long!();
    let Some(attacks) = compiled("attacks.gcc") else { return };
    let sets = sets();
    let all = sets.last().expect("there is one").to_string();
    for attack in ["stack-segment", "compat-syscall", "page-tables", "sparse-mremap"] {
        let plain = Case::new(&attacks).args([attack]).options(["--memory", "16M"]);
        let expected = plain.sandboxed().status;
        plain.options(["--mitigations", &all]).sandboxed().expect_status(expected);
    }
}

#[test]
fn with_each_step_every_door_is_delivered_as_without() {
    needs_kvm!();
    let plain = try_doors(Mitigations::NONE);
    for set in sets() {
        for (hardened, plain) in try_doors(set).iter().zip(&plain) {
            assert_eq!(hardened.delivery, plain.delivery, "{}, with {set}", plain.door);
        }
    }
}

#[test]
fn with_all_steps_32_bit_and_c_programs_are_as_natively() {
    needs_kvm!();
    let sets = sets();
    let all = sets.last().expect("there is one").to_string();
    for name in ["plain.m32", "hello.musl"] {
        let Some(program) = compiled(name) else { continue };
        Case::new(&program).args(["a", "b"]).options(["--mitigations", &all]).differential();
    }
}

#[test]
fn with_each_step_calls_are_stamped() {
    needs_kvm!();
    for set in sets() {
        let sandbox = Sandbox::builder().program_bytes("hello", bytes("hello-syscall"));
        let sandbox = sandbox.stdout(Stdio::Null).stamps(8).mitigations(set);
        let outcome = sandbox.build().expect("a sandbox").run().expect("an outcome");
        assert_eq!(outcome.end, End::Exited(0), "{set}");
        if Kind::of_this_host() == Kind::Software {
            assert!(outcome.stamps.is_empty(), "the CPU never comes to the door");
            continue;
        }
        // It writes; its second call does not come back.
        let [write] = outcome.stamps[..] else { panic!("{set}: {:?}", outcome.stamps) };
        assert_eq!(write.number, nr64::WRITE, "{set}");
        let Record { entered, framed, found, handled, settled, leaving, .. } = write;
        let stamps = [entered, framed, found, handled, settled, leaving];
        let in_order = |pair: &[u32]| pair[1].wrapping_sub(pair[0]) as i32 > 0;
        assert!(stamps.windows(2).all(in_order), "{set}: {write:?}");
    }
}

#[test]
fn with_stamps_and_all_steps_every_register_and_flag_comes_back() {
    needs_kvm!();
    let all = *sets().last().expect("there is one");
    for name in ["poison-syscall", "flags"] {
        for steps in [Mitigations::NONE, all] {
            // More calls than there is room for.
            let sandbox = Sandbox::builder().program_bytes(name, bytes(name)).stdout(Stdio::Null);
            let sandbox = sandbox.stamps(3).mitigations(steps).build().expect("a sandbox");
            let outcome = sandbox.run().expect("an outcome");
            assert_eq!(outcome.end, End::Exited(0), "{name} with {steps}");
            if Kind::of_this_host() != Kind::Software && name == "poison-syscall" {
                assert_eq!(outcome.stamps.len(), 3, "{name} with {steps}");
            }
        }
    }
}

#[test]
fn a_plain_image_of_somebody_elses_is_refused_where_there_are_steps_or_stamps() {
    needs_kvm!();
    let sandbox = || Sandbox::builder().program_bytes("hello", bytes("hello-syscall"));
    let pti = Mitigations::NONE.with(Step::Pti);
    for wanted in [sandbox().mitigations(pti), sandbox().stamps(1)] {
        let refused = wanted.kernel(PLAIN).build().err();
        assert!(matches!(refused, Some(Error::Uninstrumented)), "{refused:?}");
    }
    // The other is good for every run.
    for wanted in [sandbox().mitigations(pti), sandbox().stamps(1), sandbox()] {
        let outcome = wanted.kernel(INSTRUMENTED).stdout(Stdio::Null).build().expect("a sandbox");
        assert_eq!(outcome.run().expect("an outcome").end, End::Exited(0));
    }
}

#[test]
fn steps_that_are_none_or_cannot_be_are_refused_in_one_line() {
    needs_kvm!();
    let cpu = GuestCpu::of_this_host().expect("there is a KVM");
    let absent = Step::ALL.into_iter().find(|step| cpu.check(*step).is_err());
    let hello = Program::new("hello", bytes("hello-syscall"));
    if let Some(step) = absent {
        let case = Case::new(&hello).options(["--mitigations", step.name()]);
        case.sandboxed().is_refusal(125).expect("a refusal");
    }
    let ran = Case::new(&hello).options(["--mitigations", "pti,ptl"]).sandboxed();
    ran.expect_in_stderr("'ptl' is no mitigation step");
    assert_ne!(ran.status, 0);
}

//! Legacy protected mode: which doors are there, what they cost in instructions,
//! and how it goes wrong.

use std::time::Duration;
use trapgate::Error;
use trapgate::doors::{Door, Instruction, Mode};
use trapgate::machine::kvm::{Kind, Maker};
use trapgate_measure::doors::Delivery;
use trapgate_measure::jobs::legacy::{Report, measure};
use trapgate_measure::jobs::{Batch, Measured, Options, Sample};
use trapgate_tests::patch::{kernel_with, kernel_with_instead};
use trapgate_tests::{Home, counts_instructions, elsewhere, needs_kvm};

/// Few calls: enough for a minimum that no timer tick has touched.
fn options() -> Options {
    Options {
        samples: 20,
        batches: 8,
        calls_per_batch: 1_000,
        timeout: Duration::from_secs(30),
        ..Options::default()
    }
}

fn measured(instruction: Instruction) -> Report {
    measure(instruction, &options()).expect("a measurement has a result")
}

/// A door that the CPU's maker does not have.
fn absent() -> Delivery {
    let why = format!("{} has no such door: #UD", Maker::of_this_cpu());
    Delivery::Absent { why }
}

/// The reason why a door failed.
#[track_caller]
fn failed(report: &Report) -> &str {
    let Measured { delivery, samples, batches, .. } = &report.measured;
    match delivery {
        Delivery::Failed { why } => {
            assert!(!why.contains('\n'), "more than one line: {why}");
            assert!(samples.is_empty() && batches.is_empty(), "{report:?}");
            why
        }
        other => panic!("expected that it failed, and it is {other:?}"),
    }
}

/// Whether legacy mode can run here; if not, that is said.
fn legacy_mode_runs() -> bool {
    let runs = Kind::of_this_host() != Kind::Software;
    if !runs {
        elsewhere(Home::Rig, "a software KVM cannot enter ring 3 of legacy mode");
    }
    runs
}

#[test]
fn each_door_arrives_as_the_cpus_maker_says_or_the_kvm_says_that_it_cannot() {
    needs_kvm!();
    for instruction in [Instruction::Int80, Instruction::Sysenter, Instruction::Syscall] {
        let report = measured(instruction);
        let door = Door { instruction, mode: Mode::Legacy };
        assert_eq!((report.door, report.paging), (door, "off"));
        let expected = match (Kind::of_this_host(), instruction) {
            (Kind::Software, _) => {
                let reason = failed(&report);
                assert!(reason.contains("KVM_EXIT_INTERNAL_ERROR, suberror 1"), "{reason}");
                continue;
            }
            // #UD: Intel has SYSCALL in 64-bit mode only.
            (Kind::Vmx, Instruction::Syscall) => absent(),
            _ => Delivery::Native,
        };
        assert_eq!(report.measured.delivery, expected, "{door}");
        let native = expected == Delivery::Native;
        let counts = if native { (20, 8, 1_000) } else { (0, 0, 0) };
        let Measured { samples, batches, calls_per_batch, .. } = &report.measured;
        assert_eq!((samples.len(), batches.len(), *calls_per_batch), counts, "{door}");
        assert!(samples.iter().all(|sample| sample.ticks > 0), "{report:?}");
        assert!(batches.iter().all(|batch| batch.ticks > 0), "{report:?}");
    }
}

#[test]
fn a_call_and_its_loop_are_exactly_as_many_instructions_as_they_are() {
    needs_kvm!();
    if !counts_instructions() {
        return elsewhere(Home::CountingRig, "the time-stamp counter counts no instructions");
    }
    // The loop of three included, of which one is ring 0's.
    for (instruction, instructions) in
        [(Instruction::Int80, 5), (Instruction::Sysenter, 7), (Instruction::Syscall, 5)]
    {
        let Report { door: name, measured, .. } = measured(instruction);
        let Measured { delivery, samples, batches, calls_per_batch } = measured;
        if (Kind::of_this_host(), instruction) == (Kind::Vmx, Instruction::Syscall) {
            assert_eq!(delivery, absent());
            continue;
        }
        assert_eq!(delivery, Delivery::Native);
        // Around a batch: two LFENCE, RDTSC, and three MOV.
        let around = 6;
        let with = batches.iter().map(|batch: &Batch| batch.ticks).min();
        let without = batches.iter().map(|batch: &Batch| batch.empty_ticks).min();
        assert_eq!(with, Some(instructions * calls_per_batch + around), "{name}: {batches:?}");
        assert_eq!(without, Some(3 * calls_per_batch + around), "{name}: {batches:?}");
        // Around a single call: two LFENCE, RDTSC, one MOV; and no DEC and JNZ.
        let with = samples.iter().map(|sample: &Sample| sample.ticks).min();
        let without = samples.iter().map(|sample: &Sample| sample.empty_ticks).min();
        assert_eq!(with, Some(instructions as u32 - 2 + 4), "{name}: {samples:?}");
        // And ring 0's MOV, as in the empty loop.
        assert_eq!(without, Some(5), "{name}: {samples:?}");
    }
}

#[test]
fn as_many_calls_are_measured_as_were_asked_for_and_no_more() {
    needs_kvm!();
    if !legacy_mode_runs() {
        return;
    }
    let few = Options { samples: 1, batches: 1, calls_per_batch: 1, ..options() };
    let Measured { samples, batches, calls_per_batch, .. } =
        measure(Instruction::Int80, &few).expect("a result").measured;
    assert_eq!((samples.len(), batches.len(), calls_per_batch), (1, 1, 1));
    for bad in [Options { samples: 0, ..few.clone() }, Options { batches: u64::MAX, ..few }] {
        assert!(matches!(measure(Instruction::Int80, &bad), Err(Error::Amount { .. })), "{bad:?}");
    }
}

/// Measures with a kernel of another kind.
fn with_kernel(kernel: Vec<u8>) -> Result<Report, Error> {
    let timeout = Duration::from_secs(5);
    measure(Instruction::Int80, &Options { kernel: kernel.into(), timeout, ..options() })
}

#[test]
fn a_register_that_does_not_come_back_is_the_kernels_failure() {
    needs_kvm!();
    if !legacy_mode_runs() {
        return;
    }
    // mov ds, eax: left out.
    let kernel = kernel_with_instead("legacy6switch4back", &[0x8e, 0xd8], &[0x90, 0x90]);
    let error = with_kernel(kernel).expect_err("the kernel compares");
    let text = error.to_string();
    assert!(text.contains("DS is not what it was before"), "{text}");
}

#[test]
fn an_exception_before_legacy_mode_is_reported_by_the_kernel() {
    needs_kvm!();
    // ud2: compatibility mode, the kernel's own IDT. The upper half of RSP is
    // undefined there: where the CPU has cleared it, this is #DF.
    let error = with_kernel(kernel_with("legacy_enter", &[0x0f, 0x0b]));
    let text = error.expect_err("the kernel failed").to_string();
    for part in ["the guest kernel failed", "cs 20"] {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

#[test]
fn an_exception_in_ring_0_of_legacy_mode_ends_the_attempt_with_its_name() {
    needs_kvm!();
    if !legacy_mode_runs() {
        return;
    }
    let report = with_kernel(kernel_with("legacy_int80", &[0x0f, 0x0b]));
    let report = report.expect("an exception is a result");
    let reason = failed(&report);
    assert!(reason.starts_with("#UD in ring 0 of legacy mode, at 0x"), "{reason}");
}

#[test]
fn ring_3_of_legacy_mode_that_misbehaves_ends_the_attempt() {
    needs_kvm!();
    if !legacy_mode_runs() {
        return;
    }
    // OUT to the port of requests: ring 3 has no port here either.
    let out = [0xba, 0x7e, 0x7a, 0, 0, 0xef];
    let report = with_kernel(kernel_with("legacy_ring3_int80", &out));
    let report = report.expect("an exception is a result");
    let reason = failed(&report);
    assert!(reason.starts_with("#GP in ring 3 of legacy mode"), "{reason}");
}

#[test]
fn a_door_that_leads_nowhere_is_not_native() {
    needs_kvm!();
    if !legacy_mode_runs() {
        return;
    }
    // xor eax, eax: ring 0 does not answer with its segment.
    let report = with_kernel(kernel_with("legacy_int80", &[0x31, 0xc0]));
    let report = report.expect("a result");
    assert_eq!(failed(&report), "the first call did not come back as it should");
}

#[test]
fn a_triple_fault_in_legacy_mode_is_one_line() {
    needs_kvm!();
    if !legacy_mode_runs() {
        return;
    }
    // lidt [0], where there are zeroes: no exception has a gate; ud2.
    let no_gates = [0x0f, 0x01, 0x1d, 0, 0, 0, 0, 0x0f, 0x0b];
    let kernel = kernel_with("legacy_leave", &no_gates);
    let report = with_kernel(kernel).expect("a result");
    let reason = failed(&report);
    assert!(reason.contains("KVM_EXIT_SHUTDOWN"), "{reason}");
}

#[test]
fn ring_3_of_legacy_mode_that_never_ends_is_ended_by_the_timeout() {
    needs_kvm!();
    if !legacy_mode_runs() {
        return;
    }
    let kernel = kernel_with("legacy_ring3_int80", &[0xeb, 0xfe]);
    let timeout = Duration::from_millis(300);
    let options = Options { kernel: kernel.into(), timeout, ..options() };
    let report = measure(Instruction::Int80, &options).expect("a result");
    assert_eq!(failed(&report), "it hung for 300ms");
}

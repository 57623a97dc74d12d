//! Jobs: bare round trips, ways out of the VM, the steps of a call. What arrives
//! how, what it costs in instructions, and how it goes wrong.

use std::mem::offset_of;
use std::time::Duration;
use trapgate::machine::kvm::{Kind, Maker};
use trapgate::{Error, Mitigations};
use trapgate_abi::bench::Operation;
use trapgate_abi::boot_info::BootInfo;
use trapgate_abi::hypercall::{MESSAGE_WORDS, PORT, Request};
use trapgate_abi::job::{self, NO_EXCEPTION, phase};
use trapgate_abi::layout::{Cpu, DIRECT_MAP, percpu};
use trapgate_measure::bench::measure::count::{Call, instructions_of_call};
use trapgate_measure::bench::measure::probe::Width;
use trapgate_measure::bench::measure::steps;
use trapgate_measure::doors::Delivery;
use trapgate_measure::jobs::bare::{self, RoundTrip};
use trapgate_measure::jobs::exits::{self, ExitKind};
use trapgate_measure::jobs::{Measured, Options, Sample};
use trapgate_tests::patch::kernel_with;
use trapgate_tests::{Home, counts_instructions, elsewhere, needs_kvm};

/// Few calls: enough for a minimum that no timer tick has touched.
fn options() -> Options {
    Options {
        samples: 20,
        batches: 4,
        calls_per_batch: 100,
        timeout: Duration::from_secs(30),
        ..Options::default()
    }
}

/// With a kernel of another kind.
fn with(kernel: Vec<u8>) -> Options {
    Options { kernel: kernel.into(), timeout: Duration::from_secs(5), ..options() }
}

fn software() -> bool {
    Kind::of_this_host() == Kind::Software
}

/// Figures are there if they should be, as many as were asked for.
#[track_caller]
fn expect_figures(name: &str, measured: &Measured) {
    let Measured { delivery, samples, batches, calls_per_batch } = measured;
    let there = matches!(delivery, Delivery::Native | Delivery::Trapped { .. });
    let counts = if there { (20, 4, 100) } else { (0, 0, 0) };
    assert_eq!((samples.len(), batches.len(), *calls_per_batch), counts, "{name}");
    if there {
        // The least of them: a tick of the host's timer may be in any other.
        let call = samples.iter().map(|sample| sample.ticks).min();
        let empty = samples.iter().map(|sample| sample.empty_ticks).min();
        assert!(call > empty, "{name}: {samples:?}");
        let calls = batches.iter().map(|batch| batch.ticks).min();
        let empty = batches.iter().map(|batch| batch.empty_ticks).min();
        assert!(calls > empty, "{name}: {batches:?}");
    }
    assert!(!delivery.why().is_some_and(|why| why.contains('\n')), "{delivery:?}");
}

#[test]
fn each_round_trip_arrives_as_the_cpus_maker_says_or_the_kvm_says_why_not() {
    needs_kvm!();
    for trip in RoundTrip::ALL {
        let measured = bare::measure(trip, &options()).expect("a result");
        let expected = match trip {
            RoundTrip::Sysenter if Maker::of_this_cpu() == Maker::Amd => "absent",
            _ if !software() => "native",
            // What comes as an exception anyway.
            RoundTrip::Int3 | RoundTrip::InvalidOpcode | RoundTrip::PageFault => "trapped",
            _ => "failed",
        };
        assert_eq!(measured.delivery.word(), expected, "{trip}: {:?}", measured.delivery);
        expect_figures(&trip.to_string(), &measured);
    }
}

#[test]
fn a_round_trip_is_exactly_as_many_instructions_as_it_is() {
    needs_kvm!();
    if !counts_instructions() {
        return elsewhere(Home::CountingRig, "the time-stamp counter counts no instructions");
    }
    // Bochs counts an instruction that faults, QEMU does not.
    let fault = u64::from(Kind::of_this_host() == Kind::Vmx);
    // The loop of three included, of which one is ring 0's.
    for (trip, instructions) in [
        (RoundTrip::Syscall, 5),
        (RoundTrip::Sysenter, 7),
        (RoundTrip::Int80, 5),
        (RoundTrip::Int3, 5),
        (RoundTrip::PageFault, 6 + fault),
        (RoundTrip::CallGate, 5),
    ] {
        let Measured { delivery, samples, batches, calls_per_batch } =
            bare::measure(trip, &options()).expect("a result");
        if let Delivery::Absent { .. } = delivery {
            assert_eq!(trip, RoundTrip::Sysenter);
            continue;
        }
        // Around a batch: two LFENCE, RDTSC, and three MOV.
        let around = 6;
        let calls = batches.iter().map(|batch| batch.ticks).min();
        assert_eq!(calls, Some(instructions * calls_per_batch + around), "{trip}: {batches:?}");
        let empty = batches.iter().map(|batch| batch.empty_ticks).min();
        assert_eq!(empty, Some(3 * calls_per_batch + around), "{trip}: {batches:?}");
        // Around a single call: two LFENCE, RDTSC, one MOV; and no DEC and JNZ.
        let call = samples.iter().map(|sample| sample.ticks).min();
        assert_eq!(call, Some(instructions as u32 - 2 + 4), "{trip}: {samples:?}");
        let empty = samples.iter().map(|sample| sample.empty_ticks).min();
        // And ring 0's MOV, as in the empty loop.
        assert_eq!(empty, Some(5), "{trip}: {samples:?}");
    }
}

#[test]
fn every_way_out_of_the_vm_is_answered_and_a_software_kvms_are_not_called_native() {
    needs_kvm!();
    for exit in ExitKind::ALL {
        let measured = exits::measure(exit, &options()).expect("a result");
        let expected = match exit {
            _ if !software() => "native",
            ExitKind::Hypercall => "absent",
            _ => "trapped",
        };
        assert_eq!(measured.delivery.word(), expected, "{exit}: {:?}", measured.delivery);
        expect_figures(&exit.to_string(), &measured);
    }
}

#[test]
fn what_is_answered_in_the_vmm_costs_more_than_what_is_answered_in_kvm() {
    needs_kvm!();
    if !counts_instructions() {
        return elsewhere(Home::CountingRig, "the time-stamp counter counts no instructions");
    }
    let instructions = |exit| {
        let Measured { samples, .. } = exits::measure(exit, &options()).expect("a result");
        samples.iter().map(|Sample { ticks, empty_ticks }| ticks - empty_ticks).min().unwrap()
    };
    let [out, null, cpuid] =
        [ExitKind::PortWrite, ExitKind::NullRequest, ExitKind::Cpuid].map(instructions);
    assert!(cpuid < out && out < null, "CPUID {cpuid}, OUT {out}, null request {null}");
}

#[test]
fn amounts_that_nobody_can_measure_are_refused() {
    needs_kvm!();
    for bad in [Options { samples: 0, ..options() }, Options { batches: u64::MAX, ..options() }] {
        let error = exits::measure(ExitKind::Cpuid, &bad).expect_err("no amount");
        assert!(matches!(error, Error::Amount { .. }), "{error}");
    }
}

/// The error of a bare round trip by UD2, which every KVM delivers, with this
/// code for its handler.
#[track_caller]
fn handler_ends_with(code: &[u8], expected: &str) {
    let kernel = kernel_with("bare_invalid_opcode17h", code);
    let error = bare::measure(RoundTrip::InvalidOpcode, &with(kernel)).expect_err("it ended");
    assert!(error.to_string().contains(expected), "no {expected:?} in:\n{error}");
}

#[test]
fn exits_that_are_not_measured_end_the_vm_as_ever() {
    needs_kvm!();
    let [low, high] = job::PORT.to_le_bytes();
    // mov edx, PORT; out dx, eax
    handler_ends_with(&[0xba, low, high, 0, 0, 0xef], "I/O port 0x7a7f");
    handler_ends_with(&[0xf4], "halted");
}

#[test]
fn a_handler_that_answers_wrongly_or_faults_is_a_failure_with_its_reason() {
    needs_kvm!();
    // xor eax, eax; nop: ring 0 does not answer with its segment.
    for (code, expected) in [
        (&[0x31, 0xc0][..], "the first call did not come back as it should"),
        (&[0x0f, 0x0b][..], "in ring 0 of 64-bit mode, at 0xffffffff8"),
    ] {
        let kernel = kernel_with("bare_page_fault17h", code);
        let measured = bare::measure(RoundTrip::PageFault, &with(kernel)).expect("a result");
        let Delivery::Failed { why } = &measured.delivery else { panic!("{measured:?}") };
        assert!(why.contains(expected), "{why}");
        expect_figures("a wrong handler", &measured);
    }
}

/// A kernel that does this instead of anything else. RDI = the BootInfo.
fn instead(code: &[u8]) -> Options {
    with(kernel_with("5start5start17h", code))
}

#[test]
fn more_exits_than_were_asked_for_end_the_vm() {
    needs_kvm!();
    let [low, high] = job::PORT.to_le_bytes();
    // mov edx, PORT; 2: out dx, eax; jmp 2b
    let forever = instead(&[0xba, low, high, 0, 0, 0xef, 0xeb, 0xfd]);
    let error = exits::measure(ExitKind::PortWrite, &forever).expect_err("it is ended");
    assert!(error.to_string().contains("I/O port 0x7a7f"), "{error}");
    // The right exit of another job.
    let error = exits::measure(ExitKind::Halt, &forever).expect_err("it is ended");
    assert!(error.to_string().contains("I/O port 0x7a7f"), "{error}");
}

/// Fills the results with ones but for these words of the Answer, and exits.
fn claims(answer: &[(u8, i32)]) -> Options {
    let results = (offset_of!(BootInfo, job) + offset_of!(job::Request, results)) as u32;
    let mut code = vec![0x48, 0x8b, 0xbf]; // mov rdi, [rdi + results]
    code.extend(results.to_le_bytes());
    code.extend([0x48, 0xb8]); // mov rax, DIRECT_MAP
    code.extend(DIRECT_MAP.to_le_bytes());
    code.extend([0x48, 0x01, 0xc7, 0x48, 0x89, 0xfe]); // add rdi, rax; mov rsi, rdi
    code.extend([0x48, 0xc7, 0xc0, 0xff, 0xff, 0xff, 0xff]); // mov rax, -1
    code.extend([0xb9, 0, 1, 0, 0, 0xf3, 0x48, 0xab]); // mov ecx, 256; rep stosq
    for (word, value) in answer {
        code.extend([0x48, 0xc7, 0x46, 8 * word]); // mov qword ptr [rsi + 8 * word], value
        code.extend(value.to_le_bytes());
    }
    let mut message = [0; MESSAGE_WORDS];
    Request::Exit { status: 0 }.encode(&mut message);
    assert!(message[1..].iter().all(|word| *word == 0), "the page holds zeroes");
    code.extend([0x48, 0xbf]); // mov rdi, the host call page
    code.extend((Cpu::FIRST.area() + percpu::HOST_CALL).to_le_bytes());
    code.extend([0x48, 0xc7, 0x07]); // mov qword ptr [rdi], Exit
    code.extend((message[0] as u32).to_le_bytes());
    code.push(0xba); // mov edx, PORT
    code.extend(u32::from(PORT).to_le_bytes());
    code.push(0xef); // out dx, eax
    instead(&code)
}

#[test]
fn nonsense_in_the_results_is_a_failure_or_as_many_figures_as_were_asked_for() {
    needs_kvm!();
    let measured = bare::measure(RoundTrip::Int3, &claims(&[])).expect("a result");
    let why = "the guest kernel's answer makes no sense".to_owned();
    assert_eq!(measured.delivery, Delivery::Failed { why });
    assert_eq!(NO_EXCEPTION, u64::MAX);
    let done = [(0, phase::DONE as i32), (5, 1)];
    let measured = bare::measure(RoundTrip::Int3, &claims(&done)).expect("a result");
    assert_eq!((measured.samples.len(), measured.batches.len()), (20, 4));
    let nonsense = Sample { ticks: u32::MAX, empty_ticks: u32::MAX };
    assert!(measured.samples.iter().all(|sample| *sample == nonsense));
    let unknown = [(0, phase::TRYING as i32), (1, 200), (4, 3)];
    let measured = bare::measure(RoundTrip::Int3, &claims(&unknown)).expect("a result");
    let why = measured.delivery.why().expect("a reason");
    assert!(why.starts_with("exception 200 in ring 3 of 64-bit mode"), "{why}");
}

#[test]
fn exits_that_never_came_to_the_vmm_are_not_believed() {
    needs_kvm!();
    let done = claims(&[(0, phase::DONE as i32), (5, 1)]);
    for exit in [ExitKind::PortWrite, ExitKind::NullRequest] {
        let measured = exits::measure(exit, &done).expect("a result");
        let why = "of 421 exits that the guest kernel made, 0 came here".to_owned();
        assert_eq!(measured.delivery, Delivery::Failed { why }, "{exit}");
        expect_figures("a lie", &measured);
    }
}

#[test]
fn the_steps_of_a_call_are_stamped_where_the_cpu_comes_to_the_door() {
    needs_kvm!();
    let options = steps::Options { samples: 50, warm_up: 10, cpu: 0, rdtscp: false };
    let steps = steps::measure(&options).expect("a result");
    if software() {
        assert_eq!(steps.delivery.word(), "absent");
        assert!(steps.calls.is_empty() && steps.stamped.is_empty() && steps.plain.is_empty());
        return;
    }
    assert_eq!(steps.delivery, Delivery::Native);
    assert_eq!((steps.calls.len(), steps.stamped.len(), steps.plain.len()), (50, 50, 50));
    for (call, bracket) in steps.calls.iter().zip(&steps.stamped) {
        // None is negative, that is: huge.
        assert!(call.iter().all(|step| *step <= bracket.ticks), "{call:?} in {bracket:?}");
    }
    if counts_instructions() {
        // No tick of a timer on the way.
        let call = steps.calls.iter().min_by_key(|call| call.iter().sum::<u32>()).unwrap();
        let alike = steps.calls.iter().filter(|other| *other == call).count();
        assert!(alike > 25, "{:?}", steps.calls);
        // A stamp is four instructions, the store included; after the last one the
        // user's registers come back.
        assert!(call.iter().all(|step| *step > 4), "{call:?}");
        let plain = steps.plain.iter().map(|sample| sample.ticks).min().unwrap();
        let stamps = call.iter().sum::<u32>() - plain;
        assert!((7 * 4..80).contains(&stamps), "{stamps} instructions more than {plain}");
    }
}

#[test]
fn the_steps_of_a_call_are_counted_as_the_tsc_counts_them() {
    needs_kvm!();
    let Some((steps, bracket)) = steps::count().expect("a sandbox") else {
        // The stamped door is another than the one that a software KVM traps.
        assert!(software(), "steps were lost");
        return elsewhere(Home::Rig, "SYSCALL does not come to the stamped door");
    };
    assert_eq!(steps.iter().sum::<u32>(), bracket.ticks, "{steps:?}");
    assert_eq!(steps::count().expect("a sandbox"), Some((steps, bracket)), "another time");
    // The same code through the plain door. docs/measuring.md and design.md have
    // the difference.
    let operation = Operation::SyscallStamped;
    let plain = Call { operation, width: Width::W64, steps: Mitigations::NONE };
    let plain = instructions_of_call(plain).expect("a sandbox").expect("no step is lost");
    assert_eq!(f64::from(bracket.ticks - bracket.empty_ticks) - plain, 48.0);
    if counts_instructions() {
        let options = steps::Options { samples: 50, warm_up: 10, cpu: 0, rdtscp: false };
        let timed = steps::measure(&options).expect("a result");
        // No tick of a timer on the way.
        let call = timed.calls.iter().min_by_key(|call| call.iter().sum::<u32>());
        assert_eq!(call, Some(&steps), "steps and TSC");
    }
}

#[test]
fn more_steps_than_there_is_room_for_are_refused() {
    needs_kvm!();
    let options = steps::Options { samples: u64::MAX, warm_up: 0, cpu: 0, rdtscp: false };
    assert!(steps::measure(&options).is_err());
}

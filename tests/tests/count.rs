//! The deterministic mode: the guest one instruction at a time. Figures are the
//! same every time, and those of a time-stamp counter that counts instructions;
//! the guest does not notice.

use std::fs::read;
use std::io::Read;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};
use trapgate::machine::affinity;
use trapgate::machine::kvm::{Kind, Maker};
use trapgate::stats::Instructions;
use trapgate::{Builder, End, Mitigations, Outcome, Sandbox, Stdio};
use trapgate_abi::bench::{Command as Order, Operation, Reply};
use trapgate_measure::bench::measure::count::{Call, exits_of_call, instructions_of_call};
use trapgate_measure::bench::measure::probe::{Probe, Width};
use trapgate_tests::programs::{bytes, directory};
use trapgate_tests::trapgate;
use trapgate_tests::{Case, Home, Place, case_elsewhere, elsewhere};
use trapgate_tests::{counts_instructions, needs_kvm, place, scale, sysenter_arrives, takes_long};

/// Longer than any of these takes, in the slowest rig.
const LIMIT: Duration = Duration::from_secs(300);

fn sandbox(name: &str, args: &[&str]) -> Builder {
    Sandbox::builder()
        .program_bytes(name, bytes(name).to_vec())
        .args(args)
        .stdin(Stdio::Closed)
        .stderr(Stdio::Closed)
        .timeout(LIMIT)
}

/// Runs it, and reads what it writes.
#[track_caller]
fn run(builder: Builder) -> (Outcome, Vec<u8>) {
    let (mut reader, writer) = std::io::pipe().expect("there are pipes");
    let sandbox = builder.stdout(Stdio::Fd(writer.into())).build().expect("a sandbox");
    let output = thread::spawn(move || {
        let mut output = Vec::new();
        // It ends with the sandbox, which has the only other end.
        reader.read_to_end(&mut output).expect("a pipe");
        output
    });
    (sandbox.run().expect("an outcome"), output.join().expect("it does not panic"))
}

#[track_caller]
fn instructions(outcome: &Outcome) -> Instructions {
    outcome.stats.instructions.expect("no step was lost")
}

/// What the program does is the same with steps and without.
#[track_caller]
fn does_not_notice(name: &str, args: &[&str]) {
    let (plain, expected) = run(sandbox(name, args));
    let (stepped, output) = run(sandbox(name, args).count_instructions(true));
    let text = String::from_utf8_lossy(&output);
    assert_eq!(stepped.end, plain.end, "{name} {args:?}:\n{text}");
    assert_eq!(text, String::from_utf8_lossy(&expected), "{name} {args:?}");
    assert_eq!(plain.stats.instructions, None, "nobody asked for it");
    let Instructions { ring0, ring3 } = instructions(&stepped);
    assert!(ring0 > 1000 && ring3 > 10, "{ring0} {ring3}");
}

/// The fast door of 32-bit code that this maker has, if it arrives here. If not,
/// says so.
fn fast_door() -> Option<&'static str> {
    match Maker::of_this_cpu() {
        Maker::Intel if !sysenter_arrives() => {
            let why = "this software KVM does not let SYSENTER come to its guest";
            case_elsewhere("SYSENTER from 32-bit code", Home::IntelRig, why);
            None
        }
        Maker::Intel => Some("sysenter"),
        Maker::Amd => Some("syscall"),
    }
}

#[test]
fn a_program_has_the_same_number_of_instructions_every_time() {
    needs_kvm!();
    for name in ["hello-syscall", "hello-int80"] {
        let count = || {
            let (outcome, output) = run(sandbox(name, &[]).count_instructions(true));
            assert_eq!(outcome.end, End::Exited(0));
            assert!(output.starts_with(b"Hello from ring 3"), "{output:?}");
            instructions(&outcome)
        };
        let first = count();
        assert!(first.ring0 > 1000 && (20..100).contains(&first.ring3), "{first:?}");
        assert_eq!([count(), count()], [first; 2], "{name}");
    }
}

#[test]
fn registers_and_flags_are_those_of_a_program_that_is_not_stepped() {
    needs_kvm!();
    for name in ["poison-int80", "poison-syscall", "flags"] {
        does_not_notice(name, &[]);
    }
}

#[test]
fn so_are_those_of_32_bit_code() {
    needs_kvm!();
    if let Some(door) = fast_door() {
        does_not_notice("poison.32", &[door]);
    }
    // By these it arrives in the Intel rig as in the others.
    if place() != Place::Intel {
        does_not_notice("poison.32", &["int80"]);
        does_not_notice("poison.32", &["vsyscall"]);
    }
}

#[test]
fn a_program_that_dies_dies_with_the_same_registers() {
    needs_kvm!();
    for crash in ["null-write", "ud2", "int3", "div0", "hlt", "jump-kernel", "iret-to-kernel"] {
        if crash == "iret-to-kernel" && place() == Place::Amd {
            let why = "QEMU reads the stack of ring 3's IRET as ring 0, which SMAP forbids";
            case_elsewhere(crash, Home::IntelRig, why);
            continue;
        }
        let (plain, _) = run(sandbox("crash", &[crash]));
        let (stepped, _) = run(sandbox("crash", &[crash]).count_instructions(true));
        assert!(matches!(plain.end, End::Killed(_)), "{crash}: {:?}", plain.end);
        assert_eq!(stepped.end, plain.end, "{crash}");
        instructions(&stepped);
    }
}

#[test]
fn a_stepped_program_ends_when_its_time_is_up() {
    needs_kvm!();
    let start = Instant::now();
    let timeout = Duration::from_millis(scale(500, 1000, 5000));
    let (outcome, _) = run(sandbox("spin", &[]).count_instructions(true).timeout(timeout));
    assert_eq!(outcome.end, End::TimedOut);
    let most = Duration::from_secs(scale(10, 20, 100));
    assert!(start.elapsed() < most, "{:?}", start.elapsed());
}

/// A door, or something else that the probe can do.
const MEASURED: [(Operation, Width); 8] = [
    (Operation::Syscall, Width::W64),
    (Operation::Int80, Width::W64),
    (Operation::Function, Width::W64),
    (Operation::Vdso, Width::W64),
    (Operation::Brk, Width::W64),
    (Operation::Syscall, Width::W32),
    (Operation::Sysenter, Width::W32),
    (Operation::Int80, Width::W32),
];

/// The doors and what else there is here. In the Intel rig, where a step takes longest,
/// only what arrives otherwise than in the AMD rig, and one door beside it.
fn measured() -> impl Iterator<Item = (Operation, Width)> {
    let fast = fast_door();
    let few = place() == Place::Intel;
    MEASURED.into_iter().filter(move |&measured| match measured {
        (Operation::Syscall, Width::W32) => fast == Some("syscall"),
        (Operation::Sysenter, Width::W32) => fast == Some("sysenter"),
        (Operation::Syscall, Width::W64) => true,
        _ => !few,
    })
}

/// The least ticks of a loop of so many calls, its empty loop taken off.
#[track_caller]
fn ticks(probe: &mut Probe, operation: Operation, calls: u64) -> u64 {
    let order = Order { operation: operation as u64, warm_up: 2, batch: calls, ..Order::default() };
    let least = |ticks: fn(&Reply) -> u64, probe: &mut Probe| {
        // The host's timer disturbs some.
        let runs = (0..20).map(|_| ticks(&probe.measure(&order).expect("an answer").reply));
        runs.min().expect("there are some")
    };
    least(|reply| reply.batch_ticks, probe) - least(|reply| reply.empty_batch_ticks, probe)
}

#[test]
fn a_call_is_as_many_instructions_every_time_as_the_tsc_counts_where_it_counts_them() {
    needs_kvm!();
    takes_long!();
    for (operation, width) in measured() {
        let count = || {
            let counted = instructions_of_call(Call { operation, width, steps: Mitigations::NONE });
            counted.expect("a sandbox").expect("no step is lost")
        };
        let first = count();
        println!("{operation:?}, {width:?}: {first} instructions");
        assert!(first >= 1.0 && first.fract() == 0.0, "{operation:?}, {width:?}: {first}");
        for _ in 0..scale(2, 2, 1) {
            assert_eq!(count(), first, "{operation:?}, {width:?}");
        }
        if counts_instructions() {
            let mut probe = Probe::in_sandbox(width, Sandbox::builder()).expect("a sandbox");
            let [few, many] = [10, 20].map(|calls| ticks(&mut probe, operation, calls));
            let by_tsc = (many - few) as f64 / 10.0;
            assert_eq!(first, by_tsc, "{operation:?}, {width:?}: steps and TSC");
        }
    }
    if !counts_instructions() {
        let why = "the time-stamp counter counts no instructions";
        case_elsewhere("steps against the TSC", Home::CountingRig, why);
    }
}

#[test]
fn exits_of_a_call_are_the_same_every_time() {
    needs_kvm!();
    let cpu = affinity::last().expect("a CPU");
    let steps = Mitigations::NONE;
    let calls = [Operation::Function, Operation::Syscall, Operation::Brk, Operation::Write1];
    let [function, syscall, brk, write] = calls.map(|operation| {
        let count = || {
            let exits = exits_of_call(Call { operation, width: Width::W64, steps }, cpu);
            exits.expect("a sandbox").expect("this Linux counts them")
        };
        let counts: Vec<_> = (0..scale(3, 3, 1)).map(|_| count()).collect();
        println!("{operation:?}: {counts:?} exits");
        counts
    });
    if Kind::of_this_host() == Kind::Software {
        // It does not tell which exits were its host's interrupts: on a busy
        // machine no call is without one.
        let least = |counts: &[f64]| counts.iter().copied().fold(f64::INFINITY, f64::min);
        assert!(least(&function) < least(&write), "{function:?} {write:?}");
        let why = "a software KVM's exits repeat when it is idle only";
        return case_elsewhere("exits repeat exactly", Home::Rig, why);
    }
    let each = |counts: &[f64], exits| counts.iter().all(|count| *count == exits);
    assert!([&function, &syscall, &brk].into_iter().all(|counts| each(counts, 0.0)));
    assert!(each(&write, 1.0), "{write:?}");
}

#[test]
fn bench_counts_the_same_twice() {
    needs_kvm!();
    takes_long!();
    if place() != Place::Host {
        return elsewhere(Home::Host, "bench twice takes too long in a rig");
    }
    let files = directory();
    let counted = |name: &str| {
        let path = files.path().join(name);
        let mut command = Command::new(trapgate());
        command.args(["bench", "doors", "calls", "--count", "--quick", "--samples", "20"]);
        command.arg("--json").arg(&path);
        let started = Case::new("trapgate").start(command);
        started.finish(Duration::from_secs(300)).expect_status(0);
        let record: serde_json::Value =
            serde_json::from_slice(&read(path).expect("it was written")).expect("JSON");
        let measurements = record["measurements"].as_array().expect("a list").clone();
        let figure = |one: &serde_json::Value| {
            let instructions = one["counted"]["instructions"].as_f64()?;
            Some((one["id"].as_str()?.to_owned(), instructions))
        };
        measurements.iter().filter_map(figure).collect::<Vec<_>>()
    };
    let first = counted("first.json");
    for id in ["doors/syscall/64-bit/guest", "doors/int-0x80/64-bit/guest", "calls/brk/guest"] {
        let found = first.iter().find(|(name, _)| name == id);
        assert!(found.is_some_and(|(_, count)| *count > 20.0), "{id}: {first:?}");
    }
    assert_eq!(counted("second.json"), first);
}

#[test]
fn doors_with_steps_have_more_instructions_than_plain_ones() {
    needs_kvm!();
    let doors = [(Operation::Syscall, Width::W64), (Operation::Int80, Width::W64)];
    for (door, width) in doors {
        let count = |steps: &str| {
            let steps = steps.parse().expect("steps");
            instructions_of_call(Call { operation: door, width, steps })
                .expect("a sandbox")
                .expect("no step is lost")
        };
        let plain = count("none");
        for steps in ["kstack-offset", "pti,bhi-clear"] {
            let with = count(steps);
            assert!(with > plain, "{door:?} with {steps}: {with}, and {plain} without");
            assert_eq!(count(steps), with, "{door:?} with {steps}, another time");
        }
    }
}

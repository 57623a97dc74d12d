//! The method of `trapgate bench`: the probe's brackets and loops show what is
//! known to be there, and the same every time.

use trapgate::Sandbox;
use trapgate::machine::affinity;
use trapgate_abi::bench::{Command, Operation, Reply};
use trapgate_measure::bench::measure::probe::{Answer, Probe, Width};
use trapgate_tests::{Home, Place, counts_instructions, elsewhere, needs_kvm, place, scale};

const WIDTHS: [Width; 2] = [Width::W64, Width::W32];

/// The last CPU that this test may use, as `trapgate bench` takes it.
fn cpu() -> usize {
    affinity::last().expect("a thread has an affinity")
}

fn probe(width: Width) -> Probe {
    Probe::in_sandbox(width, Sandbox::builder().cpu(cpu())).expect("a sandbox")
}

fn measure(probe: &mut Probe, operation: Operation, samples: u64, batch: u64) -> Answer {
    let command =
        Command { operation: operation as u64, samples, warm_up: 20, batch, ..Command::default() };
    probe.measure(&command).expect("an answer")
}

/// Ticks of a call in the loop, the empty loop taken away.
fn batched(answer: &Answer, calls: u64) -> f64 {
    let ticks = answer.reply.batch_ticks as f64 - answer.reply.empty_batch_ticks as f64;
    ticks / calls as f64
}

fn median(ticks: &[u32]) -> u32 {
    let mut sorted = ticks.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

#[test]
fn a_handler_of_known_length_is_as_long_as_it_is() {
    needs_kvm!();
    if !counts_instructions() {
        return elsewhere(Home::CountingRig, "the time-stamp counter counts no instructions");
    }
    for width in WIDTHS {
        let mut probe = probe(width);
        for (operation, nops) in [(Operation::Nops100, 100.0), (Operation::Nops1000, 1000.0)] {
            let answer = measure(&mut probe, operation, 101, 100);
            let single = f64::from(median(&answer.with)) - f64::from(median(&answer.without));
            // The least of a few loops: the host's ticks come in between.
            let loops = (0..5).map(|_| batched(&measure(&mut probe, operation, 0, 100), 100));
            let batched = loops.min_by(f64::total_cmp).expect("five loops");
            for shown in [single, batched] {
                assert!((shown / nops - 1.0).abs() < 0.01, "{width:?}: {nops} NOPs are {shown}");
            }
        }
    }
}

#[test]
fn ten_times_as_long_is_ten_times_as_much() {
    needs_kvm!();
    // On any CPU, by its own clock: in the loop, because a bracket may tick
    // more coarsely than a hundred NOPs last. In turn, because a CPU's frequency
    // moves, and the least of each, because the host's ticks come in between.
    let mut probe = probe(Width::W64);
    let calls = scale(20_000, 5_000, 500);
    let rounds = [(); 15].map(|()| {
        [Operation::Nops100, Operation::Nops1000]
            .map(|operation| measure(&mut probe, operation, 0, calls).reply)
    });
    let least = |ticks: &dyn Fn(&[Reply; 2]) -> u64| {
        rounds.iter().map(ticks).min().expect("fifteen rounds") as f64
    };
    let empty = least(&|[short, long]| short.empty_batch_ticks.min(long.empty_batch_ticks));
    let [short, long] = [0, 1].map(|which| least(&|round| round[which].batch_ticks));
    // A CPU overlaps some of the empty loop, or all, with what is in it: more of
    // it, for its size, with the shorter handler. What is right lies between both.
    let (hidden, added) = (long / short, (long - empty) / (short - empty));
    assert!(
        hidden < 11.0 && added > 9.0,
        "{short} and {long} ticks, {empty} of the loop: {hidden:.1} to {added:.1} times as much"
    );
}

#[test]
fn nothing_takes_nothing() {
    needs_kvm!();
    for width in WIDTHS {
        let answer = measure(&mut probe(width), Operation::Nothing, 1001, 0);
        let (with, without) = (median(&answer.with), median(&answer.without));
        // Both are the same bracket; a software KVM interprets the 32-bit one.
        let most = (without / 10).max(if counts_instructions() { 0 } else { 60 });
        assert!(with.abs_diff(without) <= most, "{width:?}: {with} and {without} ticks");
    }
}

#[test]
fn native_doors_take_the_same_in_three_runs() {
    needs_kvm!();
    if place() != Place::Intel {
        return elsewhere(Home::IntelRig, "times repeat where the emulator's clock is exact");
    }
    let doors = [
        (Width::W64, Operation::Syscall),
        (Width::W64, Operation::Int80),
        (Width::W32, Operation::Sysenter),
        (Width::W32, Operation::Int80),
    ];
    for (width, door) in doors {
        let runs = [0; 3].map(|_| {
            let answer = measure(&mut probe(width), door, 301, 0);
            f64::from(median(&answer.with)) - f64::from(median(&answer.without))
        });
        let [least, most] = [f64::min, f64::max].map(|pick| runs.into_iter().reduce(pick).unwrap());
        assert!(most / least < 1.02, "{width:?} {door:?}: {runs:?} ticks");
    }
}

#[test]
fn a_probe_without_the_operation_says_so_and_goes_on() {
    needs_kvm!();
    let mut probe = probe(Width::W64);
    let unknown = Command { operation: 12_345, samples: 1, ..Command::default() };
    assert!(probe.measure(&unknown).is_err());
    let too_many = Command { samples: 1 << 20, ..Command::default() };
    assert!(probe.measure(&too_many).is_err());
    assert_eq!(measure(&mut probe, Operation::Function, 3, 0).with.len(), 3);
    let stats = probe.finish().expect("it ends with its input");
    assert!(stats.is_some_and(|stats| stats.vmm_exits > 0));
}

#[test]
fn a_process_measures_by_the_same_loops() {
    needs_kvm!();
    let mut process = Probe::as_process(Width::W64, cpu()).expect("a process");
    let answer = measure(&mut process, Operation::Syscall, 101, 100);
    assert_eq!((answer.with.len(), answer.without.len()), (101, 101));
    assert!(answer.reply.batch_ticks > answer.reply.empty_batch_ticks);
    assert!(process.finish().expect("it ends").is_none());
}

//! A made-up record for the tests of this module: every kind of measurement,
//! with times from a formula.

use crate::bench::record::clock::Clock;
use crate::bench::record::environment::{Cpu, Environment, Kvm};
use crate::bench::record::stats::{Cause, Part, Samples, timed};
use crate::bench::record::{
    Counted, Delivery, Group, Measurement, Method, Place, Report, Step, Timed,
};
use std::num::NonZeroU64;

/// 3 GHz, in single ticks.
pub(super) const CLOCK: Clock =
    Clock { khz: NonZeroU64::new(3_000_000).unwrap(), step: NonZeroU64::MIN };
/// Blocks of each measurement.
const BLOCKS: usize = 5;

/// An AMD server.
pub(super) fn environment() -> Environment {
    let mitigations = [
        ("retbleed", "Mitigation: untrained return thunk"),
        ("spectre_v2", "Mitigation: Retpolines; IBPB: conditional"),
        ("meltdown", "Not affected"),
    ];
    let native = |name: &str| (name.to_owned(), Delivery::Native);
    Environment {
        trapgate: "0.1.0".into(),
        kernel: "6.12.0".into(),
        cpu: Cpu {
            vendor: "AuthenticAMD".into(),
            model_name: "AMD EPYC 0000 <sample>".into(),
            family: 25,
            model: 1,
            stepping: 1,
            microcode: Some("0xa0011d1".into()),
            frequency_khz: Some(3_400_000),
            governor: Some("performance".into()),
            boost: Some(true),
            tsc_khz: CLOCK.khz.get(),
            tsc_step: CLOCK.step.get(),
            invariant_tsc: true,
            smt: Some(true),
            online: 16,
            emulator: None,
        },
        mitigations: mitigations.map(|(name, state)| (name.into(), state.into())).into(),
        kvm: Kvm {
            kind: "SVM (AMD)".into(),
            software: false,
            nested_in: None,
            parameters: [("kvm_amd.nested".to_owned(), "1".to_owned())].into(),
        },
        doors: [native("SYSCALL, 64-bit"), native("INT 0x80, 64-bit")].into(),
    }
}

/// 10,000 samples around so many ticks: skewed, with a few outliers.
pub(super) fn times(ticks: u64) -> Timed {
    let spread = |index: usize| (index as f64 * 0.618_033_988_749_895).fract();
    let at = |index: usize| {
        let tail = -(1.0 - spread(index)).ln() * 0.04 + 0.95;
        let outlier = if index % 2500 == 7 { 20.0 } else { 1.0 };
        (ticks as f64 * tail * outlier) as u64 + 40
    };
    let samples = Samples {
        ticks: (0..10_000).map(at).collect(),
        empty: (0..10_000).map(|index| 38 + (spread(index) * 5.0) as u64).collect(),
        disturbed: vec![(7, Cause::Interrupt), (2507, Cause::Migration)],
        blocks: vec![
            Part {
                samples: 10_000 / BLOCKS,
                batched_ticks: Some(ticks as f64 * 0.99),
                wall_ns: Some(CLOCK.ns(ticks as f64)),
            };
            BLOCKS
        ],
    };
    timed(&samples, CLOCK).expect("there are samples")
}

fn door(name: &str, mode: &str, place: Place, ticks: u64) -> Measurement {
    let mut door = Measurement::new(Group::Doors, name, Some(mode), place);
    door.delivery = Some(Delivery::Native);
    door.timed = Some(times(ticks));
    if place == Place::Guest {
        door.counted = Some(Counted {
            instructions: Some((ticks / 2) as f64),
            exits: Some(0.0),
            exits_repeated: true,
            ..Counted::default()
        });
    }
    door
}

/// A whole record.
pub(super) fn report() -> Report {
    let method = Method {
        groups: Group::ALL.to_vec(),
        samples: 10_000,
        warm_up: 500,
        blocks: BLOCKS as u64,
        batch: 1000,
        starts: 1000,
        quick: false,
        counted: true,
    };
    let mut report = Report::new(environment(), method);
    report.date = "2026-11-24T09:30:00Z".into();
    let list = &mut report.measurements;
    list.push(door("SYSCALL", "64-bit", Place::Guest, 150));
    list.push(door("SYSCALL", "64-bit", Place::Host, 310));
    list.push(door("INT 0x80", "64-bit", Place::Guest, 900));
    list.push(door("INT 0x80", "64-bit", Place::Host, 1400));
    let mut with_ibpb = door("SYSCALL", "64-bit", Place::Guest, 4000).with(&["ibpb"]);
    with_ibpb.notes.push("IBPB by MSR 0x49".into());
    list.push(with_ibpb);
    let mut trapped = door("SYSCALL", "compatibility", Place::Guest, 70_000);
    trapped.delivery = Some(Delivery::Trapped { why: "arrives as #UD".into() });
    list.push(trapped);
    let mut absent = Measurement::new(Group::Doors, "SYSENTER", Some("64-bit"), Place::Guest);
    absent.delivery = Some(Delivery::Absent { why: "#UD on CPUs of this maker".into() });
    list.push(absent);
    let mut failed = Measurement::new(Group::Doors, "SYSCALL", Some("legacy"), Place::Guest);
    failed.delivery = Some(Delivery::Failed { why: "it \"hangs\", <sometimes>".into() });
    list.push(failed);
    let mut write = Measurement::new(Group::Calls, "write to a pipe", None, Place::Guest);
    write.timed = Some(times(9000));
    write.counted = Some(Counted {
        instructions: Some(812.0),
        exits: Some(1.0),
        exits_repeated: true,
        exits_by_kind: [("io".to_owned(), 1.0)].into(),
    });
    list.push(write);
    let mut steps = Measurement::new(Group::Steps, "SYSCALL", Some("64-bit"), Place::Guest);
    steps.timed = Some(times(180));
    let pieces = [("user to entry", 11.0), ("frame", 9.0), ("dispatch", 4.0), ("return", 16.0)];
    steps.steps =
        pieces.map(|(name, ns)| Step { name: name.into(), ns, instructions: Some(ns) }).to_vec();
    list.push(steps);
    for (name, place, ticks) in
        [("sandbox", Place::Guest, 3_000_000), ("process", Place::Host, 1_200_000)]
    {
        let mut start = Measurement::new(Group::Start, name, None, place);
        start.timed = Some(times(ticks));
        let whole = ticks as f64 / 3.0;
        start.steps = [("create", 0.5), ("load", 0.2), ("run", 0.3)]
            .map(|(name, part)| Step { name: name.into(), ns: whole * part, instructions: None })
            .to_vec();
        list.push(start);
    }
    report.notes.push("a note with <angles> & \"quotes\"".into());
    report
}

//! What a reader has to know about a run as a whole. Called by `run`.

use crate::bench::ENOUGH_SAMPLES;
use crate::bench::record::{Group, Measurement, Report};

/// The notes on a run. The counter's frequency and the CPU's are those at its end.
pub(crate) fn of(
    report: &Report,
    tsc_khz: u64,
    frequency_khz: Option<u64>,
    tsc_is_a_clock: Option<bool>,
) -> Vec<String> {
    let mut notes = Vec::new();
    if tsc_is_a_clock == Some(false) {
        notes.push(
            "KVM's time-stamp counter does not run with time here: a sandbox's times may be \
             wrong, and its clocks cost an exit"
                .to_owned(),
        );
    }
    let cpu = &report.environment.cpu;
    if !cpu.invariant_tsc {
        notes.push(
            "the time-stamp counter is not known to run at one rate: nanoseconds may be wrong"
                .to_owned(),
        );
    }
    let apart = |before: u64, after: u64, percent: u64| {
        before.abs_diff(after) as u128 * 100 > u128::from(before) * u128::from(percent)
    };
    if apart(cpu.tsc_khz, tsc_khz, 1) {
        notes.push(format!(
            "the time-stamp counter ran at {} kHz before the run and at {tsc_khz} kHz after it: \
             nanoseconds are wrong",
            cpu.tsc_khz
        ));
    }
    if let (Some(before), Some(after)) = (cpu.frequency_khz, frequency_khz)
        && apart(before, after, 5)
    {
        notes.push(format!(
            "the CPU's frequency was {} MHz before the run and {} MHz after it",
            before / 1000,
            after / 1000
        ));
    }
    let few = |one: &&Measurement| {
        let timed = one.timed.as_ref();
        one.group != Group::Start && timed.is_some_and(|timed| timed.samples < ENOUGH_SAMPLES)
    };
    let few = report.measurements.iter().filter(few).count();
    if few > 0 && !report.method.quick {
        let have = if few == 1 { "measurement has" } else { "measurements have" };
        notes.push(format!("{few} {have} fewer than {ENOUGH_SAMPLES} samples"));
    }
    let counted = |one: &Measurement| one.instructions().is_some();
    if report.method.counted && !report.measurements.iter().any(counted) {
        notes.push("none of these groups has instructions to count".to_owned());
    }
    if report.method.quick {
        notes.push("a quick run: a look, and no result".to_owned());
    }
    notes
}

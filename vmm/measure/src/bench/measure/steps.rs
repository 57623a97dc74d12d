//! Where the time of a call goes: getpid(2) by SYSCALL from 64-bit code, through
//! the kernel's door with its stamps in it (guest: `entry::stamps`).
//!
//! The probe puts the time before the call into RDI and measures the whole
//! bracket, so that the first and the last step are known too. The same probe
//! makes the same calls through the plain door in turn: what the stamps
//! themselves cost is the difference.

use crate::bench::measure::probe::{Answer, Probe, ProbeError, Width};
use crate::doors::Delivery;
use crate::jobs::Sample;
use serde::Serialize;
use trapgate::machine::kvm::Kind;
use trapgate::{Error, Sandbox};
use trapgate_abi::bench::{Command, MAX_SAMPLES, Operation, USE_RDTSCP};
use trapgate_abi::stamps::{MAX_RECORDS, Record};
use trapgate_uapi::syscall::nr64;

/// The steps, in their order: what each of [`Steps::calls`]'s figures is.
pub const NAMES: [&str; 7] = [
    "user to entry",
    "stack and frame",
    "dispatch",
    "handler",
    "exit work",
    "registers",
    "return to user",
];

/// How much to measure, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// Calls by each door, at least one.
    pub samples: u64,
    /// Calls by each door before them.
    pub warm_up: u64,
    /// The host CPU that both vCPUs stay on.
    pub cpu: usize,
    /// Whether RDTSCP ends a bracket.
    pub rdtscp: bool,
}

/// What was measured, in TSC ticks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Steps {
    /// How the call arrives; only [`Delivery::Native`] has figures.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// The steps of each call, by [`NAMES`]. Their sum is the call's bracket,
    /// stamps included.
    pub calls: Vec<[u32; 7]>,
    /// The brackets of the same calls.
    pub stamped: Vec<Sample>,
    /// As many calls through the plain door, made in turn with them.
    pub plain: Vec<Sample>,
}

impl Steps {
    pub(crate) fn nothing(delivery: Delivery) -> Steps {
        Steps { delivery, calls: Vec::new(), stamped: Vec::new(), plain: Vec::new() }
    }
}

/// Measures, in two sandboxes.
///
/// # Errors
/// [`ProbeError`], with [`Error::Amount`] for what cannot be measured.
pub fn measure(options: &Options) -> Result<Steps, ProbeError> {
    let Options { samples, warm_up, cpu, rdtscp } = *options;
    let stamps = records(samples, warm_up)?;
    if let Some(why) = why_not(Kind::of_this_host()) {
        return Ok(Steps::nothing(Delivery::Absent { why: why.to_owned() }));
    }
    let sandbox = || Sandbox::builder().cpu(cpu);
    let mut stamped = Probe::in_sandbox(Width::W64, sandbox().stamps(stamps))?;
    let mut plain = Probe::in_sandbox(Width::W64, sandbox())?;
    let mut steps = Steps::nothing(Delivery::Native);
    for warm_up in std::iter::once(warm_up).chain(std::iter::repeat(0)) {
        let left = samples - steps.stamped.len() as u64;
        if left == 0 {
            break;
        }
        let command = Command {
            operation: Operation::SyscallStamped as u64,
            samples: left.min(MAX_SAMPLES),
            warm_up,
            batch: 0,
            flags: if rdtscp { USE_RDTSCP } else { 0 },
        };
        for (probe, list) in [(&mut stamped, &mut steps.stamped), (&mut plain, &mut steps.plain)] {
            let answer = probe.measure(&command)?;
            if answer.with.len() as u64 != command.samples {
                return Err(ProbeError::Malformed);
            }
            list.extend(pairs(&answer));
        }
    }
    plain.finish()?;
    let records = stamped.outcome()?.map_or_else(Vec::new, |outcome| outcome.stamps);
    match calls(&records, warm_up, &steps.stamped) {
        Ok(calls) => Ok(Steps { calls, ..steps }),
        Err(why) => Ok(Steps::nothing(Delivery::Failed { why })),
    }
}

/// Why there are no steps to measure under this kind of KVM; none if there are.
pub(crate) fn why_not(kind: Kind) -> Option<&'static str> {
    (kind == Kind::Software).then_some(
        "this KVM delivers SYSCALL as an exception: the CPU never comes to the entry point whose \
         steps are stamped",
    )
}

/// Counts instead: guest instructions of one stamped call, as
/// [`trapgate::Builder::count_instructions`] does; `None` if steps were lost, or
/// the call did not come through the stamped door.
///
/// # Errors
/// [`ProbeError`].
pub fn count() -> Result<Option<([u32; 7], Sample)>, ProbeError> {
    /// All alike, but for the first ones.
    const SAMPLES: u64 = 3;
    const WARM_UP: u64 = 2;
    let sandbox = Sandbox::builder().stamps(records(SAMPLES, WARM_UP)?).count_instructions(true);
    let mut probe = Probe::in_sandbox(Width::W64, sandbox)?;
    let answer = probe.measure(&Command {
        operation: Operation::SyscallStamped as u64,
        samples: SAMPLES,
        warm_up: WARM_UP,
        ..Command::default()
    })?;
    let brackets: Vec<_> = pairs(&answer).collect();
    let counted = probe.outcome()?.filter(|outcome| outcome.stats.instructions.is_some());
    let calls = counted.and_then(|outcome| calls(&outcome.stamps, WARM_UP, &brackets).ok());
    let both = calls.and_then(|calls| calls.last().copied().zip(brackets.last().copied()));
    Ok(both)
}

/// How many calls must have a stamp: the probe's own reads and writes, too.
fn records(samples: u64, warm_up: u64) -> Result<u64, ProbeError> {
    /// Reads of a command, writes of an answer.
    const AROUND_COMMAND: u64 = 32;
    let commands = samples.div_ceil(MAX_SAMPLES);
    let needed = (commands + 1)
        .checked_mul(AROUND_COMMAND)
        .and_then(|around| around.checked_add(samples)?.checked_add(warm_up))
        .filter(|&needed| samples > 0 && needed <= MAX_RECORDS);
    let most = MAX_RECORDS / 2;
    needed.ok_or_else(|| Error::Amount { what: "stamped calls", given: samples, most }.into())
}

fn pairs(answer: &Answer) -> impl Iterator<Item = Sample> {
    let both = answer.with.iter().zip(&answer.without);
    both.map(|(&ticks, &empty_ticks)| Sample { ticks, empty_ticks })
}

/// The steps of each bracket's call, or why they cannot be told. Pure: the
/// records are a claim of the guest's.
fn calls(records: &[Record], warm_up: u64, brackets: &[Sample]) -> Result<Vec<[u32; 7]>, String> {
    let getpid = records.iter().filter(|record| record.number == nr64::GETPID);
    let made = getpid.skip(warm_up as usize);
    let calls: Vec<_> =
        made.zip(brackets).map(|(record, bracket)| steps(record, bracket.ticks)).collect();
    match calls.len() {
        found if found == brackets.len() => Ok(calls),
        found => Err(format!("of {} calls, {found} came through the stamped door", brackets.len())),
    }
}

/// From stamp to stamp; the last step is what is left of the bracket.
fn steps(record: &Record, bracket: u32) -> [u32; 7] {
    let Record { user, entered, framed, found, handled, settled, leaving, .. } = *record;
    let end = user.wrapping_add(bracket);
    let stamps = [user, entered, framed, found, handled, settled, leaving, end];
    std::array::from_fn(|step| stamps[step + 1].wrapping_sub(stamps[step]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u32, user: u32) -> Record {
        let at = |ticks| user.wrapping_add(ticks);
        Record {
            number,
            user,
            entered: at(1),
            framed: at(3),
            found: at(6),
            handled: at(10),
            settled: at(15),
            leaving: at(21),
        }
    }

    const BRACKET: Sample = Sample { ticks: 28, empty_ticks: 0 };
    const GETPID: u32 = nr64::GETPID;

    #[test]
    fn the_steps_are_the_differences_and_their_sum_is_the_bracket() {
        // Also when the counter's low half overflows on the way.
        for user in [100, u32::MAX - 5] {
            let steps = steps(&record(GETPID, user), BRACKET.ticks);
            assert_eq!(steps, [1, 2, 3, 4, 5, 6, 7]);
            assert_eq!(steps.iter().sum::<u32>(), BRACKET.ticks);
        }
    }

    #[test]
    fn only_the_measured_calls_count() {
        let records = [
            record(0, 0),
            record(GETPID, 7),
            record(GETPID, 100),
            record(1, 0),
            record(GETPID, 200),
        ];
        let found = calls(&records, 1, &[BRACKET; 2]).unwrap();
        assert_eq!(found, [[1, 2, 3, 4, 5, 6, 7]; 2]);
        let why = calls(&records, 2, &[BRACKET; 2]).unwrap_err();
        assert_eq!(why, "of 2 calls, 1 came through the stamped door");
        assert!(calls(&[], 0, &[BRACKET]).is_err());
    }

    #[test]
    fn what_has_no_room_is_refused() {
        assert!(records(10_000, 500).is_ok());
        for (samples, warm_up) in [(0, 1), (MAX_RECORDS, 0), (1, MAX_RECORDS), (u64::MAX, u64::MAX)]
        {
            assert!(records(samples, warm_up).is_err(), "{samples} {warm_up}");
        }
    }
}

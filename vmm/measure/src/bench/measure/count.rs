//! The deterministic figures of a call: guest instructions, by a sandbox that
//! executes one at a time and whose time-stamp counter counts them
//! ([`trapgate::Builder::count_instructions`]), and exits, by KVM's own count.
//! Called by `probed` and `where_time_goes`.

use crate::bench::Error;
use crate::bench::measure::probe::{Answer, Probe, ProbeError, Width};
use crate::bench::record::stats::median;
use trapgate::{Mitigations, Sandbox};
use trapgate_abi::bench::{Command, Operation};

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// The call.
    pub operation: Operation,
    /// The mode of who makes it.
    pub width: Width,
    /// The mitigation steps that are on.
    pub steps: Mitigations,
}

/// Calls whose instructions are counted, in a loop of few and a loop of many.
const COUNTED_FEW: u64 = 2;
/// See [`COUNTED_FEW`].
const COUNTED_MANY: u64 = 10;
/// Single calls, for what cannot be in a loop.
const COUNTED_SAMPLES: u64 = 3;
/// Calls before: what happens only once shall be over.
const COUNTED_WARM_UP: u64 = 2;

/// Calls whose exits are counted, in a command of few and a command of many: so
/// many that most of them end between two ticks of the host's timer.
const EXITING_FEW: u64 = 1;
/// See [`EXITING_FEW`].
const EXITING_MANY: u64 = 5;
/// Calls before.
const EXITING_WARM_UP: u64 = 20;
/// How often they are counted where nothing else says so.
const EXITING_ROUNDS: usize = 10;

/// Guest instructions of a call, what stands around it taken off; `None` if a
/// step was lost.
///
/// # Errors
/// [`ProbeError`], if there is no sandbox, or if the probe cannot do it.
pub fn instructions_of_call(call: Call) -> Result<Option<f64>, ProbeError> {
    let Call { operation, width, steps } = call;
    let sandbox = Sandbox::builder().count_instructions(true).mitigations(steps);
    let mut probe = Probe::in_sandbox(width, sandbox)?;
    let command = Command {
        operation: operation as u64,
        samples: COUNTED_SAMPLES,
        warm_up: COUNTED_WARM_UP,
        ..Command::default()
    };
    // Two loops: what there is once in each is in neither.
    let few = probe.measure(&Command { batch: COUNTED_FEW, ..command })?;
    let many = probe.measure(&Command { batch: COUNTED_MANY, ..command })?;
    let stats = probe.finish()?;
    if stats.is_none_or(|stats| stats.instructions.is_none()) {
        return Ok(None);
    }
    let loop_of =
        |answer: &Answer| answer.reply.batch_ticks as f64 - answer.reply.empty_batch_ticks as f64;
    if many.reply.batch_ticks > 0 {
        let calls = (COUNTED_MANY - COUNTED_FEW) as f64;
        return Ok(Some((loop_of(&many) - loop_of(&few)) / calls));
    }
    // Where calls cannot follow each other, the middle one of the single calls.
    let Answer { with, without, .. } = many;
    let calls = with.iter().zip(without);
    Ok(median(calls.map(|(&with, empty)| f64::from(with) - f64::from(empty))))
}

/// Exits of a call on this CPU of the host's, by commands to make few and many
/// to the same sandbox: what there is once in each is in neither. The host's
/// doings cause some, too: the least disturbed commands count. `None` before
/// Linux 5.14.
///
/// # Errors
/// [`ProbeError`], as above.
pub fn exits_of_call(call: Call, cpu: usize) -> Result<Option<f64>, ProbeError> {
    let Call { operation, width, steps } = call;
    let sandbox = Sandbox::builder().cpu(cpu).detailed_stats(true).mitigations(steps);
    let mut probe = Probe::in_sandbox(width, sandbox)?;
    let exits = exits_in(&mut probe, operation, EXITING_ROUNDS)?;
    probe.finish()?;
    Ok(exits)
}

/// The same in a sandbox that is there, which has detailed statistics and stays
/// on one CPU; `rounds` times few and many calls.
///
/// # Errors
/// [`ProbeError`], if the probe cannot do it.
pub(crate) fn exits_in(
    probe: &mut Probe,
    operation: Operation,
    rounds: usize,
) -> Result<Option<f64>, ProbeError> {
    let command = Command { operation: operation as u64, ..Command::default() };
    let mut exits = |calls: u64| -> Result<Option<u64>, ProbeError> {
        let before = probe.exits_at_rest();
        probe.measure(&Command { warm_up: calls, ..command })?;
        Ok(before.zip(probe.exits_at_rest()).and_then(|(before, after)| after.checked_sub(before)))
    };
    exits(0)?;
    exits(EXITING_WARM_UP)?;
    let (mut few, mut many) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        few.extend(exits(EXITING_FEW)?);
        many.extend(exits(EXITING_MANY)?);
    }
    let least = many.into_iter().min().zip(few.into_iter().min());
    Ok(least
        .map(|(many, few)| many.saturating_sub(few) as f64 / (EXITING_MANY - EXITING_FEW) as f64))
}

/// A count, unless the probe could not do it: then there is none.
///
/// # Errors
/// If there is no sandbox.
pub(crate) fn if_it_can<T>(counted: Result<Option<T>, ProbeError>) -> Result<Option<T>, Error> {
    match counted {
        Ok(count) => Ok(count),
        Err(ProbeError::Sandbox(error)) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

//! The deterministic figure: guest instructions of a call, by a sandbox that
//! executes one at a time and whose time-stamp counter counts them
//! ([`crate::Builder::count_instructions`]). Called by [`super::probed`].

use super::probe::{Answer, Probe, ProbeError, Width};
use crate::{Mitigations, Sandbox};
use trapgate_abi::bench::{Command, Operation};

/// Calls whose instructions are counted, in a loop of few and a loop of many.
const COUNTED_FEW: u64 = 2;
/// See [`COUNTED_FEW`].
const COUNTED_MANY: u64 = 10;
/// Single calls, for what cannot be in a loop.
const COUNTED_SAMPLES: u64 = 3;
/// Calls before: what happens only once shall be over.
const COUNTED_WARM_UP: u64 = 2;

/// Guest instructions of a call with these mitigation steps on, what stands
/// around it taken off; `None` if a step was lost.
///
/// # Errors
/// [`ProbeError`], if there is no sandbox, or if the probe cannot do it.
pub fn counted_call(
    operation: Operation,
    width: Width,
    steps: Mitigations,
) -> Result<Option<f64>, ProbeError> {
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
    let mut calls: Vec<_> =
        with.iter().zip(without).map(|(&with, empty)| f64::from(with) - f64::from(empty)).collect();
    calls.sort_by(f64::total_cmp);
    Ok(calls.get(calls.len() / 2).copied())
}

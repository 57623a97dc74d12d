//! Does every job and prints one line of JSON for each, on this machine or in a
//! rig: `job [SAMPLES [BATCHES [CALLS]]]`. It judges nothing.

use anyhow::Result;
use serde::Serialize;
use std::fmt::Display;
use trapgate::doors::Instruction;
use trapgate_measure::jobs::bare::RoundTrip;
use trapgate_measure::jobs::exits::ExitKind;
use trapgate_measure::jobs::{Options, bare, exits, legacy};

fn main() -> Result<()> {
    let numbers: Vec<u64> =
        std::env::args().skip(1).map(|word| word.parse()).collect::<Result<_, _>>()?;
    let mut options = Options::default();
    let wanted = [&mut options.samples, &mut options.batches, &mut options.calls_per_batch];
    wanted.into_iter().zip(&numbers).for_each(|(option, number)| *option = *number);
    for trip in RoundTrip::ALL {
        print(trip, &bare::measure(trip, &options)?)?;
    }
    for exit in ExitKind::ALL {
        print(exit, &exits::measure(exit, &options)?)?;
    }
    for door in [Instruction::Int80, Instruction::Sysenter, Instruction::Syscall] {
        let report = legacy::measure(door, &options)?;
        print(report.door, &report)?;
    }
    Ok(())
}

fn print(name: impl Display, measured: &impl Serialize) -> Result<()> {
    println!("{name}: {}", serde_json::to_string(measured)?);
    Ok(())
}

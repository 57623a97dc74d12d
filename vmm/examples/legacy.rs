//! Measures the doors of legacy protected mode and prints one line of JSON for
//! each, on this machine or in a rig: `legacy [SAMPLES [BATCHES [CALLS]]]`. It
//! judges nothing.

use anyhow::Result;
use trapgate::doors::Instruction;
use trapgate::job::{Options, legacy};

fn main() -> Result<()> {
    let numbers: Vec<u64> =
        std::env::args().skip(1).map(|word| word.parse()).collect::<Result<_, _>>()?;
    for door in [Instruction::Int80, Instruction::Sysenter, Instruction::Syscall] {
        let mut options = Options::default();
        let wanted = [&mut options.samples, &mut options.batches, &mut options.calls_per_batch];
        wanted.into_iter().zip(&numbers).for_each(|(option, number)| *option = *number);
        println!("{}", serde_json::to_string(&legacy::measure(door, &options)?)?);
    }
    Ok(())
}

//! Measures the doors of legacy protected mode and prints one line of JSON for
//! each, on this machine or in a rig: `legacy [SAMPLES [BATCHES [CALLS]]]`. It
//! judges nothing.

use anyhow::Result;
use trapgate::legacy::{Door, Options, measure};

fn main() -> Result<()> {
    let numbers: Vec<u64> =
        std::env::args().skip(1).map(|word| word.parse()).collect::<Result<_, _>>()?;
    for door in Door::ALL {
        let mut options = Options::new(door);
        let wanted = [&mut options.samples, &mut options.batches, &mut options.calls_per_batch];
        wanted.into_iter().zip(&numbers).for_each(|(option, number)| *option = *number);
        println!("{}", serde_json::to_string(&measure(&options)?)?);
    }
    Ok(())
}

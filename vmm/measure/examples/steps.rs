//! Measures the steps of a call and prints them as JSON, on this machine or in a
//! rig: `steps [SAMPLES]`. It judges nothing.

use anyhow::Result;
use trapgate_measure::bench::measure::steps::{Options, measure};

fn main() -> Result<()> {
    let samples = std::env::args().nth(1).map_or(Ok(1_000), |word| word.parse())?;
    let options = Options { samples, warm_up: 100, cpu: 0, rdtscp: false };
    println!("{}", serde_json::to_string(&measure(&options)?)?);
    Ok(())
}

//! The result of `bench-self`: a table for people, JSON for machines.
//!
//! Called by `bench_self::main`.

use anstyle::{AnsiColor, Style};
use serde_json::json;

use super::figures::Figure;
use super::machine::Measured;

const HEAD: Style = Style::new().bold();
const REACHED: Style = AnsiColor::Green.on_default();
const MISSED: Style = AnsiColor::Red.on_default().bold();

/// Prints what each machine is, then its figures.
pub(super) fn print(machines: &[Measured], figures: &[Figure]) {
    let width = figures.iter().map(|figure| figure.what.len()).max().unwrap_or(0);
    for machine in machines {
        anstream::println!("\n{HEAD}{}{HEAD:#}: {}", machine.name, machine.nature);
        let description = machine.describe().unwrap_or_else(|error| format!("{error:#}"));
        anstream::println!("{description}");
        for figure in figures.iter().filter(|figure| figure.machine == machine.name) {
            let Figure { what, value, unit, beside, .. } = figure;
            let value = format!("{} {unit}", number(*value));
            let (style, verdict) = match (figure.reached, figure.target) {
                (Some(true), Some(target)) => (REACHED, format!("reached (<= {})", number(target))),
                (_, Some(target)) => (MISSED, format!("MISSED  (<= {})", number(target))),
                _ => (Style::new(), "no target".to_owned()),
            };
            anstream::println!(
                "  {what:<width$}  {value:>22}  {style}{verdict:<16}{style:#}  {beside}"
            );
        }
    }
    anstream::println!();
}

/// Whole numbers as such, ratios with two places.
fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// Everything: figures with targets, machines with all their records.
pub(super) fn json(machines: &[Measured], figures: &[Figure], skipped: &[String]) -> String {
    let all = json!({"figures": figures, "machines": machines, "skipped": skipped});
    format!("{all:#}\n")
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn counts_have_no_fraction_and_ratios_have_one() {
        assert_eq!(number(80.0), "80");
        assert_eq!(number(1.5), "1.50");
    }
}

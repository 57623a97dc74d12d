//! A record as comma-separated values (RFC 4180): one line a measurement, for
//! spreadsheets. What a line cannot hold (histogram, steps, environment) is in
//! the JSON. Called by `cli::bench`.

use crate::bench::record::{Distribution, Report, Summary};

/// The columns that come before the times.
const HEAD: [&str; 11] = [
    "id",
    "group",
    "name",
    "mode",
    "place",
    "with",
    "delivery",
    "instructions",
    "exits",
    "samples",
    "outliers",
];
/// The numbers of a summary.
const SUMMARY: [&str; 8] =
    ["min", "median", "median_low", "median_high", "p90", "p99", "max", "mean"];

/// The record as a file's bytes. A field without a value is empty.
///
/// # Errors
/// None that can happen: the writer is memory.
pub fn bytes(report: &Report) -> Result<Vec<u8>, ::csv::Error> {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    let mut header: Vec<_> = HEAD.map(str::to_owned).to_vec();
    for unit in ["ticks", "ns"] {
        for kind in ["raw", "subtracted"] {
            header.extend(SUMMARY.map(|name| format!("{kind}_{name}_{unit}")));
        }
        header.push(format!("empty_median_{unit}"));
    }
    header.extend(["batched_ticks", "wall_ns"].map(str::to_owned));
    writer.write_record(&header)?;
    for one in &report.measurements {
        let number = |number: Option<f64>| number.map_or_else(String::new, |n| n.to_string());
        let timed = one.timed.as_ref();
        let outliers = timed.map(|timed| &timed.outliers).map(|outliers| {
            let all = [outliers.interrupt, outliers.migration, outliers.exit, outliers.unexplained];
            all.iter().map(|kind| kind.count).sum::<u64>()
        });
        let mut row = vec![
            one.id.clone(),
            one.group.to_string(),
            one.name.clone(),
            one.mode.clone().unwrap_or_default(),
            one.place.to_string(),
            one.with.join("+"),
            one.delivery.as_ref().map_or("", |delivery| delivery.word()).to_owned(),
            number(one.instructions()),
            number(one.exits()),
            timed.map_or_else(String::new, |timed| timed.samples.to_string()),
            outliers.map_or_else(String::new, |count| count.to_string()),
        ];
        for distribution in [timed.map(|timed| &timed.ticks), timed.map(|timed| &timed.ns)] {
            row.extend(times(distribution).map(number));
        }
        row.push(number(timed.and_then(|timed| timed.batched_ticks)));
        row.push(number(timed.and_then(|timed| timed.wall_ns)));
        writer.write_record(&row)?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

/// The numbers of both summaries, and the empty bracket's median.
fn times(distribution: Option<&Distribution>) -> [Option<f64>; 17] {
    let mut numbers = [None; 17];
    if let Some(Distribution { raw, subtracted, empty }) = distribution {
        for (index, summary) in [raw, subtracted].into_iter().enumerate() {
            let Summary { min, median, median_low, median_high, p90, p99, max, mean } = *summary;
            let all = [min, median, median_low, median_high, p90, p99, max, mean];
            numbers[index * 8..index * 8 + 8].copy_from_slice(&all.map(Some));
        }
        numbers[16] = empty.map(|empty| empty.median);
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::sample;

    #[test]
    fn every_measurement_is_a_line_that_a_reader_takes_apart_again() {
        let report = sample::report();
        let bytes = bytes(&report).expect("memory");
        let mut reader = ::csv::Reader::from_reader(&bytes[..]);
        let header = reader.headers().expect("a header").clone();
        let at = |name: &str| header.iter().position(|column| column == name).expect("a column");
        let rows: Vec<_> =
            reader.records().map(|row| row.expect("as long as the header")).collect();
        assert_eq!(rows.len(), report.measurements.len());
        for (row, one) in rows.iter().zip(&report.measurements) {
            assert_eq!(row[at("id")], one.id);
            let median = one.timed.as_ref().map(|timed| timed.ns.subtracted.median.to_string());
            assert_eq!(row[at("subtracted_median_ns")], median.unwrap_or_default());
            let empty = one.timed.as_ref().and_then(|timed| timed.ticks.empty);
            let empty = empty.map(|empty| empty.median.to_string()).unwrap_or_default();
            assert_eq!(row[at("empty_median_ticks")], empty);
        }
    }
}

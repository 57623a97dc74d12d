//! A record's file, read back: every byte of it may be wrong. Called by
//! `cli::bench` for baselines and comparisons. No text in what it answers steers a
//! terminal, whatever form it is shown in.

use crate::bench::record::{Measurement, Report, SCHEMA, VERSION};
use serde_json::{Number, Value};
use std::fs::File;
use std::io::{self, Read};
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use thiserror::Error;
use trapgate_loader::text::{escaped, printable};

/// The largest file that is taken for a record, in bytes. A record with every
/// door has some hundred KiB.
const LARGEST: u64 = 64 << 20;

/// No figure of a run is larger: as many nanoseconds are eleven days.
const LARGEST_FIGURE: f64 = 1e15;

/// How long a tick can be, in nanoseconds: clocks of one kHz and of so many GHz.
const TICK_NS: RangeInclusive<f64> = 1e-6..=1e6;

/// Why a file is no record.
#[derive(Debug, Error)]
#[error("{}: {reason}", printable(path.as_os_str().as_bytes()))]
pub struct ReadError {
    path: PathBuf,
    reason: String,
}

/// Reads a record.
///
/// # Errors
/// [`ReadError`], if the file cannot be read, or is no record of this version.
pub fn read(path: &Path) -> Result<Report, ReadError> {
    let failed = |reason| ReadError { path: path.to_owned(), reason };
    let bytes = bytes(path).map_err(|error| failed(format!("cannot be read: {error}")))?;
    parse(&bytes).map_err(failed)
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other("it is larger than 64 MiB"));
    }
    Ok(bytes)
}

/// A record's bytes; if they are none, why not, in one line.
fn parse(bytes: &[u8]) -> Result<Report, String> {
    let value: Value =
        serde_json::from_slice(bytes).map_err(|error| format!("is no JSON: {error}"))?;
    if value["schema"] != SCHEMA {
        return Err(format!("is no record of 'trapgate bench': \"schema\" is not {SCHEMA:?}"));
    }
    match value["version"].as_u64() {
        Some(version) if version == u64::from(VERSION) => {}
        Some(version) => {
            return Err(format!(
                "has version {version} of the record, this trapgate reads version {VERSION}: \
                 measure again with it"
            ));
        }
        None => return Err("has no version of the record".to_owned()),
    }
    if let Some(number) = beyond_figures(&value) {
        return Err(format!("is a damaged record: {number} is the figure of nothing"));
    }
    let value = without_controls(value);
    let damaged = |reason: String| format!("is a damaged record: {}", printable(reason.as_bytes()));
    let report: Report =
        serde_json::from_value(value).map_err(|error| damaged(error.to_string()))?;
    match report.measurements.iter().find(|one| !has_a_clock(one)) {
        Some(one) => {
            Err(damaged(format!("ticks and nanoseconds of {} do not belong together", one.id)))
        }
        None => Ok(report),
    }
}

/// The same with its control characters as escapes, in names too. What trapgate
/// writes has none.
fn without_controls(value: Value) -> Value {
    let text = |text: &str| escaped(text.chars());
    match value {
        Value::String(one) => text(&one).into(),
        Value::Array(values) => values.into_iter().map(without_controls).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (text(&name), without_controls(value)))
            .collect(),
        other => other,
    }
}

/// A number in it that is too large to have been measured.
fn beyond_figures(value: &Value) -> Option<&Number> {
    match value {
        Value::Number(number) => {
            let is_figure = |number: f64| number.abs() <= LARGEST_FIGURE;
            Some(number).filter(|number| !number.as_f64().is_some_and(is_figure))
        }
        Value::Array(values) => values.iter().find_map(beyond_figures),
        Value::Object(members) => members.values().find_map(beyond_figures),
        _ => None,
    }
}

/// Whether its ticks are some time long, if it has any.
fn has_a_clock(one: &Measurement) -> bool {
    one.timed
        .as_ref()
        .is_none_or(|timed| timed.ticks.raw.max == 0.0 || TICK_NS.contains(&timed.ns_of_tick()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::judge::compare;
    use crate::bench::sample;
    use crate::bench::show::html;
    use crate::bench::show::markdown;
    use crate::bench::show::table;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    #[test]
    fn what_was_written_is_read_back() {
        let report = sample::report();
        let bytes = serde_json::to_vec_pretty(&report).expect("JSON");
        assert!(parse(&bytes).expect("a record") == report);
    }

    #[test]
    fn what_is_no_record_is_refused_in_one_line_that_says_why() {
        let good = serde_json::to_value(sample::report()).expect("JSON");
        let with = |name: &str, value: Value| {
            let mut changed = good.clone();
            changed[name] = value;
            changed.to_string()
        };
        for (text, words) in [
            (String::new(), "no JSON"),
            ("{\"schema\": \"trapg".into(), "no JSON"),
            ("[1, 2]".into(), "no record"),
            ("{}".into(), "no record"),
            (with("schema", "other".into()), "no record"),
            (with("version", 1.into()), "version 1 of the record, this trapgate reads version 2"),
            (with("version", (-1).into()), "no version"),
            (with("method", 3.into()), "damaged"),
            (with("unknown\u{1b}[31m", 3.into()), "unknown field"),
        ] {
            let reason = parse(text.as_bytes()).expect_err(&text);
            assert!(reason.contains(words), "{reason}");
            assert!(!reason.contains(['\n', '\x1b']), "{reason:?}");
        }
    }

    #[test]
    fn figures_that_nothing_can_have_are_refused_in_one_line() {
        let good = serde_json::to_value(sample::report()).expect("JSON");
        for (changes, words) in [
            (&[("/ns/raw/max", 1e308), ("/ticks/raw/max", 1e-9)][..], "the figure of nothing"),
            (&[("/ns/subtracted/median", -1e300)], "the figure of nothing"),
            (&[("/samples", 1e16)], "the figure of nothing"),
            (&[("/ticks/raw/max", 1e-9)], "do not belong together"),
            (&[("/ticks/raw/max", -1.0)], "do not belong together"),
            (&[("/ns/raw/max", 0.0)], "ticks and nanoseconds of doors/syscall/64-bit/guest"),
        ] {
            let mut changed = good.clone();
            for (path, number) in changes {
                let place = changed.pointer_mut(&format!("/measurements/0/timed{path}"));
                *place.expect("there") = (*number).into();
            }
            let reason = parse(changed.to_string().as_bytes()).expect_err(words);
            assert!(reason.contains(words) && !reason.contains('\n'), "{reason}");
        }
        // A number that is none at all.
        let text = good.to_string().replacen("10000", "1e999", 1);
        assert!(parse(text.as_bytes()).is_err());
    }

    #[test]
    fn nothing_in_a_record_of_somebody_else_steers_a_terminal() {
        const BAD: &str = "\u{1b}[31m\u{7}\r\u{202e}";
        let good = serde_json::to_string(&sample::report()).expect("JSON");
        let bad = serde_json::to_string(BAD).expect("JSON");
        let mut text = good.clone();
        // Names, ids, reasons, notes, fields of the environment, and keys of maps.
        for word in
            ["SYSCALL", "doors/syscall", "arrives as", "IBPB by", "a note", "EPYC", "spectre"]
        {
            assert!(text.contains(word), "{word}");
            text = text.replace(word, &format!("{word}{}", bad.trim_matches('"')));
        }
        let report = parse(text.as_bytes()).expect("a record");
        let mut other = report.clone();
        other.measurements[0].id.push('x');
        other.environment.cpu.model_name.push('x');
        let comparison = compare::compare(&report, &other, 1.0);
        let plain = |text: &str| anstream::adapter::strip_str(text).to_string();
        let shown = [
            table::text(&report),
            markdown::text(&report),
            html::text(&report).expect("memory"),
            compare::text(&comparison),
        ];
        for shown in shown {
            // Colours are the only escapes, and whole.
            assert!(!shown.contains("\u{1b}[31m\u{7}"), "{shown:?}");
            assert!(!plain(&shown).contains(['\u{1b}', '\u{7}', '\r', '\u{202e}']), "{shown:?}");
            assert!(shown.contains("u{1b}"), "{shown}");
        }
    }

    /// A record with one measurement of each kind, as text, without what makes it
    /// long.
    fn short() -> &'static [u8] {
        static SHORT: LazyLock<Vec<u8>> = LazyLock::new(|| {
            let mut report = sample::report();
            for timed in report.measurements.iter_mut().filter_map(|one| one.timed.as_mut()) {
                timed.histogram.truncate(3);
                timed.blocks.truncate(2);
            }
            serde_json::to_vec(&report).expect("JSON")
        });
        &SHORT
    }

    proptest! {
        #[test]
        fn a_record_with_any_bytes_changed_is_refused_or_shown_in_every_form(
            at in any::<prop::sample::Index>(),
            bytes in prop_oneof![
                any::<u8>().prop_map(|byte| vec![byte]),
                prop::sample::select(vec!["9", "e", "-", "1e308", "1e-9", "0", "99999"])
                    .prop_map(|text| text.as_bytes().to_vec()),
            ],
        ) {
            let mut text = short().to_vec();
            let at = at.index(text.len());
            text.splice(at..text.len().min(at + bytes.len()), bytes);
            if let Ok(report) = parse(&text) {
                let page = html::text(&report).expect("memory");
                let terminal = table::text(&report);
                let markdown = markdown::text(&report);
                for shown in [page, terminal, markdown] {
                    prop_assert!(shown.len() < 1 << 20, "{} bytes", shown.len());
                }
                compare::text(&compare::compare(&report, &report, 1.0));
            }
        }
    }
}

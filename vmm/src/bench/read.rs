//! A record's file, read back: every byte of it may be wrong. Called by
//! `cli::bench` for baselines and comparisons.

use super::record::{Report, SCHEMA, VERSION};
use crate::image::printable;
use serde_json::Value;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The largest file that is taken for a record, in bytes. A record with every
/// door has some hundred KiB.
const LARGEST: u64 = 64 << 20;

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
    // A text of somebody else's: nothing in it steers a terminal.
    serde_json::from_value(value).map_err(|error| {
        format!("is a damaged record: {}", printable(error.to_string().as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn a_record_with_any_byte_changed_never_panics(at in any::<prop::sample::Index>(), byte: u8) {
            let mut bytes = serde_json::to_vec(&sample::environment()).expect("JSON");
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let mut text = br#"{"schema":"trapgate-bench","version":2,"environment":"#.to_vec();
            text.extend(bytes);
            text.push(b'}');
            prop_assert!(parse(&text).is_err());
        }
    }
}

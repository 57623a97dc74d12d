//! The files that `trapgate bench` writes: opened before it measures, written
//! after. One of them may be standard output.

use super::Formats;
use super::output::{Output, is_stdout};
use anyhow::bail;
use std::path::Path;
use trapgate_measure::bench::judge::gate::Verdict;
use trapgate_measure::bench::record::Report;
use trapgate_measure::bench::show::{csv, html, junit, markdown};

/// Open files, by format.
pub(super) struct Files {
    json: Option<Output>,
    csv: Option<Output>,
    markdown: Option<Output>,
    html: Option<Output>,
    junit: Option<Output>,
    /// Whether one of them is standard output.
    pub(super) to_stdout: bool,
}

impl Files {
    /// Makes sure that every file can be written.
    ///
    /// # Errors
    /// If one cannot, or if one is named twice.
    pub(super) fn open(formats: &Formats) -> anyhow::Result<Files> {
        let Formats { json, csv, export_markdown: markdown, html, junit } = formats;
        let named = [json, csv, markdown, html, junit].into_iter().flatten();
        let named: Vec<&Path> = named.map(|path| path.as_path()).collect();
        let to_stdout = named.iter().filter(|path| is_stdout(path)).count();
        if to_stdout > 1 {
            bail!("two outputs go to standard output: give '-' to one of them only");
        }
        for (index, path) in named.iter().enumerate() {
            let is_device = std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
            if named[..index].contains(path) && !is_device {
                bail!("two outputs go into the same file: name another one than the first");
            }
        }
        let open = |path: &Option<_>| path.as_deref().map(Output::open).transpose();
        Ok(Files {
            to_stdout: to_stdout > 0,
            json: open(json)?,
            csv: open(csv)?,
            markdown: open(markdown)?,
            html: open(html)?,
            junit: open(junit)?,
        })
    }

    /// Writes them all.
    ///
    /// # Errors
    /// If one cannot be written after all. The others are, as far as possible.
    pub(super) fn write(self, report: &Report, verdicts: &[Verdict]) -> anyhow::Result<()> {
        let json = self.json.map(|file| {
            let mut bytes = serde_json::to_vec_pretty(report)?;
            bytes.push(b'\n');
            Ok(file.write(&bytes)?)
        });
        let csv = self.csv.map(|file| Ok(file.write(&csv::bytes(report)?)?));
        let markdown = self.markdown.map(|file| Ok(file.write(markdown::text(report).as_bytes())?));
        let html = self.html.map(|file| Ok(file.write(html::text(report)?.as_bytes())?));
        let junit =
            self.junit.map(|file| Ok(file.write(junit::text(report, verdicts)?.as_bytes())?));
        [json, csv, markdown, html, junit].into_iter().flatten().collect()
    }
}

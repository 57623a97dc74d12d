//! Lines of a report: headings, and rows of a name and a text that is broken
//! into lines below itself.

use super::HEAD;
use anstyle::Style;
use std::io::{self, Write};
use textwrap::{Options, WordSplitter};

/// The width of a row's name.
const NAME: usize = 20;
/// Where a row's text begins.
const TEXT_AT: usize = 2 + NAME + 1;

/// The lines so far, with escapes for colours.
pub(super) struct Page {
    bytes: Vec<u8>,
    columns: usize,
}

impl Page {
    /// An empty one, whose lines have at most so many columns.
    pub(super) fn new(columns: usize) -> Page {
        Page { bytes: Vec::new(), columns }
    }

    /// All lines.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// A section's heading.
    pub(super) fn head(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.bytes, "\n{HEAD}{text}{HEAD:#}")
    }

    /// A sentence, indented.
    pub(super) fn line(&mut self, style: Style, indent: usize, text: &str) -> io::Result<()> {
        for line in self.broken(indent, "", text) {
            writeln!(self.bytes, "{:indent$}{style}{line}{style:#}", "")?;
        }
        Ok(())
    }

    /// A name, and what there is to say about it.
    pub(super) fn row(&mut self, name: &str, style: Style, text: &str) -> io::Result<()> {
        // A name that is too long takes its place from the first line.
        let taken = " ".repeat(name.len().saturating_sub(NAME));
        let lines = self.broken(TEXT_AT, &taken, text);
        for (index, line) in lines.iter().enumerate() {
            let (name, line) = match index {
                0 => (name, line.get(taken.len()..).unwrap_or_default()),
                _ => ("", line.as_str()),
            };
            writeln!(self.bytes, "  {name:<NAME$} {style}{line}{style:#}")?;
        }
        Ok(())
    }

    /// The same in one line: what does not fit is left out.
    pub(super) fn short_row(&mut self, name: &str, style: Style, text: &str) -> io::Result<()> {
        let room = self.columns.saturating_sub(TEXT_AT);
        if text.chars().count() <= room {
            return self.row(name, style, text);
        }
        let kept: String = text.chars().take(room.saturating_sub(1)).collect();
        writeln!(self.bytes, "  {name:<NAME$} {style}{}…{style:#}", kept.trim_end())
    }

    /// A row of cells, each with a style.
    pub(super) fn cells(&mut self, name: &str, cells: &[(Style, &str)]) -> io::Result<()> {
        write!(self.bytes, "  {name:<NAME$}")?;
        for (index, (style, word)) in cells.iter().enumerate() {
            // Padded outside of the style: escapes have no width.
            let pad = if index + 1 < cells.len() { 9usize.saturating_sub(word.len()) } else { 0 };
            write!(self.bytes, " {style}{word}{style:#}{:pad$}", "")?;
        }
        writeln!(self.bytes)
    }

    /// Lines with room for `indent` in front of each, the first one behind
    /// `begin`.
    fn broken(&self, indent: usize, begin: &str, text: &str) -> Vec<String> {
        let room = self.columns.saturating_sub(indent).max(1);
        let options = Options::new(room).initial_indent(begin);
        let options = options.word_splitter(WordSplitter::NoHyphenation);
        textwrap::wrap(text, options).into_iter().map(|line| line.into_owned()).collect()
    }
}

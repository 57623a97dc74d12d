//! Output of a test run in a rig on its way to the user.
//!
//! Used by `test::rigs`.

use std::io::{self, Write};
use std::mem;

/// A sink with a word before each line, so that two rigs can share a terminal.
pub(super) struct Prefixed<W> {
    to: W,
    prefix: String,
    pending: Vec<u8>,
    /// The last verdict that libtest printed: `12 passed; 0 failed; 1 ignored`.
    pub(super) result: Option<String>,
}

impl<W: Write> Prefixed<W> {
    pub(super) fn new(to: W, prefix: String) -> Self {
        Self { to, prefix, pending: Vec::new(), result: None }
    }

    /// Writes a last line that has no end.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        let line = mem::take(&mut self.pending);
        if line.is_empty() { Ok(()) } else { self.line(&line) }
    }

    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        let text = String::from_utf8_lossy(line);
        self.result = verdict(&text).or(self.result.take());
        writeln!(self.to, "{}{}", self.prefix, text.trim_end())
    }
}

impl<W: Write> Write for Prefixed<W> {
    fn write(&mut self, new: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(new);
        while let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.pending.drain(..=end).collect();
            self.line(&line)?;
        }
        Ok(new.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn verdict(line: &str) -> Option<String> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let end = counts.find("; 0 measured").unwrap_or(counts.len());
    Some(counts[..end].trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_is_read_from_libtests_last_line() {
        let line = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 5 filtered out; finished in 0.2s";
        assert_eq!(verdict(line).unwrap(), "3 passed; 0 failed; 1 ignored");
        assert_eq!(verdict("test a ... ok"), None);
    }

    #[test]
    fn lines_are_put_together_across_writes() {
        let mut out = Prefixed::new(Vec::new(), "[x] ".into());
        for part in ["test result: FAILED. 1 pas", "sed; 2 failed\nrest"] {
            out.write_all(part.as_bytes()).unwrap();
        }
        assert_eq!(out.result.as_deref(), Some("1 passed; 2 failed"));
        assert_eq!(out.pending, b"rest");
        out.finish().unwrap();
        let written = String::from_utf8(out.to).unwrap();
        assert_eq!(written, "[x] test result: FAILED. 1 passed; 2 failed\n[x] rest\n");
    }
}

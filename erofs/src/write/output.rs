//! The image as it is written: from front to back, over zeroes by seeking.

use std::io::{BufWriter, Seek, SeekFrom, Write};

use super::WriteError;
use crate::BLOCK_SIZE;

/// What an image is written to.
pub(super) struct Output<W: Write + Seek> {
    writer: BufWriter<W>,
    /// How long it is, with what was left out.
    len: u64,
    /// Zeroes at its end that were left out up to now.
    skipped: u64,
}

impl<W: Write + Seek> Output<W> {
    pub(super) fn new(writer: W) -> Self {
        Self { writer: BufWriter::with_capacity(256 << 10, writer), len: 0, skipped: 0 }
    }

    /// Writes bytes; those that fill blocks with zeroes are left out. It begins at a
    /// block's beginning, or continues what did.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        for piece in bytes.chunks(BLOCK_SIZE as usize) {
            if piece.iter().all(|byte| *byte == 0) {
                self.skipped += piece.len() as u64;
            } else {
                self.close_gap(0)?;
                self.writer.write_all(piece).map_err(WriteError::Output)?;
            }
            self.len += piece.len() as u64;
        }
        Ok(())
    }

    /// Fills up with zeroes to a multiple of this.
    pub(super) fn pad(&mut self, multiple: u64) -> Result<(), WriteError> {
        let end = self.len.next_multiple_of(multiple);
        self.skipped += end - self.len;
        self.len = end;
        Ok(())
    }

    /// Goes over what was left out, but for this many bytes at its end.
    fn close_gap(&mut self, but: u64) -> Result<(), WriteError> {
        let gap = self.skipped.saturating_sub(but);
        if gap > 0 {
            let gap = i64::try_from(gap).map_err(|_| WriteError::TooLarge)?;
            self.writer.seek(SeekFrom::Current(gap)).map_err(WriteError::Output)?;
        }
        self.skipped = self.skipped.min(but);
        Ok(())
    }

    /// Writes what is not written yet; how long it is, in bytes.
    pub(super) fn finish(mut self) -> Result<u64, WriteError> {
        if self.skipped > 0 {
            // So that the file ends where the image does.
            self.close_gap(1)?;
            self.writer.write_all(&[0]).map_err(WriteError::Output)?;
        }
        self.writer.flush().map_err(WriteError::Output)?;
        Ok(self.len)
    }
}

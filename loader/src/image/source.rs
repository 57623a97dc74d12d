//! A file, as far as its reader needs it: the VMM has all of it in memory, the kernel
//! reads it piece by piece.

use core::convert::Infallible;

/// A file that can be read at any place.
pub trait Source {
    /// Why it cannot be read.
    type Error;

    /// Reads from byte `offset` on until `bytes` is full or the file ends; answers how
    /// much that was.
    ///
    /// # Errors
    /// The file's own.
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Self::Error>;
}

impl Source for [u8] {
    type Error = Infallible;

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let length = bytes.len().min(self.len() - start);
        bytes[..length].copy_from_slice(&self[start..start + length]);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_memory_is_read_as_far_as_it_goes() {
        let read = |offset| {
            let mut bytes = [9; 3];
            let Ok(length) = b"abcd"[..].read_at(offset, &mut bytes);
            (length, bytes)
        };
        assert_eq!(read(0), (3, *b"abc"));
        assert_eq!(read(2), (2, *b"cd\x09"));
        assert_eq!(read(4), (0, [9; 3]));
        assert_eq!(read(u64::MAX), (0, [9; 3]));
    }
}

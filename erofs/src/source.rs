//! Where an image's bytes come from.

/// Bytes that could not be had: the image ends before them, or its file cannot be
/// read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// An image's bytes. They can be others each time that they are read.
pub trait Source {
    /// How many there are, in bytes. It stays the same.
    fn size(&self) -> u64;

    /// Copies the bytes that begin at `offset`: all, or it is an error.
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Unreadable>;
}

impl<S: Source + ?Sized> Source for &S {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Unreadable> {
        (**self).read(offset, bytes)
    }
}

/// A copy of an image that is the reader's own.
impl Source for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Unreadable> {
        let from = usize::try_from(offset).ok().and_then(|offset| self.get(offset..));
        let from = from.and_then(|from| from.get(..bytes.len())).ok_or(Unreadable)?;
        bytes.copy_from_slice(from);
        Ok(())
    }
}

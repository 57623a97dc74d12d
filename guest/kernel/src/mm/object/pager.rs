//! What is below an object, by those who know how it is had.

use super::taken::Begun;
use core::any::Any;
use core::fmt::Debug;
use trapgate_abi::boot_info::Range;
use trapgate_uapi::Errno;

/// What is below an object: file systems say so, and `mm` does not know how.
pub trait Pager: Send + Sync + Debug {
    /// What is in the place of page `index`, which the object has not.
    ///
    /// # Errors
    /// EIO, if it cannot be read.
    fn below(&self, index: u64) -> Result<Below, Errno>;

    /// Fills `frame`, which holds zeroes, with what [`Below::Bytes`] stands for.
    ///
    /// # Errors
    /// EIO, if it cannot be read.
    fn fill(&self, index: u64, frame: u64) -> Result<(), Errno>;

    /// Whether what is written goes there, too, at once, and nothing is kept here that is
    /// not there: whoever writes then asks itself (`fs::host`).
    fn is_written_there(&self) -> bool {
        false
    }

    /// Itself, for who does that.
    fn as_any(&self) -> Option<&dyn Any> {
        None
    }

    /// What the file takes where it is, in 512 bytes, if that is not a block for each page.
    fn blocks(&self) -> Option<u64> {
        None
    }

    /// Where there is data from there on, or a hole: by who knows that better than that a
    /// page is [`Below::Hole`]. Nothing is locked.
    ///
    /// # Errors
    /// ENXIO, if there is none; EIO.
    fn find(&self, from: u64, hole: bool) -> Option<Result<u64, Errno>> {
        let _ = (from, hole);
        None
    }

    /// What has come of the first pages already, once.
    fn begun(&self) -> Option<Begun> {
        None
    }

    /// Reads what is from page `first` on into `frames`, which hold anything: the first
    /// pages, as far as that is easy. Answers how many bytes there were; fewer than the
    /// frames have room for, if it is the end, or stops there. Nothing is locked.
    ///
    /// # Errors
    /// EIO, if it cannot be read; and always, if nothing is [`Below::Elsewhere`].
    fn bring(&self, first: u64, frames: &[Range]) -> Result<u64, Errno> {
        let _ = (first, frames);
        Err(Errno::EIO)
    }
}

/// What is in the place of a page that an object has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Below {
    /// Zeroes.
    Hole,
    /// A page outside of RAM, by its physical address: it can be mapped as it is.
    Outside(u64),
    /// Bytes, which [`Pager::fill`] has.
    Bytes,
    /// Bytes that have to be asked for: [`Pager::bring`].
    Elsewhere,
    /// A frame with such bytes that the object keeps as long as there is memory. No pager
    /// answers this.
    Clean(u64),
}

//! Frames that the VMM writes to, and the kernel reads; or the other way round. What was in
//! them before, nobody gets to see.

use crate::mm::frames::FRAMES;
use crate::mm::object::clean;
use trapgate_abi::boot_info::Range;
use trapgate_uapi::Errno;

/// Frames in a row, which go back when it is dropped.
pub(super) struct Buffer(Range);

impl Buffer {
    /// So many frames, or one at least.
    ///
    /// # Errors
    /// ENOMEM.
    pub(super) fn new(frames: u64) -> Result<Buffer, Errno> {
        loop {
            let mut all = FRAMES.lock();
            if let Some((run, _)) = all.unclean_run(frames).or_else(|| all.unclean(1)) {
                return Ok(Buffer(run));
            }
            drop(all);
            if clean::give_up(frames) == 0 {
                return Err(Errno::ENOMEM);
            }
        }
    }

    /// Where it is.
    pub(super) const fn run(&self) -> Range {
        self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        FRAMES.lock().give_up(self.0);
    }
}

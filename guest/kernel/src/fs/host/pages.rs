//! The bytes of a file of the host's.

use super::ask;
use super::node::Node;
use crate::mm::object::taken::Begun;
use crate::mm::object::{Below, Pager};
use alloc::sync::Arc;
use core::any::Any;
use core::sync::atomic::{AtomicU64, Ordering};
use spin::Mutex;
use trapgate_abi::boot_info::Range;
use trapgate_abi::file::FileStatus;
use trapgate_abi::hypercall::files::Access;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_uapi::Errno;

/// A regular file.
#[derive(Debug)]
pub(super) struct Pages {
    pub(super) node: Arc<Node>,
    /// Its size when it was looked at last, and what it takes there, in 512 bytes.
    size: AtomicU64,
    blocks: AtomicU64,
    begun: Mutex<Option<Begun>>,
    is_written_there: bool,
}

impl Pages {
    pub(super) fn new(
        node: &Arc<Node>,
        status: &FileStatus,
        begun: Option<Begun>,
        is_written_there: bool,
    ) -> Pages {
        let [size, blocks] = [status.size, status.blocks].map(AtomicU64::new);
        Pages { node: node.clone(), size, blocks, begun: Mutex::new(begun), is_written_there }
    }

    /// The host has told what it is now.
    pub(super) fn told(&self, status: &FileStatus) {
        self.size.store(status.size, Ordering::Relaxed);
        self.blocks.store(status.blocks, Ordering::Relaxed);
    }
}

impl Pager for Pages {
    fn below(&self, _index: u64) -> Result<Below, Errno> {
        Ok(Below::Elsewhere)
    }

    fn fill(&self, _index: u64, _frame: u64) -> Result<(), Errno> {
        Err(Errno::EIO)
    }

    fn is_written_there(&self) -> bool {
        self.is_written_there
    }

    fn blocks(&self) -> Option<u64> {
        Some(self.blocks.load(Ordering::Relaxed))
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }

    fn find(&self, from: u64, hole: bool) -> Option<Result<u64, Errno>> {
        let open = self.node.is_open(Access::Write) && !self.node.is_open(Access::Read);
        let access = if open { Access::Write } else { Access::Read };
        Some(self.node.ask_open(access, |handle| ask::find(handle, from, hole)))
    }

    fn begun(&self) -> Option<Begun> {
        self.begun.lock().take()
    }

    fn bring(&self, first: u64, frames: &[Range]) -> Result<u64, Errno> {
        let offset = first * PAGE_SIZE;
        let room: u64 = frames.iter().map(Range::len).sum();
        let wanted = room.min(self.size.load(Ordering::Relaxed).saturating_sub(offset));
        let mut done = self.node.ask(|handle| {
            if self.node.is_open(Access::Read) {
                return ask::get(handle, offset, frames, 0);
            }
            // The first bytes come with it.
            let with_it = if first == 0 { frames } else { &[] };
            let (got, _) = ask::open(handle, Access::Read, with_it)?;
            self.node.opened(handle, Access::Read);
            if first == 0 { Ok(got) } else { ask::get(handle, offset, frames, 0) }
        })?;
        // Fewer than there should be: so it ends there, or has been read in part.
        while done < wanted {
            let got = self.node.ask(|handle| ask::get(handle, offset + done, frames, done))?;
            if got == 0 {
                break;
            }
            done += got.min(room - done);
        }
        Ok(done.min(room))
    }
}

//! The bytes of a file of an image: which pages of memory they are.

use super::slot::{Image, errno};
use crate::mm::object::{Below, Pager};
use alloc::sync::Arc;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::phys;
use trapgate_erofs::Inode;
use trapgate_uapi::Errno;

/// Bytes that are copied at a time.
const PIECE: usize = 256;

/// A regular file.
#[derive(Debug)]
pub(super) struct Pages {
    image: Arc<Image>,
    inode: Inode,
}

impl Pages {
    pub(super) fn new(image: &Arc<Image>, inode: Inode) -> Pages {
        Pages { image: image.clone(), inode }
    }
}

impl Pager for Pages {
    /// What an image has behind a file's end, in the page of its last byte, is seen in a
    /// mapping, as Linux's EROFS shows it. Images have zeroes there.
    fn below(&self, index: u64) -> Result<Below, Errno> {
        let offset = index.checked_mul(PAGE_SIZE);
        Ok(match offset.and_then(|offset| self.image.extent(&self.inode, offset)) {
            None => Below::Hole,
            // Both begin with a page, and the image ends with one.
            Some(extent) if extent.in_blocks => {
                Below::Outside(self.image.source().0.range().start + extent.position)
            }
            Some(_) => Below::Bytes,
        })
    }

    fn fill(&self, index: u64, frame: u64) -> Result<(), Errno> {
        let mut piece = [0; PIECE];
        for within in (0..PAGE_SIZE).step_by(PIECE) {
            let offset = index.saturating_mul(PAGE_SIZE).saturating_add(within);
            let len = self.image.read(&self.inode, offset, &mut piece).map_err(errno)?;
            if len == 0 {
                break;
            }
            phys::write(frame + within, &piece[..len]);
        }
        Ok(())
    }
}

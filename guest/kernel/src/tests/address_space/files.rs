//! Files that both address spaces can map.

use super::model::Bytes;
use super::world::RAM;
use crate::mm::backing::Mapped;
use crate::mm::object::{Below, Object, Pager, Quota};
use std::sync::Arc;
use trapgate_abi::hypercall::Segment;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::fake;
use trapgate_uapi::Errno;

/// Files, each of so many pages at first.
pub(super) const FILES: usize = 2;
pub(super) const FILE_PAGES: u64 = 48;
/// The one that nobody may map shared to write it.
pub(super) const READ_ONLY: usize = 0;
/// Where there are pages outside of RAM: as many as a file has.
pub(super) const OUTSIDE: u64 = RAM;

/// What is below a file: every third page a hole, bytes, or one outside of RAM.
#[derive(Debug)]
pub(super) struct TestPager {
    has_outside: bool,
}

impl TestPager {
    pub(super) fn bytes(index: u64) -> Bytes {
        let fill = if index.is_multiple_of(3) { 0 } else { index as u8 + 0x80 };
        vec![fill; PAGE_SIZE as usize]
    }
}

impl Pager for TestPager {
    fn below(&self, index: u64) -> Result<Below, Errno> {
        Ok(match index % 3 {
            0 => Below::Hole,
            1 if self.has_outside => Below::Outside(OUTSIDE + index * PAGE_SIZE),
            _ => Below::Bytes,
        })
    }

    fn fill(&self, index: u64, frame: u64) -> Result<(), Errno> {
        fake::fill(&Segment { address: frame, length: PAGE_SIZE }, &TestPager::bytes(index));
        Ok(())
    }
}

/// A file. Those who have mapped what is below privately need not see what is written
/// later; so the file that has pages outside of RAM is never written there.
pub(super) fn file(has_outside: bool) -> Arc<Mapped> {
    for index in 0..FILE_PAGES {
        let place = Segment { address: OUTSIDE + index * PAGE_SIZE, length: PAGE_SIZE };
        fake::fill(&place, &TestPager::bytes(index));
    }
    let pager = Box::new(TestPager { has_outside });
    let quota = Arc::new(Quota::new(u64::MAX));
    let object = Arc::new(Object::paged(FILE_PAGES * PAGE_SIZE, quota, pager));
    let mapped = Mapped { object, file: None, may_write: !has_outside, stored: None };
    Arc::new(mapped)
}

//! Memory: first touches, giving back, protecting. A page is the element.

use std::io::{self, Read};
use std::os::fd::AsRawFd;

use crate::Operation;
use crate::files::file;
use crate::measure::{Counted, Repeats, calls, once, pages};
use crate::sys::{self, Area, Doing, Failure, READ, READ_WRITE};

/// As many as a leaf table has.
const PAGES: usize = 512;
/// An eighth of it.
const FEW_PAGES: usize = 64;
/// Of a file.
const FILE_PAGES: usize = 256;

pub(crate) const OPERATIONS: &[Operation] = &[
    // Nothing is given back in between, so that no frame was used before. Few pages:
    // what the host does where a sandbox comes to another large page of its RAM is in
    // some repeats only.
    ("touch-fresh", |repeats| {
        let make = || Area::map(FEW_PAGES, READ_WRITE, None);
        pages(repeats, FEW_PAGES as u32, make, Area::write_each, Area::write_each)
    }),
    // What the repeat before has used and given back.
    ("touch-recycled", |repeats| {
        let mut before: Option<Area> = None;
        let make = || {
            before.take().map_or(Ok(0), |area| sys::check("munmap", area.unmap()))?;
            let area = Area::map(PAGES, READ_WRITE, None)?;
            before = Some(area);
            Ok(area)
        };
        pages(repeats, PAGES as u32, make, Area::write_each, Area::write_each)
    }),
    ("touch-file", |repeats| of_file(repeats, READ, Area::read_each)),
    ("cow-file", |repeats| of_file(repeats, READ_WRITE, Area::write_each)),
    ("cow-fork", cow_fork),
    ("munmap", |repeats| {
        let make = || {
            let area = Area::map(PAGES, READ_WRITE, None)?;
            area.write_each();
            Ok(area)
        };
        let unmap = |area: &Area| assert_eq!(area.unmap(), 0);
        pages(repeats, PAGES as u32, make, unmap, |_| {})
    }),
    ("mmap-munmap", |repeats| {
        // Beside a mapping of another kind, so that it does not become one with it.
        Area::map(1, READ, None)?;
        calls(repeats, 200, || Area::map_unchecked(1, READ_WRITE, None).unmap())
    }),
    // Back and forth, of a page in the middle of what is mapped.
    ("mprotect-twice", |repeats| {
        let middle = Area::map(3, READ_WRITE, None)?.part(1, 1);
        middle.write_each();
        calls(repeats, 200, || middle.protect(READ) | middle.protect(READ_WRITE))
    }),
];

/// First touches of a file's pages that are in memory.
fn of_file(repeats: Repeats, access: i32, touch: fn(&Area)) -> Result<Counted, Failure> {
    let file = file(FILE_PAGES)?;
    let mut before: Option<Area> = None;
    let make = || {
        before.take().map_or(Ok(0), |area| sys::check("munmap", area.unmap()))?;
        let area = Area::map(FILE_PAGES, access, Some(file.as_raw_fd()))?;
        before = Some(area);
        Ok(area)
    };
    pages(repeats, FILE_PAGES as u32, make, touch, touch)
}

/// What a child writes to that its parent has touched. It tells through a pipe.
fn cow_fork(repeats: Repeats) -> Result<Counted, Failure> {
    let area = Area::map(PAGES, READ_WRITE, None)?;
    area.write_each();
    let mut least = u64::MAX;
    for _ in 0..repeats.0 {
        let (mut reader, writer) = io::pipe().doing("pipe")?;
        let child = sys::check(
            "fork",
            sys::fork(|| {
                let ticks = once(|| area.write_each()) - once(|| area.write_each());
                sys::write(writer.as_raw_fd(), &ticks.to_ne_bytes());
            }),
        )?;
        let mut ticks = [0; 8];
        reader.read_exact(&mut ticks).doing("read")?;
        least = least.min(u64::from_ne_bytes(ticks));
        sys::check("wait4", sys::wait_for(child))?;
    }
    Ok(Counted { instructions: least as f64 / PAGES as f64, elements: PAGES as u32 })
}

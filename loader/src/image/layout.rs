//! From program headers to pages of memory.
//!
//! Called by [`super::Program`] in the order of the functions below: which PT_LOADs
//! there are, where they go, and which pages with which bytes of the file that makes.

use alloc::vec::Vec;
use core::mem;
use core::ops::Range;

use object::LittleEndian;
use object::elf;
use object::read::elf::ProgramHeader;

use super::{ImageError, LE, PAGE, Prot, Segment, USER_MIN};
use super::{align_down, align_up};

/// A PT_LOAD that occupies memory, of either class.
pub(super) struct Load {
    /// Its place among the program headers.
    pub(super) index: usize,
    pub(super) prot: Prot,
    pub(super) offset: u64,
    pub(super) address: u64,
    pub(super) file_size: u64,
    pub(super) memory_size: u64,
    pub(super) align: u64,
}

/// The PT_LOADs that occupy memory, each checked on its own.
pub(super) fn loads<'a, P>(phdrs: impl Iterator<Item = &'a P>) -> Result<Vec<Load>, ImageError>
where
    P: ProgramHeader<Endian = LittleEndian> + 'a,
{
    let mut loads = Vec::new();
    for (index, phdr) in phdrs.enumerate() {
        if phdr.p_type(LE) != elf::PT_LOAD {
            continue;
        }
        let (offset, file_size) = phdr.file_range(LE);
        let (address, memory_size) = (phdr.p_vaddr(LE).into(), phdr.p_memsz(LE).into());
        if file_size > memory_size {
            return Err(ImageError::FileSizeExceedsMemSize { index, file_size, memory_size });
        }
        // Without file bytes p_offset means nothing, and Linux ignores it.
        if file_size > 0 && address % PAGE != offset % PAGE {
            return Err(ImageError::MisalignedSegment { index, address, offset });
        }
        if memory_size > 0 {
            let (align, flags) = (phdr.p_align(LE).into(), phdr.p_flags(LE));
            let prot = Prot {
                read: flags.contains(elf::PF_R),
                write: flags.contains(elf::PF_W),
                exec: flags.contains(elf::PF_X),
            };
            push(&mut loads, Load { index, prot, offset, address, file_size, memory_size, align })?;
        }
    }
    if loads.is_empty() {
        return Err(ImageError::NoSegments);
    }
    Ok(loads)
}

/// The largest alignment that a program asks for, one page at least. A p_align that is
/// not a power of two asks for nothing, as in Linux.
pub(super) fn alignment(loads: &[Load]) -> u64 {
    let aligns = loads.iter().map(|load| load.align);
    aligns.filter(|align| align.is_power_of_two()).fold(PAGE, u64::max)
}

/// The page of the lowest segment.
pub(super) fn lowest_page(loads: &[Load]) -> u64 {
    align_down(loads.iter().map(|load| load.address).min().unwrap_or(0), PAGE)
}

/// What to add to the addresses of a position-independent program so that its
/// lowest page is at `base`, or below it as far as p_align asks.
pub(super) fn bias(loads: &[Load], base: u64) -> u64 {
    align_down(base.wrapping_sub(lowest_page(loads)), alignment(loads))
}

/// No file is larger.
const FILE_END: u64 = i64::MAX as u64;

/// All segments are inside the user address space, which ends at `end`, and their bytes
/// are where a file can have some.
pub(super) fn refuse_outside(loads: &[Load], bias: u64, end: u64) -> Result<(), ImageError> {
    for &Load { index, address, memory_size: size, offset, file_size, .. } in loads {
        if file_size > 0 && offset.checked_add(file_size).is_none_or(|end| end > FILE_END) {
            let (size, has) = (file_size, FILE_END);
            return Err(ImageError::SegmentFileRange { index, offset, size, has });
        }
        let address = address.wrapping_add(bias);
        let last = address.checked_add(size);
        if address < USER_MIN || last.is_none_or(|last| last > end) {
            return Err(ImageError::SegmentOutOfRange { index, address, size, end });
        }
    }
    Ok(())
}

/// The pages of one checked segment, whose first byte is at `vaddr`: its
/// address with the load bias.
///
/// Mostly one piece. Pages without any file byte, of a segment that is not
/// writable, are a second one: Linux makes them readable and writable (they
/// are its heap's kind of page), and adds only the right to execute.
fn pieces(load: &Load, vaddr: u64) -> impl Iterator<Item = Segment> + use<> {
    let &Load { prot, offset, file_size, memory_size, .. } = load;
    let start = align_down(vaddr, PAGE);
    let end = align_up(vaddr + memory_size);

    let file = if file_size == 0 {
        0..0
    } else {
        // As much of the page before the segment as the mapping shows; the
        // offset is congruent to the address, so it cannot go below 0.
        let first = offset - vaddr % PAGE;
        let shown = if memory_size > file_size { vaddr % PAGE + file_size } else { end - start };
        first..first + shown
    };
    let file_end = if file_size == 0 { start } else { align_up(vaddr + file_size) };

    let whole = Segment { start, end, prot, file };
    let (with_file, without) = if prot.write || file_end == end {
        (Some(whole), None)
    } else {
        let anonymous = Prot { read: true, write: true, exec: prot.exec };
        let rest = whole.cut(file_end, end);
        (whole.cut(start, file_end), rest.map(|s| Segment { prot: anonymous, ..s }))
    };
    with_file.into_iter().chain(without)
}

/// The pages of all segments, by address. Where several claim a page, the last one has
/// it: mmap(2) with MAP_FIXED.
pub(super) fn segments(loads: &[Load], bias: u64) -> Result<Vec<Segment>, ImageError> {
    let mut segments = Vec::new();
    for load in loads {
        for piece in pieces(load, load.address.wrapping_add(bias)) {
            map(&mut segments, piece)?;
        }
    }
    segments.sort_unstable_by_key(|segment| segment.start);
    Ok(segments)
}

/// Adds `new`, taking its pages away from whatever had them.
fn map(segments: &mut Vec<Segment>, new: Segment) -> Result<(), ImageError> {
    let shares = |s: &Segment| s.start < new.end && new.start < s.end;
    if segments.iter().any(shares) {
        for s in mem::take(segments) {
            for left in [s.cut(s.start, new.start.min(s.end)), s.cut(new.end.max(s.start), s.end)] {
                left.map_or(Ok(()), |left| push(segments, left))?;
            }
        }
    }
    push(segments, new)
}

fn push<T>(to: &mut Vec<T>, value: T) -> Result<(), ImageError> {
    to.try_reserve(1).map_err(|_| ImageError::NoMemory)?;
    to.push(value);
    Ok(())
}

impl Segment {
    /// The part of the segment in `start..end` (page-aligned, inside of it), or
    /// none if that is empty.
    fn cut(&self, start: u64, end: u64) -> Option<Segment> {
        if start >= end {
            return None;
        }
        let length = self.file.end - self.file.start;
        let file_at = |address: u64| self.file.start + (address - self.start).min(length);
        Some(Segment { start, end, prot: self.prot, file: bytes(file_at(start), file_at(end)) })
    }
}

/// These bytes of a file; none are none of its beginning.
pub(super) fn bytes(start: u64, end: u64) -> Range<u64> {
    if start < end { start..end } else { 0..0 }
}

//! From checked program headers to pages of memory.
//!
//! Called by [`super::parse`] in the order of the functions below: which
//! PT_LOADs there are, where they go, whether they are apart, and which pages
//! with which bytes of the file that makes.

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
pub(super) fn loads<P>(bytes: &[u8], phdrs: &[P]) -> Result<Vec<Load>, ImageError>
where
    P: ProgramHeader<Endian = LittleEndian>,
{
    let mut loads = Vec::new();
    for (index, phdr) in phdrs.iter().enumerate() {
        if phdr.p_type(LE) != elf::PT_LOAD {
            continue;
        }
        let (offset, file_size) = phdr.file_range(LE);
        let (address, memory_size) = (phdr.p_vaddr(LE).into(), phdr.p_memsz(LE).into());
        if file_size > memory_size {
            return Err(ImageError::FileSizeExceedsMemSize { index, file_size, memory_size });
        }
        // Without file bytes p_offset means nothing, and Linux ignores it.
        if file_size > 0 {
            if file_range(bytes.len(), offset, file_size).is_none() {
                let has = bytes.len() as u64;
                return Err(ImageError::SegmentFileRange { index, offset, size: file_size, has });
            }
            if address % PAGE != offset % PAGE {
                return Err(ImageError::MisalignedSegment { index, address, offset });
            }
        }
        if memory_size > 0 {
            let (align, flags) = (phdr.p_align(LE).into(), phdr.p_flags(LE));
            let prot = Prot {
                read: flags.contains(elf::PF_R),
                write: flags.contains(elf::PF_W),
                exec: flags.contains(elf::PF_X),
            };
            loads.push(Load { index, prot, offset, address, file_size, memory_size, align });
        }
    }
    if loads.is_empty() {
        return Err(ImageError::NoSegments);
    }
    Ok(loads)
}

/// What to add to the addresses of a position-independent program so that its
/// lowest page is at `base`, or below it as far as p_align asks.
///
/// A p_align that is not a power of two asks for nothing, as in Linux.
pub(super) fn pie_bias(loads: &[Load], base: u64) -> u64 {
    let aligns = loads.iter().map(|l| l.align);
    let align = aligns.filter(|a| a.is_power_of_two()).fold(PAGE, u64::max);
    let lowest = loads.iter().map(|l| l.address).min().unwrap_or(0);
    align_down(base.wrapping_sub(align_down(lowest, PAGE)), align)
}

/// The bytes of memory that one program header claims.
pub(super) struct MemoryRange {
    pub(super) index: usize,
    pub(super) start: u64,
    pub(super) end: u64,
}

/// Where each segment goes, all of them inside the user address space, which
/// ends at `user_end`.
pub(super) fn memory_ranges(
    loads: &[Load],
    bias: u64,
    user_end: u64,
) -> Result<Vec<MemoryRange>, ImageError> {
    let range = |load: &Load| {
        let (index, size) = (load.index, load.memory_size);
        let start = load.address.wrapping_add(bias);
        match start.checked_add(size) {
            Some(end) if start >= USER_MIN && end <= user_end => {
                Ok(MemoryRange { index, start, end })
            }
            _ => Err(ImageError::SegmentOutOfRange { index, address: start, size, end: user_end }),
        }
    };
    loads.iter().map(range).collect()
}

pub(super) fn refuse_overlap(ranges: &[MemoryRange]) -> Result<(), ImageError> {
    let mut sorted: Vec<_> = ranges.iter().collect();
    sorted.sort_by_key(|r| r.start);
    match sorted.windows(2).find(|pair| pair[0].end > pair[1].start) {
        Some(pair) => Err(ImageError::SegmentOverlap {
            first: pair[0].index,
            second: pair[1].index,
            address: pair[1].start,
        }),
        None => Ok(()),
    }
}

/// The pages of one checked segment, whose first byte is at `vaddr`: its
/// address with the load bias.
///
/// Mostly one piece. Pages without any file byte, of a segment that is not
/// writable, are a second one: Linux makes them readable and writable (they
/// are its heap's kind of page), and adds only the right to execute.
pub(super) fn pieces(
    load: &Load,
    vaddr: u64,
    file_len: usize,
) -> impl Iterator<Item = Segment> + use<> {
    let &Load { prot, offset, file_size, memory_size, .. } = load;
    let start = align_down(vaddr, PAGE);
    let end = align_up(vaddr + memory_size);

    let file = if file_size == 0 {
        0..0
    } else {
        // As much of the page before the segment as the mapping shows; the
        // offset is congruent to the address, so it cannot go below 0.
        let first = offset - vaddr % PAGE;
        let last = if memory_size > file_size {
            first + vaddr % PAGE + file_size
        } else {
            (first + (end - start)).min(file_len as u64)
        };
        // loads() has checked both against the file's length.
        first as usize..last as usize
    };
    let file_end = if file_size == 0 { start } else { align_up(vaddr + file_size) };

    let whole = Segment { start, end, prot, file, data_start: start };
    let (with_file, without) = if prot.write || file_end == end {
        (Some(whole), None)
    } else {
        let anonymous = Prot { read: true, write: true, exec: prot.exec };
        let rest = whole.cut(file_end, end);
        (whole.cut(start, file_end), rest.map(|s| Segment { prot: anonymous, ..s }))
    };
    with_file.into_iter().chain(without)
}

/// Adds `new`, taking its pages away from whatever had them: mmap(2) with
/// MAP_FIXED.
pub(super) fn map(segments: &mut Vec<Segment>, new: Segment) {
    let shares = |s: &Segment| s.start < new.end && new.start < s.end;
    if segments.iter().any(shares) {
        let old = mem::take(segments);
        for s in old {
            segments.extend(s.cut(s.start, new.start.min(s.end)));
            segments.extend(s.cut(new.end.max(s.start), s.end));
        }
    }
    segments.push(new);
}

impl Segment {
    /// The part of the segment in `start..end` (page-aligned, inside of it), or
    /// none if that is empty. `data_start` must still be `start`.
    fn cut(&self, start: u64, end: u64) -> Option<Segment> {
        if start >= end {
            return None;
        }
        let file_at = |address: u64| {
            let offset = (address - self.start).min(self.file.len() as u64);
            self.file.start + offset as usize
        };
        let file = file_at(start)..file_at(end);
        Some(Segment { start, end, prot: self.prot, file, data_start: start })
    }
}

/// `offset..offset + size` if a file of `file_len` bytes has all of it.
pub(super) fn file_range(file_len: usize, offset: u64, size: u64) -> Option<Range<usize>> {
    let end = usize::try_from(offset.checked_add(size)?).ok()?;
    (end <= file_len).then_some(offset as usize..end)
}

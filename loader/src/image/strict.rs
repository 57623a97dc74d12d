//! What the VMM refuses of programs, besides what is no program: what Linux would run
//! into a wall with, and what needs files. The VMM has the whole file in memory.

use alloc::vec::Vec;

use object::elf;
use object::read::elf::{Dyn, ProgramHeader};

use super::layout::Load;
use super::{Elf, Image, ImageError, Interpreter, LE};
use crate::script;
use crate::text::printable;

/// What a file is that does not begin as ELF files do.
pub(super) fn refuse_other_files(bytes: &[u8]) -> Result<(), ImageError> {
    if bytes.is_empty() {
        return Err(ImageError::Empty);
    }
    if let Some(script) = script::parse(bytes) {
        let path = script.map_or(&[][..], |script| script.interpreter);
        return Err(ImageError::Script { interpreter: printable(path) });
    }
    let magic = &bytes[..bytes.len().min(elf::ELFMAG.len())];
    if !elf::ELFMAG.starts_with(magic) && is_text(bytes) {
        return Err(ImageError::Text);
    }
    Ok(())
}

/// A program with PT_INTERP is started by a dynamic linker, which is not here.
pub(super) fn refuse_interpreter(
    bytes: &[u8],
    interpreter: Option<Interpreter>,
) -> Result<(), ImageError> {
    let Some(Interpreter { offset, size }) = interpreter else { return Ok(()) };
    let size = size.min(Interpreter::LONGEST);
    let path = offset
        .checked_add(size)
        .and_then(|end| bytes.get(usize::try_from(offset).ok()?..usize::try_from(end).ok()?));
    let path = path.and_then(|path| path.split(|&b| b == 0).next()).unwrap_or_default();
    Err(ImageError::Dynamic { interpreter: printable(path) })
}

/// All of a segment's bytes are in the file.
pub(super) fn refuse_truncated(bytes: &[u8], loads: &[Load]) -> Result<(), ImageError> {
    let has = bytes.len() as u64;
    for &Load { index, offset, file_size: size, .. } in loads {
        if size > 0 && offset.checked_add(size).is_none_or(|end| end > has) {
            return Err(ImageError::SegmentFileRange { index, offset, size, has });
        }
    }
    Ok(())
}

/// No two segments claim the same bytes.
pub(super) fn refuse_overlap(loads: &[Load], bias: u64) -> Result<(), ImageError> {
    let mut sorted: Vec<_> = loads
        .iter()
        .map(|load| (load.address.wrapping_add(bias), load.memory_size, load.index))
        .collect();
    sorted.sort_by_key(|&(start, ..)| start);
    match sorted.windows(2).find(|pair| pair[0].0 + pair[0].1 > pair[1].0) {
        Some(&[(.., first), (address, _, second)]) => {
            Err(ImageError::SegmentOverlap { first, second, address })
        }
        _ => Ok(()),
    }
}

/// A shared object is loaded by a program, and has no start of its own. As a
/// file it differs from a static PIE in what a linker writes for it alone: no
/// flag PIE, and either no entry point or other libraries that it needs. (A
/// dynamic linker has an entry point and needs none.)
pub(super) fn refuse_library<E: Elf>(bytes: &[u8], entry: u64) -> Result<(), ImageError> {
    let phdrs = E::parse(bytes).and_then(|header| header.program_headers(LE, bytes));
    // What is damaged there is none of Linux's business, nor of ours.
    let phdrs = phdrs.unwrap_or_default();
    let mut dynamic = phdrs.iter().filter_map(|phdr| phdr.dynamic(LE, bytes).ok().flatten());
    let Some(entries) = dynamic.next() else { return Ok(()) };
    let entries = || entries.iter().take_while(|dynamic| dynamic.tag(LE) != elf::DT_NULL);
    let is_pie = entries().any(|dynamic| {
        dynamic.tag(LE) == elf::DT_FLAGS_1 && dynamic.val(LE) & elf::DF_1_PIE.0 != 0
    });
    let needs_others = entries().any(|dynamic| dynamic.tag(LE) == elf::DT_NEEDED);
    if !is_pie && (entry == 0 || needs_others) { Err(ImageError::Library) } else { Ok(()) }
}

/// The first instruction is in a segment.
pub(super) fn refuse_entry(image: &Image) -> Result<(), ImageError> {
    let entry = image.entry;
    let is_inside = image.segments.iter().any(|s| (s.start..s.end).contains(&entry));
    if is_inside { Ok(()) } else { Err(ImageError::EntryOutsideSegments { entry }) }
}

/// Whether the beginning of the file is text: UTF-8 without control characters
/// but those that text has.
fn is_text(bytes: &[u8]) -> bool {
    const LOOKED_AT: usize = 1024;
    let part = &bytes[..bytes.len().min(LOOKED_AT)];
    let text = match core::str::from_utf8(part) {
        Ok(text) => text,
        // A character that the cut went through.
        Err(error) if error.error_len().is_none() && bytes.len() > LOOKED_AT => {
            core::str::from_utf8(&part[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t' | '\x0c' | '\x1b'))
}

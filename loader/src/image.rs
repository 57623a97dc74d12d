//! ELF bytes -> what must be in memory before the program's first instruction.
//!
//! Called by `sandbox` with the program's whole file; calls nothing but the
//! `object` crate's views of ELF structures. Pure: no I/O, no allocation that
//! grows with what the file *claims* (a BSS of 4 GiB is two numbers here), no
//! panic on any bytes. `boot` copies what [`Image`] describes into guest memory,
//! and checks its size first ([`Image::memory_size`]).
//!
//! It follows elf(5) and Linux's binfmt_elf: files are mapped in whole pages,
//!
//! ```text
//!      start         p_vaddr     p_vaddr+p_filesz     p_vaddr+p_memsz    end
//!        | file bytes   | the segment's    | zero: BSS,      | zero to     |
//!        | before it    | file bytes       | if memsz>filesz | the page end|
//!        +--------------+------------------+-----------------+-------------+
//!        page boundary                                       page boundary
//! ```
//!
//! and if memsz = filesz, the last page ends in the bytes that follow in the
//! file, as far as the file has any. One difference: Linux leaves the rest of a
//! page that is not writable as it is in the file even if memsz > filesz, and
//! here it is zero, as elf(5) says.
//!
//! Both classes are read by the same code, generic over `Elf`; what differs
//! between 64-bit programs and those for i386 is [`Class`]'s to say.

mod error;
mod header;
mod layout;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests32;

use alloc::vec::Vec;
use core::ops::Range;
use trapgate_abi::layout as layout_of;

use object::LittleEndian;
use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader};

use header::{class, file_header, program_headers, refuse_interpreter, refuse_library};
use layout::{Load, loads, map, memory_ranges, pie_bias, pieces, refuse_overlap};

pub use error::ImageError;

/// The lowest address a program may use: Linux's default vm.mmap_min_addr.
pub const USER_MIN: u64 = layout_of::USER_MIN;
/// The end (exclusive) of what a program's segments may take: its stack is
/// above.
pub const USER_END: u64 = layout_of::USER_STACK_TOP - layout_of::USER_STACK_SIZE;
/// The same of a 32-bit program.
pub const USER_END32: u64 = layout_of::USER_END32 - layout_of::USER_STACK_SIZE;
/// Where position-independent programs go: Linux's ELF_ET_DYN_BASE, two thirds
/// up the address space. There is no randomisation (ASLR) for now: two runs
/// of a program have the same addresses.
pub const PIE_BASE: u64 = 0x5555_5555_4000;
/// The same for 32-bit programs: Linux's COMPAT_ELF_ET_DYN_BASE, 16 MiB above
/// the first third of the address space.
pub const PIE_BASE32: u64 = 0x5655_5000;

const PAGE: u64 = 4096;

const LE: LittleEndian = LittleEndian;

/// The size of a program's addresses, and of the structures in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// ELFCLASS32 for EM_386: i386.
    Elf32,
    /// ELFCLASS64 for EM_X86_64: x86-64.
    Elf64,
}

impl Class {
    /// The end (exclusive) of the program's address space.
    pub fn user_end(self) -> u64 {
        match self {
            Self::Elf32 => USER_END32,
            Self::Elf64 => USER_END,
        }
    }

    /// Where the program goes if it is position-independent.
    pub fn pie_base(self) -> u64 {
        match self {
            Self::Elf32 => PIE_BASE32,
            Self::Elf64 => PIE_BASE,
        }
    }
}

/// The file header of one class, through which `object` knows the others.
trait Elf: FileHeader<Endian = LittleEndian> {
    const CLASS: Class;
    const MACHINE: elf::Machine;
}

impl Elf for FileHeader32<LittleEndian> {
    const CLASS: Class = Class::Elf32;
    const MACHINE: elf::Machine = elf::EM_386;
}

impl Elf for FileHeader64<LittleEndian> {
    const CLASS: Class = Class::Elf64;
    const MACHINE: elf::Machine = elf::EM_X86_64;
}

type Ehdr32 = FileHeader32<LittleEndian>;
type Ehdr64 = FileHeader64<LittleEndian>;

/// What a program's pages may be used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prot {
    /// PF_R.
    pub read: bool,
    /// PF_W.
    pub write: bool,
    /// PF_X.
    pub exec: bool,
}

/// Whole pages with one protection and one piece of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The first address; page-aligned.
    pub start: u64,
    /// The address after the last; page-aligned, above `start`.
    pub end: u64,
    /// The protection.
    pub prot: Prot,
    /// The bytes of the file to copy; may be empty.
    pub file: Range<usize>,
    /// Where they go. `data_start + file.len()` is at most `end`; everything
    /// else in `start..end` is zero.
    pub data_start: u64,
}

/// A program, ready to be put into memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Whether it is a 32-bit or a 64-bit program.
    pub class: Class,
    /// The first instruction (AT_ENTRY), load bias included.
    pub entry: u64,
    /// The pages to fill, sorted by address, without overlap.
    pub segments: Vec<Segment>,
    /// Where the program headers are in memory (AT_PHDR), load bias included;
    /// 0 if no segment has them.
    pub phdr_addr: u64,
    /// The size of one program header in bytes (AT_PHENT).
    pub phdr_entry_size: u16,
    /// How many there are (AT_PHNUM).
    pub phdr_count: u16,
    /// What was added (wrapping at 64 bits, for both classes) to the file's
    /// addresses; 0 for ET_EXEC.
    pub load_bias: u64,
    /// Where brk(2)'s heap starts: the page-aligned end of the highest segment.
    pub brk: u64,
    /// Whether PT_GNU_STACK (the last one) asks for an executable stack.
    ///
    /// Without any, as in Linux, a 64-bit program's is not executable and a
    /// 32-bit program's is. Linux goes further for the 32-bit program: it runs
    /// with READ_IMPLIES_EXEC (personality(2)), by which all that is readable
    /// can be executed. Here that is the stack alone: the segments keep the
    /// protection that they ask for.
    pub exec_stack: bool,
}

impl Image {
    /// The memory that the segments' pages take if all are touched, in bytes.
    pub fn memory_size(&self) -> u64 {
        self.segments.iter().map(|s| s.end - s.start).sum()
    }
}

/// Reads a static 64-bit or 32-bit x86 program (ET_EXEC, or ET_DYN without
/// PT_INTERP).
///
/// Segments may share a page as long as they do not claim the same bytes. As
/// in Linux, where each is one mmap(2), the later program header then has the
/// whole page: its protection and its bytes of the file.
///
/// # Errors
/// An [`ImageError`] that says why the file cannot be run.
pub fn parse(bytes: &[u8]) -> Result<Image, ImageError> {
    match class(bytes) {
        Class::Elf32 => parse_class::<Ehdr32>(bytes),
        Class::Elf64 => parse_class::<Ehdr64>(bytes),
    }
}

fn parse_class<E: Elf>(bytes: &[u8]) -> Result<Image, ImageError> {
    let header = file_header::<E>(bytes)?;
    let phdrs = program_headers(bytes, header)?;
    refuse_interpreter(bytes, phdrs)?;

    let loads = loads(bytes, phdrs)?;
    let bias = match header.e_type(LE) {
        elf::ET_DYN => pie_bias(&loads, E::CLASS.pie_base()),
        _ => 0,
    };
    let ranges = memory_ranges(&loads, bias, E::CLASS.user_end())?;
    refuse_overlap(&ranges)?;
    if header.e_type(LE) == elf::ET_DYN {
        refuse_library(bytes, phdrs, header.e_entry(LE).into())?;
    }

    let mut segments = Vec::new();
    for (load, range) in loads.iter().zip(&ranges) {
        for piece in pieces(load, range.start, bytes.len()) {
            map(&mut segments, piece);
        }
    }
    segments.sort_by_key(|s| s.start);

    let entry = header.e_entry(LE).into().wrapping_add(bias);
    if !segments.iter().any(|s| (s.start..s.end).contains(&entry)) {
        return Err(ImageError::EntryOutsideSegments { entry });
    }
    Ok(Image {
        class: E::CLASS,
        entry,
        phdr_addr: phdr_address(header.e_phoff(LE).into(), &loads, bias),
        phdr_entry_size: header.e_phentsize(LE),
        phdr_count: header.e_phnum(LE),
        load_bias: bias,
        brk: segments.last().map_or(USER_MIN, |s| s.end),
        exec_stack: phdrs
            .iter()
            .rfind(|p| p.p_type(LE) == elf::PT_GNU_STACK)
            .map_or(E::CLASS == Class::Elf32, |p| p.p_flags(LE).contains(elf::PF_X)),
        segments,
    })
}

/// Where the program headers, at `offset` in the file, are in memory: in the
/// last segment that has them, as in Linux.
fn phdr_address(offset: u64, loads: &[Load], bias: u64) -> u64 {
    let has = |l: &&Load| l.offset <= offset && offset - l.offset < l.file_size;
    let segment = loads.iter().rfind(has);
    segment.map_or(0, |l| l.address.wrapping_add(offset - l.offset).wrapping_add(bias))
}

fn align_down(address: u64, align: u64) -> u64 {
    address & !(align - 1)
}

/// The page boundary at or above `address`, which is at most [`USER_END`].
fn align_up(address: u64) -> u64 {
    align_down(address + (PAGE - 1), PAGE)
}

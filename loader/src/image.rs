//! An ELF file -> what must be in memory before the program's first instruction.
//!
//! Two steps: [`Program::read`] looks at the file's headers, as far as Linux's
//! load_elf_binary does before it maps anything; [`Program::place`] says which pages
//! with which bytes of the file a place for it makes. The kernel takes both, for a
//! program and for its interpreter, and knows where they go. The VMM, which starts
//! static programs alone, calls [`parse`], which refuses more, with advice. Nothing
//! else is called but the `object` crate's views of ELF structures. Pure: no I/O but
//! the file's ([`Source`]), no allocation that grows with what the file *claims* (a BSS
//! of 4 GiB is two numbers here) or that cannot say that it failed, no panic on any
//! bytes.
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
mod source;
mod strict;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests32;
#[cfg(test)]
mod tests_program;

use alloc::vec::Vec;
use core::convert::Infallible;
use core::ops::Range;
use trapgate_abi::layout as layout_of;

use object::LittleEndian;
use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader};

use header::{Beginning, Headers};
use layout::Load;

pub use error::{FileType, ImageError, Machine};
pub use source::Source;

/// The lowest address a program may use: Linux's default vm.mmap_min_addr.
pub const USER_MIN: u64 = layout_of::USER_MIN;
/// The end (exclusive) of what a program's segments may take: its stack is
/// above.
pub const USER_END: u64 = layout_of::USER_STACK_TOP - layout_of::USER_STACK_SIZE;
/// The same of a 32-bit program.
pub const USER_END32: u64 = layout_of::USER_END32 - layout_of::USER_STACK_SIZE;
/// Where position-independent programs go: Linux's ELF_ET_DYN_BASE, two thirds
/// up the address space. [`parse`] puts them here: two runs of what the VMM loads
/// have the same addresses. The kernel adds what is random.
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
    /// The bytes of the file that are seen from `start` on, `end - start` at most, or
    /// none; what comes behind them is zero. Their offset is page-aligned. The file may
    /// end before they do.
    pub file: Range<u64>,
}

impl Segment {
    /// The bytes, of a file that is all in memory.
    pub fn bytes<'a>(&self, file: &'a [u8]) -> &'a [u8] {
        let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(file.len());
        &file[at(self.file.start)..at(self.file.end)]
    }

    /// The address behind its last byte of the file.
    pub fn end_of_file(&self) -> u64 {
        self.start + (self.file.end - self.file.start)
    }
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

    /// The addresses of what can be executed, from first to last (Linux: `start_code`,
    /// `end_code`).
    pub fn code(&self) -> Range<u64> {
        let code = || self.segments.iter().filter(|segment| segment.prot.exec);
        let start = code().map(|segment| segment.start).min();
        let end = code().map(Segment::end_of_file).max();
        start.unwrap_or(0)..end.unwrap_or(0)
    }

    /// The last segment's addresses, as far as the file has bytes for them (Linux:
    /// `start_data`, `end_data`).
    pub fn data(&self) -> Range<u64> {
        let start = self.segments.iter().filter(|segment| !segment.file.is_empty());
        let start = start.map(|segment| segment.start).max();
        let end = self.segments.iter().map(Segment::end_of_file).max();
        start.unwrap_or(0)..end.unwrap_or(0)
    }
}

/// Why [`Program::read`] has none.
#[derive(Debug)]
pub enum Refusal<E> {
    /// The file could not be read.
    File(E),
    /// It is no program.
    Image(ImageError),
}

impl<E> From<ImageError> for Refusal<E> {
    fn from(error: ImageError) -> Self {
        Refusal::Image(error)
    }
}

impl From<Refusal<Infallible>> for ImageError {
    fn from(refusal: Refusal<Infallible>) -> Self {
        match refusal {
            Refusal::Image(error) => error,
        }
    }
}

/// Where PT_INTERP's path is in the file.
#[derive(Clone, Copy)]
struct Interpreter {
    offset: u64,
    /// Its bytes, the NUL among them.
    size: u64,
}

impl Interpreter {
    /// Linux's PATH_MAX.
    const LONGEST: u64 = 4096;
}

/// What a program's file says of it.
pub struct Program {
    /// Whether it is a 32-bit or a 64-bit program.
    pub class: Class,
    /// ET_DYN: it can be put anywhere.
    pub movable: bool,
    entry: u64,
    phdr_offset: u64,
    phdr_entry_size: u16,
    phdr_count: u16,
    loads: Vec<Load>,
    interpreter: Option<Interpreter>,
    exec_stack: bool,
}

/// The room that a movable program wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// From its lowest page to the end of its highest, in bytes.
    pub size: u64,
    /// What the address of its lowest page should be a multiple of, less what the
    /// file's own address of it lacks: a power of two, one page at least.
    pub align: u64,
}

impl Program {
    /// Reads the headers of a 64-bit or 32-bit x86 program.
    ///
    /// # Errors
    /// The file's, or an [`ImageError`] that says why it cannot be run.
    pub fn read<S: Source + ?Sized>(file: &S) -> Result<Program, Refusal<S::Error>> {
        let beginning = Beginning::read(file)?;
        match beginning.class() {
            Class::Elf32 => Ok(Program::of::<Ehdr32>(&beginning.headers(file)?)?),
            Class::Elf64 => Ok(Program::of::<Ehdr64>(&beginning.headers(file)?)?),
        }
    }

    fn of<E: Elf>(headers: &Headers<E>) -> Result<Program, ImageError> {
        // Of several the last one, as in Linux.
        let stack = headers.iter().filter(|p| p.p_type(LE) == elf::PT_GNU_STACK).last();
        Ok(Program {
            class: E::CLASS,
            movable: headers.movable,
            entry: headers.entry,
            phdr_offset: headers.offset,
            phdr_entry_size: headers.size,
            phdr_count: headers.count,
            loads: layout::loads(headers.iter())?,
            interpreter: interpreter(headers),
            exec_stack: stack
                .map_or(E::CLASS == Class::Elf32, |p| p.p_flags(LE).contains(elf::PF_X)),
        })
    }

    /// The path of the interpreter that starts it (PT_INTERP), if it wants one; without
    /// the NUL.
    ///
    /// # Errors
    /// The file's, or [`ImageError::BadInterpreter`].
    pub fn interpreter<S: Source + ?Sized>(
        &self,
        file: &S,
    ) -> Result<Option<Vec<u8>>, Refusal<S::Error>> {
        let Some(Interpreter { offset, size }) = self.interpreter else { return Ok(None) };
        if !(2..=Interpreter::LONGEST).contains(&size) {
            return Err(ImageError::BadInterpreter.into());
        }
        let mut path = Vec::new();
        path.try_reserve_exact(size as usize).map_err(|_| ImageError::NoMemory)?;
        path.resize(size as usize, 0);
        let length = file.read_at(offset, &mut path).map_err(Refusal::File)?;
        // The string ends at its first NUL, and there must be one at the end.
        if length < path.len() || path.last() != Some(&0) {
            return Err(ImageError::BadInterpreter.into());
        }
        path.truncate(path.iter().position(|&byte| byte == 0).unwrap_or(0));
        Ok(Some(path))
    }

    /// The room that it wants, of its addresses as the file has them; `None` if they
    /// wrap.
    pub fn extent(&self) -> Option<Extent> {
        let end = self.loads.iter().try_fold(0, |end: u64, load| {
            Some(end.max(load.address.checked_add(load.memory_size)?))
        });
        let end = end?.checked_next_multiple_of(PAGE)?;
        let size = end - layout::lowest_page(&self.loads);
        Some(Extent { size, align: layout::alignment(&self.loads) })
    }

    /// What is in memory of it if a movable one's lowest page is at `base`, or below it
    /// as far as p_align asks, and all others where they belong; all of it below `end`.
    ///
    /// Where segments share a page, the later program header has it: its protection and
    /// its bytes of the file. In Linux each is one mmap(2).
    ///
    /// # Errors
    /// [`ImageError::SegmentOutOfRange`], or that there is no memory.
    pub fn place(&self, base: u64, end: u64) -> Result<Image, ImageError> {
        let bias = if self.movable { layout::bias(&self.loads, base) } else { 0 };
        layout::refuse_outside(&self.loads, bias, end)?;
        let segments = layout::segments(&self.loads, bias)?;
        Ok(Image {
            class: self.class,
            entry: self.entry.wrapping_add(bias),
            phdr_addr: self.phdr_address(bias),
            phdr_entry_size: self.phdr_entry_size,
            phdr_count: self.phdr_count,
            load_bias: bias,
            brk: segments.last().map_or(USER_MIN, |segment| segment.end),
            exec_stack: self.exec_stack,
            segments,
        })
    }

    /// Where the program headers are in memory: in the last segment that has them, as in
    /// Linux.
    fn phdr_address(&self, bias: u64) -> u64 {
        let offset = self.phdr_offset;
        let has = |l: &&Load| l.offset <= offset && offset - l.offset < l.file_size;
        let segment = self.loads.iter().rfind(has);
        segment.map_or(0, |l| l.address.wrapping_add(offset - l.offset).wrapping_add(bias))
    }
}

/// Where the first PT_INTERP's path is.
fn interpreter<E: Elf>(headers: &Headers<E>) -> Option<Interpreter> {
    let phdr = headers.iter().find(|p| p.p_type(LE) == elf::PT_INTERP)?;
    let (offset, size) = phdr.file_range(LE);
    Some(Interpreter { offset, size })
}

/// Reads a static 64-bit or 32-bit x86 program (ET_EXEC, or ET_DYN without
/// PT_INTERP), of which all is in memory, for the VMM: a movable one goes to
/// [`Class::pie_base`]. What Linux would let run into trouble is refused here: segments
/// that claim the same bytes, or bytes that the file has not; no first instruction.
///
/// # Errors
/// An [`ImageError`] that says why the file cannot be run.
pub fn parse(bytes: &[u8]) -> Result<Image, ImageError> {
    strict::refuse_other_files(bytes)?;
    let beginning = Beginning::read(bytes)?;
    match beginning.class() {
        Class::Elf32 => parse_class::<Ehdr32>(bytes, &beginning),
        Class::Elf64 => parse_class::<Ehdr64>(bytes, &beginning),
    }
}

fn parse_class<E: Elf>(bytes: &[u8], beginning: &Beginning) -> Result<Image, ImageError> {
    let headers = beginning.headers::<E, _>(bytes)?;
    strict::refuse_interpreter(bytes, interpreter(&headers))?;
    let program = Program::of(&headers)?;
    strict::refuse_truncated(bytes, &program.loads)?;
    let mut image = program.place(E::CLASS.pie_base(), E::CLASS.user_end())?;
    strict::refuse_overlap(&program.loads, image.load_bias)?;
    if program.movable {
        strict::refuse_library::<E>(bytes, program.entry)?;
    }
    strict::refuse_entry(&image)?;
    for segment in &mut image.segments {
        let Range { start, end } = segment.file;
        segment.file = layout::bytes(start, end.min(bytes.len() as u64));
    }
    Ok(image)
}

fn align_down(address: u64, align: u64) -> u64 {
    address & !(align - 1)
}

/// The page boundary at or above `address`; what lies beyond the last one is there.
fn align_up(address: u64) -> u64 {
    align_down(address.saturating_add(PAGE - 1), PAGE)
}

//! Why a file cannot be run: one variant a cause, each with its values.
//!
//! [`super::parse`] makes these; the command line prints them behind the
//! file's path, and they all end in status 126 (cannot execute). A message is
//! one line: what is wrong, where, and what to do about it.

use alloc::string::String;

use thiserror::Error;

use super::USER_MIN;

/// Why [`super::parse`] refused a file.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ImageError {
    /// The file has no bytes.
    #[error("the file is empty: give a static x86-64 ELF program")]
    Empty,

    /// The file starts with `#!`, execve(2)'s interpreter scripts.
    #[error(
        "the file is a script for '{interpreter}': run that interpreter, with the script as its argument"
    )]
    Script {
        /// The interpreter's path, or nothing if the line has none.
        interpreter: String,
    },

    /// The file is text: source, or a script without `#!`.
    #[error(
        "the file is text, not a program: compile it if it is source (gcc -static), or run its interpreter with it as the argument"
    )]
    Text,

    /// The file does not start with ELF's magic number.
    #[error("the file is not an ELF program: give a static x86-64 ELF program")]
    NotElf,

    /// The file ends inside a structure it must have.
    #[error(
        "the file is truncated: its {what} ends at byte {needs}, the file at byte {has}: copy or build it again"
    )]
    Truncated {
        /// The structure.
        what: &'static str,
        /// The file length at which the structure would be complete, in bytes.
        needs: u64,
        /// The file's length in bytes.
        has: u64,
    },

    /// A program for x86-64 with 32-bit pointers (x32: ELFCLASS32, EM_X86_64).
    #[error(
        "the program is for x32 (x86-64 of the 32-bit ELF class), which is not supported: build it with gcc -m64"
    )]
    X32,

    /// EI_CLASS is not the machine's.
    #[error("the program's ELF class is {class} (machine: {machine}): build it as 64-bit x86-64")]
    WrongClass {
        /// EI_CLASS: 1 is 32-bit, 2 is 64-bit, anything else is not defined.
        class: u8,
        /// The machine's name.
        machine: String,
    },

    /// EI_DATA is not ELFDATA2LSB.
    #[error(
        "the program is not little-endian (EI_DATA {data}, machine: {machine}): build it for x86-64"
    )]
    WrongEndianness {
        /// EI_DATA: 2 is big-endian, anything but 1 and 2 is not defined.
        data: u8,
        /// The machine's name.
        machine: String,
    },

    /// The program is for another machine.
    #[error("the program is for {name}: build it for x86-64")]
    WrongMachine {
        /// The machine's name, or e_machine's number.
        name: String,
    },

    /// The ELF file is not a program.
    #[error("the ELF file is {name}, not a program: {hint}")]
    WrongType {
        /// What e_type says, in words.
        name: String,
        /// What to do instead.
        hint: &'static str,
    },

    /// EI_VERSION or e_version is not 1.
    #[error("the ELF version is {version}, only 1 exists: the file is damaged, build it again")]
    BadVersion {
        /// The version that the file claims.
        version: u32,
    },

    /// e_phentsize is not that of the class.
    #[error(
        "the program headers are {size} bytes each, they must be {expected}: the file is damaged, build it again"
    )]
    BadPhdrSize {
        /// e_phentsize in bytes.
        size: u16,
        /// What it must be, in bytes.
        expected: u16,
    },

    /// The program wants a dynamic linker (PT_INTERP).
    #[error(
        "the program is dynamically linked (interpreter '{interpreter}'), which is not supported yet: link it with -static"
    )]
    Dynamic {
        /// PT_INTERP's path, or what is there of it.
        interpreter: String,
    },

    /// A shared object without a start of its own.
    #[error("the file is a shared library, not a program: give a program, linked with -static")]
    Library,

    /// No PT_LOAD segment occupies memory.
    #[error("the program has no segment to load: the file is damaged or not a program")]
    NoSegments,

    /// More program headers than Linux takes (64 KiB of them).
    #[error("the program has {count} program headers, Linux takes at most {max}: link it again")]
    TooManySegments {
        /// e_phnum.
        count: u16,
        /// The most that Linux takes.
        max: u16,
    },

    /// Two segments claim the same bytes.
    #[error(
        "segments {first} and {second} overlap in memory at {address:#x}: the file is damaged, link it again"
    )]
    SegmentOverlap {
        /// The program header with the lower address.
        first: usize,
        /// The other program header.
        second: usize,
        /// The first shared address.
        address: u64,
    },

    /// A segment wraps around, or leaves the user address space.
    #[error(
        "segment {index} ({size:#x} bytes at {address:#x}) is outside of {USER_MIN:#x}..{end:#x}, where such programs live: link it to another address"
    )]
    SegmentOutOfRange {
        /// The program header.
        index: usize,
        /// Its first address, load bias included.
        address: u64,
        /// Its size in memory, in bytes.
        size: u64,
        /// The end of the program's address space: its class decides.
        end: u64,
    },

    /// A segment's bytes are not all in the file.
    #[error(
        "segment {index} needs {size:#x} bytes at file offset {offset:#x}, the file has {has:#x} bytes: it is truncated, copy or build it again"
    )]
    SegmentFileRange {
        /// The program header.
        index: usize,
        /// p_offset, in bytes.
        offset: u64,
        /// p_filesz, in bytes.
        size: u64,
        /// The file's length in bytes.
        has: u64,
    },

    /// A segment cannot be mapped page by page.
    #[error(
        "segment {index}: address {address:#x} and file offset {offset:#x} differ modulo the page size 4096: link it with -z max-page-size=4096"
    )]
    MisalignedSegment {
        /// The program header.
        index: usize,
        /// p_vaddr.
        address: u64,
        /// p_offset, in bytes.
        offset: u64,
    },

    /// A segment has more bytes in the file than in memory.
    #[error(
        "segment {index} has {file_size:#x} bytes in the file and only {memory_size:#x} in memory: the file is damaged, link it again"
    )]
    FileSizeExceedsMemSize {
        /// The program header.
        index: usize,
        /// p_filesz, in bytes.
        file_size: u64,
        /// p_memsz, in bytes.
        memory_size: u64,
    },

    /// The first instruction is in no segment.
    #[error(
        "the entry point {entry:#x} is in no segment: the file is damaged, or was linked without _start"
    )]
    EntryOutsideSegments {
        /// Where the program would start, load bias included.
        entry: u64,
    },
}

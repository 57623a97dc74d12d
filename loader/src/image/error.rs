//! Why a file cannot be run: one variant a cause, each with its values.
//!
//! The command line prints these behind the file's path, and they all end in status
//! 126 (cannot execute). A message is one line: what is wrong, where, and what to do
//! about it. The kernel has a number of Linux's for each ([`ImageError::errno`]). None
//! that it can meet needs memory.

use alloc::string::String;
use core::fmt;

use object::elf;
use thiserror::Error;
use trapgate_uapi::Errno;

use super::USER_MIN;

/// Why a file is no program that can be run.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ImageError {
    /// There is no memory for the program's headers, or for what they describe.
    #[error("there is no memory to read the program's headers: free some, and try again")]
    NoMemory,

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
        /// The machine.
        machine: Machine,
    },

    /// EI_DATA is not ELFDATA2LSB.
    #[error(
        "the program is not little-endian (EI_DATA {data}, machine: {machine}): build it for x86-64"
    )]
    WrongEndianness {
        /// EI_DATA: 2 is big-endian, anything but 1 and 2 is not defined.
        data: u8,
        /// The machine.
        machine: Machine,
    },

    /// The program is for another machine.
    #[error("the program is for {machine}: build it for x86-64")]
    WrongMachine {
        /// The machine.
        machine: Machine,
    },

    /// The ELF file is not a program.
    #[error("the ELF file is {found}, not a program: {}", found.hint())]
    WrongType {
        /// What e_type says.
        found: FileType,
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
        "the program is dynamically linked (interpreter '{interpreter}') and needs its libraries: give a root that has them (--root), take the host's (--with-libs), or link it with -static"
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

    /// PT_INTERP names no interpreter: its path is empty, too long, without an end, or
    /// not in the file.
    #[error("the path of the program's interpreter is damaged: build the program again")]
    BadInterpreter,

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

impl ImageError {
    /// What execve(2) answers for a program; for its interpreter, Linux has ELIBBAD in
    /// the place of ENOEXEC.
    pub const fn errno(&self) -> Errno {
        match self {
            ImageError::NoMemory => Errno::ENOMEM,
            ImageError::SegmentOverlap { .. }
            | ImageError::SegmentOutOfRange { .. }
            | ImageError::SegmentFileRange { .. }
            | ImageError::MisalignedSegment { .. }
            | ImageError::FileSizeExceedsMemSize { .. }
            | ImageError::EntryOutsideSegments { .. } => Errno::EINVAL,
            _ => Errno::ENOEXEC,
        }
    }
}

/// A machine, by `e_machine`; shows its usual name, if it is one that one is likely to
/// meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine(pub u16);

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match elf::Machine(self.0) {
            elf::EM_386 => "i386",
            elf::EM_X86_64 => "x86-64",
            elf::EM_ARM => "ARM",
            elf::EM_AARCH64 => "AArch64",
            elf::EM_RISCV => "RISC-V",
            elf::EM_PPC => "PowerPC",
            elf::EM_PPC64 => "PowerPC64",
            elf::EM_S390 => "S/390",
            elf::EM_MIPS => "MIPS",
            elf::EM_LOONGARCH => "LoongArch",
            elf::EM_SPARCV9 => "SPARC V9",
            elf::EM_IA_64 => "Itanium",
            elf::EM_BPF => "BPF",
            other => return write!(f, "machine number {}", other.0),
        })
    }
}

/// What an ELF file is, by `e_type`, if it is no program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileType(pub u16);

impl FileType {
    /// What to do instead of running it.
    const fn hint(self) -> &'static str {
        match elf::FileType(self.0) {
            elf::ET_REL => "link it first",
            elf::ET_CORE => "give the program that dumped it",
            _ => "build it again",
        }
    }
}

impl fmt::Display for FileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match elf::FileType(self.0) {
            elf::ET_REL => f.write_str("an object file (REL)"),
            elf::ET_CORE => f.write_str("a core dump (CORE)"),
            elf::ET_NONE => f.write_str("of no type (NONE)"),
            other => write!(f, "of unknown type {:#x}", other.0),
        }
    }
}

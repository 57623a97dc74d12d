//! The headers of an ELF file: is it a program for this machine, and where are
//! its program headers?
//!
//! Called by [`super::parse`]; reads the `object` crate's structures in place.
//! Everything that other files than static x86 programs have is refused
//! here, each with its own [`ImageError`].

use alloc::format;
use alloc::string::String;

use object::LittleEndian;
use object::elf;
use object::pod;
use object::read::elf::{Dyn, ProgramHeader};

use super::layout::file_range;
use super::{Class, Elf, ImageError, LE};
use crate::script;
use crate::text::printable;

/// Linux reads at most 64 KiB of program headers.
const MAX_PHDRS_SIZE: usize = 64 << 10;
/// Linux's PATH_MAX: the longest interpreter path.
const PATH_MAX: u64 = 4096;

/// Which class's structures to read. A file that is none, or that ends before
/// it says so, is for [`file_header`] to refuse.
pub(super) fn class(bytes: &[u8]) -> Class {
    // EI_CLASS, behind the magic number.
    match bytes.get(elf::ELFMAG.len()) {
        Some(&class) if class == elf::ELFCLASS32.0 => Class::Elf32,
        _ => Class::Elf64,
    }
}

/// The file header, once everything in it is as a program's of this class
/// must be.
pub(super) fn file_header<E: Elf>(bytes: &[u8]) -> Result<&E, ImageError> {
    const MAGIC: [u8; 4] = elf::ELFMAG;
    if bytes.is_empty() {
        return Err(ImageError::Empty);
    }
    if let Some(script) = script::parse(bytes) {
        let path = script.map_or(&[][..], |script| script.interpreter);
        return Err(ImageError::Script { interpreter: printable(path) });
    }
    let magic = &bytes[..bytes.len().min(MAGIC.len())];
    if !MAGIC.starts_with(magic) {
        return Err(if is_text(bytes) { ImageError::Text } else { ImageError::NotElf });
    }
    let Ok((header, _)) = pod::from_bytes::<E>(bytes) else {
        return Err(ImageError::Truncated {
            what: "ELF header",
            needs: size_of::<E>() as u64,
            has: bytes.len() as u64,
        });
    };

    let ident = header.e_ident();
    let machine = header.e_machine(LE);
    if ident.data != elf::ELFDATA2LSB {
        let machine = machine_name(elf::Machine(machine.0.swap_bytes()));
        return Err(ImageError::WrongEndianness { data: ident.data.0, machine });
    }
    let right_class = match E::CLASS {
        Class::Elf32 => elf::ELFCLASS32,
        Class::Elf64 => elf::ELFCLASS64,
    };
    match machine {
        _ if machine == E::MACHINE && ident.class == right_class => {}
        elf::EM_X86_64 if ident.class == elf::ELFCLASS32 => return Err(ImageError::X32),
        elf::EM_386 | elf::EM_X86_64 => {
            let machine = machine_name(machine);
            return Err(ImageError::WrongClass { class: ident.class.0, machine });
        }
        _ => {
            return Err(ImageError::WrongMachine { name: machine_name(machine) });
        }
    }
    for version in [ident.version.0.into(), header.e_version(LE)] {
        if version != u32::from(elf::EV_CURRENT.0) {
            return Err(ImageError::BadVersion { version });
        }
    }
    let (name, hint) = match header.e_type(LE) {
        elf::ET_EXEC | elf::ET_DYN => return Ok(header),
        elf::ET_REL => ("an object file (REL)".into(), "link it first"),
        elf::ET_CORE => ("a core dump (CORE)".into(), "give the program that dumped it"),
        elf::ET_NONE => ("of no type (NONE)".into(), "build it again"),
        other => (format!("of unknown type {:#x}", other.0), "build it again"),
    };
    Err(ImageError::WrongType { name, hint })
}

/// The program headers, all of them inside the file.
pub(super) fn program_headers<'a, E: Elf>(
    bytes: &'a [u8],
    header: &E,
) -> Result<&'a [E::ProgramHeader], ImageError> {
    let count = header.e_phnum(LE);
    if count == 0 {
        return Err(ImageError::NoSegments);
    }
    let expected = size_of::<E::ProgramHeader>() as u16;
    let size = header.e_phentsize(LE);
    if size != expected {
        return Err(ImageError::BadPhdrSize { size, expected });
    }
    let max = (MAX_PHDRS_SIZE / usize::from(expected)) as u16;
    if count > max {
        return Err(ImageError::TooManySegments { count, max });
    }
    let offset = header.e_phoff(LE).into();
    usize::try_from(offset)
        .ok()
        .and_then(|offset| bytes.get(offset..))
        .and_then(|rest| pod::slice_from_bytes(rest, count.into()).ok())
        .map(|(phdrs, _)| phdrs)
        .ok_or(ImageError::Truncated {
            what: "program header table",
            needs: offset.saturating_add(u64::from(count) * u64::from(size)),
            has: bytes.len() as u64,
        })
}

/// A program with PT_INTERP is started by a dynamic linker, which is not here.
pub(super) fn refuse_interpreter<P>(bytes: &[u8], phdrs: &[P]) -> Result<(), ImageError>
where
    P: ProgramHeader<Endian = LittleEndian>,
{
    let Some(phdr) = phdrs.iter().find(|p| p.p_type(LE) == elf::PT_INTERP) else {
        return Ok(());
    };
    let (offset, size) = phdr.file_range(LE);
    let path = file_range(bytes.len(), offset, size.min(PATH_MAX))
        .and_then(|range| bytes.get(range))
        .unwrap_or_default();
    let path = path.split(|&b| b == 0).next().unwrap_or_default();
    Err(ImageError::Dynamic { interpreter: printable(path) })
}

/// A shared object is loaded by a program, and has no start of its own. As a
/// file it differs from a static PIE in what a linker writes for it alone: no
/// flag PIE, and either no entry point or other libraries that it needs. (A
/// dynamic linker has an entry point and needs none.)
pub(super) fn refuse_library<P>(bytes: &[u8], phdrs: &[P], entry: u64) -> Result<(), ImageError>
where
    P: ProgramHeader<Endian = LittleEndian>,
{
    // What is damaged there is none of Linux's business, nor of ours.
    let mut dynamic = phdrs.iter().filter_map(|phdr| phdr.dynamic(LE, bytes).ok().flatten());
    let Some(entries) = dynamic.next() else { return Ok(()) };
    let entries = || entries.iter().take_while(|dynamic| dynamic.tag(LE) != elf::DT_NULL);
    let is_pie = entries().any(|dynamic| {
        dynamic.tag(LE) == elf::DT_FLAGS_1 && dynamic.val(LE) & elf::DF_1_PIE.0 != 0
    });
    let needs_others = entries().any(|dynamic| dynamic.tag(LE) == elf::DT_NEEDED);
    if !is_pie && (entry == 0 || needs_others) { Err(ImageError::Library) } else { Ok(()) }
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

/// The machine's usual name, for those one is likely to meet.
fn machine_name(machine: elf::Machine) -> String {
    let name = match machine {
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
        other => return format!("machine number {}", other.0),
    };
    name.into()
}

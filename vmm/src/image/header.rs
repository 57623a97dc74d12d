//! The headers of an ELF file: is it a program for this machine, and where are
//! its program headers?
//!
//! Called by [`super::parse`]; reads the `object` crate's structures in place.
//! Everything that other files than static x86-64 programs have is refused
//! here, each with its own [`ImageError`].

use object::elf;
use object::pod;
use object::read::elf::{FileHeader as _, ProgramHeader as _};

use super::layout::file_range;
use super::{Ehdr, ImageError, LE, Phdr};

/// Linux reads at most 64 KiB of program headers.
pub(super) const MAX_PHDRS: u16 = (65536 / size_of::<Phdr>()) as u16;
/// Linux's BINPRM_BUF_SIZE: how much of a script's first line it looks at.
const SCRIPT_LINE: usize = 256;
/// Linux's PATH_MAX: the longest interpreter path.
const PATH_MAX: u64 = 4096;

/// The file header, once everything in it is as an x86-64 program's must be.
pub(super) fn file_header(bytes: &[u8]) -> Result<&Ehdr, ImageError> {
    const MAGIC: [u8; 4] = elf::ELFMAG;
    if bytes.is_empty() {
        return Err(ImageError::Empty);
    }
    if let Some(line) = bytes.strip_prefix(b"#!") {
        let line = &line[..line.len().min(SCRIPT_LINE - 2)];
        let line = line.split(|b| matches!(b, b'\n' | 0)).next();
        let mut words = line.unwrap_or_default().split(|b| matches!(b, b' ' | b'\t'));
        let path = words.find(|word| !word.is_empty()).unwrap_or_default();
        return Err(ImageError::Script { interpreter: printable(path) });
    }
    let magic = &bytes[..bytes.len().min(MAGIC.len())];
    if !MAGIC.starts_with(magic) {
        return Err(ImageError::NotElf);
    }
    let Ok((header, _)) = pod::from_bytes::<Ehdr>(bytes) else {
        return Err(ImageError::Truncated {
            what: "ELF header",
            needs: size_of::<Ehdr>() as u64,
            has: bytes.len() as u64,
        });
    };

    // e_type, e_machine and e_version have the same place in both classes.
    let ident = header.e_ident();
    let machine = header.e_machine.get(LE);
    if ident.data != elf::ELFDATA2LSB {
        let machine = machine_name(elf::Machine(machine.0.swap_bytes()));
        return Err(ImageError::WrongEndianness { data: ident.data.0, machine });
    }
    match (machine, ident.class) {
        (elf::EM_X86_64, elf::ELFCLASS64) => {}
        (elf::EM_386, elf::ELFCLASS32) => return Err(ImageError::I386),
        (elf::EM_386 | elf::EM_X86_64, class) => {
            let machine = machine_name(machine);
            return Err(ImageError::WrongClass { class: class.0, machine });
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
pub(super) fn program_headers<'a>(
    bytes: &'a [u8],
    header: &Ehdr,
) -> Result<&'a [Phdr], ImageError> {
    let count = header.e_phnum(LE);
    if count == 0 {
        return Err(ImageError::NoSegments);
    }
    let expected = size_of::<Phdr>() as u16;
    let size = header.e_phentsize(LE);
    if size != expected {
        return Err(ImageError::BadPhdrSize { size, expected });
    }
    if count > MAX_PHDRS {
        return Err(ImageError::TooManySegments { count, max: MAX_PHDRS });
    }
    let offset = header.e_phoff(LE);
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
pub(super) fn refuse_interpreter(bytes: &[u8], phdrs: &[Phdr]) -> Result<(), ImageError> {
    let Some(phdr) = phdrs.iter().find(|p| p.p_type(LE) == elf::PT_INTERP) else {
        return Ok(());
    };
    let size = phdr.p_filesz(LE).min(PATH_MAX);
    let path = file_range(bytes.len(), phdr.p_offset(LE), size)
        .and_then(|range| bytes.get(range))
        .unwrap_or_default();
    let path = path.split(|&b| b == 0).next().unwrap_or_default();
    Err(ImageError::Dynamic { interpreter: printable(path) })
}

/// Text from a file that is not trusted, fit for one line of a terminal.
pub(super) fn printable(bytes: &[u8]) -> String {
    const LONGEST: usize = 512;
    let mut text = String::new();
    for c in String::from_utf8_lossy(bytes).chars().take(LONGEST) {
        if c.is_control() {
            text.extend(c.escape_default());
        } else {
            text.push(c);
        }
    }
    text
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

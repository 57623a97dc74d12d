//! The headers of an ELF file: is it a program for this machine, and which program
//! headers has it?
//!
//! Called by [`super::Program::read`]; reads the `object` crate's structures out of a
//! copy. What is here is what Linux's load_elf_binary looks at, too.

use alloc::vec::Vec;
use core::marker::PhantomData;

use object::elf::{self, FileHeader32, FileHeader64};
use object::pod;

use super::error::{FileType, Machine};
use super::{Class, Elf, ImageError, LE, Refusal, Source};

/// Linux reads at most 64 KiB of program headers.
const MAX_PHDRS_SIZE: usize = 64 << 10;
/// Bytes of the larger file header.
const LARGEST_HEADER: usize = size_of::<FileHeader64<object::LittleEndian>>();

/// A file header, and a copy of the program headers.
pub(super) struct Headers<E> {
    /// `e_type` is ET_DYN.
    pub(super) movable: bool,
    pub(super) entry: u64,
    /// Where the program headers are in the file.
    pub(super) offset: u64,
    /// Bytes of one.
    pub(super) size: u16,
    pub(super) count: u16,
    bytes: Vec<u8>,
    class: PhantomData<E>,
}

impl<E: Elf> Headers<E> {
    /// The program headers.
    pub(super) fn iter(&self) -> impl Iterator<Item = &E::ProgramHeader> {
        let size = size_of::<E::ProgramHeader>();
        self.bytes.chunks_exact(size).filter_map(|one| pod::from_bytes(one).ok()).map(|(it, _)| it)
    }
}

/// The beginning of a file, in which its header is.
pub(super) struct Beginning {
    bytes: [u8; LARGEST_HEADER],
    length: usize,
}

impl Beginning {
    pub(super) fn read<S: Source + ?Sized>(file: &S) -> Result<Beginning, Refusal<S::Error>> {
        let mut bytes = [0; LARGEST_HEADER];
        let length = file.read_at(0, &mut bytes).map_err(Refusal::File)?;
        Ok(Beginning { bytes, length })
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Which class's structures to read. A file that is none, or that ends before
    /// it says so, is for [`Beginning::headers`] to refuse.
    pub(super) fn class(&self) -> Class {
        // EI_CLASS, behind the magic number.
        match self.bytes().get(elf::ELFMAG.len()) {
            Some(&class) if class == elf::ELFCLASS32.0 => Class::Elf32,
            _ => Class::Elf64,
        }
    }

    /// The headers, once everything in them is as a program's of this class must be.
    pub(super) fn headers<E: Elf, S: Source + ?Sized>(
        &self,
        file: &S,
    ) -> Result<Headers<E>, Refusal<S::Error>> {
        let header: &E = file_header(self.bytes())?;
        let (offset, size) = (header.e_phoff(LE).into(), header.e_phentsize(LE));
        let count = count::<E>(header)?;
        let length = usize::from(count) * usize::from(size);
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).map_err(|_| ImageError::NoMemory)?;
        bytes.resize(length, 0);
        let has = file.read_at(offset, &mut bytes).map_err(Refusal::File)?;
        if has < length {
            let (needs, has) = (offset.saturating_add(length as u64), has as u64);
            let has = if has > 0 { offset.saturating_add(has) } else { 0 };
            return Err(ImageError::Truncated { what: "program header table", needs, has }.into());
        }
        let movable = header.e_type(LE) == elf::ET_DYN;
        let entry = header.e_entry(LE).into();
        Ok(Headers { movable, entry, offset, size, count, bytes, class: PhantomData })
    }
}

fn file_header<E: Elf>(bytes: &[u8]) -> Result<&E, ImageError> {
    const MAGIC: [u8; 4] = elf::ELFMAG;
    let magic = &bytes[..bytes.len().min(MAGIC.len())];
    if bytes.is_empty() || !MAGIC.starts_with(magic) {
        return Err(ImageError::NotElf);
    }
    let Ok((header, _)) = pod::from_bytes::<E>(bytes) else {
        let (needs, has) = (size_of::<E>() as u64, bytes.len() as u64);
        return Err(ImageError::Truncated { what: "ELF header", needs, has });
    };

    let ident = header.e_ident();
    let machine = header.e_machine(LE);
    if ident.data != elf::ELFDATA2LSB {
        let machine = Machine(machine.0.swap_bytes());
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
            let machine = Machine(machine.0);
            return Err(ImageError::WrongClass { class: ident.class.0, machine });
        }
        _ => return Err(ImageError::WrongMachine { machine: Machine(machine.0) }),
    }
    for version in [ident.version.0.into(), header.e_version(LE)] {
        if version != u32::from(elf::EV_CURRENT.0) {
            return Err(ImageError::BadVersion { version });
        }
    }
    match header.e_type(LE) {
        elf::ET_EXEC | elf::ET_DYN => Ok(header),
        other => Err(ImageError::WrongType { found: FileType(other.0) }),
    }
}

/// How many program headers there are, if they are as large as they must be.
fn count<E: Elf>(header: &E) -> Result<u16, ImageError> {
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
    Ok(count)
}

const _: () = assert!(size_of::<FileHeader32<object::LittleEndian>>() <= LARGEST_HEADER);

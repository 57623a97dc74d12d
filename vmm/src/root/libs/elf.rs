//! What an ELF file says of its interpreter and its libraries.

use object::Endianness;
use object::elf::{
    DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_STRSZ, DT_STRTAB, EM_386, EM_X86_64, FileHeader32,
    FileHeader64,
};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};

/// Kinds of programs that run here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    X86_64,
    I386,
}

/// What a program or a library needs.
#[derive(Debug)]
pub(super) struct Needs {
    pub(super) class: Class,
    /// PT_INTERP.
    pub(super) interpreter: Option<Vec<u8>>,
    /// DT_NEEDED, in order.
    pub(super) libraries: Vec<Vec<u8>>,
    pub(super) rpath: Option<Vec<u8>>,
    pub(super) runpath: Option<Vec<u8>>,
}

/// Reads it.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn read(bytes: &[u8]) -> Result<Needs, String> {
    let class = bytes.get(..5).filter(|start| start.starts_with(b"\x7fELF")).map(|start| start[4]);
    let needs = match class {
        Some(2) => of::<FileHeader64<Endianness>>(bytes),
        Some(1) => of::<FileHeader32<Endianness>>(bytes),
        _ => return Err("is no ELF file".to_owned()),
    };
    needs
        .map_err(|error| format!("is malformed: {error}"))?
        .ok_or_else(|| "is for another CPU".to_owned())
}

fn of<Elf: FileHeader<Endian = Endianness>>(bytes: &[u8]) -> object::Result<Option<Needs>> {
    let header = Elf::parse(bytes)?;
    let endian = header.endian()?;
    let class = match (header.is_class_64(), header.e_machine(endian)) {
        (true, EM_X86_64) => Class::X86_64,
        (false, EM_386) => Class::I386,
        _ => return Ok(None),
    };
    let segments = header.program_headers(endian, bytes)?;
    let mut needs =
        Needs { class, interpreter: None, libraries: vec![], rpath: None, runpath: None };
    for segment in segments {
        if let Some(interpreter) = segment.interpreter(endian, bytes)? {
            needs.interpreter = Some(interpreter.to_vec());
        }
        if let Some(entries) = segment.dynamic(endian, bytes)? {
            let value = |tag| {
                let mut entries = entries.iter().filter(|entry| entry.d_tag(endian) == tag);
                entries.next().map(|entry| entry.d_val(endian).into())
            };
            let (start, size) = (value(DT_STRTAB).unwrap_or(0u64), value(DT_STRSZ).unwrap_or(0u64));
            let strings = segments
                .iter()
                .find_map(|segment| segment.data_range(endian, bytes, start, size).ok().flatten());
            let string = |at: u64| {
                let text = strings?.get(usize::try_from(at).ok()?..)?;
                let end = text.iter().position(|byte| *byte == 0)?;
                Some(text[..end].to_vec())
            };
            let wanted = entries.iter().filter(|entry| entry.d_tag(endian) == DT_NEEDED);
            needs.libraries.extend(wanted.filter_map(|entry| string(entry.d_val(endian).into())));
            needs.rpath = value(DT_RPATH).and_then(string);
            needs.runpath = value(DT_RUNPATH).and_then(string);
        }
    }
    Ok(Some(needs))
}

//! The two vDSOs that vmm/build.rs built out of `guest/vdso`: what of them lies
//! in a program's memory, and which door the 32-bit one takes.
//!
//! Called by [`crate::boot`], which maps one; calls `object`.

pub(in crate::boot) mod place;

use crate::Error;
use crate::machine::kvm::Kind;
use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader, Sym};
use object::{LittleEndian, ReadRef};
use std::fmt;
use trapgate_abi::boot_info::feature;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_loader::image::Class;

/// `linux-vdso.so.1`.
pub static IMAGE_64: &[u8] = include_bytes!(env!("TRAPGATE_VDSO_64"));
/// `linux-gate.so.1`.
pub static IMAGE_32: &[u8] = include_bytes!(env!("TRAPGATE_VDSO_32"));

/// What `__kernel_vsyscall` tries before INT 0x80.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum FastDoor {
    /// SYSENTER: Intel's CPUs.
    Sysenter,
    /// SYSCALL from compatibility mode: AMD's CPUs.
    Syscall,
    /// Nothing: INT 0x80 it is.
    Int80,
}

impl FastDoor {
    /// The fastest door of a KVM of this kind with these [`feature`] bits. On
    /// a software KVM every door is an exception, and none is faster.
    pub fn of(kind: Kind, features: u64) -> FastDoor {
        if kind == Kind::Software {
            FastDoor::Int80
        } else if features & feature::SYSENTER32 != 0 {
            FastDoor::Sysenter
        } else if features & feature::SYSCALL32 != 0 {
            FastDoor::Syscall
        } else {
            FastDoor::Int80
        }
    }

    /// The instructions for the slot in `__kernel_vsyscall`
    /// (guest/vdso/src/gate.rs draws the stack).
    const fn code(self) -> [u8; 4] {
        match self {
            FastDoor::Sysenter => [0x89, 0xe5, 0x0f, 0x34], // mov ebp, esp; sysenter
            FastDoor::Syscall => [0x89, 0xcd, 0x0f, 0x05],  // mov ebp, ecx; syscall
            FastDoor::Int80 => [0x90; 4],                   // nop
        }
    }
}

impl fmt::Display for FastDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FastDoor::Sysenter => "SYSENTER",
            FastDoor::Syscall => "SYSCALL",
            FastDoor::Int80 => "INT 0x80",
        })
    }
}

/// A vDSO for one program.
#[derive(Clone, Debug)]
pub struct Vdso {
    /// What lies in memory, from the ELF header on.
    pub bytes: Vec<u8>,
    /// The offset of `__kernel_vsyscall`, for AT_SYSINFO; 32-bit programs only.
    pub vsyscall: Option<u64>,
    /// The offset behind INT 0x80 in `__kernel_vsyscall`, where the 32-bit fast
    /// doors return to. A 64-bit program has no such place; one that goes
    /// through a 32-bit door nevertheless comes back at this offset in its own
    /// vDSO, as in Linux (`do_fast_syscall_32`).
    pub landing_pad: u64,
}

impl Vdso {
    /// The vDSO of a program of this class.
    ///
    /// # Errors
    /// [`Error::Kernel`], if it was built wrong: never, with what is embedded.
    pub fn new(class: Class, door: FastDoor) -> Result<Vdso, Error> {
        let made = match class {
            Class::Elf32 => Self::gate(door),
            Class::Elf64 => Self::clocks(),
        };
        made.map_err(|what| Error::Kernel(format!("its vDSO: {what}")))
    }

    /// How far behind the landing pad of 32-bit programs `__kernel_sigreturn` and
    /// `__kernel_rt_sigreturn` are.
    ///
    /// # Errors
    /// As [`Vdso::new`].
    pub fn sigreturns() -> Result<[u64; 2], Error> {
        let found = symbols(["int80_landing_pad", "__kernel_sigreturn", "__kernel_rt_sigreturn"]);
        let [landing_pad, plain, rt] =
            found.map_err(|what| Error::Kernel(format!("its vDSO: {what}")))?;
        Ok([plain, rt].map(|at| at - landing_pad))
    }

    /// Bytes of the pages that it lies on.
    pub(super) fn size(&self) -> u64 {
        (self.bytes.len() as u64).next_multiple_of(PAGE_SIZE)
    }

    fn clocks() -> Result<Vdso, Bad> {
        let bytes = segment::<FileHeader64<LittleEndian>>(IMAGE_64)?;
        let [landing_pad] = symbols(["int80_landing_pad"])?;
        Ok(Vdso { bytes, vsyscall: None, landing_pad })
    }

    fn gate(door: FastDoor) -> Result<Vdso, Bad> {
        let mut bytes = segment::<FileHeader32<LittleEndian>>(IMAGE_32)?;
        let [vsyscall, slot, landing_pad] =
            symbols(["__kernel_vsyscall", "vsyscall_slot", "int80_landing_pad"])?;
        let slot = bytes.get_mut(slot as usize..).and_then(|rest| rest.first_chunk_mut());
        *slot.ok_or("it has no room for a door")? = door.code();
        Ok(Vdso { bytes, vsyscall: Some(vsyscall), landing_pad })
    }
}

/// What is wrong with an image.
type Bad = Box<dyn std::error::Error>;

const LE: LittleEndian = LittleEndian;

/// The one segment, which begins with the ELF header. That says no more where
/// section headers are: they are beyond the segment, and so not in memory.
fn segment<H: FileHeader<Endian = LittleEndian>>(image: &[u8]) -> Result<Vec<u8>, Bad> {
    let header = H::parse(image)?;
    let mut loads =
        header.program_headers(LE, image)?.iter().filter(|it| it.p_type(LE) == elf::PT_LOAD);
    let (Some(load), None) = (loads.next(), loads.next()) else {
        return Err("it has more than one segment".into());
    };
    if load.p_offset(LE).into() != 0 || load.p_vaddr(LE).into() != 0 {
        return Err("its segment is not its beginning".into());
    }
    let size = load.p_filesz(LE).into();
    let bytes = image.read_bytes_at(0, size).map_err(|()| "its segment is cut off")?;
    let mut bytes = bytes.to_vec();
    // e_shoff, and e_shentsize to e_shstrndx (ELF, "ELF Header").
    let (offset, counts) = if header.is_class_64() { (40..48, 58..64) } else { (32..36, 46..52) };
    for field in [offset, counts] {
        bytes.get_mut(field).ok_or("it is shorter than its header")?.fill(0);
    }
    Ok(bytes)
}

/// The addresses of symbols of the 32-bit image, those that are not exported
/// among them.
fn symbols<const N: usize>(names: [&str; N]) -> Result<[u64; N], Bad> {
    let header = FileHeader32::<LittleEndian>::parse(IMAGE_32)?;
    let table = header.sections(LE, IMAGE_32)?.symbols(LE, IMAGE_32, elf::SHT_SYMTAB)?;
    let mut found = [None; N];
    for symbol in table.iter() {
        let name = symbol.name(LE, table.strings())?;
        for (wanted, value) in names.iter().zip(&mut found) {
            if name == wanted.as_bytes() {
                *value = Some(u64::from(symbol.st_value(LE)));
            }
        }
    }
    let mut values = [0; N];
    for ((name, found), value) in names.iter().zip(found).zip(&mut values) {
        *value = found.ok_or_else(|| format!("it has no {name}"))?;
    }
    Ok(values)
}

#[cfg(test)]
mod tests;

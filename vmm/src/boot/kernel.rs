//! The kernel's two images, plain and instrumented: what one says of itself, and
//! how it gets into memory, with the steps that are wanted and no other.

use crate::Error;
use crate::boot::mitigation::Hardening;
use crate::boot::mitigation::patch::{self, Patch};
use crate::machine::memory::{GuestRam, OutOfRam};
use linux_loader::loader::{Elf, KernelLoader};
use object::LittleEndian;
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader};
use std::io::Cursor;
use std::ops::Range;
use trapgate_abi::ABI_VERSION;
use trapgate_abi::kernel_note::{self, Instruments, KernelNote};
use trapgate_abi::layout::{
    Cpu, KERNEL_BASE, KERNEL_PHYS, KERNEL_PHYS_END, KERNEL_SPACE, PAGE_SIZE, page_up,
};
use trapgate_abi::mitigation::{MAX_SITES, Site};
use vm_memory::GuestAddress;

/// The kernel that vmm/build.rs built.
pub static PLAIN: &[u8] = include_bytes!(env!("TRAPGATE_KERNEL_PLAIN"));
/// The same with patch sites for mitigation steps, and with a door that stamps.
pub static INSTRUMENTED: &[u8] = include_bytes!(env!("TRAPGATE_KERNEL_INSTRUMENTED"));

/// The image that a run needs: with stamps, or with what `hardening` wants.
pub(crate) fn image(stamped: bool, hardening: &Hardening) -> &'static [u8] {
    if stamped || *hardening != Hardening::NONE { INSTRUMENTED } else { PLAIN }
}

/// A piece of the kernel in memory, as its page tables want it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Physical address of its first page.
    pub start: u64,
    /// Physical address after its last page.
    pub end: u64,
    /// Whether it is written to.
    pub write: bool,
    /// Whether it is executed.
    pub exec: bool,
}

impl Piece {
    /// Its virtual addresses.
    fn addresses(&self) -> Range<u64> {
        KERNEL_BASE + self.start..KERNEL_BASE + self.end
    }
}

/// Bytes of a row in the table of sites.
const SITE_SIZE: u64 = 8 * Site::WORDS as u64;

/// A kernel image in memory.
pub struct Kernel {
    /// Its first instruction.
    pub entry: u64,
    /// What it says of itself.
    pub note: KernelNote,
    /// What an instrumented one says besides.
    pub instruments: Option<Instruments>,
    /// Its pieces, for the page tables.
    pub pieces: Vec<Piece>,
}

impl Kernel {
    /// Puts the image `elf` into memory. Of an instrumented one's sites the steps
    /// of `hardening` stay.
    ///
    /// # Errors
    /// [`Error::Kernel`], if it is not a kernel of this ABI version, or its table
    /// of sites is not one; [`Error::Uninstrumented`], if there are steps and the
    /// image is plain.
    pub fn load(elf: &[u8], ram: &GuestRam, hardening: &Hardening) -> Result<Kernel, Error> {
        let Described { pieces, note, instruments } = describe(elf).map_err(|error| bad(&error))?;
        let note = note.ok_or_else(|| bad(&"it has no note of trapgate's"))?;
        if note.abi_version != ABI_VERSION {
            return Err(Error::Kernel(format!(
                "it has ABI version {}, the VMM has {ABI_VERSION}",
                note.abi_version
            )));
        }
        let first = Cpu::FIRST.area_phys();
        let inside = |piece: &Piece| first <= piece.start && piece.end <= KERNEL_PHYS_END;
        if !pieces.iter().all(inside) {
            return Err(bad(&"it is linked for another place"));
        }
        if instruments.is_none() && *hardening != Hardening::NONE {
            return Err(Error::Uninstrumented);
        }
        // An offset of 0: where the image says; and no search for Xen's notes.
        let loaded = Elf::load(ram.inner(), Some(GuestAddress(0)), &mut Cursor::new(elf), None)
            .map_err(|error| bad(&error))?;
        let kernel = Kernel { entry: loaded.kernel_load.0, note, instruments, pieces };
        if let Some(instruments) = &instruments {
            kernel.check(instruments)?;
            kernel.patch(ram, instruments, hardening.keep)?;
        }
        Ok(kernel)
    }

    /// Makes the door that stamps the one for SYSCALL.
    ///
    /// # Errors
    /// [`Error::Uninstrumented`], if the image has none.
    pub fn stamp(&mut self) -> Result<(), Error> {
        let instruments = self.instruments.as_ref().ok_or(Error::Uninstrumented)?;
        self.note.syscall64 = instruments.stamped_syscall64;
        Ok(())
    }

    /// Whether what ring 3's page tables may have is in the image, on pages.
    fn check(&self, instruments: &Instruments) -> Result<(), Error> {
        let Instruments { entry_start, entry_end, untrain_page, untrain_alias, .. } = *instruments;
        let page = |start: u64| (start, start.saturating_add(PAGE_SIZE));
        for (start, end) in [(entry_start, entry_end), page(self.note.idt), page(untrain_page)] {
            let on_pages = start.is_multiple_of(PAGE_SIZE) && end.is_multiple_of(PAGE_SIZE);
            if !on_pages || !self.has(start, end) {
                return Err(bad(&"its doors are not on pages of their own"));
            }
        }
        if self.has(untrain_alias, untrain_alias.saturating_add(1)) || untrain_alias < KERNEL_SPACE
        {
            return Err(bad(&"its second mapping has a wrong address"));
        }
        Ok(())
    }

    /// Overwrites the sites whose reason is not in `kept`.
    fn patch(&self, ram: &GuestRam, instruments: &Instruments, kept: u64) -> Result<(), Error> {
        let Instruments { sites_start, sites_end, .. } = *instruments;
        let length = sites_end.saturating_sub(sites_start);
        let count = length / SITE_SIZE;
        let whole = length.is_multiple_of(SITE_SIZE) && count <= MAX_SITES;
        if !whole || !self.has(sites_start, sites_end) {
            return Err(bad(&"its table of patch sites is none"));
        }
        let site = |index| {
            let words = ram.read_words(sites_start - KERNEL_BASE + index * SITE_SIZE)?;
            Ok(Site::from_words(&words))
        };
        let sites: Result<Vec<_>, OutOfRam> = (0..count).map(site).collect();
        let sites = sites.map_err(|error| bad(&error))?;
        let code: Vec<_> = self.image().filter(|piece| piece.exec).map(Piece::addresses).collect();
        for Patch { address, bytes } in
            patch::patches(&sites, kept, &code).map_err(|error| bad(&error))?
        {
            ram.write(address - KERNEL_BASE, &bytes).map_err(|error| bad(&error))?;
        }
        Ok(())
    }

    /// Whether these virtual addresses are the image's, in one piece.
    fn has(&self, start: u64, end: u64) -> bool {
        let holds = |piece: Range<u64>| piece.start <= start && end <= piece.end;
        start < end && self.image().map(Piece::addresses).any(holds)
    }

    /// The pieces at the image's own addresses; what lies in the per-CPU area
    /// is mapped with that.
    pub fn image(&self) -> impl Iterator<Item = &Piece> {
        self.pieces.iter().filter(|piece| piece.start >= KERNEL_PHYS)
    }

    /// The end of the image in physical memory.
    pub fn end(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.end).max().unwrap_or(KERNEL_PHYS)
    }
}

/// What is wrong with an image.
fn bad(what: &dyn ToString) -> Error {
    Error::Kernel(what.to_string())
}

/// What an image says of itself.
#[derive(Default)]
struct Described {
    pieces: Vec<Piece>,
    note: Option<KernelNote>,
    instruments: Option<Instruments>,
}

fn describe(image: &[u8]) -> Result<Described, object::Error> {
    let le = LittleEndian;
    let header = FileHeader64::<LittleEndian>::parse(image)?;
    let mut found = Described::default();
    for program_header in header.program_headers(le, image)? {
        let flags = program_header.p_flags(le);
        if program_header.p_type(le) == elf::PT_LOAD {
            let start = program_header.p_paddr(le);
            // What is loaded, too, where that is more than the file says it takes.
            let size = program_header.p_memsz(le).max(program_header.p_filesz(le));
            let end = start.checked_add(size).and_then(page_up);
            found.pieces.push(Piece {
                start: start & !(PAGE_SIZE - 1),
                end: end.unwrap_or(u64::MAX),
                write: flags.contains(elf::PF_W),
                exec: flags.contains(elf::PF_X),
            });
        }
        let Some(mut notes) = program_header.notes(le, image)? else {
            continue;
        };
        while let Some(note) = notes.next()? {
            if note.name() != b"trapgate" {
                continue;
            }
            match note.n_type(le).0 {
                kernel_note::KERNEL => {
                    found.note = words(note.desc()).map(|words| KernelNote::from_words(&words))
                }
                kernel_note::INSTRUMENTS => {
                    found.instruments =
                        words(note.desc()).map(|words| Instruments::from_words(&words));
                }
                _ => {}
            }
        }
    }
    Ok(found)
}

/// A note's description, if it is so many words.
fn words<const N: usize>(description: &[u8]) -> Option<[u64; N]> {
    let (words, rest) = description.as_chunks::<8>();
    let words = <[[u8; 8]; N]>::try_from(words).ok().filter(|_| rest.is_empty())?;
    Some(words.map(u64::from_le_bytes))
}

#[cfg(test)]
mod tests;

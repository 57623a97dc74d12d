//! The embedded kernel image: what it says of itself, and how it gets into
//! memory.

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
use trapgate_abi::kernel_note::KernelNote;
use trapgate_abi::layout::{Cpu, KERNEL_BASE, KERNEL_PHYS, KERNEL_PHYS_END, PAGE_SIZE, page_up};
use trapgate_abi::mitigation::{MAX_SITES, Site};
use vm_memory::GuestAddress;

/// The kernel that vmm/build.rs built.
pub static IMAGE: &[u8] = include_bytes!(env!("TRAPGATE_KERNEL"));

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
    /// Its pieces, for the page tables.
    pub pieces: Vec<Piece>,
}

impl Kernel {
    /// Puts the image `elf` into memory.
    ///
    /// # Errors
    /// [`Error::Kernel`], if it is not a kernel of this ABI version.
    pub fn load(elf: &[u8], ram: &GuestRam) -> Result<Kernel, Error> {
        let bad = |what: &str| Error::Kernel(what.to_owned());
        let (pieces, note) = describe(elf).map_err(|error| Error::Kernel(error.to_string()))?;
        let note = note.ok_or_else(|| bad("it has no note of trapgate's"))?;
        if note.abi_version != ABI_VERSION {
            return Err(Error::Kernel(format!(
                "it has ABI version {}, the VMM has {ABI_VERSION}",
                note.abi_version
            )));
        }
        let first = Cpu::FIRST.area_phys();
        let inside = |piece: &Piece| first <= piece.start && piece.end <= KERNEL_PHYS_END;
        if !pieces.iter().all(inside) {
            return Err(bad("it is linked for another place"));
        }
        // An offset of 0: where the image says; and no search for Xen's notes.
        let loaded = Elf::load(ram.inner(), Some(GuestAddress(0)), &mut Cursor::new(elf), None)
            .map_err(|error| Error::Kernel(error.to_string()))?;
        Ok(Kernel { entry: loaded.kernel_load.0, note, pieces })
    }

    /// Leaves the steps of `hardening` in the doors' hardened twins, and makes
    /// these the doors.
    ///
    /// # Errors
    /// [`Error::Kernel`], if the image's table of sites is not one.
    pub fn harden(&mut self, ram: &GuestRam, hardening: &Hardening) -> Result<(), Error> {
        let bad = |what: &dyn ToString| Error::Kernel(what.to_string());
        let KernelNote { hardened_idt, untrain_page, untrain_alias, .. } = self.note;
        let KernelNote { sites_start, sites_end, entry_start, entry_end, .. } = self.note;
        let page = |start: u64| (start, start.saturating_add(PAGE_SIZE));
        for (start, end) in [(entry_start, entry_end), page(hardened_idt), page(untrain_page)] {
            let on_pages = start.is_multiple_of(PAGE_SIZE) && end.is_multiple_of(PAGE_SIZE);
            if !on_pages || !self.has(start, end) {
                return Err(bad(&"its hardened doors are not on pages of their own"));
            }
        }
        if self.has(untrain_alias, untrain_alias.saturating_add(1)) || untrain_alias < KERNEL_BASE {
            return Err(bad(&"its second mapping has a wrong address"));
        }
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
        let patches = patch::patches(&sites, hardening.keep, &code).map_err(|error| bad(&error))?;
        for Patch { address, bytes } in patches {
            ram.write(address - KERNEL_BASE, &bytes).map_err(|error| bad(&error))?;
        }
        self.note.syscall64 = self.note.hardened_syscall64;
        self.note.syscall32 = self.note.hardened_syscall32;
        self.note.sysenter = self.note.hardened_sysenter;
        self.note.idt = self.note.hardened_idt;
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

type Described = (Vec<Piece>, Option<KernelNote>);

/// The image's pieces and the words of its note.
fn describe(image: &[u8]) -> Result<Described, object::Error> {
    let le = LittleEndian;
    let header = FileHeader64::<LittleEndian>::parse(image)?;
    let mut pieces = Vec::new();
    let mut found = None;
    for program_header in header.program_headers(le, image)? {
        let flags = program_header.p_flags(le);
        if program_header.p_type(le) == elf::PT_LOAD {
            let start = program_header.p_paddr(le);
            let end = start.checked_add(program_header.p_memsz(le)).and_then(page_up);
            pieces.push(Piece {
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
            let (words, _) = note.desc().as_chunks::<8>();
            if note.name() == b"trapgate"
                && let Ok(words) = <[[u8; 8]; KernelNote::WORDS]>::try_from(words)
            {
                found = Some(KernelNote::from_words(&words.map(u64::from_le_bytes)));
            }
        }
    }
    Ok((pieces, found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use iced_x86::{Decoder, DecoderOptions, Formatter, GasFormatter, Mnemonic};
    use trapgate_abi::kernel_note::NAME;
    use trapgate_abi::mitigation::{Step, keep};

    #[test]
    fn no_piece_is_both_written_and_executed() {
        let (pieces, note) = describe(IMAGE).unwrap();
        assert_eq!(pieces.len(), 4);
        assert!(pieces.iter().all(|piece| !(piece.write && piece.exec)));
        assert_eq!(note.unwrap().abi_version, ABI_VERSION);
    }

    #[test]
    fn a_kernel_of_another_version_is_refused() {
        let mut image = IMAGE.to_vec();
        let note = [&NAME[..], &ABI_VERSION.to_le_bytes()].concat();
        let at = image.windows(note.len()).position(|window| window == note).unwrap();
        image[at + NAME.len()] ^= 0xff;
        let ram = GuestRam::new(4 << 20).unwrap();
        let error = Kernel::load(&image, &ram).err().unwrap().to_string();
        assert!(error.contains("ABI version"), "{error}");
        assert!(Kernel::load(&[], &ram).is_err());
    }

    fn hardened(keep: u64) -> (GuestRam, Result<Kernel, Error>) {
        let ram = GuestRam::new(4 << 20).unwrap();
        let mut kernel = Kernel::load(IMAGE, &ram).unwrap();
        let result = kernel.harden(&ram, &Hardening { keep, pti: false });
        (ram, result.map(|()| kernel))
    }

    /// The mnemonics from the door of SYSCALL on, up to its way back.
    fn door(ram: &GuestRam, kernel: &Kernel) -> Vec<(Mnemonic, String)> {
        let mut code = [0; 1024];
        let at = kernel.note.syscall64;
        ram.read(at - KERNEL_BASE, &mut code).unwrap();
        let mut formatter = GasFormatter::new();
        let decoder = Decoder::with_ip(64, &code, at, DecoderOptions::NONE);
        let instructions = decoder.into_iter().map(|instruction| {
            let mut text = String::new();
            formatter.format(&instruction, &mut text);
            (instruction.mnemonic(), text)
        });
        let mut all: Vec<_> = instructions.collect();
        let end = all.iter().position(|(mnemonic, _)| *mnemonic == Mnemonic::Sysretq);
        all.truncate(end.expect("it returns") + 1);
        all
    }

    #[test]
    fn a_hardened_door_has_the_chosen_steps_and_no_other() {
        let marks = |keep: u64| {
            let (ram, kernel) = hardened(keep);
            let door = door(&ram, &kernel.unwrap());
            let count = |mnemonic| door.iter().filter(|(found, _)| *found == mnemonic).count();
            let tables = door.iter().filter(|(_, text)| text.ends_with(",%cr3")).count();
            let of_gs = |what| door.iter().any(|(found, _)| *found == what);
            (tables, count(Mnemonic::Wrmsr), count(Mnemonic::Rdtsc), of_gs(Mnemonic::Verw))
        };
        let steps = Step::ALL.iter().map(|step| step.bit());
        assert_eq!(marks(keep::NO_RETPOLINE), (0, 0, 0, false));
        assert_eq!(marks(keep::NO_RETPOLINE | Step::Pti.bit()), (2, 0, 0, false));
        assert_eq!(marks(keep::NO_RETPOLINE | Step::Ibrs.bit()), (0, 2, 0, false));
        assert_eq!(marks(keep::NO_RETPOLINE | Step::KstackOffset.bit()), (0, 0, 1, false));
        assert_eq!(marks(keep::NO_RETPOLINE | Step::Verw.bit()), (0, 0, 0, true));
        assert_eq!(marks(steps.sum()), (2, 2, 1, true));
    }

    #[test]
    fn a_plain_door_has_no_step_and_no_nop() {
        let ram = GuestRam::new(4 << 20).unwrap();
        let kernel = Kernel::load(IMAGE, &ram).unwrap();
        for (mnemonic, text) in door(&ram, &kernel) {
            let step = [Mnemonic::Nop, Mnemonic::Wrmsr, Mnemonic::Rdtsc, Mnemonic::Verw];
            assert!(!step.contains(&mnemonic) && !text.contains("cr3"), "{text}");
        }
    }

    #[test]
    fn a_table_of_sites_that_is_none_is_refused() {
        type Change = fn(&mut KernelNote);
        let changes: [(&str, Change); 9] = [
            ("it ends in the middle of a row", |note| note.sites_end -= 8),
            ("it begins in the middle of a row", |note| note.sites_start += 8),
            ("it is beyond the image", |note| note.sites_end = u64::MAX),
            ("it is empty", |note| note.sites_end = note.sites_start),
            ("its rows are shifted", |note| {
                note.sites_start += 8;
                note.sites_end -= 16;
            }),
            ("the entry's code is not on pages", |note| note.entry_start += 16),
            ("the entry's code is elsewhere", |note| note.entry_start = 0),
            ("the IDT is elsewhere", |note| note.hardened_idt = !(PAGE_SIZE - 1)),
            ("the second mapping is over the image", |note| note.untrain_alias = note.entry_start),
        ];
        for (what, change) in changes {
            let ram = GuestRam::new(4 << 20).unwrap();
            let mut kernel = Kernel::load(IMAGE, &ram).unwrap();
            change(&mut kernel.note);
            let hardening = Hardening { keep: keep::ALL, pti: true };
            assert!(kernel.harden(&ram, &hardening).is_err(), "{what}");
        }
        assert!(hardened(keep::ALL).1.is_ok());
    }
}

//! Where a program's vDSO goes, and putting it there: the data page, which the
//! clocks are read from, and the image behind it.
//!
//! ```text
//!            │ stack, and its guard gap               │
//! MMAP_BASE  ├────────────────────────────────────────┤
//!            │ image, R+X: AT_SYSINFO_EHDR            │
//!            ├────────────────────────────────────────┤
//!            │ data page, R: ClockInfo and zeroes     │
//!            ├────────────────────────────────────────┤
//!            │ mappings of mmap(2), growing down      │
//! ```
//!
//! Both are the program's own memory, in frames that nobody else has: it may
//! unmap them, move them or map over them, and harms itself alone. Neither the
//! kernel nor the VMM ever reads them again, so it would not matter either if
//! the program wrote to them. The image may become writable, as Linux's
//! may (there a private copy); the data page may not, as Linux's may not
//! ([`REGION_VVAR`]).

use crate::boot::vdso::Vdso;
use crate::boot::{Builder, PageTables, prot_bits, user_flags};
use crate::machine::memory::{GuestRam, OutOfRam};
use trapgate_abi::boot_info::{self, BootInfo, ClockInfo, REGION_VDSO, REGION_VVAR, Region};
use trapgate_abi::layout::{MMAP_BASE, MMAP_BASE32, PAGE_SIZE, USER_MIN};
use trapgate_loader::image::{Class, Image, Prot};

/// A vDSO that has its place.
pub(in crate::boot) struct Placed {
    vdso: Vdso,
    /// Address of the data page.
    start: u64,
}

impl Placed {
    /// The highest place below where mappings begin that no segment takes;
    /// `None` if the program leaves no room.
    pub(in crate::boot) fn new(vdso: Vdso, image: &Image) -> Option<Placed> {
        let mut end = match image.class {
            Class::Elf32 => MMAP_BASE32,
            Class::Elf64 => MMAP_BASE,
        };
        let mut placed = Placed { vdso, start: 0 };
        loop {
            let start = end.checked_sub(placed.size()).filter(|&start| start >= USER_MIN)?;
            placed.start = start;
            let taken = image.segments.iter().find(|taken| taken.start < end && start < taken.end);
            match taken {
                Some(segment) => end = segment.start,
                None => return Some(placed),
            }
        }
    }

    /// What it takes of memory, data page included, in bytes.
    pub(in crate::boot) fn size(&self) -> u64 {
        PAGE_SIZE + self.vdso.size()
    }

    /// The image's address: AT_SYSINFO_EHDR.
    pub(in crate::boot) fn base(&self) -> u64 {
        self.start + PAGE_SIZE
    }

    /// The address of `__kernel_vsyscall`: AT_SYSINFO.
    pub(in crate::boot) fn vsyscall(&self) -> Option<u64> {
        self.vdso.vsyscall.map(|offset| self.base() + offset)
    }

    /// Where the fast 32-bit doors return to.
    pub(in crate::boot) fn landing_pad(&self) -> u64 {
        self.base() + self.vdso.landing_pad
    }
}

impl Builder<'_> {
    /// The vDSO, copied and mapped.
    pub(in crate::boot) fn vdso(
        &mut self,
        tables: &mut PageTables<'_>,
        placed: Option<&Placed>,
    ) -> Option<()> {
        let Some(placed) = placed else { return Some(()) };
        let read = Prot { read: true, ..Prot::default() };
        let exec = Prot { exec: true, ..read };
        let (start, base, end) = (placed.start, placed.base(), placed.start + placed.size());
        let frames = &mut self.frames;
        let data_page = frames.take(end - start)?;
        let image = data_page + PAGE_SIZE;
        self.ram.write(image, &placed.vdso.bytes).ok()?;
        tables.map(start, data_page, base - start, user_flags(read), false, frames)?;
        tables.map(base, image, end - base, user_flags(exec), false, frames)?;
        self.regions.extend([
            Region { start, end: base, flags: prot_bits(read) | REGION_VVAR },
            Region { start: base, end, flags: prot_bits(exec) | REGION_VDSO },
        ]);
        self.data_page = Some(data_page);
        Some(())
    }

    /// The vDSOs of both widths, for programs that the kernel loads: nobody writes them.
    pub(in crate::boot) fn lend(&mut self, vdsos: &[Vdso; 2], info: &mut BootInfo) -> Option<()> {
        for (vdso, lent) in vdsos.iter().zip(&mut info.vdso) {
            let start = self.frames.take(vdso.size())?;
            self.ram.write(start, &vdso.bytes).ok()?;
            *lent = boot_info::Vdso {
                start,
                end: start + vdso.size(),
                vsyscall: vdso.vsyscall.unwrap_or(0),
                landing_pad: vdso.landing_pad,
            };
        }
        Some(())
    }
}

/// Writes the data page: these four words, and nothing else that the VMM or
/// the kernel knows.
pub(in crate::boot) fn write_data_page(
    ram: &GuestRam,
    physical: u64,
    clock: &ClockInfo,
) -> Result<(), OutOfRam> {
    ram.write_words(physical, &clock.to_words())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::vdso::FastDoor;
    use trapgate_loader::image::Segment;

    fn place(class: Class, taken: &[(u64, u64)]) -> Option<u64> {
        let prot = Prot::default();
        let segment = |&(start, end)| Segment { start, end, prot, file: 0..0 };
        let image = Image {
            class,
            entry: 0,
            segments: taken.iter().map(segment).collect(),
            phdr_addr: 0,
            phdr_entry_size: 0,
            phdr_count: 0,
            load_bias: 0,
            brk: 0,
            exec_stack: false,
        };
        let vdso = Vdso::new(class, FastDoor::Int80).unwrap();
        Placed::new(vdso, &image).map(|placed| placed.start)
    }

    #[test]
    fn it_is_where_mappings_would_begin() {
        assert_eq!(place(Class::Elf64, &[(0x40_0000, 0x41_0000)]), Some(MMAP_BASE - 0x2000));
        assert_eq!(place(Class::Elf32, &[]), Some(MMAP_BASE32 - 0x2000));
    }

    #[test]
    fn a_segment_in_the_way_pushes_it_down() {
        let base = MMAP_BASE;
        assert_eq!(place(Class::Elf64, &[(base - 0x1000, base)]), Some(base - 0x3000));
        assert_eq!(place(Class::Elf64, &[(base, base + 0x1000)]), Some(base - 0x2000));
        let two = [(base - 0x9000, base - 0x2000), (base - 0x1000, base)];
        assert_eq!(place(Class::Elf64, &two), Some(base - 0xb000));
        assert_eq!(place(Class::Elf32, &[(0x1_2000, MMAP_BASE32)]), Some(0x1_0000));
        assert_eq!(place(Class::Elf32, &[(0x1_1000, MMAP_BASE32)]), None, "no room at all");
    }
}

//! Everything that is in memory before the first instruction: the kernel, the
//! program and its stack, the page tables, the boot information.
//!
//! What a start costs is decided here: what the program will surely touch is
//! mapped, and all of it lies together at the bottom of RAM.
//!
//! Called by whoever has made a machine: [`prepare`] for a program,
//! [`prepare_job`] for what is measured without one. Uses `machine` (RAM, and what
//! its CPU can do), and no room above.

mod isolation;
mod job;
pub mod kernel;
mod minsigstksz;
pub mod mitigation;
mod page_tables;
mod program;
mod stamps;
mod trace_rings;
pub mod vdso;

pub use job::prepare_job;
pub use program::Load;
pub(crate) use stamps::Stamps;

use crate::boot::kernel::{Kernel, Piece};
use crate::boot::mitigation::Hardening;
use crate::boot::vdso::{FastDoor, Vdso};
use crate::machine::kvm::{Entry, Kind, Maker, Vm, cpuid, fpu};
use crate::machine::memory::{GuestRam, LEAST, OutOfRam};
use crate::{ByteSize, Error};
use page_tables::{Frames, PageTables};
use program::Program;
use trapgate_abi::boot_info::{
    BootInfo, ClockInfo, MAX_REGIONS, Mount, RANDOM_STOCK, Range, Region, SEED, StandardFile, User,
    feature,
};
use trapgate_abi::file::FileStatus;
use trapgate_abi::hypercall::files::Handle;
use trapgate_abi::kernel_note::Instruments;
use trapgate_abi::layout::{
    BOOT_INFO, Cpu, HIGH_RAM_START, KERNEL_BASE, LARGE_PAGE_SIZE, PAGE_SIZE, cpus_end, percpu,
};
use trapgate_abi::mitigation::keep;
use trapgate_abi::x86::{cr4, pte};
use trapgate_loader::image::{Class, Prot};
use trapgate_loader::stack::{self, Strings};

/// What a program starts with, besides its image.
pub struct Start<'a> {
    /// The program's name, for messages.
    pub name: &'a str,
    /// `AT_EXECFN`.
    pub execfn: &'a [u8],
    /// Who loads it.
    pub load: Load<'a>,
    /// Its arguments.
    pub argv: &'a [Vec<u8>],
    /// Its environment.
    pub envp: &'a [Vec<u8>],
    /// `AT_RANDOM`, by its first two words, and what else of it is random.
    pub seed: [u64; SEED],
    /// What getrandom(2) gives out first; empty, if that is not granted.
    pub random_stock: &'a [u64],
    /// `AT_HWCAP`: CPUID.1:EDX as the guest sees it.
    pub hwcap: u64,
    /// `AT_HWCAP2`.
    pub hwcap2: u64,
    /// The program's XCR0, 0 without XSAVE.
    pub xcr0: u64,
    /// `feature` bits for the kernel.
    pub features: u64,
    /// How many CPUs there are.
    pub cpus: u64,
    /// Guest-physical addresses of the root's image; empty without one.
    pub root: Range,
    /// Bytes that the files of each file system in memory may have; 0: half of RAM.
    pub disk: u64,
    /// Directories of the host's in its tree, the root first, each before those below it.
    pub mounts: &'a [Mounted],
    /// The file of a program that is loaded here, and what it is.
    pub program: Option<&'a (Mounted, FileStatus)>,
    /// Whether no large page of the host's is wanted at the bottom of RAM.
    pub dense: bool,
    /// Where the program begins, a path of its tree; empty for the root.
    pub directory: &'a [u8],
    /// Who it is.
    pub user: User,
    /// The door of the 32-bit vDSO.
    pub fast_door: FastDoor,
    /// The least log level that matters, as `log::LevelFilter`'s number.
    pub log_level: u64,
    /// Signals that the program ignores from its start.
    pub ignored_signals: u64,
    /// How many calls to stamp.
    pub stamps: u64,
    /// Whether its calls are traced: then the steps that are kept have
    /// [`keep::TRACE`].
    pub traced: bool,
    /// What is on the kernel's way in and out.
    pub hardening: Hardening,
}

/// A directory of the host's in the program's tree.
pub struct Mounted {
    /// What the kernel calls it.
    pub handle: Handle,
    /// `MOUNT_*` of [`trapgate_abi::boot_info`].
    pub access: u64,
    /// Its path there.
    pub path: Vec<u8>,
}

/// Memory that is ready but for the clocks and the standard files.
pub struct Prepared {
    /// The kernel.
    pub kernel: Kernel,
    /// Physical address of the top page table.
    pub page_table: u64,
    /// The program's load bias, for symbols; none, if the kernel loads it.
    pub load_bias: Option<u64>,
    /// Bytes at the bottom of RAM that hold something.
    pub used: u64,
    /// Where the stamps go.
    pub(crate) stamps: Option<Stamps>,
    /// Physical address of the CPUs' rings of trace records, if there are any.
    pub(crate) trace_rings: Option<u64>,
    /// Physical address of the vDSO's data page.
    data_page: Option<u64>,
    info: BootInfo,
}

impl Prepared {
    /// Where the kernel begins.
    pub fn entry(&self) -> Entry {
        let Kernel { entry: start, note, .. } = self.kernel;
        Entry { start, note, page_table: self.page_table }
    }

    /// Writes the boot information, which has the standard files in it, and the
    /// vDSO's data page; the last thing before the first instruction, because
    /// they carry the time.
    ///
    /// # Errors
    /// Never, with RAM of [`LEAST`] bytes.
    pub fn finish(
        mut self,
        ram: &GuestRam,
        clock: ClockInfo,
        files: [StandardFile; 3],
    ) -> Result<(), OutOfRam> {
        self.info.clock = clock;
        self.info.files = files;
        if let Some(physical) = self.data_page {
            vdso::place::write_data_page(ram, physical, &clock)?;
        }
        ram.write_boot_info(BOOT_INFO, &self.info)
    }
}

/// Puts kernel, program, stack and tables into memory.
///
/// # Errors
/// [`Error::Stack`], [`Error::MemoryTooSmall`],
/// [`Error::Uninstrumented`], or [`Error::Kernel`].
pub fn prepare(ram: &GuestRam, kernel: &[u8], start: &Start<'_>) -> Result<Prepared, Error> {
    let strings = Strings::pack(start.argv, start.envp, start.execfn, stack::DEFAULT_LIMIT)?;
    let program = Program::new(start, &strings)?;
    let vdsos = [Class::Elf64, Class::Elf32].map(|class| Vdso::new(class, start.fast_door));
    let [wide, narrow] = vdsos;
    let vdsos = [wide?, narrow?];
    let stamped = Stamps::size(start.stamps);
    let traced = if start.traced { trace_rings::size(start.cpus) } else { 0 };
    let lent: u64 = vdsos.iter().map(Vdso::size).sum();
    let program_file = start.program.map(|(mount, _)| mount);
    let mounts = start.mounts.iter().chain(program_file);
    let paths: u64 = mounts.map(|mount| mount.path.len() as u64).sum();
    let paths = paths + start.directory.len() as u64;
    let beside = lent + stamped + traced + page_tables::size(start.root) + paths;
    let needed = LEAST + cpus_end(start.cpus) + program.size() + beside;
    let too_small = || Error::MemoryTooSmall {
        name: start.name.to_owned(),
        given: ByteSize(ram.size()),
        needed: ByteSize(needed.next_multiple_of(LARGE_PAGE_SIZE)),
    };
    if ram.size() < needed {
        return Err(too_small());
    }
    match start.dense {
        true => ram.advise_small_pages(),
        false => ram.advise_large_pages(needed),
    }
    let mut kernel = Kernel::load(kernel, ram, &start.hardening)?;
    if start.stamps > 0 {
        kernel.stamp()?;
    }
    let isolated = start.hardening.pti;
    let (low_end, high_end) = ram.ends();
    let frames = Frames::new(kernel.end().max(cpus_end(start.cpus)), low_end);
    let global = if isolated { 0 } else { pte::G };
    let mut builder =
        Builder { ram, cpus: start.cpus, frames, regions: vec![], data_page: None, global };
    let mut info = BootInfo { sigreturns: Vdso::sigreturns()?, ..BootInfo::NONE };
    let (mut tables, mut user_tables) =
        isolation::tables(ram, &mut builder.frames, isolated).ok_or_else(too_small)?;
    builder
        .kernel(&mut tables, &kernel, start.root)
        .and_then(|()| builder.untrain_alias(&mut tables, &kernel, start.hardening))
        .and_then(|()| builder.program(&mut tables, &program, &mut info))
        .and_then(|()| builder.mounts(start.mounts, &mut info))
        .and_then(|()| builder.program_file(start.program, &mut info))
        .and_then(|()| builder.directory(start.directory, &mut info))
        .and_then(|()| builder.lend(&vdsos, &mut info))
        .and_then(|()| match &mut user_tables {
            Some(user) => isolation::fill(&tables, user, &kernel, start.cpus, &mut builder.frames),
            None => Some(()),
        })
        .ok_or_else(too_small)?;
    let stamps = match start.stamps {
        0 => None,
        calls => {
            let stamps = Stamps::new(ram, &mut builder.frames, calls);
            Some(stamps.ok_or_else(too_small)?)
        }
    };
    let trace_rings = match start.traced {
        false => None,
        true => {
            let rings = trace_rings::reserve(ram, &mut builder.frames, start.cpus);
            Some(rings.ok_or_else(too_small)?)
        }
    };
    if builder.regions.len() > MAX_REGIONS {
        return Err(Error::Kernel(format!("{} segments", builder.regions.len())));
    }

    builder.regions.sort_by_key(|region| region.start);
    let mut regions = [Region::default(); MAX_REGIONS];
    regions[..builder.regions.len()].copy_from_slice(&builder.regions);
    let mut random_stock = [0; RANDOM_STOCK];
    random_stock[..start.random_stock.len()].copy_from_slice(start.random_stock);
    let used = builder.frames.next();
    let info = BootInfo {
        features: start.features | if isolated { feature::PTI } else { 0 },
        ram_size: ram.size(),
        xcr0: start.xcr0,
        fpu_size: fpu::area_size(start.xcr0),
        root: start.root,
        disk: start.disk,
        user: start.user,
        free: [Range { start: used, end: low_end }, Range { start: HIGH_RAM_START, end: high_end }],
        page_table: tables.root(),
        seed: start.seed,
        hwcap: start.hwcap,
        hwcap2: start.hwcap2,
        minsigstksz: minsigstksz::size(start.xcr0),
        log_level: start.log_level,
        random_stock,
        random_count: start.random_stock.len() as u64,
        ignored_signals: start.ignored_signals,
        region_count: builder.regions.len() as u64,
        regions,
        ..info
    };
    Ok(Prepared {
        kernel,
        page_table: tables.root(),
        load_bias: program.load_bias(),
        used,
        stamps,
        trace_rings,
        data_page: builder.data_page,
        info,
    })
}

/// The features of a VM that the kernel acts on, as [`feature`] bits.
pub fn features(vm: &Vm) -> u64 {
    let mut features = 0;
    let mut set = |bit, on: bool| features |= if on { bit } else { 0 };
    set(feature::SMAP, vm.features.cr4 & cr4::SMAP != 0);
    set(feature::INTERPRETED, vm.kind == Kind::Software);
    set(feature::XSAVEOPT, cpuid::ring0_has_xsaveopt(vm));
    set(feature::SYSCALL_TRAPS, vm.kind == Kind::Software);
    set(feature::SYSENTER32, Maker::of_this_cpu() == Maker::Intel);
    set(feature::SYSCALL32, Maker::of_this_cpu() == Maker::Amd);
    features
}

/// Where things go, one after the other. Methods answer `None` if RAM ends.
struct Builder<'a> {
    ram: &'a GuestRam,
    /// How many CPUs there are.
    cpus: u64,
    frames: Frames,
    regions: Vec<Region>,
    /// Physical address of the vDSO's data page.
    data_page: Option<u64>,
    /// [`pte::G`], or 0 where loading CR3 must forget the kernel's pages.
    global: u64,
}

/// Flags of the kernel's own pages. Accessed and dirty are set ahead, so that
/// the CPU need not come back to do it.
fn kernel_flags(global: u64, write: bool, exec: bool) -> u64 {
    let base = pte::P | pte::A | global;
    base | if write { pte::W | pte::D } else { 0 } | if exec { 0 } else { pte::NX }
}

fn user_flags(prot: Prot) -> u64 {
    // On x86 what can be written or executed can be read.
    if !(prot.read || prot.write || prot.exec) {
        return 1 << 9; // guest: arch::paging::NO_ACCESS
    }
    let base = pte::P | pte::U | pte::A;
    base | if prot.write { pte::W | pte::D } else { 0 } | if prot.exec { 0 } else { pte::NX }
}

fn prot_bits(prot: Prot) -> u64 {
    u64::from(prot.read) | u64::from(prot.write) << 1 | u64::from(prot.exec) << 2
}

impl Builder<'_> {
    /// The kernel's half: image, per-CPU areas, direct map.
    fn kernel(&mut self, tables: &mut PageTables<'_>, kernel: &Kernel, root: Range) -> Option<()> {
        let (frames, global) = (&mut self.frames, self.global);
        for &Piece { start, end, write, exec } in kernel.image() {
            let flags = kernel_flags(global, write, exec);
            tables.map(KERNEL_BASE + start, start, end - start, flags, false, frames)?;
        }
        let (data, read) = (kernel_flags(global, true, false), kernel_flags(global, false, false));
        for cpu in Cpu::first(self.cpus) {
            for (start, end) in percpu::MAPPED {
                let (address, physical) = (cpu.area() + start, cpu.area_phys() + start);
                tables.map(address, physical, end - start, data, false, frames)?;
            }
        }
        // The direct map: small pages where the kernel image is, so that its
        // text and constants are read-only there too.
        let (low_end, high_end) = self.ram.ends();
        let small = LARGE_PAGE_SIZE.min(low_end);
        tables.map_direct(0, small, data, false, frames)?;
        tables.map_direct(small, low_end, data, true, frames)?;
        tables.map_direct(HIGH_RAM_START, high_end, data, true, frames)?;
        tables.map_direct(root.start, root.end, read, true, frames)?;
        for piece in kernel.image().filter(|piece| !piece.write) {
            tables.map_direct(piece.start, piece.end, read, false, frames)?;
        }
        Some(())
    }

    /// The paths of mounts, in a row, and what the boot information says of them.
    fn mounts(&mut self, mounts: &[Mounted], info: &mut BootInfo) -> Option<()> {
        let all: u64 = mounts.iter().map(|mount| mount.path.len() as u64).sum();
        let mut at = self.frames.take(all)?;
        for (mount, word) in mounts.iter().zip(&mut info.mounts) {
            self.ram.write(at, &mount.path).ok()?;
            let end = at + mount.path.len() as u64;
            let (Handle(handle), path) = (mount.handle, Range { start: at, end });
            *word = Mount { handle, access: mount.access, path };
            at = end;
        }
        info.mount_count = mounts.len() as u64;
        Some(())
    }

    /// The same of the program's file.
    fn program_file(
        &mut self,
        program: Option<&(Mounted, FileStatus)>,
        info: &mut BootInfo,
    ) -> Option<()> {
        let Some((Mounted { handle: Handle(handle), access, path }, status)) = program else {
            return Some(());
        };
        let start = self.frames.take(path.len() as u64)?;
        self.ram.write(start, path).ok()?;
        let path = Range { start, end: start + path.len() as u64 };
        info.program = Mount { handle: *handle, access: *access, path };
        info.program_status = *status;
        Some(())
    }

    /// The path of the first working directory.
    fn directory(&mut self, path: &[u8], info: &mut BootInfo) -> Option<()> {
        if !path.is_empty() {
            let start = self.frames.take(path.len() as u64)?;
            self.ram.write(start, path).ok()?;
            info.directory = Range { start, end: start + path.len() as u64 };
        }
        Some(())
    }

    /// The second mapping of the page that one form of untraining wants.
    fn untrain_alias(
        &mut self,
        tables: &mut PageTables<'_>,
        kernel: &Kernel,
        hardening: Hardening,
    ) -> Option<()> {
        let Some(Instruments { untrain_page: page, untrain_alias: alias, .. }) = kernel.instruments
        else {
            return Some(());
        };
        if hardening.keep & keep::UNTRAIN_ZEN4 == 0 {
            return Some(());
        }
        let flags = kernel_flags(self.global, false, true);
        tables.map(alias, page - KERNEL_BASE, PAGE_SIZE, flags, false, &mut self.frames)
    }
}

//! Calls that do something, and the vDSO; all from 64-bit code by SYSCALL.

use super::Measured;
use core::arch::asm;
use elf::abi;
use elf::dynamic::DynamicTable;
use elf::endian::NativeEndian;
use elf::file::{Class, Elf64_Ehdr};
use elf::hash::{GnuHashTable, SysVHashTable};
use elf::segment::Elf64_Phdr;
use elf::string_table::StringTable;
use elf::symbol::SymbolTable;
use trapgate_rt::{Args, STDERR, STDIN, aux, syscall64};
use trapgate_uapi::syscall::nr64;

/// clock_gettime(2)'s structure.
type Timespec = [u64; 2];
const CLOCK_MONOTONIC: u64 = 1;
/// What the vDSO has for it.
type ClockGettimeFunction = extern "C" fn(u64, &mut Timespec) -> i32;

/// clock_gettime(2) by the vDSO.
pub(super) struct Vdso {
    function: ClockGettimeFunction,
}

impl Vdso {
    /// Looks the function up where AT_SYSINFO_EHDR points.
    pub(super) fn find(args: Args) -> Option<Vdso> {
        let base = args.aux(aux::SYSINFO_EHDR).filter(|&base| base != 0)? as *const u8;
        // SAFETY: the kernel maps its vDSO there: an ELF header with the program
        // headers behind it.
        let segments = unsafe {
            let header = base.cast::<Elf64_Ehdr>().read();
            let first = base.add(header.e_phoff as usize).cast::<Elf64_Phdr>();
            core::slice::from_raw_parts(first, header.e_phnum.into())
        };
        let segment = |kind| segments.iter().find(|segment| segment.p_type == kind);
        let load = segment(abi::PT_LOAD)?;
        // SAFETY: its one segment is mapped.
        let image = unsafe { core::slice::from_raw_parts(base, load.p_memsz as usize) };
        let dynamic = segment(abi::PT_DYNAMIC)?;
        let start = dynamic.p_vaddr as usize;
        let dynamic = image.get(start..start + dynamic.p_memsz as usize)?;
        let offset = lookup(image, dynamic, b"__vdso_clock_gettime")?;
        // SAFETY: the symbol is that function.
        let function =
            unsafe { core::mem::transmute::<usize, ClockGettimeFunction>(base as usize + offset) };
        Some(Vdso { function })
    }
}

/// A symbol's offset, found as a dynamic linker finds it: by the hash table.
/// Section headers need not be in memory.
fn lookup(image: &[u8], dynamic: &[u8], name: &[u8]) -> Option<usize> {
    let (endian, class) = (NativeEndian, Class::ELF64);
    let dynamic = DynamicTable::new(endian, class, dynamic);
    let table = |tag: i64| {
        let entry = dynamic.iter().find(|entry| entry.d_tag == tag)?;
        image.get(entry.d_val() as usize..)
    };
    let symbols = SymbolTable::new(endian, class, table(abi::DT_SYMTAB)?);
    let names = StringTable::new(table(abi::DT_STRTAB)?);
    let found = match (table(abi::DT_GNU_HASH), table(abi::DT_HASH)) {
        (Some(hash), _) => {
            GnuHashTable::new(endian, class, hash).ok()?.find(name, &symbols, &names)
        }
        (None, Some(hash)) => {
            SysVHashTable::new(endian, class, hash).ok()?.find(name, &symbols, &names)
        }
        (None, None) => return None,
    };
    let (_, symbol) = found.ok()??;
    Some(symbol.st_value as usize)
}

impl Measured for Vdso {
    #[inline(always)]
    fn with(&mut self) {
        (self.function)(CLOCK_MONOTONIC, &mut [0; 2]);
    }
}

/// Calls that need no function of their own.
macro_rules! call {
    ($number:expr $(, $argument:expr)*) => {{
        // SAFETY: each call below reads and writes memory of this probe only.
        let result = unsafe { syscall64::call($number as u64, arguments([$($argument as u64),*])) };
        core::hint::black_box(result)
    }};
}

#[inline(always)]
fn arguments<const COUNT: usize>(given: [u64; COUNT]) -> [u64; 6] {
    let mut all = [0; 6];
    all[..COUNT].copy_from_slice(&given);
    all
}

/// clock_gettime(2).
pub(super) struct ClockGettime {
    time: Timespec,
}

impl ClockGettime {
    pub(super) fn new() -> Self {
        ClockGettime { time: [0; 2] }
    }
}

impl Measured for ClockGettime {
    #[inline(always)]
    fn with(&mut self) {
        call!(nr64::CLOCK_GETTIME, CLOCK_MONOTONIC, self.time.as_mut_ptr());
    }
}

/// What is written: standard error is the sink.
static DATA: [u8; 65536] = [b'.'; 65536];

/// write(2) of so many bytes.
pub(super) struct Write<const LENGTH: usize>;

impl<const LENGTH: usize> Measured for Write<LENGTH> {
    #[inline(always)]
    fn with(&mut self) {
        call!(nr64::WRITE, STDERR, DATA.as_ptr(), LENGTH);
    }
}

/// read(2) of one byte of standard input: who gave the command sends one for
/// each call.
pub(super) struct Read1;

impl Measured for Read1 {
    #[inline(always)]
    fn with(&mut self) {
        let mut byte = 0u8;
        call!(nr64::READ, STDIN, &raw mut byte, 1);
    }
}

const PROT_READ_WRITE: u64 = 3;
const MAP_PRIVATE_ANONYMOUS: u64 = 0x22;
const MADV_DONTNEED: u64 = 4;
const PAGE: u64 = 4096;

/// mmap(2) and munmap(2) of one page, which is not touched.
pub(super) struct MmapMunmap;

impl Measured for MmapMunmap {
    #[inline(always)]
    fn with(&mut self) {
        let page = call!(nr64::MMAP, 0, PAGE, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, u64::MAX, 0);
        call!(nr64::MUNMAP, page, PAGE);
    }
}

/// The first write to a page.
pub(super) struct PageFault {
    page: *mut u8,
}

impl PageFault {
    pub(super) fn new() -> Option<PageFault> {
        let page = call!(nr64::MMAP, 0, PAGE, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, u64::MAX, 0);
        let page = trapgate_uapi::errno::from_return(page).ok()? as *mut u8;
        Some(PageFault { page })
    }
}

impl Drop for PageFault {
    fn drop(&mut self) {
        call!(nr64::MUNMAP, self.page, PAGE);
    }
}

impl Measured for PageFault {
    const BATCHES: bool = false;

    #[inline(always)]
    fn before(&mut self) {
        call!(nr64::MADVISE, self.page, PAGE, MADV_DONTNEED);
    }
    #[inline(always)]
    fn with(&mut self) {
        // SAFETY: the page is this probe's own.
        unsafe { self.page.write_volatile(1) };
    }
}

/// brk(2), asked where the heap ends.
pub(super) struct Brk;

impl Measured for Brk {
    #[inline(always)]
    fn with(&mut self) {
        call!(nr64::BRK, 0);
    }
}

/// CPUID leaf 0.
pub(super) struct Cpuid;

impl Measured for Cpuid {
    #[inline(always)]
    fn with(&mut self) {
        // SAFETY: CPUID changes four registers. RBX is the compiler's own.
        unsafe {
            asm!("push rbx", "cpuid", "pop rbx", inout("eax") 0 => _, out("ecx") _, out("edx") _);
        }
    }
    #[inline(always)]
    fn without(&mut self) {
        // SAFETY: as above, without it.
        unsafe { asm!("push rbx", "pop rbx", inout("eax") 0 => _, out("ecx") _, out("edx") _) };
    }
}

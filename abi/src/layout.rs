//! The memory map: which addresses are what, in the guest's physical memory
//! and in its virtual address space.
//!
//! ```text
//! guest-physical                             guest-virtual
//!                                            ffff_ffff_ffff_ffff
//!  RAM end ┌──────────────────────┐          ┌──────────────────────────────┐
//!          │ free frames          │          │ kernel image (W^X)           │
//!          │ (never touched yet,  │          │ = physical + KERNEL_BASE     │
//!          │  so known to be zero)│          ├ ffff_ffff_8010_0000 ─────────┤
//!          ├──────────────────────┤          │ per-CPU areas, kernel stacks │
//!          │ user stack           │          ├ ffff_fe00_0000_0000 ─────────┤
//!          │ program's segments   │          │ direct map of all RAM, no    │
//!          │ page tables          │          │ execute; kernel text and     │
//!          ├──────────────────────┤          │ read-only data read-only     │
//!          │ kernel image         │          ├ ffff_8880_0000_0000 ─────────┤
//!  0x20000 ├──────────────────────┤          ╎ (non-canonical)              ╎
//!          │ first CPU's area     │          ├ 0000_7fff_ffff_f000 ─────────┤
//!  0x10000 ├──────────────────────┤          │ stack                        │
//!          │ a job's page         │          │ vDSO, its data page below    │
//!   0x8000 ├──────────────────────┤          │ mappings, growing down       │
//!          │ first CPU's log ring │          │ …                            │
//!   0x4000 ├──────────────────────┤          │ …                            │
//!          │ boot information     │          │ heap (brk), growing up       │
//!   0x1000 ├──────────────────────┤          │ program                      │
//!          │ unused               │          ├ 0000_0000_0001_0000 ─────────┤
//!        0 └──────────────────────┘          └ unmapped ────────────────────┘
//! ```
//!
//! RAM beyond 3 GiB continues at 4 GiB, below it is room for devices.
//!
//! A guest with more than one CPU has the others' areas and log rings between the
//! image and the page tables; [`Cpu`] says where each is. For
//! CPUs that are not there nothing is kept free, mapped or touched.

/// Bytes in a page.
pub const PAGE_SIZE: u64 = 4096;
/// Bytes in a large page (one page-directory entry).
pub const LARGE_PAGE_SIZE: u64 = 2 << 20;

/// Where RAM stops below 4 GiB.
pub const LOW_RAM_END: u64 = 3 << 30;
/// Where RAM continues above the hole.
pub const HIGH_RAM_START: u64 = 4 << 30;

/// Physical address of [`crate::boot_info::BootInfo`], one page.
pub const BOOT_INFO: u64 = 0x1000;
/// Physical address of the first CPU's log ring.
const FIRST_LOG_RING: u64 = 0x4000;
/// Bytes in a log ring ([`crate::log`]), header included.
pub const LOG_RING_SIZE: u64 = 0x4000;
/// Physical address of the page that ring 3 of a job stands on
/// ([`crate::job`]); untouched in a VM that runs a program.
pub const JOB: u64 = 0x8000;
/// Physical address of the first CPU's area.
const FIRST_AREA: u64 = 0x1_0000;
/// Physical address of the kernel image; it is linked for
/// [`KERNEL_BASE`]` + KERNEL_PHYS`.
pub const KERNEL_PHYS: u64 = 0x2_0000;
/// The kernel image ends below this physical address.
pub const KERNEL_PHYS_END: u64 = 0x17_0000;
/// Physical address of the areas of the second CPU and those after it, one
/// every [`PERCPU_STRIDE`] bytes; their log rings follow.
const FURTHER_AREAS: u64 = KERNEL_PHYS_END;
/// Physical address of their log rings, [`LOG_RING_SIZE`] bytes each.
const FURTHER_LOG_RINGS: u64 = FURTHER_AREAS + (MAX_CPUS - 1) * PERCPU_STRIDE;

/// The kernel's virtual addresses are physical ones plus this: the top 2 GiB,
/// as code model "kernel" wants it.
pub const KERNEL_BASE: u64 = KERNEL_SPACE + 0x10_0000;
/// Where the top 2 GiB begin. The MiB between the two is empty, but for the second place
/// of one page of the instrumented image (guest/kernel.ld, `__untrain_alias`): bit 20 of
/// the address is set in the first MiB of the image, and not there.
pub const KERNEL_SPACE: u64 = 0xffff_ffff_8000_0000;
/// All RAM, mapped once more.
pub const DIRECT_MAP: u64 = 0xffff_8880_0000_0000;
/// Per-CPU areas, one every [`PERCPU_STRIDE`] bytes.
pub const PERCPU_BASE: u64 = 0xffff_fe00_0000_0000;
/// Bytes from one CPU's area to the next; areas are aligned to it, so that
/// code with nothing but a stack pointer finds its own.
pub const PERCPU_STRIDE: u64 = 0x1_0000;

/// Kernel stacks of threads, one every [`THREAD_STACK_STRIDE`] bytes, each at the end
/// of its place: below it nothing is mapped. Under the same entry of the top page
/// table as the CPUs' areas, so that every address space has them.
pub const THREAD_STACKS: u64 = PERCPU_BASE + (1 << 30);
/// Bytes of a thread's kernel stack.
pub const THREAD_STACK_SIZE: u64 = 16 << 10;
/// Bytes from one to the next; places are aligned to it, so that code with nothing
/// but a stack pointer finds its stack's end.
pub const THREAD_STACK_STRIDE: u64 = 32 << 10;
/// The most threads that there is room for.
pub const MAX_THREADS: u64 = 16 << 10;

/// The stack that an address is in or has just left: its range. `None` for what is no
/// stack of a thread, which those of vectors are not.
pub const fn stack_of(address: u64) -> Option<(u64, u64)> {
    if address >= THREAD_STACKS && address < THREAD_STACKS + MAX_THREADS * THREAD_STACK_STRIDE {
        let end = (address & !(THREAD_STACK_STRIDE - 1)) + THREAD_STACK_STRIDE;
        Some((end - THREAD_STACK_SIZE, end))
    } else if address >= PERCPU_BASE && address < PERCPU_BASE + MAX_CPUS * PERCPU_STRIDE {
        let area = address & !(PERCPU_STRIDE - 1);
        let near = address < area + percpu::STACK_TOP;
        if near { Some((area + percpu::STACK, area + percpu::STACK_TOP)) } else { None }
    } else {
        None
    }
}

/// The most CPUs that there is room for.
pub const MAX_CPUS: u64 = 8;

/// A CPU of the guest, by its number: says where what belongs to it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu(u64);

impl Cpu {
    /// The CPU that starts the kernel: the one that every guest has.
    pub const FIRST: Cpu = Cpu(0);

    /// The CPU of this number, if there is room for it.
    pub const fn new(number: u64) -> Option<Cpu> {
        if number < MAX_CPUS { Some(Cpu(number)) } else { None }
    }

    /// The CPUs of a guest that has so many, [`MAX_CPUS`] at most.
    pub fn first(count: u64) -> impl Iterator<Item = Cpu> + Clone {
        (0..count).map_while(Cpu::new)
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// Virtual address of its area, which [`percpu`] divides.
    pub const fn area(self) -> u64 {
        PERCPU_BASE + self.0 * PERCPU_STRIDE
    }

    /// Physical address of its area.
    pub const fn area_phys(self) -> u64 {
        match self.0 {
            0 => FIRST_AREA,
            further => FURTHER_AREAS + (further - 1) * PERCPU_STRIDE,
        }
    }

    /// Virtual address of its block: where GS points to in ring 0.
    pub const fn block(self) -> u64 {
        self.area() + percpu::BLOCK
    }

    /// Virtual address of the end of its kernel stack: TSS.RSP0.
    pub const fn stack_top(self) -> u64 {
        self.area() + percpu::STACK_TOP
    }

    /// What the doors that switch stacks themselves load into RSP: the stack's
    /// end, less the 8 bytes that keep calls aligned after their 21 pushes.
    pub const fn door_stack(self) -> u64 {
        self.stack_top() - 8
    }

    /// Physical address of its [`crate::counters::Counters`].
    pub const fn counters_phys(self) -> u64 {
        self.area_phys() + percpu::COUNTERS
    }

    /// Physical address of its [`crate::stamps::Stamping`].
    pub const fn stamping_phys(self) -> u64 {
        self.area_phys() + percpu::STAMPING
    }

    /// Physical address of its [`crate::trace::Tracing`].
    pub const fn tracing_phys(self) -> u64 {
        self.area_phys() + percpu::TRACING
    }

    /// Physical address of its page of [`crate::hypercall`] requests and replies.
    pub const fn host_call_phys(self) -> u64 {
        self.area_phys() + percpu::HOST_CALL
    }

    /// Physical address of its log ring ([`crate::log`]), which ring 0 finds in
    /// the direct map.
    pub const fn log_ring_phys(self) -> u64 {
        match self.0 {
            0 => FIRST_LOG_RING,
            further => FURTHER_LOG_RINGS + (further - 1) * LOG_RING_SIZE,
        }
    }
}

/// The end, in physical memory, of what belongs to `count` CPUs; 0 where the
/// first is the only one, whose things lie below the image.
pub const fn cpus_end(count: u64) -> u64 {
    match count {
        0 | 1 => 0,
        further => FURTHER_LOG_RINGS + (further - 1) * LOG_RING_SIZE,
    }
}

/// One CPU's area, as offsets from its start. Pages not named are guard
/// pages: not mapped.
pub mod percpu {
    /// Lowest byte of the kernel stack.
    pub const STACK: u64 = 0x1000;
    /// End of the kernel stack: TSS.RSP0.
    pub const STACK_TOP: u64 = 0x5000;
    /// Stack for #DF, one page.
    pub const DOUBLE_FAULT_STACK: u64 = 0x6000;
    /// Stack for NMI, one page.
    pub const NMI_STACK: u64 = 0x8000;
    /// Stack for #MC, one page.
    pub const MACHINE_CHECK_STACK: u64 = 0xa000;
    /// Stack for #DB, one page.
    pub const DEBUG_STACK: u64 = 0xc000;
    /// The kernel's own block: GS points here in ring 0.
    pub const BLOCK: u64 = 0xd000;
    /// [`crate::counters::Counters`], which the VMM reads.
    pub const COUNTERS: u64 = 0xe000;
    /// [`crate::stamps::Stamping`], in the counters' page.
    pub const STAMPING: u64 = COUNTERS + 0x800;
    /// [`crate::trace::Tracing`], in the same page.
    pub const TRACING: u64 = COUNTERS + 0xc00;
    /// The page of [`crate::hypercall`] requests and replies.
    pub const HOST_CALL: u64 = 0xf000;

    /// The mapped ranges, for whoever builds page tables.
    pub const MAPPED: [(u64, u64); 6] = [
        (STACK, STACK_TOP),
        (DOUBLE_FAULT_STACK, DOUBLE_FAULT_STACK + 0x1000),
        (NMI_STACK, NMI_STACK + 0x1000),
        (MACHINE_CHECK_STACK, MACHINE_CHECK_STACK + 0x1000),
        (DEBUG_STACK, DEBUG_STACK + 0x1000),
        (BLOCK, HOST_CALL + 0x1000),
    ];

    /// What of it an entry needs before it has changed page tables: the stacks of
    /// some vectors, and the block with GDT, TSS and the entry stack.
    pub const ENTRY: [(u64, u64); 5] = [
        (DOUBLE_FAULT_STACK, DOUBLE_FAULT_STACK + 0x1000),
        (NMI_STACK, NMI_STACK + 0x1000),
        (MACHINE_CHECK_STACK, MACHINE_CHECK_STACK + 0x1000),
        (DEBUG_STACK, DEBUG_STACK + 0x1000),
        (BLOCK, BLOCK + 0x1000),
    ];
}

/// Virtual address of the 256 exception stubs, [`VECTOR_STRIDE`] bytes each:
/// the first thing in the kernel image, so that the IDT is a constant.
pub const VECTORS: u64 = KERNEL_BASE + KERNEL_PHYS;
/// Bytes from one exception stub to the next.
pub const VECTOR_STRIDE: u64 = 16;

/// The lowest address a program may map: Linux's default
/// `vm.mmap_min_addr`.
pub const USER_MIN: u64 = 0x1_0000;
/// The end of the user's addresses, exclusive: Linux's `TASK_SIZE_MAX`. The
/// page below the non-canonical hole stays empty, because a SYSCALL at its
/// end would return to a non-canonical address.
pub const USER_END: u64 = (1 << 47) - PAGE_SIZE;
/// Default `RLIMIT_STACK` and size of the stack's mapping, in bytes.
pub const USER_STACK_SIZE: u64 = 8 << 20;
/// The end of the stack's mapping.
pub const USER_STACK_TOP: u64 = USER_END;
/// The end of a 32-bit program's addresses, exclusive: Linux's
/// `IA32_PAGE_OFFSET`. Its stack ends there.
pub const USER_END32: u64 = 0xffff_e000;
/// Mappings of a 32-bit program without an address hint grow down from here.
pub const MMAP_BASE32: u64 = USER_END32 - USER_STACK_SIZE - (1 << 20);
/// Mappings without an address hint grow down from here.
pub const MMAP_BASE: u64 = USER_STACK_TOP - USER_STACK_SIZE - (1 << 20);

/// `addr` rounded down to a page.
pub const fn page_down(addr: u64) -> u64 {
    addr & !(PAGE_SIZE - 1)
}

/// `addr` rounded up to a page; `None` past the end of the address space.
pub const fn page_up(addr: u64) -> Option<u64> {
    match addr.checked_add(PAGE_SIZE - 1) {
        Some(sum) => Some(page_down(sum)),
        None => None,
    }
}

const _: () = assert!(FIRST_AREA + PERCPU_STRIDE <= KERNEL_PHYS);
const _: () = assert!(FIRST_LOG_RING + LOG_RING_SIZE <= JOB);
const _: () = assert!(JOB + PAGE_SIZE <= FIRST_AREA);
const _: () = assert!(PERCPU_BASE + MAX_CPUS * PERCPU_STRIDE <= THREAD_STACKS);
const _: () =
    assert!(PERCPU_BASE >> 39 == (THREAD_STACKS + MAX_THREADS * THREAD_STACK_STRIDE) >> 39);
const _: () = assert!(percpu::HOST_CALL + PAGE_SIZE <= PERCPU_STRIDE);

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn assert_apart(mut ranges: Vec<(u64, u64)>) {
        ranges.sort_unstable();
        for pair in ranges.windows(2) {
            assert!(pair[0].1 <= pair[1].0, "{pair:#x?}");
        }
    }

    #[test]
    fn nothing_overlaps_in_memory_with_all_cpus() {
        let mut ranges = Vec::from([
            (BOOT_INFO, BOOT_INFO + PAGE_SIZE),
            (JOB, JOB + PAGE_SIZE),
            (KERNEL_PHYS, KERNEL_PHYS_END),
        ]);
        for cpu in Cpu::first(MAX_CPUS) {
            ranges.push((cpu.area_phys(), cpu.area_phys() + PERCPU_STRIDE));
            ranges.push((cpu.log_ring_phys(), cpu.log_ring_phys() + LOG_RING_SIZE));
        }
        assert!(ranges.iter().all(|range| range.0 % PAGE_SIZE == 0 && range.1 <= 2 << 20));
        assert_apart(ranges);
    }

    #[test]
    fn each_cpus_area_is_its_own_and_aligned_so_that_a_stack_pointer_finds_it() {
        assert_eq!(Cpu::first(100).count() as u64, MAX_CPUS);
        assert_eq!(Cpu::new(MAX_CPUS), None);
        for cpu in Cpu::first(MAX_CPUS) {
            assert_eq!(cpu.area() % PERCPU_STRIDE, 0);
            assert_eq!((cpu.stack_top() - 1) & !(PERCPU_STRIDE - 1), cpu.area());
            assert!(cpu.area() + PERCPU_STRIDE <= KERNEL_BASE);
            let parts = percpu::MAPPED.map(|(start, end)| (cpu.area() + start, cpu.area() + end));
            assert_apart(parts.to_vec());
            assert!(parts.iter().all(|part| part.1 <= cpu.area() + PERCPU_STRIDE));
        }
    }

    #[test]
    fn a_stack_pointer_finds_its_stack_and_just_below_its_end_too() {
        let second = THREAD_STACKS + 2 * THREAD_STACK_STRIDE;
        let whole = Some((second - THREAD_STACK_SIZE, second));
        for address in [second - 8, second - THREAD_STACK_SIZE, second - THREAD_STACK_SIZE - 8] {
            assert_eq!(stack_of(address), whole, "{address:#x}");
        }
        let cpu = Cpu::FIRST;
        let first = Some((cpu.area() + percpu::STACK, cpu.stack_top()));
        assert_eq!(stack_of(cpu.stack_top() - 8), first);
        assert_eq!(stack_of(cpu.area() + percpu::STACK - 8), first);
        for nobodys in [0, PERCPU_BASE - 8, cpu.area() + percpu::NMI_STACK, KERNEL_BASE] {
            assert_eq!(stack_of(nobodys), None, "{nobodys:#x}");
        }
    }

    #[test]
    fn what_belongs_to_cpus_ends_where_it_is_said() {
        assert_eq!(cpus_end(1), 0);
        for count in 2..=MAX_CPUS {
            let ends = Cpu::first(count).flat_map(|cpu| {
                [cpu.area_phys() + PERCPU_STRIDE, cpu.log_ring_phys() + LOG_RING_SIZE]
            });
            assert_eq!(Some(cpus_end(count)), ends.max());
        }
    }
}

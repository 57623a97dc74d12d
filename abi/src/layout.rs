//! The memory map: which addresses are what, in the guest's physical memory
//! and in its virtual address space.
//!
//! ```text
//! guest-physical                             guest-virtual
//!                                            ffff_ffff_ffff_ffff
//!  RAM end ┌──────────────────────┐          ┌──────────────────────────────┐
//!          │ free frames          │          │ kernel image (W^X)           │
//!          │ (never touched yet,  │          │ = physical + KERNEL_BASE     │
//!          │  so known to be zero)│          ├ ffff_ffff_8000_0000 ─────────┤
//!          ├──────────────────────┤          │ per-CPU areas, guard pages   │
//!          │ user stack           │          ├ ffff_fe00_0000_0000 ─────────┤
//!          │ program's segments   │          │ direct map of all RAM, no    │
//!          │ page tables          │          │ execute; kernel text and     │
//!          ├──────────────────────┤          │ read-only data read-only     │
//!          │ kernel image         │          ├ ffff_8880_0000_0000 ─────────┤
//!  0x20000 ├──────────────────────┤          ╎ (non-canonical)              ╎
//!          │ per-CPU area         │          ├ 0000_7fff_ffff_f000 ─────────┤
//!  0x10000 ├──────────────────────┤          │ stack                        │
//!          │ a job's page         │          │ vDSO, its data page below    │
//!   0x8000 ├──────────────────────┤          │ mappings, growing down       │
//!          │ log ring             │          │ …                            │
//!   0x4000 ├──────────────────────┤          │ …                            │
//!          │ boot information     │          │ heap (brk), growing up       │
//!   0x1000 ├──────────────────────┤          │ program                      │
//!          │ unused               │          ├ 0000_0000_0001_0000 ─────────┤
//!        0 └──────────────────────┘          └ unmapped ────────────────────┘
//! ```
//!
//! RAM beyond 3 GiB continues at 4 GiB, below it is room for devices.

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
/// Physical address of the log ring ([`crate::log`]).
pub const LOG_RING: u64 = 0x4000;
/// Bytes in the log ring, header included.
pub const LOG_RING_SIZE: u64 = 0x4000;
/// Physical address of the page that ring 3 of a job stands on
/// ([`crate::job`]); untouched in a VM that runs a program.
pub const JOB: u64 = 0x8000;
/// Physical address of the first CPU's area.
pub const PERCPU_PHYS: u64 = 0x1_0000;
/// Physical address of the kernel image; it is linked for
/// [`KERNEL_BASE`]` + KERNEL_PHYS`.
pub const KERNEL_PHYS: u64 = 0x2_0000;
/// The kernel image ends below this physical address.
pub const KERNEL_PHYS_END: u64 = 0x10_0000;

/// The kernel's virtual addresses are physical ones plus this: the top 2 GiB,
/// as code model "kernel" wants it.
pub const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;
/// All RAM, mapped once more.
pub const DIRECT_MAP: u64 = 0xffff_8880_0000_0000;
/// Per-CPU areas, one every [`PERCPU_STRIDE`] bytes.
pub const PERCPU_BASE: u64 = 0xffff_fe00_0000_0000;
/// Bytes from one CPU's area to the next; areas are aligned to it, so that
/// code with nothing but a stack pointer finds its own.
pub const PERCPU_STRIDE: u64 = 0x1_0000;

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

    /// What of it an entry needs before it has changed page tables: the end of
    /// the kernel stack, which takes the frame, the other stacks, and the block
    /// with GDT and TSS.
    pub const ENTRY: [(u64, u64); 6] = [
        (STACK_TOP - 0x1000, STACK_TOP),
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
/// The stubs' hardened twins ([`crate::mitigation`]), right behind them.
pub const HARDENED_VECTORS: u64 = VECTORS + 256 * VECTOR_STRIDE;

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

const _: () = assert!(PERCPU_PHYS + PERCPU_STRIDE <= KERNEL_PHYS);
const _: () = assert!(LOG_RING + LOG_RING_SIZE <= JOB);
const _: () = assert!(JOB + PAGE_SIZE <= PERCPU_PHYS);
const _: () = assert!(percpu::HOST_CALL + PAGE_SIZE <= PERCPU_STRIDE);

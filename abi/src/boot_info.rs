//! What the VMM tells the kernel before the first instruction.
//!
//! The VMM writes it at [`crate::layout::BOOT_INFO`] and passes its address
//! in RDI. The kernel trusts it: whoever can write it is the VMM.

use crate::file::FileStatus;
use crate::wire::wire_struct;

wire_struct! {
    /// A range of addresses, the end exclusive.
    pub struct Range {
        /// The first byte.
        pub start: u64,
        /// The byte after the last.
        pub end: u64,
    }
}

impl Range {
    /// Its length in bytes.
    pub const fn len(&self) -> u64 {
        self.end - self.start
    }

    /// Whether it has no bytes.
    pub const fn is_empty(&self) -> bool {
        self.start >= self.end
    }
}

wire_struct! {
    /// A mapping of the program that the VMM has made already.
    pub struct Region {
        /// First byte, page-aligned.
        pub start: u64,
        /// End, page-aligned, exclusive.
        pub end: u64,
        /// `PROT_*` bits of mmap(2), [`REGION_STACK`], [`REGION_VVAR`],
        /// [`REGION_VDSO`], [`REGION_ZERO`].
        pub flags: u64,
    }
}

/// [`Region::flags`]: this is the stack; its lower part is not mapped yet.
pub const REGION_STACK: u64 = 1 << 16;
/// [`Region::flags`]: this is the vDSO's data page, which holds a
/// [`ClockInfo`]; it is never written.
pub const REGION_VVAR: u64 = 1 << 17;
/// [`Region::flags`]: this is the vDSO's image.
pub const REGION_VDSO: u64 = 1 << 18;
/// [`Region::flags`]: this is of the program, but of no page of its file.
pub const REGION_ZERO: u64 = 1 << 19;

wire_struct! {
    /// How to get from the time-stamp counter to the time.
    ///
    /// nanoseconds since `tsc_base` = (TSC - tsc_base) * multiplier >> 32:
    /// [`crate::clock`]. The program can read it, in the vDSO's data page. Where
    /// the counter is no clock, the multiplier is 0, and the kernel asks the VMM
    /// ([`crate::hypercall::Request::Elapsed`]).
    pub struct ClockInfo {
        /// The TSC's value when the clocks were read.
        pub tsc_base: u64,
        /// Nanoseconds a TSC tick, in 32.32 fixed point; or 0.
        pub multiplier: u64,
        /// `CLOCK_REALTIME` at `tsc_base`, in nanoseconds.
        pub realtime_ns: u64,
        /// `CLOCK_MONOTONIC` at `tsc_base`, in nanoseconds.
        pub monotonic_ns: u64,
    }
}

wire_struct! {
    /// A vDSO in RAM, on whole pages that nobody writes: the kernel lends it to the
    /// programs that it loads.
    pub struct Vdso {
        /// Physical address of its first byte.
        pub start: u64,
        /// Physical address behind its last page.
        pub end: u64,
        /// The offset of `__kernel_vsyscall`; 0, if it has none.
        pub vsyscall: u64,
        /// The offset where the fast 32-bit doors return to.
        pub landing_pad: u64,
    }
}

/// One of the program's standard files.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "zerocopy", derive(zerocopy::IntoBytes, zerocopy::Immutable))]
pub struct StandardFile {
    /// 1 if the host granted this file, 0 if it is closed.
    pub open: u64,
    /// 1 if it is a terminal.
    pub is_terminal: u64,
    /// `O_*` flags as fcntl(2) `F_GETFL` says them.
    pub flags: u64,
    /// The number of the first standard file that is the same open file
    /// description as this one: its own, if no earlier one is.
    pub same_as: u64,
    /// Its status at the start.
    pub status: FileStatus,
}

impl StandardFile {
    /// One that the host did not grant.
    pub const CLOSED: StandardFile =
        StandardFile { open: 0, is_terminal: 0, flags: 0, same_as: 0, status: FileStatus::ZERO };
}

/// What lies where in a program's memory: what proc(5) tells of it, and Linux keeps in
/// its `mm_struct`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "zerocopy", derive(zerocopy::IntoBytes, zerocopy::Immutable))]
pub struct Parts {
    /// The arguments, NUL-terminated.
    pub arguments: Range,
    /// The environment, NUL-terminated.
    pub environment: Range,
    /// The auxiliary vector, its end among it.
    pub auxv: Range,
    /// From the first byte of what can be executed to its last.
    pub code: Range,
    /// The bytes of the program's last segment that are in its file.
    pub data: Range,
    /// The first stack pointer.
    pub stack: u64,
}

impl Parts {
    /// Of no program.
    pub const NONE: Parts = Parts {
        arguments: Range::ZERO,
        environment: Range::ZERO,
        auxv: Range::ZERO,
        code: Range::ZERO,
        data: Range::ZERO,
        stack: 0,
    };
}

/// A directory of the host's that is somewhere in the program's tree.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "zerocopy", derive(zerocopy::IntoBytes, zerocopy::Immutable))]
pub struct Mount {
    /// Its handle ([`crate::hypercall::files::Handle`]), which is never released.
    pub handle: u64,
    /// What may be done to it, in the bits of [`MOUNT_ACCESS`]: [`MOUNT_READ_ONLY`],
    /// [`MOUNT_READ_WRITE`], [`MOUNT_IN_MEMORY`]; and perhaps [`MOUNT_SHARED`].
    pub access: u64,
    /// Physical addresses of its path in the tree: absolute, of names without `.`, `..`
    /// and empty ones, with no NUL behind it; `/` for the root.
    pub path: Range,
}

impl Mount {
    /// None.
    pub const NONE: Mount = Mount { handle: 0, access: 0, path: Range::ZERO };
}

/// [`Mount::access`]: what would change it is EROFS.
pub const MOUNT_READ_ONLY: u64 = 0;
/// [`Mount::access`]: what is changed is changed on the host.
pub const MOUNT_READ_WRITE: u64 = 1;
/// [`Mount::access`]: what is changed is changed in memory; to the VMM it is read-only.
pub const MOUNT_IN_MEMORY: u64 = 2;

/// Of [`Mount::access`], what may be done.
pub const MOUNT_ACCESS: u64 = 0xff;
/// [`Mount::access`]: others change it meanwhile, and the program shall see that.
pub const MOUNT_SHARED: u64 = 1 << 8;

/// The most directories of the host's.
pub const MAX_MOUNTS: usize = 16;

/// The most groups that a program belongs to besides its own.
pub const MAX_GROUPS: usize = 32;

/// Who a program is. Root has all capabilities, anybody else none.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "zerocopy", derive(zerocopy::IntoBytes, zerocopy::Immutable))]
pub struct User {
    /// Its number.
    pub user: u32,
    /// Its group's.
    pub group: u32,
    /// How many of `groups` count.
    pub group_count: u64,
    /// Other groups that it belongs to.
    pub groups: [u32; MAX_GROUPS],
}

impl User {
    /// Root, in its own group.
    pub const ROOT: User = User { user: 0, group: 0, group_count: 0, groups: [0; MAX_GROUPS] };
}

/// The most words of [`BootInfo::random_stock`].
pub const RANDOM_STOCK: usize = 8;

/// The words of [`BootInfo::seed`].
pub const SEED: usize = 5;

/// The most regions that [`BootInfo`] holds.
pub const MAX_REGIONS: usize = 64;

/// [`BootInfo::magic`].
pub const MAGIC: u64 = u64::from_le_bytes(*b"trapgate");

/// CPU and KVM features that the kernel acts on: [`BootInfo::features`].
pub mod feature {
    /// CR4.SMAP is on: STAC and CLAC must bracket user accesses.
    pub const SMAP: u64 = 1 << 0;
    /// Ring 0 is interpreted by a software KVM: an instruction costs most of a
    /// microsecond, so memory is cleared by the VMM.
    pub const INTERPRETED: u64 = 1 << 1;
    /// This KVM delivers SYSCALL as a page fault at the entry point.
    pub const SYSCALL_TRAPS: u64 = 1 << 2;
    /// The CPU's maker has SYSENTER in long mode (Intel).
    pub const SYSENTER32: u64 = 1 << 3;
    /// The CPU's maker has SYSCALL in compatibility mode (AMD).
    pub const SYSCALL32: u64 = 1 << 4;
    /// The CPU has XSAVEOPT, for ring 0 too.
    pub const XSAVEOPT: u64 = 1 << 5;
    /// Ring 3 has a top page table of its own, at `page_table` and
    /// [`crate::mitigation::PTI_USER_TABLE`].
    pub const PTI: u64 = 1 << 9;
    /// The kernel puts programs at random addresses.
    pub const ASLR: u64 = 1 << 10;
}

/// The boot information.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "zerocopy", derive(zerocopy::IntoBytes, zerocopy::Immutable))]
pub struct BootInfo {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`crate::ABI_VERSION`].
    pub abi_version: u64,
    /// [`feature`] bits.
    pub features: u64,
    /// RAM in bytes.
    pub ram_size: u64,
    /// Bytes that the files of each file system in memory may have; 0: half of RAM.
    pub disk: u64,
    /// XCR0: the states that ring 3 can use; 0 on a CPU without XSAVE.
    pub xcr0: u64,
    /// Bytes that hold these states, in XSAVE's standard format.
    pub fpu_size: u64,
    /// Frames that nothing has touched, so that they hold zeroes: below 4 GiB
    /// and above.
    pub free: [Range; 2],
    /// The image that is the root of the program's files: the physical addresses of
    /// its bytes, whole pages; empty if there is none. It starts at a multiple of
    /// 2 MiB above all RAM and above 4 GiB, is in the direct map, and cannot be
    /// written by the guest. Its bytes can change at any time: the file is the host's.
    pub root: Range,
    /// Physical address of the top page table.
    pub page_table: u64,
    /// 1 for a 32-bit program, else 0.
    pub compat: u64,
    /// Where the fast 32-bit doors return to: the address behind INT 0x80 in
    /// the vDSO's `__kernel_vsyscall`, as if it were mapped where the program's
    /// vDSO is. 0 without a vDSO.
    pub landing_pad: u64,
    /// How far behind that, in the vDSO of 32-bit programs, `__kernel_sigreturn` and
    /// `__kernel_rt_sigreturn` are.
    pub sigreturns: [u64; 2],
    /// What to measure instead of starting a program; a kind of 0 for a program.
    pub job: crate::job::Request,
    /// How many of `mounts` count.
    pub mount_count: u64,
    /// Directories of the host's, each before those that are below it in the tree. The
    /// first may be the root; then there is no image.
    pub mounts: [Mount; MAX_MOUNTS],
    /// The file of the program that the VMM has loaded, and where it is in the tree if
    /// nothing else is there. Of an empty path, if there is none. Nobody can change it.
    pub program: Mount,
    /// What stat(2) tells of it.
    pub program_status: FileStatus,
    /// The program that the kernel is to load out of the root: physical addresses of
    /// NUL-terminated strings in a row, its path, its arguments, its environment. Empty,
    /// if the VMM has loaded one, which the next three words are about.
    pub exec: Range,
    /// How many arguments there are, at least one.
    pub argc: u64,
    /// How many strings of the environment.
    pub envc: u64,
    /// Physical addresses of the path of the first working directory, which is made where
    /// it is not there; empty for the root.
    pub directory: Range,
    /// Who the first program is.
    pub user: User,
    /// `AT_RANDOM` of that program, and where it goes; and what others' are made of where
    /// randomness is not granted.
    pub seed: [u64; SEED],
    /// The vDSOs of 64-bit and of 32-bit programs.
    pub vdso: [Vdso; 2],
    /// `AT_HWCAP`: CPUID.1:EDX.
    pub hwcap: u64,
    /// `AT_HWCAP2`.
    pub hwcap2: u64,
    /// `AT_MINSIGSTKSZ`.
    pub minsigstksz: u64,
    /// Where the program starts.
    pub entry: u64,
    /// Its stack pointer.
    pub stack_pointer: u64,
    /// Where its heap starts.
    pub brk: u64,
    /// What is where in its memory.
    pub parts: Parts,
    /// Its name, as prctl(2) `PR_GET_NAME` has it: 16 bytes.
    pub comm: [u64; 2],
    /// The least `log` level that matters to the VMM, 0 for none.
    pub log_level: u64,
    /// The clocks.
    pub clock: ClockInfo,
    /// Standard input, output and error.
    pub files: [StandardFile; 3],
    /// Random numbers of the host's, so that a program's first few bytes of
    /// getrandom(2) cost no VM exit.
    pub random_stock: [u64; RANDOM_STOCK],
    /// How many of them there are: none, if randomness is not granted.
    pub random_count: u64,
    /// Signals that the program ignores from its start, bit `n - 1` for signal `n`:
    /// as execve(2) leaves those that were ignored before.
    pub ignored_signals: u64,
    /// How many of `regions` count.
    pub region_count: u64,
    /// The program's mappings, ascending.
    pub regions: [Region; MAX_REGIONS],
}

impl BootInfo {
    /// Nothing to run and nothing to run it in: all zeroes, but for what says
    /// that it is one of these.
    pub const NONE: BootInfo = BootInfo {
        magic: MAGIC,
        abi_version: crate::ABI_VERSION,
        features: 0,
        ram_size: 0,
        disk: 0,
        xcr0: 0,
        fpu_size: 0,
        free: [Range::ZERO; 2],
        root: Range::ZERO,
        page_table: 0,
        compat: 0,
        landing_pad: 0,
        sigreturns: [0; 2],
        job: crate::job::Request::ZERO,
        mount_count: 0,
        mounts: [Mount::NONE; MAX_MOUNTS],
        program: Mount::NONE,
        program_status: FileStatus::ZERO,
        exec: Range::ZERO,
        argc: 0,
        envc: 0,
        directory: Range::ZERO,
        user: User::ROOT,
        seed: [0; SEED],
        vdso: [Vdso::ZERO; 2],
        hwcap: 0,
        hwcap2: 0,
        minsigstksz: 0,
        entry: 0,
        stack_pointer: 0,
        brk: 0,
        parts: Parts::NONE,
        comm: [0; 2],
        log_level: 0,
        clock: ClockInfo::ZERO,
        files: [StandardFile::CLOSED; 3],
        random_stock: [0; RANDOM_STOCK],
        random_count: 0,
        ignored_signals: 0,
        region_count: 0,
        regions: [Region::ZERO; MAX_REGIONS],
    };
}

const _: () = assert!(core::mem::size_of::<BootInfo>() <= crate::layout::PAGE_SIZE as usize);
const _: () = assert!(core::mem::size_of::<BootInfo>().is_multiple_of(8));

//! What `trapgate bench` and its probe agree on: the probe is one program,
//! which runs in a sandbox and as an ordinary process, reads commands from its
//! standard input and answers each on its standard output.

use crate::wire::wire_struct;

/// What is measured. The numbers are in commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Operation {
    /// Nothing: what is left of the bracket.
    Nothing = 0,
    /// getpid(2) by SYSCALL, in whichever mode the probe is of.
    Syscall = 1,
    /// getpid(2) by SYSENTER, in compatibility mode.
    Sysenter = 2,
    /// getpid(2) by INT 0x80.
    Int80 = 3,
    /// getpid(2) by the 32-bit vDSO's `__kernel_vsyscall`.
    Vsyscall = 4,
    /// clock_gettime(2) by the 64-bit vDSO.
    Vdso = 5,
    /// A function that returns at once.
    Function = 6,
    /// getpid(2) by SYSCALL, with the time before it in RDI, for a door that
    /// stamps ([`crate::stamps`]).
    SyscallStamped = 7,
    /// clock_gettime(2) by SYSCALL.
    ClockGettime = 10,
    /// write(2) of one byte to a sink.
    Write1 = 11,
    /// write(2) of 64 KiB to a sink.
    Write64K = 12,
    /// read(2) of one byte that is there.
    Read1 = 13,
    /// mmap(2) and munmap(2) of one page.
    MmapMunmap = 14,
    /// The first write to a page.
    PageFault = 15,
    /// brk(2), which says where the heap ends.
    Brk = 16,
    /// A hundred NOPs: a known length.
    Nops100 = 20,
    /// A thousand NOPs.
    Nops1000 = 21,
    /// CPUID.
    Cpuid = 30,
}

impl Operation {
    /// All of them.
    pub const ALL: [Operation; 18] = {
        use Operation::*;
        [
            Nothing,
            Syscall,
            Sysenter,
            Int80,
            Vsyscall,
            Vdso,
            Function,
            SyscallStamped,
            ClockGettime,
            Write1,
            Write64K,
            Read1,
            MmapMunmap,
            PageFault,
            Brk,
            Nops100,
            Nops1000,
            Cpuid,
        ]
    };

    /// The operation of this number.
    pub fn from_number(number: u64) -> Option<Operation> {
        Operation::ALL.into_iter().find(|&operation| operation as u64 == number)
    }
}

/// The most samples of one command.
pub const MAX_SAMPLES: u64 = 4096;

/// [`Command::flags`]: RDTSCP ends a bracket, and tells the CPU. Without it,
/// LFENCE and RDTSC do: where the CPU has no RDTSCP, or a software KVM does not
/// interpret it.
pub const USE_RDTSCP: u64 = 1 << 0;

wire_struct! {
    /// What the probe reads. It ends with its input.
    pub struct Command {
        /// An [`Operation`]'s number.
        pub operation: u64,
        /// Brackets of one call, at most [`MAX_SAMPLES`]; as many of nothing.
        pub samples: u64,
        /// Calls before the first bracket.
        pub warm_up: u64,
        /// Calls of a loop in one bracket; 0 for none.
        pub batch: u64,
        /// Flags.
        pub flags: u64,
    }
}

wire_struct! {
    /// What the probe answers; then come the samples, and as many of the empty
    /// bracket, each a `u32` of ticks.
    pub struct Reply {
        /// 1 if the operation was carried out, 0 if the probe cannot.
        pub done: u64,
        /// How many samples follow, twice.
        pub samples: u64,
        /// Ticks of the loop.
        pub batch_ticks: u64,
        /// Ticks of the same loop around nothing.
        pub empty_batch_ticks: u64,
        /// How often TSC_AUX was another one than before: the thread went to
        /// another CPU. Only with RDTSCP.
        pub migrations: u64,
    }
}

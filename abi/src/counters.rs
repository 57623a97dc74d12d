//! What the kernel counts and the VMM shows (`--stats`, `doctor`).
//!
//! The counters lie in each CPU's area, in a page that the words for stamps
//! share, so that the hot path counts with one instruction relative to GS. The VMM reads them
//! after the run; to it they are claims of the guest, good for showing and
//! for nothing else.

use crate::wire::wire_struct;

wire_struct! {
    /// One CPU's counters, all since the start.
    pub struct Counters {
        /// SYSCALL from 64-bit code, delivered natively.
        pub syscall64_native: u64,
        /// SYSCALL from 64-bit code, carried out from an exception.
        pub syscall64_trapped: u64,
        /// INT 0x80 from 64-bit code, delivered natively.
        pub int80_native: u64,
        /// INT 0x80 from 64-bit code, carried out from an exception.
        pub int80_trapped: u64,
        /// INT 0x80 from compatibility mode, delivered natively.
        pub int80_compat_native: u64,
        /// INT 0x80 from compatibility mode, carried out from an exception.
        pub int80_compat_trapped: u64,
        /// SYSCALL from compatibility mode, delivered natively.
        pub syscall_compat_native: u64,
        /// SYSCALL from compatibility mode, carried out from an exception.
        pub syscall_compat_trapped: u64,
        /// SYSENTER, delivered natively; the CPU does not say from which mode.
        pub sysenter_native: u64,
        /// SYSENTER, carried out from an exception.
        pub sysenter_trapped: u64,
        /// The vector of the last exception from which a call was carried out.
        pub last_trap: u64,
        /// Page faults taken, of both rings.
        pub page_faults: u64,
        /// Pages mapped on demand or ahead of it.
        pub pages_mapped: u64,
        /// Calls answered with ENOSYS.
        pub unknown_calls: u64,
        /// The last call that was answered with ENOSYS, as it came in RAX.
        pub last_unknown_call: u64,
    }
}

//! Which handler answers which number: made at build from the two tables in
//! `abi/tables` and the list of handlers below, by entry point.
//!
//! A row of a table whose entry point has no handler answers ENOSYS.
#![allow(long_running_const_eval, reason = "a few hundred rows by a hundred handlers")]

use super::define::encode;
use super::{Handler, Table};
use crate::sys::{file, mm, process, signal, system, time};
use trapgate_abi::syscall::{I386, I386_COUNT, Row, X32, X32_COUNT, X86_64, X86_64_COUNT};
use trapgate_abi::{Errno, PtRegs};

/// The handlers of one entry point.
struct Entry {
    name: &'static str,
    x64: Handler,
    /// `None`: structures or arguments have another form for i386, and there
    /// is no handler for that form yet.
    ia32: Option<Handler>,
}

/// The list of entries: `both` serve i386 callers as they are, `x64` do not.
macro_rules! entries {
    ($($module:ident { both: $($both:ident)*; x64: $($x64:ident)*; })*) => {
        pastey::paste! {
            &[$(
                $(Entry {
                    name: concat!("sys_", stringify!($both)),
                    x64: $module::[<__x64_sys_ $both>],
                    ia32: Some($module::[<__ia32_sys_ $both>]),
                },)*
                $(Entry {
                    name: concat!("sys_", stringify!($x64)),
                    x64: $module::[<__x64_sys_ $x64>],
                    ia32: None,
                },)*
            )*]
        }
    };
}

const ENTRIES: &[Entry] = entries! {
    process {
        both: getpid gettid getppid getuid geteuid getgid getegid getresuid getresgid getgroups
            getpgrp getpgid getsid exit exit_group umask set_tid_address prctl prlimit64;
        x64: arch_prctl set_robust_list get_robust_list getrlimit setrlimit;
    }
    mm {
        both: munmap mprotect mremap brk madvise msync mlock munlock mincore;
        x64: mmap;
    }
    signal {
        both: rt_sigprocmask kill tkill tgkill;
        x64: rt_sigaction rt_sigpending sigaltstack;
    }
    time {
        both: clock_gettime clock_getres clock_nanosleep;
        x64: gettimeofday time times nanosleep;
    }
    system {
        both: newuname getrandom getcpu sched_yield sched_getscheduler sched_getparam getpriority
            futex;
        x64: sysinfo sched_getaffinity sched_setaffinity getrusage;
    }
    file {
        both: read write close dup dup2 dup3 open openat access faccessat readlink readlinkat
            chdir getcwd poll ppoll;
        x64: readv writev pread64 preadv fcntl ioctl lseek newfstat newfstatat newstat newlstat;
    }
};

/// A call without a handler: Linux's `sys_ni_syscall`.
extern "C" fn __x64_sys_ni_syscall(regs: &PtRegs) -> u64 {
    super::unknown(regs, 0);
    encode(Err(Errno::ENOSYS))
}

/// The same by the i386 convention.
extern "C" fn __ia32_sys_ni_syscall(regs: &PtRegs) -> u64 {
    super::unknown(regs, 1);
    encode(Err(Errno::ENOSYS))
}

/// x86-64's table.
pub static SYS_CALL_TABLE_64: Table<{ X86_64_COUNT + 1 }> = x64(X86_64, super::beyond_x86_64);
/// x32's table. x32 programs pass 32-bit structures in many calls; only those
/// rows that Linux shares with x86-64 have handlers.
pub static SYS_CALL_TABLE_X32: Table<{ X32_COUNT + 1 }> = x64(X32, __x64_sys_ni_syscall);
/// i386's table.
pub static SYS_CALL_TABLE_32: Table<{ I386_COUNT + 1 }> = ia32(I386);

const fn find(row: &Row) -> Option<&'static Entry> {
    let mut index = 0;
    while index < ENTRIES.len() {
        if row.has_entry(ENTRIES[index].name) {
            return Some(&ENTRIES[index]);
        }
        index += 1;
    }
    None
}

const fn x64<const N: usize>(rows: &[Row], beyond: Handler) -> Table<N> {
    let mut table: Table<N> = [__x64_sys_ni_syscall; N];
    table[N - 1] = beyond;
    let mut index = 0;
    while index < rows.len() {
        if let Some(entry) = find(&rows[index]) {
            table[rows[index].number as usize] = entry.x64;
        }
        index += 1;
    }
    table
}

const fn ia32<const N: usize>(rows: &[Row]) -> Table<N> {
    let mut table: Table<N> = [__ia32_sys_ni_syscall; N];
    let mut index = 0;
    while index < rows.len() {
        if let Some(Entry { ia32: Some(handler), .. }) = find(&rows[index]) {
            table[rows[index].number as usize] = *handler;
        }
        index += 1;
    }
    table
}

/// Every handler has a row: a misspelt name does not build.
const _: () = {
    let mut index = 0;
    while index < ENTRIES.len() {
        let mut found = false;
        let mut row = 0;
        while row < X86_64.len() {
            found |= X86_64[row].has_entry(ENTRIES[index].name);
            row += 1;
        }
        assert!(found, "a handler that no row of syscall_64.tbl names");
        index += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;
    use trapgate_abi::syscall::{nr32, nr64};

    fn address(handler: Handler) -> usize {
        handler as usize
    }

    #[test]
    fn numbers_reach_their_handlers() {
        let getpid = address(process::__x64_sys_getpid);
        assert_eq!(address(SYS_CALL_TABLE_64[nr64::GETPID as usize]), getpid);
        assert_eq!(address(SYS_CALL_TABLE_X32[nr64::GETPID as usize]), getpid);
        let getpid32 = address(process::__ia32_sys_getpid);
        assert_eq!(address(SYS_CALL_TABLE_32[nr32::GETPID as usize]), getpid32);
        // Name and entry point differ.
        let fstat = address(file::__x64_sys_newfstat);
        assert_eq!(address(SYS_CALL_TABLE_64[nr64::FSTAT as usize]), fstat);
    }

    #[test]
    fn rows_without_a_handler_answer_enosys() {
        let none = address(__x64_sys_ni_syscall);
        assert_eq!(address(SYS_CALL_TABLE_64[nr64::RSEQ as usize]), none);
        assert_eq!(address(SYS_CALL_TABLE_64[400]), none);
        assert_eq!(address(SYS_CALL_TABLE_32[17]), address(__ia32_sys_ni_syscall));
        // 32-bit structures: not yet.
        let writev = SYS_CALL_TABLE_32[nr32::WRITEV as usize];
        assert_eq!(address(writev), address(__ia32_sys_ni_syscall));
    }
}

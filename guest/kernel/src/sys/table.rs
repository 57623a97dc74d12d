//! Which handler answers which number: made at build from the two tables in
//! `uapi/tables` and the lists of handlers below, by entry point.
//!
//! A row of a table whose entry point has no handler answers ENOSYS.
#![allow(long_running_const_eval, reason = "a few hundred rows by a hundred handlers")]

use super::define::encode;
use crate::log::log;
use crate::sys::{
    compat, descriptor, futex, ioctl, mm, path, poll, process, random, read_write, sched, signal,
    stat, system, time,
};
use trapgate_abi::PtRegs;
use trapgate_abi::log::{Event, Level};
use trapgate_arch::cpu::clamp_index_nospec;
use trapgate_arch::percpu;
use trapgate_uapi::Errno;
use trapgate_uapi::syscall::{
    I386, I386_COUNT, Row, X32, X32_BIT, X32_COUNT, X86_64, X86_64_COUNT,
};

/// What stands in a table: the outermost layer of a definition. The result is
/// what the program finds in RAX. (Nothing unwinds in ring 0; on the host, the end
/// of the program does, up to the test.)
pub type Handler = extern "C-unwind" fn(&PtRegs) -> u64;

/// A table for numbers below `N - 1`. The last row is for all others, so that
/// the index needs no branch.
pub type Table<const N: usize> = [Handler; N];

/// The handlers of one entry point.
struct Entry {
    name: &'static str,
    x64: Handler,
    /// `None`: structures or arguments have another form for i386, whose
    /// handler is in [`COMPAT_ENTRIES`].
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
        both: munmap mprotect brk madvise msync mlock munlock mincore;
        x64: mmap mremap;
    }
    signal {
        both: kill tkill tgkill;
        x64: rt_sigaction rt_sigprocmask rt_sigpending sigaltstack;
    }
    time {
        both: clock_gettime clock_getres;
        x64: clock_nanosleep gettimeofday time times nanosleep;
    }
    system {
        both: newuname;
        x64: sysinfo getrusage;
    }
    random {
        both: getrandom;
        x64: ;
    }
    sched {
        both: getcpu sched_yield sched_getscheduler sched_getparam getpriority;
        x64: sched_getaffinity sched_setaffinity;
    }
    futex {
        both: ;
        x64: futex;
    }
    read_write {
        both: read write;
        x64: readv writev pread64 preadv lseek;
    }
    descriptor {
        both: close dup dup2 dup3;
        x64: fcntl;
    }
    ioctl {
        both: ;
        x64: ioctl;
    }
    stat {
        both: ;
        x64: newfstat newfstatat newstat newlstat;
    }
    path {
        both: access faccessat readlink readlinkat chdir getcwd;
        x64: open openat;
    }
    poll {
        both: poll;
        x64: ppoll;
    }
};

/// A handler of i386 alone, by its entry point.
struct CompatEntry {
    name: &'static str,
    handler: Handler,
}

/// The list of i386's own entries: `compat` have a compat entry in Linux too,
/// `native` have not, but mean something else to a 32-bit caller or have none
/// but such.
macro_rules! compat_entries {
    ($($module:ident { compat: $($compat:ident)*; native: $($native:ident)*; })*) => {
        pastey::paste! {
            &[$(
                $(CompatEntry {
                    name: concat!("compat_sys_", stringify!($compat)),
                    handler: compat::$module::[<__ia32_compat_sys_ $compat>],
                },)*
                $(CompatEntry {
                    name: concat!("sys_", stringify!($native)),
                    handler: compat::$module::[<__ia32_sys_ $native>],
                },)*
            )*]
        }
    };
}

const COMPAT_ENTRIES: &[CompatEntry] = compat_entries! {
    process {
        compat: arch_prctl getrlimit setrlimit old_getrlimit set_robust_list get_robust_list;
        native: getuid16 geteuid16 getgid16 getegid16 getresuid16 getresgid16 getgroups16;
    }
    tls {
        compat: ;
        native: set_thread_area get_thread_area modify_ldt;
    }
    mm {
        compat: ia32_mmap;
        native: mmap_pgoff mremap;
    }
    signal {
        compat: rt_sigaction sigaction rt_sigprocmask sigprocmask rt_sigpending sigpending
            sigaltstack;
        native: signal;
    }
    time {
        compat: gettimeofday times;
        native: time32 clock_gettime32 clock_getres_time32 clock_nanosleep_time32 clock_nanosleep
            nanosleep_time32;
    }
    system {
        compat: sysinfo getrusage;
        native: uname olduname;
    }
    sched {
        compat: sched_getaffinity sched_setaffinity;
        native: ;
    }
    futex {
        compat: ;
        native: futex_time32 futex;
    }
    read_write {
        compat: lseek preadv;
        native: readv writev llseek ia32_pread64;
    }
    descriptor {
        compat: fcntl64;
        native: ;
    }
    ioctl {
        compat: ioctl;
        native: ;
    }
    stat {
        compat: newstat newlstat newfstat ia32_stat64 ia32_lstat64 ia32_fstat64 ia32_fstatat64;
        native: ;
    }
    path {
        compat: open openat;
        native: ;
    }
    poll {
        compat: ppoll_time32 ppoll_time64;
        native: ;
    }
};

/// A call without a handler: Linux's `sys_ni_syscall`.
extern "C-unwind" fn __x64_sys_ni_syscall(regs: &PtRegs) -> u64 {
    unknown(regs, 0);
    encode(Err(Errno::ENOSYS))
}

/// The same by the i386 convention.
extern "C-unwind" fn __ia32_sys_ni_syscall(regs: &PtRegs) -> u64 {
    unknown(regs, 1);
    encode(Err(Errno::ENOSYS))
}

/// A number beyond x86-64's: x32's bit, or nothing.
extern "C-unwind" fn beyond_x86_64(regs: &PtRegs) -> u64 {
    let number = (regs.orig_rax as u32).wrapping_sub(X32_BIT);
    SYS_CALL_TABLE_X32[clamp_index_nospec::<{ X32_COUNT as u32 }>(number)](regs)
}

/// Notes a call that nobody answers. `abi`: 0 for 64-bit, 1 for i386.
#[cold]
fn unknown(regs: &PtRegs, abi: u64) {
    percpu::count!(unknown_calls, 1);
    percpu::set_counter!(last_unknown_call, regs.orig_rax);
    log(Level::Info, Event::UnknownCall, [regs.orig_rax, abi, regs.rip, 0]);
}

/// x86-64's table.
pub static SYS_CALL_TABLE_64: Table<{ X86_64_COUNT + 1 }> = x64(X86_64, beyond_x86_64);
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

const fn find_compat(row: &Row) -> Option<&'static CompatEntry> {
    let mut index = 0;
    while index < COMPAT_ENTRIES.len() {
        if row.has_entry(COMPAT_ENTRIES[index].name) {
            return Some(&COMPAT_ENTRIES[index]);
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
        if let Some(entry) = find_compat(&rows[index]) {
            table[rows[index].number as usize] = entry.handler;
        } else if let Some(Entry { ia32: Some(handler), .. }) = find(&rows[index]) {
            table[rows[index].number as usize] = *handler;
        }
        index += 1;
    }
    table
}

const fn is_named(rows: &[Row], entry: &str) -> bool {
    let mut index = 0;
    while index < rows.len() {
        if rows[index].has_entry(entry) {
            return true;
        }
        index += 1;
    }
    false
}

/// Every handler has a row: a misspelt name does not build.
const _: () = {
    let mut index = 0;
    while index < ENTRIES.len() {
        let name = ENTRIES[index].name;
        assert!(is_named(X86_64, name), "a handler that no row of syscall_64.tbl names");
        let for_i386 = ENTRIES[index].ia32.is_none() || is_named(I386, name);
        assert!(for_i386, "a handler for i386 that no row of syscall_32.tbl names");
        index += 1;
    }
    let mut index = 0;
    while index < COMPAT_ENTRIES.len() {
        let named = is_named(I386, COMPAT_ENTRIES[index].name);
        assert!(named, "a compat handler that no row of syscall_32.tbl names");
        index += 1;
    }
};

/// How a handler takes its arguments.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Convention {
    /// From the registers of SYSCALL.
    X64,
    /// From those of INT 0x80.
    Ia32,
}

/// All handlers, by their entry points.
#[cfg(test)]
pub(crate) fn handlers() -> impl Iterator<Item = (&'static str, Convention, Handler)> {
    let both = ENTRIES.iter().flat_map(|entry| {
        let ia32 = entry.ia32.map(|handler| (entry.name, Convention::Ia32, handler));
        [Some((entry.name, Convention::X64, entry.x64)), ia32].into_iter().flatten()
    });
    let compat = COMPAT_ENTRIES.iter();
    both.chain(compat.map(|entry| (entry.name, Convention::Ia32, entry.handler)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use trapgate_uapi::syscall::{nr32, nr64};

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
        let fstat = address(stat::__x64_sys_newfstat);
        assert_eq!(address(SYS_CALL_TABLE_64[nr64::FSTAT as usize]), fstat);
    }

    #[test]
    fn rows_without_a_handler_answer_enosys() {
        let none = address(__x64_sys_ni_syscall);
        assert_eq!(address(SYS_CALL_TABLE_64[nr64::RSEQ as usize]), none);
        assert_eq!(address(SYS_CALL_TABLE_64[400]), none);
        assert_eq!(address(SYS_CALL_TABLE_32[17]), address(__ia32_sys_ni_syscall));
        // A call whose structures are 32-bit is not x32's, whatever its name.
        let ioctl = trapgate_uapi::syscall::Abi::X32.number("ioctl").unwrap();
        assert_eq!(address(SYS_CALL_TABLE_X32[ioctl as usize]), none);
    }

    #[test]
    fn i386_rows_reach_their_own_form_of_a_call() {
        let expected: [(u32, Handler); 10] = [
            (nr32::WRITEV, compat::read_write::__ia32_sys_writev),
            (nr32::STAT64, compat::stat::__ia32_compat_sys_ia32_stat64),
            (nr32::FCNTL, compat::descriptor::__ia32_compat_sys_fcntl64),
            (nr32::MMAP, compat::mm::__ia32_compat_sys_ia32_mmap),
            (nr32::MMAP2, compat::mm::__ia32_sys_mmap_pgoff),
            (nr32::MREMAP, compat::mm::__ia32_sys_mremap),
            (nr32::GETUID, compat::process::__ia32_sys_getuid16),
            (nr32::GETUID32, process::__ia32_sys_getuid),
            (nr32::CLOCK_GETTIME, compat::time::__ia32_sys_clock_gettime32),
            (nr32::CLOCK_GETTIME64, time::__ia32_sys_clock_gettime),
        ];
        for (number, handler) in expected {
            assert_eq!(address(SYS_CALL_TABLE_32[number as usize]), address(handler), "{number}");
        }
    }

    /// What a 64-bit program can do, a 32-bit one can: by name, where both
    /// tables have it.
    #[test]
    fn every_call_of_x86_64_that_is_answered_is_answered_for_i386() {
        let none = [address(__x64_sys_ni_syscall), address(__ia32_sys_ni_syscall)];
        let answered = |handler: Handler| !none.contains(&address(handler));
        for row in X86_64 {
            let name = match row.name {
                "newfstatat" => "fstatat64",
                name => name,
            };
            let number = trapgate_uapi::syscall::Abi::I386.number(name);
            if let Some(number) = number
                && answered(SYS_CALL_TABLE_64[row.number as usize])
            {
                assert!(answered(SYS_CALL_TABLE_32[number as usize]), "{name}");
            }
        }
    }
}

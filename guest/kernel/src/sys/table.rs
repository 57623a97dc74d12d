//! Which handler answers which number: made at build from the two tables in
//! `uapi/tables` and the lists of handlers below, by entry point.
//!
//! A row of a table whose entry point has no handler answers ENOSYS. What a call lacks
//! stands in parentheses behind it: docs/supported.md is made of that.
#![allow(long_running_const_eval, reason = "a few hundred rows by a hundred handlers")]

mod build;
#[cfg(test)]
mod support;

pub use build::{Handler, Table};

use super::absent::{no_call_of_i386, no_call_of_x86_64};
use crate::sys::{
    attributes, clone, compat, copy, credentials, descriptor, directory, epoll, eventfd, exec,
    fcntl, futex, handle, ioctl, kill, lock, madvise, memfd, mm, names, open, path, personality,
    pipe, pkeys, policy, poll, prctl, priority, process, random, read_write, refused, sched,
    select, shm, signal, size, socket, space, splice, stat, statfs, system, time, timer, timerfd,
    vectors, xattr,
};
use build::{CompatEntry, Entry, compat_entries, entries, ia32, is_named, note, x64};
use trapgate_abi::PtRegs;
use trapgate_arch::cpu::clamp_index_nospec;
use trapgate_uapi::syscall::{I386, I386_COUNT, X32, X32_BIT, X32_COUNT, X86_64, X86_64_COUNT};

/// What opening has.
const OPENS: &str = "files in memory, fifos and devices; sockets and block devices are ENXIO";
/// What making a node has.
const NODES: &str = "a socket cannot be opened yet, nor a device that is not in /dev";
/// What writing at an offset has.
const WRITES_AT: &str = "of files in memory; standard files are EOPNOTSUPP";
/// What a transfer with flags has.
const FLAGS: &str = "`RWF_NOWAIT` and those of later Linuxes are EOPNOTSUPP, and of a standard \
    file those that append";
/// What sending a signal has.
const ONE_PROCESS: &str = "to the program itself, nobody else is there; one that stops is ignored";
/// What timers have.
const TIMERS: &str = "by clocks that are set or not; by the CPU's time it is EOPNOTSUPP";
/// What setitimer(2) has.
const ITIMERS: &str = "`ITIMER_REAL`; those by the CPU's time are ENOSYS";
/// What a limit has.
const LIMITS: &str = "`RLIMIT_AS`, `_DATA`, `_STACK`, `_FSIZE`, `_NOFILE`, `_NPROC`, `_CPU`, `_MEMLOCK`, \
    `_NICE` and `_RTPRIO` hold; the others are recorded and told: no core is written, and there \
    are no message queues";
/// What mapping has.
const MAPPING: &str = "standard files are ENODEV; `MAP_HUGETLB` is ENOMEM";
/// What fcntl(2) has.
const FCNTL: &str = "descriptors and their flags, sizes of pipes, locks and seals; `F_SETOWN`, \
    `_EX` and `F_SETSIG` are kept and told, nobody hears of a file or leases one; others are EINVAL";
/// What locking has.
const LOCKS: &str = "of files in memory; of a standard file it is ENOLCK";
/// What the room in a file system has.
const STATFS: &str = "of files in memory; of a standard file it is ENOSYS";
/// What allocating has.
const ALLOCATES: &str =
    "as tmpfs has it: `FALLOC_FL_KEEP_SIZE`, and `FALLOC_FL_PUNCH_HOLE` with it";
/// What sending has.
const SENDS: &str = "from a file in memory";
/// What extended attributes have.
const XATTRS: &str = "no file has any: EOPNOTSUPP, and a list is empty; `user.` of what is neither a file nor a directory is EPERM and ENODATA";
/// What futex(2) has.
const FUTEX: &str = "nobody inherits a priority by `FUTEX_LOCK_PI`; `FUTEX_WAIT_REQUEUE_PI`, \
    `FUTEX_CMP_REQUEUE_PI` and `FUTEX_FD` are ENOSYS";
/// What making tasks has.
const CLONE: &str = "threads that share `CLONE_VM`, `_FS`, `_FILES` and `_SIGHAND`; what would \
    be a new process is ENOSYS, and `CLONE_VFORK` of a thread; namespaces are EPERM";
/// What is not a program's to do.
const REFUSED: &str = "EPERM, as in a container";
/// What there is of changes to files.
const INOTIFY: &str = "ENOSYS: nobody tells of changes, programs look for themselves";
/// What there is of rings.
const IO_URING: &str = "ENOSYS, as in a Linux without it";
/// What there is of nodes of memory.
const NUMA: &str = "ENOSYS, as in a Linux without NUMA";
/// What moving by pipes has.
const SPLICE: &str = "pipes of the sandbox and files in memory; pages are copied";
/// What policies have.
const POLICY: &str = "`SCHED_FIFO` and `SCHED_RR` weigh more than any nice value and `SCHED_IDLE` less, \
    but all share the CPU; `SCHED_DEADLINE` is EINVAL";
/// What classes of transfers have.
const PRIORITY: &str = "recorded, told and inherited, no transfer goes before another by it";
/// What times have.
const SYSTEM_TIME: &str = "system time is what the host was asked to do; the kernel's own counts as user \
    time";
/// What keys have.
const PKEYS: &str = "as on a CPU without them: EINVAL; without a key it is mprotect(2)";
/// What running another program has.
const EXEC: &str = "set-user-ID bits give nothing, as with \
    `PR_SET_NO_NEW_PRIVS`";
const ENTRIES: &[Entry] = entries! {
    process {
        both: getpid gettid getppid getpgrp getpgid getsid exit exit_group umask set_tid_address
            prlimit64 (LIMITS) membarrier ("without restartable sequences");
        x64: arch_prctl ("bases of FS and GS; others are EINVAL")
            set_robust_list get_robust_list
            getrlimit (LIMITS) setrlimit (LIMITS);
    }
    prctl {
        both: prctl ("names, capabilities, `PR_*_NO_NEW_PRIVS`, `_DUMPABLE`, `_PDEATHSIG`, `_TIMERSLACK`, \
                `_CHILD_SUBREAPER`, `_THP_DISABLE`; Linux's defaults of others are told; else EINVAL");
        x64: ;
    }
    clone {
        both: ;
        x64: clone (CLONE) clone3 (CLONE);
    }
    credentials {
        both: getuid geteuid getgid getegid getresuid getresgid getgroups setuid setgid setreuid
            setregid setresuid setresgid setfsuid setfsgid setgroups capget capset;
        x64: ;
    }
    exec {
        both: ;
        x64: execve (EXEC) execveat (EXEC);
    }
    mm {
        both: munmap mprotect brk;
        x64: mmap (MAPPING) mremap;
    }
    madvise {
        both: madvise ("`MADV_DONTNEED` and `MADV_FREE` give memory back, but not of the program's own \
                segments; what is only advice has no effect")
            msync mlock mlock2 munlock mlockall ("what comes later is locked, too, but comes when it is touched") munlockall
            mincore ("pages that came ahead of a touch are resident, too");
        x64: ;
    }
    signal {
        both: restart_syscall pause;
        x64: rt_sigaction rt_sigprocmask rt_sigpending rt_sigsuspend sigaltstack rt_sigreturn;
    }
    kill {
        both: kill (ONE_PROCESS) tkill (ONE_PROCESS) tgkill (ONE_PROCESS);
        x64: rt_sigqueueinfo (ONE_PROCESS) rt_tgsigqueueinfo (ONE_PROCESS) rt_sigtimedwait;
    }
    time {
        both: clock_gettime clock_getres;
        x64: clock_nanosleep gettimeofday time
            times (SYSTEM_TIME) nanosleep;
    }
    timer {
        both: alarm timer_gettime timer_getoverrun timer_delete;
        x64: timer_create (TIMERS) timer_settime setitimer (ITIMERS) getitimer (ITIMERS);
    }
    system {
        both: newuname;
        x64: sysinfo ("uptime, memory, one process; loads are 0")
            getrusage ("system time is what the host was asked to do; `ru_maxrss` is the most that the sandbox has taken of its memory; page faults are minor ones; all else is 0");
    }
    random {
        both: getrandom;
        x64: ;
    }
    sched {
        both: getcpu sched_yield;
        x64: sched_getaffinity sched_setaffinity;
    }
    policy {
        both: sched_setscheduler (POLICY) sched_setparam (POLICY) sched_setattr (POLICY)
            sched_getscheduler sched_getparam sched_getattr sched_get_priority_min
            sched_get_priority_max sched_rr_get_interval;
        x64: ;
    }
    priority {
        both: getpriority setpriority ioprio_get ioprio_set (PRIORITY);
        x64: ;
    }
    personality {
        both: personality ("`PER_LINUX32` and `ADDR_NO_RANDOMIZE` have an effect, all else is \
                recorded");
        x64: ;
    }
    pkeys {
        both: pkey_alloc (PKEYS) pkey_free (PKEYS) pkey_mprotect (PKEYS);
        x64: ;
    }
    shm {
        both: shmget shmdt;
        x64: shmat shmctl;
    }
    handle {
        both: name_to_handle_at ("EOPNOTSUPP, as in a file system that cannot be exported");
        x64: ;
    }
    splice {
        both: splice (SPLICE) tee (SPLICE);
        x64: vmsplice (SPLICE);
    }
    socket {
        both: socket ("those of `AF_UNIX` are EAFNOSUPPORT, all others ENOSYS");
        x64: ;
    }
    futex {
        both: ;
        x64: futex (FUTEX);
    }
    read_write {
        both: read write;
        x64: readv writev ("more than 24 pieces that do not touch are several writes")
            pread64 preadv pwrite64 (WRITES_AT) pwritev (WRITES_AT) lseek;
    }
    vectors {
        both: ;
        x64: preadv2 (FLAGS) pwritev2 (FLAGS);
    }
    memfd {
        both: memfd_create ("`MFD_HUGETLB` is ENOSYS");
        x64: ;
    }
    descriptor {
        both: close close_range dup dup2 dup3;
        x64: ;
    }
    fcntl {
        both: ;
        x64: fcntl (FCNTL);
    }
    lock {
        both: flock (LOCKS);
        x64: ;
    }
    statfs {
        both: ;
        x64: statfs fstatfs (STATFS);
    }
    space {
        both: ;
        x64: fallocate (ALLOCATES) fadvise64 readahead sync_file_range;
    }
    copy {
        both: sendfile64 (SENDS) copy_file_range;
        x64: ;
    }
    xattr {
        both: setxattr (XATTRS) lsetxattr (XATTRS) fsetxattr (XATTRS) getxattr (XATTRS)
            lgetxattr (XATTRS) fgetxattr (XATTRS) removexattr (XATTRS) lremovexattr (XATTRS)
            fremovexattr (XATTRS) listxattr (XATTRS) llistxattr (XATTRS) flistxattr (XATTRS);
        x64: ;
    }
    ioctl {
        both: ;
        x64: ioctl ("`FIONBIO`, `FIOCLEX`, `FIONCLEX`; of a pipe `FIONREAD`; of a terminal `TCGETS`, `TIOCGWINSZ` and \
            `TIOCGPGRP`, and `TCSETS` is EPERM");
    }
    stat {
        both: statx ("basic fields and the time of birth");
        x64: newfstat newfstatat newstat newlstat;
    }
    path {
        both: chdir fchdir chroot getcwd readlink readlinkat;
        x64: ;
    }
    open {
        both: access faccessat faccessat2 creat (OPENS) openat2 (OPENS);
        x64: open (OPENS) openat (OPENS);
    }
    directory {
        both: getdents64;
        x64: getdents;
    }
    names {
        both: mkdir mkdirat rmdir unlink unlinkat rename renameat
            renameat2 ("`RENAME_WHITEOUT` is EINVAL") link linkat symlink symlinkat
            mknod (NODES) mknodat (NODES);
        x64: ;
    }
    attributes {
        both: chmod fchmod fchmodat fchmodat2 chown lchown fchown fchownat;
        x64: utimensat futimesat utimes utime;
    }
    size {
        both: fsync fdatasync sync syncfs;
        x64: truncate ftruncate;
    }
    pipe {
        both: pipe pipe2;
        x64: ;
    }
    epoll {
        both: epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait;
        x64: epoll_pwait2;
    }
    timerfd {
        both: timerfd_create timerfd_gettime;
        x64: timerfd_settime;
    }
    eventfd {
        both: eventfd eventfd2;
        x64: ;
    }
    refused {
        both: mount (REFUSED) umount (REFUSED) pivot_root (REFUSED) unshare (REFUSED)
            setns (REFUSED) swapon (REFUSED) swapoff (REFUSED) reboot (REFUSED)
            sethostname (REFUSED) setdomainname (REFUSED) bpf (REFUSED)
            perf_event_open (REFUSED) fanotify_init (REFUSED) syslog (REFUSED)
            inotify_init (INOTIFY) inotify_init1 (INOTIFY) inotify_add_watch (INOTIFY)
            inotify_rm_watch (INOTIFY) io_uring_setup (IO_URING) io_uring_enter (IO_URING)
            io_uring_register (IO_URING) get_mempolicy (NUMA) set_mempolicy (NUMA)
            set_mempolicy_home_node (NUMA) mbind (NUMA) migrate_pages (NUMA) move_pages (NUMA);
        x64: open_by_handle_at (REFUSED);
    }
    poll {
        both: poll;
        x64: ppoll;
    }
    select {
        both: ;
        x64: select pselect6;
    }
};

const COMPAT_ENTRIES: &[CompatEntry] = compat_entries! {
    process {
        compat: arch_prctl getrlimit (LIMITS) setrlimit old_getrlimit set_robust_list get_robust_list;
        native: ;
    }
    credentials {
        compat: ;
        native: getuid16 geteuid16 getgid16 getegid16 getresuid16 getresgid16 getgroups16 setuid16
            setgid16 setreuid16 setregid16 setresuid16 setresgid16 setfsuid16 setfsgid16
            setgroups16;
    }
    clone {
        compat: ia32_clone (CLONE);
        native: clone3 (CLONE);
    }
    exec {
        compat: execve (EXEC) execveat (EXEC);
        native: ;
    }
    tls {
        compat: ;
        native: set_thread_area get_thread_area
            modify_ldt ("the table is empty and stays so: writing it is ENOSYS");
    }
    mm {
        compat: ia32_mmap;
        native: mmap_pgoff (MAPPING) mremap;
    }
    signal {
        compat: rt_sigaction sigaction rt_sigprocmask sigprocmask rt_sigpending sigpending
            rt_sigsuspend sigaltstack sigreturn rt_sigreturn rt_sigqueueinfo (ONE_PROCESS)
            rt_tgsigqueueinfo (ONE_PROCESS) rt_sigtimedwait_time32 rt_sigtimedwait_time64;
        native: signal sigsuspend;
    }
    time {
        compat: gettimeofday times;
        native: time32 clock_gettime32 clock_getres_time32 clock_nanosleep_time32 clock_nanosleep
            nanosleep_time32;
    }
    timer {
        compat: timer_create (TIMERS) setitimer (ITIMERS) getitimer (ITIMERS);
        native: timer_settime32 timer_gettime32 timer_settime;
    }
    system {
        compat: sysinfo getrusage;
        native: uname olduname;
    }
    sched {
        compat: sched_getaffinity sched_setaffinity;
        native: sched_rr_get_interval_time32;
    }
    splice {
        compat: ;
        native: vmsplice (SPLICE);
    }
    shm {
        compat: shmat shmctl ipc ("shared memory, with `IPC_64`; queues and semaphores are ENOSYS");
        native: ;
    }
    refused {
        compat: open_by_handle_at (REFUSED);
        native: ;
    }
    futex {
        compat: ;
        native: futex_time32 futex (FUTEX);
    }
    read_write {
        compat: lseek preadv pwritev (WRITES_AT) preadv2 (FLAGS) pwritev2 (FLAGS);
        native: readv writev llseek ia32_pread64 ia32_pwrite64 (WRITES_AT);
    }
    fcntl {
        compat: fcntl64 (FCNTL);
        native: ;
    }
    statfs {
        compat: statfs fstatfs statfs64 fstatfs64 (STATFS);
        native: ;
    }
    space {
        compat: ;
        native: ia32_fallocate (ALLOCATES) ia32_fadvise64 ia32_fadvise64_64 ia32_readahead
            ia32_sync_file_range;
    }
    copy {
        compat: sendfile (SENDS);
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
        compat: open (OPENS) openat (OPENS) truncate ftruncate;
        native: ia32_truncate64 ia32_ftruncate64;
    }
    directory {
        compat: getdents;
        native: ;
    }
    attributes {
        compat: ;
        native: chown16 lchown16 fchown16 utimensat_time32 utimensat futimesat_time32 utimes_time32
            utime32;
    }
    epoll {
        compat: epoll_pwait2;
        native: ;
    }
    timerfd {
        compat: ;
        native: timerfd_settime32 timerfd_gettime32 timerfd_settime;
    }
    poll {
        compat: select old_select pselect6_time32 pselect6_time64 ppoll_time32 ppoll_time64;
        native: ;
    }
};

/// A number beyond x86-64's: x32's bit, or nothing.
extern "C-unwind" fn beyond_x86_64(regs: &PtRegs) -> u64 {
    let number = (regs.orig_rax as u32).wrapping_sub(X32_BIT);
    SYS_CALL_TABLE_X32[clamp_index_nospec::<{ X32_COUNT as u32 }>(number)](regs)
}

/// x86-64's table.
pub static SYS_CALL_TABLE_64: Table<{ X86_64_COUNT + 1 }> =
    x64(X86_64, ENTRIES, no_call_of_x86_64, beyond_x86_64);
/// x32's table. x32 programs pass 32-bit structures in many calls; only those
/// rows that Linux shares with x86-64 have handlers.
pub static SYS_CALL_TABLE_X32: Table<{ X32_COUNT + 1 }> =
    x64(X32, ENTRIES, no_call_of_x86_64, no_call_of_x86_64);
/// i386's table.
pub static SYS_CALL_TABLE_32: Table<{ I386_COUNT + 1 }> =
    ia32(I386, COMPAT_ENTRIES, ENTRIES, no_call_of_i386);

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
        let none = address(no_call_of_x86_64);
        assert_eq!(address(SYS_CALL_TABLE_64[nr64::RSEQ as usize]), none);
        assert_eq!(address(SYS_CALL_TABLE_64[400]), none);
        assert_eq!(address(SYS_CALL_TABLE_32[17]), address(no_call_of_i386));
        // A call whose structures are 32-bit is not x32's, whatever its name.
        let ioctl = trapgate_uapi::syscall::Abi::X32.number("ioctl").unwrap();
        assert_eq!(address(SYS_CALL_TABLE_X32[ioctl as usize]), none);
    }

    #[test]
    fn i386_rows_reach_their_own_form_of_a_call() {
        let expected: [(u32, Handler); 10] = [
            (nr32::WRITEV, compat::read_write::__ia32_sys_writev),
            (nr32::STAT64, compat::stat::__ia32_compat_sys_ia32_stat64),
            (nr32::FCNTL, compat::fcntl::__ia32_compat_sys_fcntl64),
            (nr32::MMAP, compat::mm::__ia32_compat_sys_ia32_mmap),
            (nr32::MMAP2, compat::mm::__ia32_sys_mmap_pgoff),
            (nr32::MREMAP, compat::mm::__ia32_sys_mremap),
            (nr32::GETUID, compat::credentials::__ia32_sys_getuid16),
            (nr32::GETUID32, credentials::__ia32_sys_getuid),
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
        let none = [address(no_call_of_x86_64), address(no_call_of_i386)];
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

//! Arguments for each call, by its entry point: such that it does its work, and has
//! to get memory for it where it ever has. Both conventions take the same: all
//! addresses are below 4 GiB.

use crate::tests::exec::files;
use crate::tests::{DATA, HEAP, SIZE, Sandbox};
use core::ops::Range;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_loader::image::Class;
use trapgate_uapi::Errno;
use trapgate_uapi::capability::_LINUX_CAPABILITY_VERSION_3;
use trapgate_uapi::fcntl::{
    AT_EMPTY_PATH, AT_FDCWD, F_DUPFD, F_DUPFD_CLOEXEC, F_GETFL, F_SETLK, F_SETPIPE_SZ, LOCK_EX,
    LOCK_UN, O_CREAT, O_RDWR, O_TMPFILE,
};
use trapgate_uapi::futex::{FUTEX_WAIT, FUTEX_WAKE};
use trapgate_uapi::ioctl::{FIOCLEX, TCGETS};
use trapgate_uapi::ldt::LDT_READ_DEFAULT;
use trapgate_uapi::mman::{
    MADV_DONTNEED, MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, MAP_SHARED, MCL_CURRENT, MREMAP_FIXED,
    MREMAP_MAYMOVE, MS_SYNC, PROT_NONE, PROT_READ, PROT_WRITE,
};
use trapgate_uapi::prctl::{ARCH_GET_FS, PR_GET_NAME, PR_SET_NAME};
use trapgate_uapi::resource::RLIMIT_CORE;
use trapgate_uapi::sched::{CLONE_FILES, CLONE_FS, CLONE_SIGHAND, CLONE_THREAD, CLONE_VM};
use trapgate_uapi::signal::{SIG_BLOCK, SIGCHLD, SIGSET_SIZE, SIGUSR1};
use trapgate_uapi::syscall::nr64;
use trapgate_uapi::uio::{RWF_APPEND, UIO_MAXIOV};

/// Zeroes, with room for the longest argument.
const ZEROES: u64 = DATA + PAGE_SIZE;
/// One vector, of no bytes; behind it zeroes, and so more such.
pub(super) const VECTORS: u64 = DATA + 8 * PAGE_SIZE;
/// A string that has no end in its first page; in the second, a path of the greatest
/// length.
pub(super) const ENDLESS: u64 = DATA + 13 * PAGE_SIZE;
/// A path of the greatest length.
pub(super) const PATH: u64 = ENDLESS + PAGE_SIZE;
/// A string of one letter.
const SHORT: u64 = PATH + PAGE_SIZE - 2;
/// Paths: of a directory, of a link in the tree, of what is not there.
pub(super) const TREE: u64 = DATA + 12 * PAGE_SIZE;
const LINK: u64 = TREE + 16;
const NEW: u64 = TREE + 32;
const OTHER: u64 = TREE + 48;
/// A lock for writing on everything, in any form: behind the type only zeroes.
const LOCK: u64 = TREE + 64;
const GENERATED: u64 = TREE + 96;
const MAGIC_LINK: u64 = TREE + 128;
pub(super) const NAMES: &[u8; 160] = b"/tmp\0...........\
    /dev/fd\0........\
    /tmp/new.file\0..\
    /tmp/other.file\0\
    \x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
    /proc/self/smaps\0...............\
    /proc/self/cwd\0.................";
/// The path of a script that can be run.
const PROGRAM: u64 = VECTORS + 0x100;
/// All that scripts point to.
pub(super) const TOUCHED: Range<u64> = DATA..DATA + SIZE;
/// Where nothing is, far from all that is.
const FAR: u64 = 0x6000_0000;
/// Memory that a script has mapped: five pages.
const MAPPED: u64 = 0x7000_0000;

/// Flags of a thread.
const THREAD: u64 = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;

/// A time in milliseconds.
const FOR_EVER: u64 = u32::MAX as u64;

/// One call.
pub(super) struct Script {
    pub(super) entry: &'static str,
    /// What is done first.
    pub(super) before: fn(&Sandbox),
    pub(super) arguments: [u64; 6],
    /// What it answers where there is memory.
    pub(super) error: Option<Errno>,
}

const fn call<const N: usize>(entry: &'static str, arguments: [u64; N]) -> Script {
    let mut all = [0; 6];
    let mut index = 0;
    while index < N {
        all[index] = arguments[index];
        index += 1;
    }
    Script { entry, before: |_| (), arguments: all, error: None }
}

impl Script {
    const fn error(self, error: Errno) -> Script {
        Script { error: Some(error), ..self }
    }

    const fn after(self, before: fn(&Sandbox)) -> Script {
        Script { before, ..self }
    }
}

/// Makes an epoll, a counter and a timer.
fn watching(sandbox: &Sandbox) {
    let calls = [(nr64::EPOLL_CREATE1, 0), (nr64::EVENTFD, 3), (nr64::TIMERFD_CREATE, 1)];
    for (number, argument) in calls {
        sandbox.call(number, [argument, 0, 0, 0, 0, 0]).unwrap();
    }
}

/// One epoll more.
fn nested(sandbox: &Sandbox) {
    watching(sandbox);
    sandbox.call(nr64::EPOLL_CREATE1, [0; 6]).unwrap();
}

/// The counter is watched, and nothing of it is waited for.
fn watched(sandbox: &Sandbox) {
    watching(sandbox);
    sandbox.call(nr64::EPOLL_CTL, [3, 1, 4, ZEROES, 0, 0]).unwrap();
}

/// Maps memory without a neighbour like it.
fn mapped(sandbox: &Sandbox) {
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    let arguments = [MAPPED, 5 * PAGE_SIZE, PROT_READ | PROT_WRITE, flags, u64::MAX, 0];
    sandbox.call(nr64::MMAP, arguments).unwrap();
    for page in 0..5 {
        sandbox.store(MAPPED + page * PAGE_SIZE, &[1]);
    }
}

/// A script, its interpreter, and what starts that.
fn programs(sandbox: &Sandbox) {
    sandbox.store(PROGRAM, b"/script\0");
    files::put("/script", b"#!/program -x\n");
    files::put("/program", &files::dynamic(Class::Elf64, files::ET_DYN, 0, "/linker"));
    files::put("/linker", &files::program(Class::Elf64, files::ET_DYN, 0));
}

/// What mmap(2) takes, in memory.
fn arguments_of_mmap(sandbox: &Sandbox) {
    let arguments = [FAR, PAGE_SIZE, WORK, ANONYMOUS | MAP_FIXED, NO_FD, 0];
    sandbox.store(ZEROES, arguments.map(|word| (word as u32).to_le_bytes()).as_flattened());
}

/// What clone3(2) takes, in memory.
fn thread(sandbox: &Sandbox) {
    sandbox.store(ZEROES, &THREAD.to_le_bytes());
}

/// An alternate stack.
fn stack(sandbox: &Sandbox) {
    sandbox.store(ZEROES + 16, &0x4000u64.to_le_bytes());
}

/// The same, of i386.
fn compat_stack(sandbox: &Sandbox) {
    sandbox.store(ZEROES + 8, &0x4000u32.to_le_bytes());
}

/// An entry of the GDT that is free, for data.
fn segment(sandbox: &Sandbox) {
    sandbox.store(ZEROES, &u32::MAX.to_le_bytes());
    sandbox.store(ZEROES + 8, &[0xff, 0xff, 0x0f, 0, 0x51, 0, 0, 0]);
}

/// A set of CPUs with the first.
fn cpus(sandbox: &Sandbox) {
    sandbox.store(ZEROES, &[1]);
}

/// Which form of capabilities it is.
fn version_of_capabilities(sandbox: &Sandbox) {
    sandbox.store(ZEROES, &_LINUX_CAPABILITY_VERSION_3.to_le_bytes());
}

/// Descriptors 3 and 4 are the ends of a pipe.
fn piped(sandbox: &Sandbox) {
    sandbox.call(nr64::PIPE, [ZEROES, 0, 0, 0, 0, 0]).unwrap();
}

/// Makes a segment of shared memory, number 0.
fn segment_made(sandbox: &Sandbox) {
    assert_eq!(sandbox.call(nr64::SHMGET, [0, 8192, 0o600, 0, 0, 0]), Ok(0));
}

/// The same, attached.
fn segment_attached(sandbox: &Sandbox) {
    segment_made(sandbox);
    sandbox.call(nr64::SHMAT, [0, FAR, 0, 0, 0, 0]).unwrap();
}

/// The same with bytes in it, and 5 is a file.
fn piped_and_opened(sandbox: &Sandbox) {
    piped(sandbox);
    sandbox.call(nr64::WRITE, [4, ZEROES, 100, 0, 0, 0]).unwrap();
    opened(sandbox);
}

/// The same, and 6 and 7 are the ends of another pipe.
fn two_pipes(sandbox: &Sandbox) {
    piped_and_opened(sandbox);
    sandbox.call(nr64::PIPE, [ZEROES, 0, 0, 0, 0, 0]).unwrap();
}

/// Makes the tree.
fn tree(sandbox: &Sandbox) {
    sandbox.call(nr64::ACCESS, [TREE, 0, 0, 0, 0, 0]).unwrap();
}

/// Opens a directory as descriptor 3.
fn directory(sandbox: &Sandbox) {
    sandbox.call(nr64::OPEN, [TREE, 0, 0, 0, 0, 0]).unwrap();
}

/// Makes a directory.
fn made_directory(sandbox: &Sandbox) {
    sandbox.call(nr64::MKDIR, [NEW, 0o755, 0, 0, 0, 0]).unwrap();
}

/// Makes a file, and opens it as descriptor 3.
fn opened(sandbox: &Sandbox) {
    let flags = u64::from(O_CREAT | O_RDWR);
    sandbox.call(nr64::OPEN, [NEW, flags, 0o644, 0, 0, 0]).unwrap();
}

/// The same, locked as a whole.
fn locked(sandbox: &Sandbox) {
    opened(sandbox);
    sandbox.call(nr64::FLOCK, [3, LOCK_EX.into(), 0, 0, 0, 0]).unwrap();
}

/// Descriptor 3 has bytes to be read; 4 is another file.
fn written(sandbox: &Sandbox) {
    opened(sandbox);
    sandbox.call(nr64::PWRITE64, [3, ZEROES, 100, 0, 0, 0]).unwrap();
    let flags = u64::from(O_CREAT | O_RDWR);
    sandbox.call(nr64::OPEN, [OTHER, flags, 0o644, 0, 0, 0]).unwrap();
}

/// Opens a file that is made when it is read, and a directory of such.
fn generated(sandbox: &Sandbox) {
    sandbox.call(nr64::OPEN, [GENERATED, 0, 0, 0, 0, 0]).unwrap();
}

fn generated_directory(sandbox: &Sandbox) {
    sandbox.call(nr64::OPEN, [LINK, 0, 0, 0, 0, 0]).unwrap();
}

const CWD: u64 = AT_FDCWD as u32 as u64;
const NEW_FILE: u64 = (O_CREAT | O_RDWR) as u64;
const WORK: u64 = PROT_READ | PROT_WRITE;
const ANONYMOUS: u64 = MAP_PRIVATE | MAP_ANONYMOUS;
const NO_FD: u64 = u32::MAX as u64;
const ID: u64 = 1;
const OLD: u64 = ZEROES + PAGE_SIZE;
const MOVE: u64 = MREMAP_MAYMOVE | MREMAP_FIXED;

pub(super) const SCRIPTS: &[Script] = &[
    // process
    call("sys_execve", [PROGRAM, VECTORS, VECTORS]).after(programs),
    call("compat_sys_execve", [PROGRAM, VECTORS, VECTORS]).after(programs),
    call("sys_execveat", [1, PROGRAM, VECTORS]).after(programs),
    call("compat_sys_execveat", [1, PROGRAM, VECTORS]).after(programs),
    call("sys_getpid", []),
    call("sys_gettid", []),
    call("sys_getppid", []),
    call("sys_getuid", []),
    call("sys_geteuid", []),
    call("sys_getgid", []),
    call("sys_getegid", []),
    call("sys_getresuid", [ZEROES, ZEROES, ZEROES]),
    call("sys_getresgid", [ZEROES, ZEROES, ZEROES]),
    call("sys_getgroups", [8, ZEROES]),
    call("sys_getpgrp", []),
    call("sys_getpgid", [ID]),
    call("sys_getsid", [ID]),
    call("sys_exit", [3]),
    call("sys_exit_group", [3]),
    call("sys_umask", [0o77]),
    call("sys_set_tid_address", [ZEROES]),
    call("sys_membarrier", [0]),
    call("sys_clone", [THREAD]),
    call("compat_sys_ia32_clone", [THREAD]),
    call("sys_clone3", [ZEROES, 64]).after(thread),
    call("sys_clone", [SIGCHLD as u64]).error(Errno::ENOSYS),
    call("sys_prctl", [PR_SET_NAME as u64, ENDLESS]),
    call("sys_prctl", [PR_SET_NAME as u64, SHORT]),
    call("sys_prctl", [PR_GET_NAME as u64, ZEROES]),
    call("sys_prlimit64", [ID, RLIMIT_CORE as u64, ZEROES, ZEROES + 64]),
    call("sys_arch_prctl", [ARCH_GET_FS as u64, ZEROES]),
    call("sys_set_robust_list", [ZEROES, 24]),
    call("sys_get_robust_list", [0, ZEROES, ZEROES]),
    call("sys_getrlimit", [RLIMIT_CORE as u64, ZEROES]),
    call("sys_setrlimit", [RLIMIT_CORE as u64, ZEROES]),
    call("compat_sys_arch_prctl", [ARCH_GET_FS as u64, ZEROES]).error(Errno::EINVAL),
    call("compat_sys_getrlimit", [RLIMIT_CORE as u64, ZEROES]),
    call("compat_sys_setrlimit", [RLIMIT_CORE as u64, ZEROES]),
    call("compat_sys_old_getrlimit", [RLIMIT_CORE as u64, ZEROES]),
    call("compat_sys_set_robust_list", [ZEROES, 12]),
    call("compat_sys_get_robust_list", [0, ZEROES, ZEROES]),
    call("sys_getuid16", []),
    call("sys_geteuid16", []),
    call("sys_getgid16", []),
    call("sys_getegid16", []),
    call("sys_getresuid16", [ZEROES, ZEROES, ZEROES]),
    call("sys_getresgid16", [ZEROES, ZEROES, ZEROES]),
    call("sys_getgroups16", [8, ZEROES]),
    call("sys_setuid", [ID]),
    call("sys_setgid", [ID]),
    call("sys_setreuid", [ID, ID]),
    call("sys_setregid", [ID, ID]),
    call("sys_setresuid", [ID, ID, ID]),
    call("sys_setresgid", [ID, ID, ID]),
    call("sys_setfsuid", [ID]),
    call("sys_setfsgid", [ID]),
    call("sys_setgroups", [9, ZEROES]),
    call("sys_setuid16", [ID]),
    call("sys_setgid16", [ID]),
    call("sys_setreuid16", [ID, ID]),
    call("sys_setregid16", [ID, ID]),
    call("sys_setresuid16", [ID, ID, ID]),
    call("sys_setresgid16", [ID, ID, ID]),
    call("sys_setfsuid16", [ID]),
    call("sys_setfsgid16", [ID]),
    call("sys_setgroups16", [9, ZEROES]),
    call("sys_capget", [ZEROES, OLD]).after(version_of_capabilities),
    call("sys_capset", [ZEROES, OLD]).after(version_of_capabilities),
    // tls
    call("sys_set_thread_area", [ZEROES]).after(segment),
    call("sys_get_thread_area", [ZEROES]).after(segment).error(Errno::EINVAL),
    call("sys_modify_ldt", [LDT_READ_DEFAULT as u64, ZEROES, 4096]),
    // mm
    call("sys_mmap", [0, 3 * PAGE_SIZE, WORK, ANONYMOUS, NO_FD, 0]),
    call("sys_mmap", [FAR, 300 * PAGE_SIZE, WORK, ANONYMOUS | MAP_FIXED, NO_FD, 0]),
    call("sys_mmap", [MAPPED + PAGE_SIZE, PAGE_SIZE, PROT_READ, ANONYMOUS | MAP_FIXED, NO_FD, 0])
        .after(mapped),
    call("sys_mmap", [0, PAGE_SIZE, WORK, MAP_PRIVATE, 0, 0]).error(Errno::ENODEV),
    call("sys_mmap", [0, PAGE_SIZE, WORK, MAP_PRIVATE, 3, 0]).after(opened),
    call("sys_mmap", [0, PAGE_SIZE, WORK, MAP_SHARED, 3, 0]).after(opened),
    call("sys_mmap_pgoff", [FAR, PAGE_SIZE, WORK, ANONYMOUS | MAP_FIXED, NO_FD, 0]),
    call("compat_sys_ia32_mmap", [ZEROES]).after(arguments_of_mmap),
    call("sys_munmap", [MAPPED + PAGE_SIZE, PAGE_SIZE]).after(mapped),
    call("sys_munmap", [MAPPED, 5 * PAGE_SIZE]).after(mapped),
    call("sys_mprotect", [MAPPED + PAGE_SIZE, PAGE_SIZE, PROT_READ]).after(mapped),
    call("sys_mprotect", [MAPPED, 5 * PAGE_SIZE, PROT_NONE]).after(mapped),
    call("sys_brk", [HEAP + 5 * PAGE_SIZE]),
    call("sys_madvise", [MAPPED, 3 * PAGE_SIZE, MADV_DONTNEED as u64]).after(mapped),
    call("sys_msync", [MAPPED, 3 * PAGE_SIZE, MS_SYNC as u64]).after(mapped),
    call("sys_mlock", [MAPPED, 3 * PAGE_SIZE]).after(mapped),
    call("sys_mlock2", [MAPPED, 3 * PAGE_SIZE]).after(mapped),
    call("sys_mlockall", [MCL_CURRENT as u64]).after(mapped),
    call("sys_munlockall", []),
    call("sys_munlock", [MAPPED, 3 * PAGE_SIZE]).after(mapped),
    call("sys_mincore", [MAPPED, 3 * PAGE_SIZE, ZEROES]).after(mapped),
    call("sys_mremap", [MAPPED + 4 * PAGE_SIZE, PAGE_SIZE, 2 * PAGE_SIZE]).after(mapped),
    call("sys_mremap", [MAPPED + PAGE_SIZE, PAGE_SIZE, 2 * PAGE_SIZE, MREMAP_MAYMOVE])
        .after(mapped),
    call("sys_mremap", [MAPPED + PAGE_SIZE, PAGE_SIZE, PAGE_SIZE, MOVE, FAR]).after(mapped),
    // signal
    call("sys_kill", [ID, SIGCHLD as u64]),
    call("sys_tkill", [ID, SIGCHLD as u64]),
    call("sys_tgkill", [ID, ID, SIGCHLD as u64]),
    call("sys_rt_sigaction", [SIGUSR1 as u64, ZEROES, OLD, SIGSET_SIZE]),
    call("sys_rt_sigprocmask", [SIG_BLOCK as u64, ZEROES, OLD, SIGSET_SIZE]),
    call("sys_rt_sigpending", [ZEROES, SIGSET_SIZE]),
    call("sys_sigaltstack", [ZEROES, OLD]).after(stack),
    call("sys_pause", []).error(Errno::EPERM),
    call("sys_rt_sigsuspend", [ZEROES, SIGSET_SIZE]).error(Errno::EPERM),
    call("compat_sys_rt_sigsuspend", [ZEROES, SIGSET_SIZE]).error(Errno::EPERM),
    call("sys_sigsuspend", [0, 0, 0]).error(Errno::EPERM),
    // Nothing was interrupted, and there is no frame.
    call("sys_restart_syscall", []).error(Errno::EINTR),
    call("sys_rt_sigreturn", []),
    call("compat_sys_rt_sigreturn", []),
    call("compat_sys_sigreturn", []),
    // timer
    call("sys_alarm", [3]),
    call("sys_timer_create", [0, 0, OLD]),
    call("compat_sys_timer_create", [0, 0, OLD]),
    call("sys_timer_settime", [0, 0, ZEROES]).error(Errno::EINVAL),
    call("sys_timer_settime32", [0, 0, ZEROES]).error(Errno::EINVAL),
    call("sys_timer_gettime", [0, OLD]).error(Errno::EINVAL),
    call("sys_timer_gettime32", [0, OLD]).error(Errno::EINVAL),
    call("sys_timer_getoverrun", [0]).error(Errno::EINVAL),
    call("sys_timer_delete", [0]).error(Errno::EINVAL),
    call("sys_setitimer", [0, ZEROES, OLD]),
    call("sys_getitimer", [0, OLD]),
    call("compat_sys_setitimer", [0, ZEROES, OLD]),
    call("compat_sys_getitimer", [0, OLD]),
    // kill
    call("sys_rt_sigqueueinfo", [ID, SIGCHLD as u64, ZEROES]),
    call("sys_rt_tgsigqueueinfo", [ID, ID, SIGCHLD as u64, ZEROES]),
    call("sys_rt_sigtimedwait", [ZEROES, 0, ZEROES, SIGSET_SIZE]).error(Errno::EAGAIN),
    call("compat_sys_rt_sigqueueinfo", [ID, SIGCHLD as u64, ZEROES]),
    call("compat_sys_rt_tgsigqueueinfo", [ID, ID, SIGCHLD as u64, ZEROES]),
    call("compat_sys_rt_sigtimedwait_time32", [ZEROES, 0, ZEROES, SIGSET_SIZE])
        .error(Errno::EAGAIN),
    call("compat_sys_rt_sigtimedwait_time64", [ZEROES, 0, ZEROES, SIGSET_SIZE])
        .error(Errno::EAGAIN),
    call("sys_signal", [SIGUSR1 as u64, 1]),
    call("compat_sys_rt_sigaction", [SIGUSR1 as u64, ZEROES, OLD, SIGSET_SIZE]),
    call("compat_sys_sigaction", [SIGUSR1 as u64, ZEROES, OLD]),
    call("compat_sys_rt_sigprocmask", [SIG_BLOCK as u64, ZEROES, OLD, SIGSET_SIZE]),
    call("compat_sys_sigprocmask", [SIG_BLOCK as u64, ZEROES, OLD]),
    call("compat_sys_rt_sigpending", [ZEROES, SIGSET_SIZE]),
    call("compat_sys_sigpending", [ZEROES]),
    call("compat_sys_sigaltstack", [ZEROES, OLD]).after(compat_stack),
    // time
    call("sys_clock_gettime", [1, ZEROES]),
    call("sys_clock_getres", [1, ZEROES]),
    call("sys_clock_nanosleep", [1, 0, ZEROES, OLD]),
    call("sys_gettimeofday", [ZEROES, OLD]),
    call("sys_time", [ZEROES]),
    call("sys_times", [ZEROES]),
    call("sys_nanosleep", [ZEROES, OLD]),
    call("sys_time32", [ZEROES]),
    call("sys_clock_gettime32", [1, ZEROES]),
    call("sys_clock_getres_time32", [1, ZEROES]),
    call("sys_clock_nanosleep_time32", [1, 0, ZEROES, OLD]),
    call("sys_nanosleep_time32", [ZEROES, OLD]),
    call("compat_sys_gettimeofday", [ZEROES, OLD]),
    call("compat_sys_times", [ZEROES]),
    // system
    call("sys_newuname", [ZEROES]),
    call("sys_sysinfo", [ZEROES]),
    call("sys_getrusage", [0, ZEROES]),
    call("sys_uname", [ZEROES]),
    call("sys_olduname", [ZEROES]),
    call("compat_sys_sysinfo", [ZEROES]),
    call("compat_sys_getrusage", [0, ZEROES]),
    // random
    call("sys_getrandom", [ZEROES, 8]),
    call("sys_getrandom", [ZEROES, 16]),
    call("sys_getrandom", [ZEROES, 6 * PAGE_SIZE]),
    // sched
    call("sys_getcpu", [ZEROES, OLD]),
    call("sys_sched_yield", []),
    call("sys_sched_getscheduler", [0]),
    call("sys_sched_getparam", [0, ZEROES]),
    call("sys_getpriority", [0, 0]),
    call("sys_setpriority", [0, 0, 1]),
    call("sys_ioprio_get", [1, 0]),
    call("sys_ioprio_set", [1, 0, 0x4005]),
    call("sys_sched_setscheduler", [0, 3, ZEROES]),
    call("sys_sched_setparam", [0, ZEROES]),
    call("sys_sched_setattr", [0, ZEROES]),
    call("sys_sched_getattr", [0, ZEROES, 48]),
    call("sys_sched_get_priority_min", [0]),
    call("sys_sched_get_priority_max", [0]),
    call("sys_sched_rr_get_interval", [0, ZEROES]),
    call("sys_sched_rr_get_interval_time32", [0, ZEROES]),
    call("sys_personality", [8]),
    call("sys_pkey_alloc", [0, 0]).error(Errno::EINVAL),
    call("sys_pkey_free", [1]).error(Errno::EINVAL),
    call("sys_pkey_mprotect", [MAPPED, PAGE_SIZE, PROT_READ, NO_FD]).after(mapped),
    call("sys_sched_getaffinity", [0, 8, ZEROES]),
    call("sys_sched_setaffinity", [0, 8, ZEROES]).after(cpus),
    call("compat_sys_sched_getaffinity", [0, 8, ZEROES]),
    call("compat_sys_sched_setaffinity", [0, 8, ZEROES]).after(cpus),
    // futex
    call("sys_futex", [ZEROES, FUTEX_WAKE as u64, 1]),
    call("sys_futex", [ZEROES, FUTEX_WAIT as u64, 0, ZEROES]).error(Errno::ETIMEDOUT),
    call("sys_futex_time32", [ZEROES, FUTEX_WAKE as u64, 1]),
    call("sys_futex_time32", [ZEROES, FUTEX_WAIT as u64, 0, ZEROES]).error(Errno::ETIMEDOUT),
    // read_write
    call("sys_read", [0, ZEROES, 6 * PAGE_SIZE]),
    call("sys_write", [1, ZEROES, 6 * PAGE_SIZE]),
    call("sys_readv", [0, VECTORS, UIO_MAXIOV]),
    call("sys_writev", [1, VECTORS, UIO_MAXIOV]),
    call("sys_writev", [1, VECTORS, 5]),
    call("sys_pread64", [2, ZEROES, 8, 0]),
    call("sys_preadv", [2, VECTORS, UIO_MAXIOV, 0]),
    call("sys_write", [3, ZEROES, 8]).after(opened),
    call("sys_read", [3, ZEROES, 6 * PAGE_SIZE]).after(opened),
    call("sys_pwrite64", [3, ZEROES, 8, 1 << 40]).after(opened),
    call("sys_pwritev", [3, VECTORS, 5, 0]).after(opened),
    call("sys_ia32_pwrite64", [3, ZEROES, 8, 0, 1 << 8]).after(opened),
    call("compat_sys_pwritev", [3, VECTORS, 5, 0, 0]).after(opened),
    call("sys_lseek", [2, 0, 0]),
    call("sys_llseek", [2, 0, 0, ZEROES, 0]),
    call("sys_ia32_pread64", [2, ZEROES, 8, 0, 0]),
    call("compat_sys_lseek", [2, 0, 0]),
    call("compat_sys_preadv", [2, VECTORS, UIO_MAXIOV, 0, 0]),
    call("sys_preadv2", [2, VECTORS, UIO_MAXIOV, 0, 0, 0]),
    call("sys_pwritev2", [3, VECTORS, 5, 0, 0, RWF_APPEND as u64]).after(opened),
    call("compat_sys_preadv2", [2, VECTORS, UIO_MAXIOV, 0, 0, 0]),
    call("compat_sys_pwritev2", [3, VECTORS, 5, 0, 0, RWF_APPEND as u64]).after(opened),
    call("sys_pipe", [ZEROES]),
    call("sys_pipe2", [ZEROES, 0]),
    call("sys_write", [4, ZEROES, PAGE_SIZE]).after(piped),
    call("sys_fcntl", [4, F_SETPIPE_SZ as u64, 1 << 20]).after(piped),
    call("sys_eventfd", [3]),
    call("sys_eventfd2", [3, 0]),
    // epoll, timerfd: an epoll is 3, a counter 4, a timer 5
    call("sys_epoll_create", [1]),
    call("sys_epoll_create1", [0]),
    call("sys_epoll_ctl", [3, 1, 4, ZEROES]).after(watching),
    call("sys_epoll_ctl", [6, 1, 3, ZEROES]).after(nested),
    call("sys_epoll_ctl", [3, 1, 0, ZEROES]).after(watching),
    call("sys_epoll_ctl", [3, 2, 4]).after(watched),
    call("sys_epoll_wait", [3, ZEROES, 8, FOR_EVER]).after(watched).error(Errno::EPERM),
    call("sys_epoll_pwait", [3, ZEROES, 8, 0, ZEROES, 8]).after(watched),
    call("sys_epoll_pwait2", [3, ZEROES, 8, 0]).after(watched).error(Errno::EPERM),
    call("compat_sys_epoll_pwait2", [3, ZEROES, 8, ZEROES]).after(watched),
    call("sys_timerfd_create", [1]),
    call("sys_timerfd_settime", [5, 0, VECTORS, ZEROES]).after(watching),
    call("sys_timerfd_settime32", [5, 0, ZEROES, ZEROES]).after(watching),
    call("sys_timerfd_gettime", [5, ZEROES]).after(watching),
    call("sys_timerfd_gettime32", [5, ZEROES]).after(watching),
    // refused
    call("sys_mount", []).error(Errno::EPERM),
    call("sys_umount", []).error(Errno::EPERM),
    call("sys_pivot_root", []).error(Errno::EPERM),
    call("sys_unshare", []).error(Errno::EPERM),
    call("sys_setns", []).error(Errno::EPERM),
    call("sys_swapon", []).error(Errno::EPERM),
    call("sys_swapoff", []).error(Errno::EPERM),
    call("sys_reboot", []).error(Errno::EPERM),
    call("sys_sethostname", []).error(Errno::EPERM),
    call("sys_setdomainname", []).error(Errno::EPERM),
    call("sys_bpf", []).error(Errno::EPERM),
    call("sys_perf_event_open", []).error(Errno::EPERM),
    call("sys_fanotify_init", []).error(Errno::EPERM),
    call("sys_syslog", []).error(Errno::EPERM),
    call("sys_open_by_handle_at", []).error(Errno::EPERM),
    call("compat_sys_open_by_handle_at", []).error(Errno::EPERM),
    call("sys_inotify_init", []).error(Errno::ENOSYS),
    call("sys_inotify_init1", []).error(Errno::ENOSYS),
    call("sys_inotify_add_watch", []).error(Errno::ENOSYS),
    call("sys_inotify_rm_watch", []).error(Errno::ENOSYS),
    call("sys_io_uring_setup", []).error(Errno::ENOSYS),
    call("sys_io_uring_enter", []).error(Errno::ENOSYS),
    call("sys_io_uring_register", []).error(Errno::ENOSYS),
    call("sys_get_mempolicy", []).error(Errno::ENOSYS),
    call("sys_set_mempolicy", []).error(Errno::ENOSYS),
    call("sys_set_mempolicy_home_node", []).error(Errno::ENOSYS),
    call("sys_mbind", []).error(Errno::ENOSYS),
    call("sys_migrate_pages", []).error(Errno::ENOSYS),
    call("sys_move_pages", []).error(Errno::ENOSYS),
    // splice
    call("sys_splice", [3, 0, 5, 0, 100]).after(piped_and_opened),
    call("sys_tee", [3, 7, 100]).after(two_pipes),
    call("sys_vmsplice", [4, VECTORS, 1]).after(piped),
    // shm
    call("sys_shmget", [0, 8192, 0o600]),
    call("sys_shmat", [0, FAR]).after(segment_made),
    call("compat_sys_shmat", [0, FAR]).after(segment_made),
    call("sys_shmdt", [FAR]).after(segment_attached),
    call("sys_shmctl", [0, 2, ZEROES]).after(segment_made),
    call("sys_shmctl", [0, 0, ZEROES]).after(segment_attached),
    call("compat_sys_shmctl", [0, 2, ZEROES]).after(segment_made),
    call("compat_sys_ipc", [23, 0, 8192, 0o600]),
    // handle, socket
    call("sys_name_to_handle_at", [CWD, TREE]).error(Errno::EOPNOTSUPP),
    call("sys_socket", [1, 1, 0]).error(Errno::EAFNOSUPPORT),
    // memfd
    call("sys_memfd_create", [SHORT, 0]),
    // descriptor
    call("sys_close", [1]),
    call("sys_close_range", [1, 1000]),
    call("sys_dup", [1]),
    call("sys_dup2", [1, 1000]),
    call("sys_dup2", [1, 0]),
    call("sys_dup3", [1, 1000]),
    call("sys_fcntl", [1, F_DUPFD as u64, 1000]),
    call("sys_fcntl", [1, F_GETFL as u64]),
    call("compat_sys_fcntl64", [1, F_DUPFD_CLOEXEC as u64, 1000]),
    call("sys_fcntl", [3, F_SETLK as u64, LOCK]).after(opened),
    call("compat_sys_fcntl64", [3, F_SETLK as u64, LOCK]).after(opened),
    call("sys_flock", [3, LOCK_EX as u64]).after(opened),
    call("sys_flock", [3, LOCK_UN as u64]).after(locked),
    // ioctl
    call("sys_ioctl", [1, FIOCLEX as u64]),
    call("sys_ioctl", [1, TCGETS as u64, ZEROES]).error(Errno::ENOTTY),
    call("compat_sys_ioctl", [1, FIOCLEX as u64]),
    // stat
    call("sys_newfstat", [2, ZEROES]),
    call("sys_newfstatat", [2, ZEROES + 8, ZEROES, AT_EMPTY_PATH as u64]),
    call("sys_newfstatat", [2, PATH, ZEROES]).error(Errno::ENOTDIR),
    call("sys_newstat", [PATH, ZEROES]).error(Errno::ENAMETOOLONG),
    call("sys_newstat", [TREE, ZEROES]),
    call("sys_newlstat", [TREE, ZEROES]).after(tree),
    call("sys_statx", [0, TREE, 0, 0, ZEROES]).after(tree),
    call("compat_sys_newstat", [TREE, ZEROES]).after(tree),
    call("compat_sys_newlstat", [TREE, ZEROES]).after(tree),
    call("compat_sys_newfstat", [2, ZEROES]),
    call("compat_sys_ia32_stat64", [TREE, ZEROES]).after(tree),
    call("compat_sys_ia32_lstat64", [TREE, ZEROES]).after(tree),
    call("compat_sys_ia32_fstat64", [2, ZEROES]),
    call("compat_sys_ia32_fstatat64", [2, TREE, ZEROES]).after(tree),
    // path
    call("sys_readlink", [LINK, ZEROES, 100]).after(tree),
    call("sys_readlinkat", [0, LINK, ZEROES, 100]).after(tree),
    call("sys_chdir", [TREE]),
    call("sys_chdir", [TREE]).after(tree),
    call("sys_fchdir", [3]).after(directory),
    call("sys_chroot", [TREE]).after(tree),
    call("sys_getcwd", [ZEROES, 100]),
    // open
    call("sys_access", [TREE, 7]).after(tree),
    call("sys_faccessat", [0, TREE, 7]).after(tree),
    call("sys_faccessat2", [0, TREE, 7]).after(tree),
    call("sys_open", [TREE]),
    call("sys_open", [TREE]).after(tree),
    call("sys_open", [NEW, NEW_FILE, 0o644]).after(tree),
    call("sys_open", [TREE, (O_TMPFILE | O_RDWR) as u64, 0o644]).after(tree),
    // A directory that is made when it is asked for, a file of such, a link to one.
    call("sys_open", [LINK]).after(tree),
    call("sys_open", [GENERATED]).after(tree),
    call("sys_readlink", [MAGIC_LINK, ZEROES, 100]).after(tree),
    call("sys_getdents64", [3, ZEROES, 4096]).after(generated_directory),
    call("sys_read", [3, ZEROES, 4096]).after(generated),
    call("sys_open", [ENDLESS]).error(Errno::ENAMETOOLONG),
    call("sys_openat", [0, NEW, NEW_FILE, 0o644]).after(tree),
    call("sys_openat2", [0, TREE, ZEROES, 24]).after(tree),
    call("sys_creat", [NEW, 0o644]).after(tree),
    call("compat_sys_open", [TREE]).after(tree),
    call("compat_sys_openat", [0, TREE]).after(tree),
    // directory
    call("sys_getdents64", [3, ZEROES, 1000]).after(directory),
    call("sys_getdents", [3, ZEROES, 1000]).after(directory),
    call("compat_sys_getdents", [3, ZEROES, 1000]).after(directory),
    // names
    call("sys_mkdir", [NEW, 0o755]).after(tree),
    call("sys_mkdirat", [0, NEW, 0o755]).after(tree),
    call("sys_rmdir", [NEW]).after(made_directory),
    call("sys_unlink", [NEW]).after(opened),
    call("sys_unlinkat", [0, NEW]).after(opened),
    call("sys_rename", [NEW, OTHER]).after(opened),
    call("sys_renameat", [0, NEW, 0, OTHER]).after(opened),
    call("sys_renameat2", [0, NEW, 0, OTHER, 1]).after(opened),
    call("sys_link", [NEW, OTHER]).after(opened),
    call("sys_linkat", [0, NEW, 0, OTHER]).after(opened),
    call("sys_symlink", [PATH, NEW]).after(tree),
    call("sys_symlinkat", [TREE, 0, NEW]).after(tree),
    call("sys_mknod", [NEW, 0o10644]).after(tree),
    call("sys_mknodat", [0, NEW, 0o644]).after(tree),
    // attributes
    call("sys_chmod", [TREE, 0o755]).after(tree),
    call("sys_fchmod", [3, 0o755]).after(directory),
    call("sys_fchmodat", [0, TREE, 0o755]).after(tree),
    call("sys_fchmodat2", [0, TREE, 0o755]).after(tree),
    call("sys_chown", [TREE, 0, 0]).after(tree),
    call("sys_lchown", [TREE, 0, 0]).after(tree),
    call("sys_fchown", [3, 0, 0]).after(directory),
    call("sys_fchownat", [0, TREE, 0, 0]).after(tree),
    call("sys_chown16", [TREE, 0, 0]).after(tree),
    call("sys_lchown16", [TREE, 0, 0]).after(tree),
    call("sys_fchown16", [3, 0, 0]).after(directory),
    call("sys_utimensat", [0, TREE, ZEROES]).after(tree),
    call("sys_futimesat", [0, TREE, ZEROES]).after(tree),
    call("sys_utimes", [TREE, ZEROES]).after(tree),
    call("sys_utime", [TREE, ZEROES]).after(tree),
    call("sys_utimensat_time32", [0, TREE, ZEROES]).after(tree),
    call("sys_futimesat_time32", [0, TREE, ZEROES]).after(tree),
    call("sys_utimes_time32", [TREE, ZEROES]).after(tree),
    call("sys_utime32", [TREE, ZEROES]).after(tree),
    // statfs
    call("sys_statfs", [TREE, ZEROES]).after(tree),
    call("sys_fstatfs", [3, ZEROES]).after(directory),
    call("compat_sys_statfs", [TREE, ZEROES]).after(tree),
    call("compat_sys_fstatfs", [3, ZEROES]).after(directory),
    call("compat_sys_statfs64", [TREE, 84, ZEROES]).after(tree),
    call("compat_sys_fstatfs64", [3, 84, ZEROES]).after(directory),
    // space
    call("sys_fallocate", [3, 0, 0, 8]).after(opened),
    call("sys_fadvise64", [3, 0, 8, 0]).after(opened),
    call("sys_readahead", [3, 0, 8]).after(opened),
    call("sys_sync_file_range", [3, 0, 8, 0]).after(opened),
    call("sys_ia32_fallocate", [3, 0, 0, 0, 8, 0]).after(opened),
    call("sys_ia32_fadvise64", [3, 0, 0, 8, 0]).after(opened),
    call("sys_ia32_fadvise64_64", [3, 0, 0, 8, 0, 0]).after(opened),
    call("sys_ia32_readahead", [3, 0, 0, 8]).after(opened),
    call("sys_ia32_sync_file_range", [3, 0, 0, 8, 0, 0]).after(opened),
    // copy
    call("sys_sendfile64", [1, 3, 0, 100]).after(written),
    call("sys_copy_file_range", [3, 0, 4, 0, 100, 0]).after(written),
    call("compat_sys_sendfile", [1, 3, 0, 100]).after(written),
    // xattr
    call("sys_setxattr", [TREE, TREE]).after(tree).error(Errno::EOPNOTSUPP),
    call("sys_lsetxattr", [TREE, TREE]).after(tree).error(Errno::EOPNOTSUPP),
    call("sys_fsetxattr", [3, TREE]).after(directory).error(Errno::EOPNOTSUPP),
    call("sys_getxattr", [TREE, TREE]).after(tree).error(Errno::EOPNOTSUPP),
    call("sys_lgetxattr", [TREE, TREE]).after(tree).error(Errno::EOPNOTSUPP),
    call("sys_fgetxattr", [3, TREE]).after(directory).error(Errno::EOPNOTSUPP),
    call("sys_listxattr", [TREE]).after(tree),
    call("sys_llistxattr", [TREE]).after(tree),
    call("sys_flistxattr", [3]).after(directory),
    call("sys_removexattr", [TREE, TREE]).after(tree).error(Errno::EOPNOTSUPP),
    call("sys_lremovexattr", [TREE, TREE]).after(tree).error(Errno::EOPNOTSUPP),
    call("sys_fremovexattr", [3, TREE]).after(directory).error(Errno::EOPNOTSUPP),
    // size
    call("sys_truncate", [NEW, 5000]).after(opened),
    call("sys_ftruncate", [3, 5000]).after(opened),
    call("compat_sys_truncate", [NEW, 5000]).after(opened),
    call("compat_sys_ftruncate", [3, 5000]).after(opened),
    call("sys_ia32_truncate64", [NEW, 5000]).after(opened),
    call("sys_ia32_ftruncate64", [3, 5000]).after(opened),
    call("sys_fsync", [3]).after(opened),
    call("sys_fdatasync", [3]).after(opened),
    call("sys_syncfs", [3]).after(opened),
    call("sys_sync", []),
    // poll
    call("sys_poll", [ZEROES, 512, 0]),
    call("sys_ppoll", [ZEROES, 512, ZEROES]),
    call("sys_select", [3, ZEROES, OLD, 0, ZEROES]),
    call("sys_pselect6", [3, ZEROES, OLD, 0, ZEROES]),
    call("compat_sys_select", [3, ZEROES, OLD, 0, ZEROES]),
    call("compat_sys_old_select", [ZEROES]).error(Errno::EPERM),
    call("compat_sys_pselect6_time32", [3, ZEROES, OLD, 0, ZEROES]),
    call("compat_sys_pselect6_time64", [3, ZEROES, OLD, 0, ZEROES]),
    call("compat_sys_ppoll_time32", [ZEROES, 512, ZEROES]),
    call("compat_sys_ppoll_time64", [ZEROES, 512, ZEROES]),
];

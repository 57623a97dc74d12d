//! The calls that are counted, through libc's wrappers; all of this program's
//! `unsafe` is here. What only prepares something is std's.
//!
//! A call answers as libc's does: below zero if it failed, errno says why.

#![allow(unsafe_code, reason = "libc's functions, and the time-stamp counter")]

use std::arch::asm;
use std::ffi::{CStr, c_int, c_long, c_void};
use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::ptr::{self, null, null_mut};
use std::sync::atomic::AtomicU32;

pub(crate) const PAGE: usize = 4096;

/// What could not be done, and why.
pub(crate) struct Failure {
    what: &'static str,
    why: io::Error,
}

impl Failure {
    /// The call, as far as it has a name.
    pub(crate) fn what(&self) -> &'static str {
        self.what
    }

    /// Whether there is no such call.
    pub(crate) fn is_absent(&self) -> bool {
        self.why.raw_os_error() == Some(libc::ENOSYS)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

/// Names what failed.
pub(crate) trait Doing<T> {
    fn doing(self, what: &'static str) -> Result<T, Failure>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: &'static str) -> Result<T, Failure> {
        self.map_err(|why| Failure { what, why })
    }
}

/// A call's answer, checked.
pub(crate) fn check(what: &'static str, answer: c_long) -> Result<c_long, Failure> {
    if answer < 0 { Err(io::Error::last_os_error()).doing(what) } else { Ok(answer) }
}

/// The time-stamp counter, between two fences.
#[inline(always)]
pub(crate) fn ticks() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter.
    unsafe {
        asm!("lfence", "rdtsc", "lfence", out("eax") low, out("edx") high, options(nostack));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Ping-pongs are between two that share a CPU. Where that cannot be had there is
/// one CPU only.
pub(crate) fn stay_on_one_cpu() {
    // SAFETY: a set of CPUs is plain data; the call reads it.
    unsafe {
        let mut cpus: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(0, &mut cpus);
        libc::sched_setaffinity(0, size_of_val(&cpus), &raw const cpus);
    }
}

/// Defines functions that are one call of libc's.
macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*) => $call:expr;)*) => {$(
        $(#[$doc])*
        #[inline(always)]
        pub(crate) fn $name($($argument: $type),*) -> c_long {
            // SAFETY: pointers are those of references that live as long as the call,
            // with the lengths of what they point to.
            unsafe { c_long::from($call) }
        }
    )*};
}

calls! {
    getpid() => libc::syscall(libc::SYS_getpid);
    /// F_GETFL.
    flags_of(fd: RawFd) => libc::syscall(libc::SYS_fcntl, fd, libc::F_GETFL, 0);
    /// SIG_BLOCK of nothing.
    sigprocmask(mask: &u64) =>
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK, mask, 0, 8);
    dup(fd: RawFd) => libc::dup(fd);
    close(fd: RawFd) => libc::close(fd);
    read(fd: RawFd, bytes: &mut [u8]) => libc::read(fd, bytes.as_mut_ptr().cast(), bytes.len()) as c_long;
    write(fd: RawFd, bytes: &[u8]) => libc::write(fd, bytes.as_ptr().cast(), bytes.len()) as c_long;
    pread(fd: RawFd, bytes: &mut [u8], at: i64) =>
        libc::pread(fd, bytes.as_mut_ptr().cast(), bytes.len(), at) as c_long;
    pwrite(fd: RawFd, bytes: &[u8], at: i64) =>
        libc::pwrite(fd, bytes.as_ptr().cast(), bytes.len(), at) as c_long;
    open(path: &CStr, flags: c_int) => libc::open(path.as_ptr(), flags, 0o644);
    stat(path: &CStr, into: &mut Stat) => libc::stat(path.as_ptr(), &raw mut into.0);
    /// The call itself: musl's function asks by another, and converts.
    fstat(fd: RawFd, into: &mut Stat) => libc::syscall(libc::SYS_fstat, fd, &raw mut into.0);
    unlink(path: &CStr) => libc::unlink(path.as_ptr());
    eventfd() => libc::eventfd(0, 0);
    poll(one: &mut libc::pollfd) => libc::poll(one, 1, 0);
    epoll_create() => libc::epoll_create1(0);
    /// EPOLL_CTL_ADD.
    epoll_add(epoll: RawFd, fd: RawFd, event: &mut libc::epoll_event) =>
        libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, event);
    epoll_wait(epoll: RawFd, event: &mut libc::epoll_event) => libc::epoll_wait(epoll, event, 1, 0);
    futex_wait(word: &AtomicU32, value: u32) =>
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG, value, 0, 0, 0);
    /// As the kernel wakes whoever waits for a thread's end.
    futex_wait_shared(word: &AtomicU32, value: u32) =>
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, value, 0, 0, 0);
    futex_wake(word: &AtomicU32) =>
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1, 0, 0, 0);
    tgkill(process: c_long, thread: c_long, signal: c_int) =>
        libc::syscall(libc::SYS_tgkill, process, thread, signal);
    kill(process: c_long, signal: c_int) => libc::kill(process as libc::pid_t, signal);
    wait_for(process: c_long) => libc::waitpid(process as libc::pid_t, null_mut(), 0);
}

/// What a C program's hello does, a question about standard output included.
pub(crate) fn hello() {
    // SAFETY: a string.
    unsafe { libc::puts(c"hello".as_ptr()) };
}

/// getpid by the door's instruction, with nothing of a library's.
macro_rules! null_call {
    ($name:ident, $door:literal, $number:literal) => {
        #[inline(always)]
        pub(crate) fn $name() -> c_long {
            let answer;
            // SAFETY: the call touches no memory. What a door clobbers is named.
            unsafe {
                asm!(concat!("mov eax, ", $number), $door, out("rax") answer, lateout("rcx") _,
                     lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
                     options(nostack));
            }
            answer
        }
    };
}

null_call!(null_syscall, "syscall", 39);
null_call!(null_int80, "int 0x80", 20);
// What stands around the door's instruction.
null_call!(null_nothing, "", 39);

/// stat(2)'s structure.
pub(crate) struct Stat(libc::stat);

impl Stat {
    pub(crate) fn new() -> Self {
        // SAFETY: plain numbers.
        Self(unsafe { std::mem::zeroed() })
    }
}

/// A handler that does nothing, for SIGUSR1.
pub(crate) fn handle_usr1() -> c_long {
    extern "C" fn nothing(_: c_int) {}
    let handler: extern "C" fn(c_int) = nothing;
    // SAFETY: the handler touches nothing.
    let before = unsafe { libc::signal(libc::SIGUSR1, handler as libc::sighandler_t) };
    if before == libc::SIG_ERR { -1 } else { 0 }
}

/// Some memory that was mapped. Not unmapped by itself.
#[derive(Clone, Copy)]
pub(crate) struct Area {
    start: *mut u8,
    pages: usize,
}

pub(crate) const READ: c_int = libc::PROT_READ;
pub(crate) const READ_WRITE: c_int = libc::PROT_READ | libc::PROT_WRITE;

impl Area {
    /// mmap(2), private: of a file, or of nothing if there is none. A failed one is
    /// an address of -1.
    #[inline(always)]
    pub(crate) fn map_unchecked(pages: usize, access: c_int, file: Option<RawFd>) -> Area {
        let anonymous = if file.is_none() { libc::MAP_ANONYMOUS } else { 0 };
        let (flags, file) = (libc::MAP_PRIVATE | anonymous, file.unwrap_or(-1));
        // SAFETY: it is new memory.
        let start = unsafe { libc::mmap(null_mut(), pages * PAGE, access, flags, file, 0) };
        Area { start: start.cast(), pages }
    }

    /// The same, checked; and never of large pages.
    pub(crate) fn map(pages: usize, access: c_int, file: Option<RawFd>) -> Result<Area, Failure> {
        let area = Self::map_unchecked(pages, access, file);
        check("mmap", if area.start as isize == -1 { -1 } else { 0 })?;
        // SAFETY: advice about our own memory. Who has no large pages may refuse it.
        unsafe { libc::madvise(area.start.cast(), pages * PAGE, libc::MADV_NOHUGEPAGE) };
        Ok(area)
    }

    /// Its pages from one on, so many.
    pub(crate) fn part(self, first: usize, pages: usize) -> Area {
        assert!(first + pages <= self.pages);
        Area { start: self.start.wrapping_add(first * PAGE), pages }
    }

    #[inline(always)]
    pub(crate) fn unmap(self) -> c_long {
        // SAFETY: nobody refers to it but by this value, which is gone.
        unsafe { libc::munmap(self.start.cast(), self.pages * PAGE).into() }
    }

    #[inline(always)]
    pub(crate) fn protect(self, access: c_int) -> c_long {
        // SAFETY: nobody refers to it but by this value.
        unsafe { libc::mprotect(self.start.cast(), self.pages * PAGE, access).into() }
    }

    /// Writes a byte into each page.
    #[inline(never)]
    pub(crate) fn write_each(&self) {
        for page in 0..self.pages {
            // SAFETY: within what was mapped, with access.
            unsafe { self.start.add(page * PAGE).write_volatile(1) };
        }
    }

    /// Reads a byte of each page.
    #[inline(never)]
    pub(crate) fn read_each(&self) {
        for page in 0..self.pages {
            // SAFETY: within what was mapped, with access.
            unsafe { self.start.add(page * PAGE).read_volatile() };
        }
    }
}

/// fork(2), with what the child does before it ends.
#[inline(always)]
pub(crate) fn fork(child: impl FnOnce()) -> c_long {
    // SAFETY: this program has no thread of std's, so that all is as it was.
    let process = unsafe { libc::fork() };
    if process == 0 {
        child();
        // SAFETY: ends the process.
        unsafe { libc::_exit(0) };
    }
    process.into()
}

/// A stack for a thread, or for a child that shares our memory.
pub(crate) struct Stack(Box<[u128; 4096]>);

impl Stack {
    pub(crate) fn new() -> Self {
        Self(Box::new([0; 4096]))
    }
}

const THREAD: c_int = libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SYSVSEM
    | libc::CLONE_CHILD_CLEARTID;

/// A thread as libc makes one, without the library's book-keeping (whose clone(3)
/// refuses these flags): it may make plain calls only. When it has ended, `running`
/// is 0 and its waiter is woken.
#[inline(always)]
pub(crate) fn thread<T>(
    stack: &mut Stack,
    running: &AtomicU32,
    body: extern "C" fn(&'static T) -> c_int,
    argument: &'static T,
) -> c_long {
    let mut answer = libc::SYS_clone;
    // SAFETY: the stack is the thread's alone for as long as it runs: callers wait for
    // its end, or never give it away. There it finds its body and its argument; it
    // never comes to what stands behind.
    unsafe {
        let top = stack.0.as_mut_ptr_range().end.cast::<usize>().sub(2);
        top.write(body as usize);
        top.add(1).write(ptr::from_ref(argument) as usize);
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "pop rax",
            "pop rdi",
            "call rax",
            "mov edi, eax",
            "mov eax, {exit}",
            "syscall",
            "ud2",
            "2:",
            exit = const libc::SYS_exit,
            inlateout("rax") answer,
            in("rdi") THREAD, in("rsi") top, in("rdx") 0, in("r10") running.as_ptr(), in("r8") 0,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    if answer < 0 {
        // SAFETY: errno is this thread's, or nobody's who looks at it.
        unsafe { *libc::__errno_location() = -answer as c_int };
        return -1;
    }
    answer
}

/// vfork(2) and execve(2) of a program with one argument, on a stack of the child's
/// own: Rust must not return twice.
#[inline(always)]
pub(crate) fn spawn(stack: &mut Stack, words: &[*const libc::c_char; 3]) -> c_long {
    extern "C" fn execute(words: *mut c_void) -> c_int {
        let (words, nothing) = (words.cast::<*const libc::c_char>(), [null()]);
        // SAFETY: `spawn` was given two strings and a null.
        unsafe { libc::execve(*words, words, nothing.as_ptr()) };
        1
    }
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the child has memory and stack for itself until it executes.
    unsafe {
        let end = stack.0.as_mut_ptr_range().end.cast();
        libc::clone(execute, end, flags, words.as_ptr().cast_mut().cast()).into()
    }
}

//! User memory that is not what a call needs: at the end of a page, across
//! it, without access, read-only, in the kernel's half, beyond the end,
//! wrapping around.
#![no_std]
#![no_main]

use trapgate_programs::{
    KERNEL_HALF, MINUS_ONE, NON_CANONICAL, PAGE, Pages, Report, USER_END, call, poke, poke_u64,
};
use trapgate_rt::{Args, STDIN, STDOUT, println};
use trapgate_uapi::Errno;
use trapgate_uapi::syscall::nr64;

trapgate_rt::entry!(main);

const PROT_NONE: u64 = 0;
const PROT_READ: u64 = 1;
const PROT_READ_WRITE: u64 = 3;
const MAP_PRIVATE_ANONYMOUS: u64 = 0x22;
/// Where a program of this size has nothing.
const LOW: u64 = 0x10_0000_0000;
const CLOCK_MONOTONIC: u64 = 1;
const SIG_BLOCK: u64 = 0;
const SIGUSR1: u64 = 10;
const MASK_SIZE: u64 = 8;
const RLIMIT_STACK: u64 = 3;
const PR_SET_NAME: u64 = 15;
const PR_GET_NAME: u64 = 16;
const FUTEX_WAIT_PRIVATE: u64 = 128;
const ARCH_GET_FS: u64 = 0x1003;

/// A call that takes one pointer: where it stands among the arguments, and
/// how many bytes it points at.
struct Call {
    name: &'static str,
    number: u32,
    arguments: &'static [u64],
    pointer: usize,
    size: u64,
    optional: bool,
}

const fn row(
    name: &'static str,
    number: u32,
    arguments: &'static [u64],
    pointer: usize,
    size: u64,
    optional: bool,
) -> Call {
    Call { name, number, arguments, pointer, size, optional }
}

/// Calls that write to user memory.
const OUTPUT: [Call; 18] = [
    row("clock_gettime", nr64::CLOCK_GETTIME, &[CLOCK_MONOTONIC, 0], 1, 16, false),
    row("clock_getres", nr64::CLOCK_GETRES, &[CLOCK_MONOTONIC, 0], 1, 16, true),
    row("gettimeofday", nr64::GETTIMEOFDAY, &[0, 0], 0, 16, true),
    row("gettimeofday, zone", nr64::GETTIMEOFDAY, &[0, 0], 1, 8, true),
    row("times", nr64::TIMES, &[0], 0, 32, true),
    row("uname", nr64::UNAME, &[0], 0, 390, false),
    row("sysinfo", nr64::SYSINFO, &[0], 0, 112, false),
    row("getrusage", nr64::GETRUSAGE, &[0, 0], 1, 144, false),
    row("getrlimit", nr64::GETRLIMIT, &[RLIMIT_STACK, 0], 1, 16, false),
    row("prlimit64, old", nr64::PRLIMIT64, &[0, RLIMIT_STACK, 0, 0], 3, 16, true),
    row("getcpu", nr64::GETCPU, &[0, 0, 0], 0, 4, true),
    row("fstat", nr64::FSTAT, &[STDIN as u64, 0], 1, 144, false),
    row("rt_sigprocmask, old", nr64::RT_SIGPROCMASK, &[0, 0, 0, MASK_SIZE], 2, 8, true),
    row("rt_sigaction, old", nr64::RT_SIGACTION, &[SIGUSR1, 0, 0, MASK_SIZE], 2, 32, true),
    row("rt_sigpending", nr64::RT_SIGPENDING, &[0, MASK_SIZE], 0, 8, false),
    row("sigaltstack, old", nr64::SIGALTSTACK, &[0, 0], 1, 24, true),
    row("prctl, name", nr64::PRCTL, &[PR_GET_NAME, 0], 1, 16, false),
    row("arch_prctl, FS", nr64::ARCH_PRCTL, &[ARCH_GET_FS, 0], 1, 8, false),
];

/// Calls that read user memory, which holds zeroes.
const INPUT: [Call; 7] = [
    row("nanosleep", nr64::NANOSLEEP, &[0, 0], 0, 16, false),
    row("rt_sigprocmask, new", nr64::RT_SIGPROCMASK, &[SIG_BLOCK, 0, 0, MASK_SIZE], 1, 8, true),
    row("rt_sigaction, new", nr64::RT_SIGACTION, &[SIGUSR1, 0, 0, MASK_SIZE], 1, 32, true),
    row("writev of nothing", nr64::WRITEV, &[STDOUT as u64, 0, 1], 1, 16, false),
    row("readv of nothing", nr64::READV, &[STDIN as u64, 0, 1], 1, 16, false),
    row("clock_nanosleep", nr64::CLOCK_NANOSLEEP, &[CLOCK_MONOTONIC, 0, 0, 0], 2, 16, false),
    row("futex, another value", nr64::FUTEX, &[0, FUTEX_WAIT_PRIVATE, 1, 0, 0, 0], 0, 4, false),
];

/// Seven pages: usable, hole, usable, no access, usable, read-only, hole.
struct Arena {
    pages: Pages,
}

impl Arena {
    const BEFORE_HOLE: u64 = 0;
    const HOLE: u64 = 1;
    const BEFORE_NO_ACCESS: u64 = 2;
    const BEFORE_READ_ONLY: u64 = 4;
    const READ_ONLY: u64 = 5;

    fn new() -> Result<Arena, Errno> {
        let pages = Pages::map(7)?;
        pages.remove(1)?;
        pages.protect(3, PROT_NONE)?;
        pages.protect(5, PROT_READ)?;
        pages.remove(6)?;
        Ok(Arena { pages })
    }

    fn page(&self, index: u64) -> u64 {
        self.pages.page(index)
    }

    /// So many bytes before the end of a page.
    fn before_end(&self, index: u64, bytes: u64) -> u64 {
        self.page(index) + PAGE - bytes
    }
}

fn main(_: Args) -> i32 {
    let mut report = Report::new();
    match Arena::new() {
        Ok(arena) => {
            calls(&mut report, &arena);
            buffers(&mut report, &arena);
            partial(&mut report, &arena);
            strings(&mut report, &arena);
            names(&mut report, &arena);
            vectors(&mut report, &arena);
        }
        Err(error) => report.failed(format_args!("no pages: {}", error.name())),
    }
    report.status()
}

/// Makes the call with its pointer at `address`.
fn at(row: &Call, address: u64) -> Result<u64, Errno> {
    let mut arguments = [0; 6];
    arguments[..row.arguments.len()].copy_from_slice(row.arguments);
    arguments[row.pointer] = address;
    call(row.number, &arguments)
}

/// Every call with its pointer at every kind of place.
fn calls(report: &mut Report, arena: &Arena) {
    for (rows, output) in [(&OUTPUT[..], true), (&INPUT[..], false)] {
        for row in rows {
            let end = arena.before_end(Arena::BEFORE_HOLE, row.size);
            let next_has_no_access = arena.before_end(Arena::BEFORE_NO_ACCESS, row.size - 1);
            let next_is_read_only = arena.before_end(Arena::BEFORE_READ_ONLY, row.size - 1);
            // With read-only memory, input is content, and output is not.
            let places = [
                ("at a page's end", end, true),
                ("one byte across it", end + 1, false),
                ("across it by all but one byte", end + row.size - 1, false),
                ("in the hole", arena.page(Arena::HOLE), false),
                ("across into no access", next_has_no_access, false),
                ("without access", arena.page(3), false),
                ("across into read-only", next_is_read_only, !output),
                ("read-only", arena.page(Arena::READ_ONLY), !output),
                ("at 0", 0, row.optional),
                ("at 1", 1, false),
                ("in the kernel's half", KERNEL_HALF, false),
                ("at the user's end", USER_END, false),
                ("across the user's end", USER_END - 1, false),
                ("in neither half", NON_CANONICAL, false),
                ("at the half's end", 1 << 47, false),
                ("at the top", MINUS_ONE - row.size + 1, false),
                ("wrapping around", MINUS_ONE, false),
            ];
            for (place, address, good) in places {
                // The last byte below the user's end may be the stack.
                if address == USER_END - 1 && row.size == 1 {
                    continue;
                }
                // An unaligned futex is another mistake.
                if row.number == nr64::FUTEX && address % 4 != 0 {
                    continue;
                }
                if !output {
                    // Input is zeroes, whatever an earlier call has written.
                    for page in
                        [Arena::BEFORE_HOLE, Arena::BEFORE_NO_ACCESS, Arena::BEFORE_READ_ONLY]
                    {
                        arena.pages.fill(page, 0);
                    }
                }
                check(report, row, place, at(row, address), good);
            }
        }
    }
}

fn check(report: &mut Report, row: &Call, place: &str, got: Result<u64, Errno>, good: bool) {
    let as_expected = match got {
        // The futex's value is another one.
        Err(Errno::EAGAIN) => good && row.number == nr64::FUTEX,
        Ok(_) => good,
        Err(error) => !good && error == Errno::EFAULT,
    };
    let outcome = match got {
        Ok(_) => "succeeds",
        Err(error) => error.name(),
    };
    println!("{} {place}: {outcome}", row.name);
    if !as_expected {
        report.failed(format_args!("{} {place}", row.name));
    }
}

/// Buffers of read and write that no file ever sees.
fn buffers(report: &mut Report, arena: &Arena) {
    let good = arena.page(Arena::BEFORE_HOLE);
    // Far below the user's end, with a hole behind it.
    let low = call(nr64::MMAP, &[LOW, PAGE, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, MINUS_ONE, 0]);
    report.is("a page in low memory", low, LOW);
    for offset in 0..PAGE {
        poke(LOW + offset, b'.');
    }
    for (name, number, fd) in
        [("write", nr64::WRITE, STDOUT as u64), ("read", nr64::READ, STDIN as u64)]
    {
        let cases = [
            ("from the kernel's half", KERNEL_HALF, 1),
            ("of nothing in the kernel's half", KERNEL_HALF, 0),
            ("up to the top", MINUS_ONE, 1),
            ("wrapping around", good, MINUS_ONE),
            ("wrapping around from low memory", LOW, MINUS_ONE),
            ("wrapping around but for a page", good, MINUS_ONE - PAGE),
            ("into the kernel's half", USER_END - 8, 1 << 63),
        ];
        for (what, address, length) in cases {
            println!("{name} {what}");
            report.fails(name, call(number, &[fd, address, length]), Errno::EFAULT);
        }
        println!("{name} of nothing in a hole");
        report.is(name, call(number, &[fd, arena.page(Arena::HOLE), 0]), 0);
    }
}

/// A buffer whose second page is missing: what is there counts.
fn partial(report: &mut Report, arena: &Arena) {
    // In blocks of 64 bytes, as Linux fills it.
    let start = arena.before_end(Arena::BEFORE_HOLE, 64);
    report.is("getrandom across into a hole", call(nr64::GETRANDOM, &[start, 128, 0]), 64);
    // What a pipe and a regular file agree on is a whole page.
    let stat = arena.page(Arena::BEFORE_NO_ACCESS);
    report.is("fstat", call(nr64::FSTAT, &[STDOUT as u64, stat]), 0);
    let file_type = trapgate_programs::peek_u64(stat + 24) & 0o170_000;
    if file_type == 0o010_000 || file_type == 0o100_000 {
        arena.pages.fill(Arena::BEFORE_HOLE, b'.');
        poke(arena.before_end(Arena::BEFORE_HOLE, 1), b'\n');
        let start = arena.page(Arena::BEFORE_HOLE);
        let written = call(nr64::WRITE, &[STDOUT as u64, start, 2 * PAGE]);
        report.is("write across into a hole", written, PAGE);
        arena.pages.fill(Arena::BEFORE_HOLE, 0);
    }
}

/// Paths: their end, or what is missing of it.
fn strings(report: &mut Report, arena: &Arena) {
    let open = |address| call(nr64::OPEN, &[address, 0]);
    let page = arena.page(Arena::BEFORE_HOLE);
    // "/x/x/x...": no component too long, none there.
    for offset in 0..PAGE {
        poke(page + offset, if offset % 2 == 0 { b'/' } else { b'x' });
    }
    report.fails("path of a page without its end", open(page), Errno::ENAMETOOLONG);
    report.fails("path without its end, then a hole", open(page + 2), Errno::EFAULT);
    report.fails("path of one byte, then a hole", open(page + PAGE - 1), Errno::EFAULT);
    poke(page + PAGE - 1, 0);
    report.fails("longest path, up to the hole", open(page), Errno::ENOENT);
    report.fails("path that ends with the page", open(page + PAGE - 8), Errno::ENOENT);
    report.fails("empty path at the page's end", open(page + PAGE - 1), Errno::ENOENT);
    report.fails("path at 0", open(0), Errno::EFAULT);
    report.fails("path without access", open(arena.page(3)), Errno::EFAULT);
    report.fails("path in the kernel's half", open(KERNEL_HALF), Errno::EFAULT);
    report.fails("path in neither half", open(NON_CANONICAL), Errno::EFAULT);
    report.fails("path at the user's end", open(USER_END), Errno::EFAULT);
    report.fails("path at the top", open(MINUS_ONE), Errno::EFAULT);
    arena.pages.fill(Arena::BEFORE_HOLE, 0);
}

/// The name of a task: 15 bytes at most are read, and the rest does not matter.
fn names(report: &mut Report, arena: &Arena) {
    let end = arena.page(Arena::HOLE);
    for offset in 1..=15 {
        poke(end - offset, b'n');
    }
    let set = |address| call(nr64::PRCTL, &[PR_SET_NAME, address]);
    report.fails("name of 14 bytes, then a hole", set(end - 14), Errno::EFAULT);
    report.is("name of 15 bytes, then a hole", set(end - 15), 0);
    report.fails("name in a hole", set(end), Errno::EFAULT);
    arena.pages.fill(Arena::BEFORE_HOLE, 0);
}

/// Arrays of buffers.
fn vectors(report: &mut Report, arena: &Arena) {
    let page = arena.page(Arena::BEFORE_HOLE);
    let end = arena.page(Arena::HOLE);
    let writev = |array, count| call(nr64::WRITEV, &[STDOUT as u64, array, count]);
    let readv = |array, count| call(nr64::READV, &[STDIN as u64, array, count]);
    report.fails("writev of 1025", writev(page, 1025), Errno::EINVAL);
    report.fails("readv of 1025", readv(page, 1025), Errno::EINVAL);
    report.fails("writev of many", writev(page, MINUS_ONE), Errno::EINVAL);
    report.is("writev of none from a hole", writev(end, 0), 0);
    report.is("writev of two empty ones up to the hole", writev(end - 32, 2), 0);
    report.fails("writev of two, the second in a hole", writev(end - 16, 2), Errno::EFAULT);
    poke_u64(page, page);
    poke_u64(page + 8, MINUS_ONE);
    report.fails("writev of a negative length", writev(page, 1), Errno::EINVAL);
    poke_u64(page, KERNEL_HALF);
    poke_u64(page + 8, 0);
    report.fails("writev of nothing in the kernel's half", writev(page, 1), Errno::EFAULT);
    poke_u64(page + 8, 1);
    report.fails("readv into the kernel's half", readv(page, 1), Errno::EFAULT);
}

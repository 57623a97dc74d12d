//! Uses all memory up, then the kernel's own, and makes the calls for which the
//! kernel needs some, with the largest arguments they take. Each works, or is
//! ENOMEM. Then it gives the memory back, and all work. For the sandbox only:
//! natively it would take the machine's memory.
#![no_std]
#![no_main]

use trapgate_programs::{Outcome, PAGE, Report, address, call, call_i386, map_at, poke, poke_u64};
use trapgate_rt::{Args, println};
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::F_DUPFD;
use trapgate_uapi::mman::{
    MAP_ANONYMOUS, MAP_NORESERVE, MAP_PRIVATE, MREMAP_MAYMOVE, PROT_READ, PROT_WRITE,
};
use trapgate_uapi::prctl::PR_SET_NAME;
use trapgate_uapi::resource::RLIM_NLIMITS;
use trapgate_uapi::signal::{NSIG, SIGSET_SIZE};
use trapgate_uapi::syscall::{nr32, nr64};
use trapgate_uapi::sysinfo::Sysinfo;
use trapgate_uapi::uio::UIO_MAXIOV;

trapgate_rt::entry!(main);

/// Where a buffer lies, which holds zeroes, below 4 GiB.
const ZEROES: u64 = 0x1000_0000;
/// Its pages: more than the largest argument.
const ZEROES_PAGES: u64 = 16;
/// Where a string without an end lies.
const ENDLESS: u64 = 0x1100_0000;
/// Its pages: more than a path may be long.
const ENDLESS_PAGES: u64 = 3;
/// Where a limit lies.
const LIMITS: u64 = ENDLESS + ENDLESS_PAGES * PAGE;
/// A path of the greatest length.
const PATH: u64 = ENDLESS + (ENDLESS_PAGES - 1) * PAGE;
/// Where memory to use up begins.
const ALL: u64 = 0x2000_0000;
/// Bytes of that, never all there.
const ALL_SIZE: u64 = 1 << 30;
/// Where the mappings come to lie that use the kernel's memory up.
const MAPPINGS: u64 = 0x10_0000_0000;
/// Pages that a program cannot have: less than what is left for the kernel.
const SPARE: u64 = 17;

fn main(_: Args) -> i32 {
    let mut report = Report::new();
    map_at(ZEROES, ZEROES_PAGES);
    (0..ZEROES_PAGES).for_each(|page| poke(ZEROES + page * PAGE, 0));
    map_at(ENDLESS, ENDLESS_PAGES + 1);
    poke(LIMITS, 0);
    (0..ENDLESS_PAGES * PAGE).for_each(|at| poke(ENDLESS + at, b'x'));
    poke(PATH + PAGE - 1, 0);

    use_frames_up();
    let mappings = use_kernel_up(&mut report);
    calls(&mut report, "without memory", true);
    report.works("munmap", call(nr64::MUNMAP, &[ALL, ALL_SIZE]));
    (0..mappings).for_each(|number| {
        let _ = call(nr64::MUNMAP, &[MAPPINGS + number * PAGE, PAGE]);
    });
    calls(&mut report, "with memory again", false);
    report.status()
}

/// Touches page by page, until only those are left that it must not have.
fn use_frames_up() {
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    let arguments = [ALL, ALL_SIZE, PROT_READ | PROT_WRITE, flags, u64::MAX, 0];
    assert_eq!(call(nr64::MMAP, &arguments), Ok(ALL));
    let mut info = Sysinfo::default();
    for page in 0.. {
        let _ = call(nr64::SYSINFO, &[address(&mut info)]);
        if info.freeram <= SPARE * PAGE {
            break;
        }
        poke_u64(ALL + page * PAGE, 1);
    }
}

/// Makes mappings that cannot be joined, until there is no memory for one more.
/// Answers how many there are.
fn use_kernel_up(report: &mut Report) -> u64 {
    let flags = MAP_PRIVATE | MAP_ANONYMOUS;
    let map = |number: u64| {
        let prot = if number.is_multiple_of(2) { PROT_READ } else { PROT_READ | PROT_WRITE };
        call(nr64::MMAP, &[MAPPINGS + number * PAGE, PAGE, prot, flags, u64::MAX, 0])
    };
    let mut number = 0;
    let error = loop {
        match map(number) {
            Ok(_) => number += 1,
            Err(error) => break error,
        }
    };
    report.fails("one mapping more", Err(error), Errno::ENOMEM);
    number
}

/// Counts what calls answer.
struct Answers<'a> {
    report: &'a mut Report,
    may_lack: bool,
    lacked: bool,
}

impl Answers<'_> {
    /// The call answers as it would with memory, or it may lack some.
    fn check(&mut self, what: &str, got: Result<u64, Errno>, is_answer: bool) {
        if got == Err(Errno::ENOMEM) && self.may_lack {
            self.lacked = true;
        } else if !is_answer {
            self.report.failed(format_args!("{what}: {}", Outcome(got)));
        }
    }

    fn works(&mut self, what: &str, got: Result<u64, Errno>) {
        self.check(what, got, got.is_ok());
    }
}

/// Makes the calls, and undoes what they did.
fn calls(report: &mut Report, when: &str, may_lack: bool) {
    let mut answers = Answers { report, may_lack, lacked: false };
    signals(&mut answers);
    limits(&mut answers);
    strings(&mut answers);
    descriptors(&mut answers);
    vectors(&mut answers);
    mappings(&mut answers);
    let Answers { lacked, .. } = answers;
    report.holds(when, lacked == may_lack);
}

fn signals(answers: &mut Answers) {
    for signal in (1..=NSIG as u64).filter(|signal| ![9, 19].contains(signal)) {
        let set = call(nr64::RT_SIGACTION, &[signal, ZEROES, 0, SIGSET_SIZE]);
        answers.works("rt_sigaction", set);
        answers.works("signal", call_i386(nr32::SIGNAL, &[signal, 0]));
    }
}

fn limits(answers: &mut Answers) {
    for resource in 0..u64::from(RLIM_NLIMITS) {
        let old = LIMITS;
        let _ = call(nr64::PRLIMIT64, &[0, resource, 0, old]);
        answers.works("prlimit64", call(nr64::PRLIMIT64, &[0, resource, old, 0]));
    }
}

fn strings(answers: &mut Answers) {
    answers.works("prctl", call(nr64::PRCTL, &[PR_SET_NAME as u64, ENDLESS]));
    // AT_FDCWD
    let at = -100i64 as u64;
    let calls: [(&str, u32, &[u64]); 8] = [
        ("open", nr64::OPEN, &[PATH]),
        ("openat", nr64::OPENAT, &[at, PATH]),
        ("stat", nr64::STAT, &[PATH]),
        ("newfstatat", nr64::NEWFSTATAT, &[at, PATH, ZEROES]),
        ("access", nr64::ACCESS, &[PATH]),
        ("readlink", nr64::READLINK, &[PATH, ZEROES, 1]),
        ("chdir", nr64::CHDIR, &[PATH]),
        ("faccessat", nr64::FACCESSAT, &[at, PATH]),
    ];
    for (name, number, arguments) in calls {
        let got = call(number, arguments);
        answers.check(name, got, matches!(got, Err(Errno::ENOENT | Errno::ENAMETOOLONG)));
    }
    let got = call(nr64::OPEN, &[ENDLESS]);
    answers.check("open without an end", got, got == Err(Errno::ENAMETOOLONG));
}

fn descriptors(answers: &mut Answers) {
    for new in [3, 63, 500, 1023] {
        answers.works("dup2", call(nr64::DUP2, &[1, new]));
        let _ = call(nr64::CLOSE, &[new]);
        let got = call(nr64::FCNTL, &[1, F_DUPFD.into(), new]);
        answers.works("fcntl", got);
        let _ = call(nr64::CLOSE, &[new]);
    }
}

fn vectors(answers: &mut Answers) {
    let none = [1, ZEROES, UIO_MAXIOV];
    answers.works("writev", call(nr64::WRITEV, &none));
    answers.works("writev", call_i386(nr32::WRITEV, &none));
    // Zeroes are descriptor 0, asked for nothing.
    answers.works("poll", call(nr64::POLL, &[ZEROES, 1024, 0]));
    for length in [8, 16, ZEROES_PAGES * PAGE] {
        answers.works("getrandom", call(nr64::GETRANDOM, &[ZEROES, length, 0]));
    }
    (0..ZEROES_PAGES * PAGE).for_each(|at| poke(ZEROES + at, 0));
}

fn mappings(answers: &mut Answers) {
    let flags = MAP_PRIVATE | MAP_ANONYMOUS;
    let place = MAPPINGS - 64 * PAGE;
    let prot = PROT_READ | PROT_WRITE;
    let mapped = call(nr64::MMAP, &[place, 9 * PAGE, prot, flags, u64::MAX, 0]);
    answers.works("mmap", mapped);
    if mapped.is_ok() {
        for page in [2, 5] {
            let at = place + page * PAGE;
            answers.works("mprotect", call(nr64::MPROTECT, &[at, PAGE, PROT_READ]));
        }
        let grown = call(nr64::MREMAP, &[place + 8 * PAGE, PAGE, 4 * PAGE, MREMAP_MAYMOVE]);
        answers.works("mremap", grown);
        answers.works("munmap", call(nr64::MUNMAP, &[place, 16 * PAGE]));
    }
    let brk = call(nr64::BRK, &[0]).unwrap_or(0);
    answers.works("brk", call(nr64::BRK, &[brk + 4 * PAGE]));
    answers.works("brk", call(nr64::BRK, &[brk]));
    println!("memory calls were made");
}

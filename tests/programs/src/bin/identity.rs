//! Who the program is, its clocks, its signals' book-keeping: what the calls
//! of `process`, `time`, `signal` and `system` answer, and what they refuse.
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "reads through FS and GS")]

use core::arch::asm;
use trapgate_programs::{
    MINUS_ONE, NON_CANONICAL, PAGE, Pages, Report, USER_END, address, call, peek, peek_u64, poke,
    poke_u64,
};
use trapgate_rt::{Args, println};
use trapgate_uapi::Errno;
use trapgate_uapi::syscall::nr64;

trapgate_rt::entry!(main);

/// No process has it: Linux's numbers end at 2^22.
const NO_PID: u64 = 0x7fff_fff0;
const CLOCK_REALTIME: u64 = 0;
const CLOCK_MONOTONIC: u64 = 1;
const MASK_SIZE: u64 = 8;

fn main(_: Args) -> i32 {
    let mut report = Report::new();
    match Pages::map(1) {
        Ok(pages) => {
            // One page for whatever calls read and write.
            let at = pages.page(0);
            let steps: [fn(&mut Report, u64); 11] = [
                numbers,
                name,
                segment_bases,
                limits,
                randomness,
                machine,
                clocks,
                sleeping,
                actions,
                masks,
                futexes,
            ];
            for step in steps {
                pages.fill(0, 0);
                step(&mut report, at);
            }
        }
        Err(error) => report.failed(format_args!("no page: {}", error.name())),
    }
    report.status()
}

fn numbers(report: &mut Report, at: u64) {
    let pid = report.works("getpid", call(nr64::GETPID, &[]));
    report.holds("getpid is positive", pid > 0);
    report.holds("getpid answers the same again", call(nr64::GETPID, &[]) == Ok(pid));
    report.holds("the first task has the process's number", call(nr64::GETTID, &[]) == Ok(pid));
    report.holds("set_tid_address answers it", call(nr64::SET_TID_ADDRESS, &[0]) == Ok(pid));
    report.works("getppid", call(nr64::GETPPID, &[]));
    let group = report.works("getpgrp", call(nr64::GETPGRP, &[]));
    report.holds("getpgid of 0 answers the same", call(nr64::GETPGID, &[0]) == Ok(group));
    report.holds("getpgid of itself answers the same", call(nr64::GETPGID, &[pid]) == Ok(group));
    report.fails("getpgid of nobody", call(nr64::GETPGID, &[NO_PID]), Errno::ESRCH);
    report.works("getsid", call(nr64::GETSID, &[0]));
    report.fails("getsid of nobody", call(nr64::GETSID, &[NO_PID]), Errno::ESRCH);
    report.is("getresuid", call(nr64::GETRESUID, &[at, at + 4, at + 8]), 0);
    let user = call(nr64::GETUID, &[]).unwrap_or(MINUS_ONE) as u32;
    report.holds("getuid answers the first of them", peek_u64(at) as u32 == user);
    report.fails("getresuid at 0", call(nr64::GETRESUID, &[0, at, at]), Errno::EFAULT);
    report.fails("getgroups of -1", call(nr64::GETGROUPS, &[MINUS_ONE, at]), Errno::EINVAL);
    let old = call(nr64::UMASK, &[0o7027]);
    report.holds("umask succeeds", old.is_ok());
    report.is("umask answers what was set, permissions only", call(nr64::UMASK, &[0o022]), 0o027);
    report.is("kill of itself by nothing", call(nr64::KILL, &[pid, 0]), 0);
    report.fails("kill by signal 65", call(nr64::KILL, &[pid, 65]), Errno::EINVAL);
    report.fails("kill of nobody", call(nr64::KILL, &[NO_PID, 0]), Errno::ESRCH);
    report.is("tgkill of itself by nothing", call(nr64::TGKILL, &[pid, pid, 0]), 0);
    report.fails("tgkill of process 0", call(nr64::TGKILL, &[0, pid, 0]), Errno::EINVAL);
    report.fails("tgkill of nobody", call(nr64::TGKILL, &[pid, NO_PID, 0]), Errno::ESRCH);
    report.fails("tkill of task 0", call(nr64::TKILL, &[0, 0]), Errno::EINVAL);
    report.is("set_robust_list", call(nr64::SET_ROBUST_LIST, &[at, 24]), 0);
    report.fails(
        "set_robust_list of another size",
        call(nr64::SET_ROBUST_LIST, &[at, 25]),
        Errno::EINVAL,
    );
    report.is("get_robust_list", call(nr64::GET_ROBUST_LIST, &[0, at + 64, at + 72]), 0);
    report.holds("answers what was set", peek_u64(at + 64) == at && peek_u64(at + 72) == 24);
    let none = call(nr64::SET_ROBUST_LIST, &[0, 24]);
    report.is("set_robust_list to none", none, 0);
}

fn name(report: &mut Report, at: u64) {
    const PR_SET_NAME: u64 = 15;
    const PR_GET_NAME: u64 = 16;
    const PR_GET_DUMPABLE: u64 = 3;
    let mut long = *b"seventeen letters\0";
    report.is("prctl, set a long name", call(nr64::PRCTL, &[PR_SET_NAME, address(&mut long)]), 0);
    for offset in 0..32 {
        poke(at + offset, 0xff);
    }
    report.is("prctl, get the name", call(nr64::PRCTL, &[PR_GET_NAME, at]), 0);
    let expected = b"seventeen lette\0\xff";
    let cut = expected.iter().zip(at..).all(|(&byte, at)| peek(at) == byte);
    report.holds("it is cut after 15 bytes, and 16 were written", cut);
    let mut short = *b"rt\0xxxxxxxxxxxxx";
    report.is("prctl, set a short name", call(nr64::PRCTL, &[PR_SET_NAME, address(&mut short)]), 0);
    report.is("prctl, get the name", call(nr64::PRCTL, &[PR_GET_NAME, at]), 0);
    let padded = peek_u64(at) == u64::from_le_bytes(*b"rt\0\0\0\0\0\0") && peek_u64(at + 8) == 0;
    report.holds("it is padded with zero", padded);
    report.is("prctl, dumpable", call(nr64::PRCTL, &[PR_GET_DUMPABLE]), 1);
    report.fails("prctl, unknown", call(nr64::PRCTL, &[0x7fff_ffff]), Errno::EINVAL);
}

fn segment_bases(report: &mut Report, at: u64) {
    const SET_GS: u64 = 0x1001;
    const SET_FS: u64 = 0x1002;
    const GET_FS: u64 = 0x1003;
    const GET_GS: u64 = 0x1004;
    poke_u64(at, 0x1234_5678_9abc_def0);
    poke_u64(at + 64, 0x0fed_cba9_8765_4321);
    for (name, set, get, base) in [("FS", SET_FS, GET_FS, at), ("GS", SET_GS, GET_GS, at + 64)] {
        println!("arch_prctl, {name}");
        report.is("set", call(nr64::ARCH_PRCTL, &[set, base]), 0);
        report.is("get", call(nr64::ARCH_PRCTL, &[get, at + 128]), 0);
        report.holds("what was set is got", peek_u64(at + 128) == base);
        for (what, bad) in [
            ("set to the user's end", USER_END),
            ("set to neither half", NON_CANONICAL),
            ("set to the top", MINUS_ONE),
        ] {
            report.fails(what, call(nr64::ARCH_PRCTL, &[set, bad]), Errno::EPERM);
        }
        report.fails("get at 0", call(nr64::ARCH_PRCTL, &[get, 0]), Errno::EFAULT);
    }
    report.fails("arch_prctl, unknown", call(nr64::ARCH_PRCTL, &[0, at]), Errno::EINVAL);
    let (fs, gs): (u64, u64);
    // SAFETY: both bases were set to words of the page at `at`.
    unsafe {
        asm!("mov {}, fs:[0]", "mov {}, gs:[0]", out(reg) fs, out(reg) gs,
             options(nostack, readonly));
    }
    report.equals("the word at FS", fs, 0x1234_5678_9abc_def0);
    report.equals("the word at GS", gs, 0x0fed_cba9_8765_4321);
}

fn limits(report: &mut Report, at: u64) {
    const STACK: u64 = 3;
    const NOFILE: u64 = 7;
    report.is("prlimit64, get", call(nr64::PRLIMIT64, &[0, NOFILE, 0, at]), 0);
    let (soft, hard) = (peek_u64(at), peek_u64(at + 8));
    report.holds("the soft limit is at most the hard one", soft <= hard);
    report.is("prlimit64, set to the same", call(nr64::PRLIMIT64, &[0, NOFILE, at, at + 16]), 0);
    report.holds("answers what was", peek_u64(at + 16) == soft && peek_u64(at + 24) == hard);
    poke_u64(at, 64);
    report.is("prlimit64, lower the soft limit", call(nr64::PRLIMIT64, &[0, NOFILE, at, 0]), 0);
    report.is("getrlimit", call(nr64::GETRLIMIT, &[NOFILE, at + 16]), 0);
    report.holds("answers what was set", peek_u64(at + 16) == 64 && peek_u64(at + 24) == hard);
    report.fails("a descriptor beyond it", call(nr64::DUP2, &[0, 64]), Errno::EBADF);
    poke_u64(at, soft);
    report.is("setrlimit, back", call(nr64::SETRLIMIT, &[NOFILE, at]), 0);
    poke_u64(at, 2);
    poke_u64(at + 8, 1);
    let crossed = call(nr64::PRLIMIT64, &[0, STACK, at, 0]);
    report.fails("prlimit64, soft above hard", crossed, Errno::EINVAL);
    report.fails(
        "prlimit64, unknown resource",
        call(nr64::PRLIMIT64, &[0, 16, 0, at]),
        Errno::EINVAL,
    );
    report.fails(
        "prlimit64 of nobody",
        call(nr64::PRLIMIT64, &[NO_PID, STACK, 0, at]),
        Errno::ESRCH,
    );
    report.fails(
        "getrlimit, unknown resource",
        call(nr64::GETRLIMIT, &[MINUS_ONE, at]),
        Errno::EINVAL,
    );
}

fn randomness(report: &mut Report, at: u64) {
    const NONBLOCK: u64 = 1;
    let getrandom = |length, flags| call(nr64::GETRANDOM, &[at, length, flags]);
    report.is("getrandom of 16", getrandom(16, 0), 16);
    let first = (peek_u64(at), peek_u64(at + 8));
    report.is("getrandom of 16, not waiting", getrandom(16, NONBLOCK), 16);
    report.holds("answers differ", first != (peek_u64(at), peek_u64(at + 8)));
    report.is("getrandom of a page", getrandom(4096, 0), 4096);
    report.is("getrandom of nothing", getrandom(0, 0), 0);
    for flags in [1, 2, 3, 4, 5] {
        report.is("getrandom of 300 with a flag", getrandom(300, flags), 300);
    }
    for flags in [6, 7, 8, 1 << 31] {
        report.fails(
            "getrandom, flags that do not go together",
            getrandom(16, flags),
            Errno::EINVAL,
        );
        report.fails("also at 0", call(nr64::GETRANDOM, &[0, 16, flags]), Errno::EINVAL);
    }
    match Pages::map(100) {
        Ok(pages) => much_randomness(report, pages),
        Err(error) => report.failed(format_args!("no pages: {}", error.name())),
    }
}

/// However much it is, it comes whole: no signal cuts it. At the end of memory
/// it ends.
fn much_randomness(report: &mut Report, pages: Pages) {
    let at = pages.page(0);
    let getrandom = |from, length| call(nr64::GETRANDOM, &[from, length, 0]);
    for length in [65_535, 65_536, 65_537, 65_792, 200_000, 100 * PAGE - 7] {
        let last = (at + 7 + length).next_multiple_of(8) - 16;
        poke_u64(last, 0);
        report.is("getrandom of much", getrandom(at + 7, length), length);
        report.holds("to its last bytes", peek_u64(last) != 0);
    }
    report.is("mprotect", pages.protect(50, 0), 0);
    report.is("getrandom up to what is protected", getrandom(at + 7, 99 * PAGE), 50 * PAGE - 7);
    report.fails("getrandom of what is protected", getrandom(pages.page(50), 16), Errno::EFAULT);
    report.fails("getrandom at 0", getrandom(0, 16), Errno::EFAULT);
}

fn machine(report: &mut Report, at: u64) {
    const FIELD: u64 = 65;
    report.is("uname", call(nr64::UNAME, &[at]), 0);
    let is = |field: u64, text: &[u8]| {
        text.iter().zip(at + field * FIELD..).all(|(&byte, at)| peek(at) == byte)
    };
    report.holds("the system is Linux", is(0, b"Linux\0"));
    report.holds("the machine is x86_64", is(4, b"x86_64\0"));
    let filled = (1..4).all(|field| peek(at + field * FIELD) != 0);
    report.holds("the other names are there", filled);

    let getaffinity = |pid, size| call(nr64::SCHED_GETAFFINITY, &[pid, size, at]);
    let bytes = report.works("sched_getaffinity", getaffinity(0, 4096));
    report.holds("answers whole words", bytes > 0 && bytes.is_multiple_of(8));
    let cpus: u32 = (0..bytes).map(|offset| peek(at + offset).count_ones()).sum();
    report.holds("with a CPU in them", cpus > 0);
    report.is("sched_setaffinity to the same", call(nr64::SCHED_SETAFFINITY, &[0, bytes, at]), 0);
    report.fails("sched_getaffinity into 7 bytes", getaffinity(0, 7), Errno::EINVAL);
    report.fails("sched_getaffinity into nothing", getaffinity(0, 0), Errno::EINVAL);
    report.fails("sched_getaffinity of nobody", getaffinity(NO_PID, 4096), Errno::ESRCH);
    for offset in 0..bytes {
        poke(at + offset, 0);
    }
    let none = call(nr64::SCHED_SETAFFINITY, &[0, bytes, at]);
    report.fails("sched_setaffinity to no CPU", none, Errno::EINVAL);
    report.is("sched_yield", call(nr64::SCHED_YIELD, &[]), 0);
    report.is("sched_getscheduler", call(nr64::SCHED_GETSCHEDULER, &[0]), 0);
    report.fails(
        "sched_getscheduler of -1",
        call(nr64::SCHED_GETSCHEDULER, &[MINUS_ONE]),
        Errno::EINVAL,
    );
    report.fails(
        "sched_getscheduler of nobody",
        call(nr64::SCHED_GETSCHEDULER, &[NO_PID]),
        Errno::ESRCH,
    );
    report.is("getcpu", call(nr64::GETCPU, &[at, at + 4, 0]), 0);
    let priority = report.works("getpriority", call(nr64::GETPRIORITY, &[0, 0]));
    report.holds("is 1 to 40", (1..=40).contains(&priority));
    report.fails("getpriority, unknown kind", call(nr64::GETPRIORITY, &[9, 0]), Errno::EINVAL);
    report.is("getrusage", call(nr64::GETRUSAGE, &[0, at]), 0);
    report.is("getrusage of children", call(nr64::GETRUSAGE, &[MINUS_ONE, at]), 0);
    report.fails("getrusage, unknown", call(nr64::GETRUSAGE, &[5, at]), Errno::EINVAL);
    report.is("sysinfo", call(nr64::SYSINFO, &[at]), 0);
    // Bytes 32 to 47: total and free RAM; 104 to 107: the unit.
    let (total, free, unit) = (peek_u64(at + 32), peek_u64(at + 40), peek_u64(at + 104) as u32);
    report.holds("there is memory", total > 0 && free <= total && unit > 0);
}

/// What a clock says, in nanoseconds.
fn now(clock: u64, at: u64) -> Result<u64, Errno> {
    call(nr64::CLOCK_GETTIME, &[clock, at])?;
    Ok(peek_u64(at) * 1_000_000_000 + peek_u64(at + 8))
}

fn clocks(report: &mut Report, at: u64) {
    for (name, clock) in [
        ("CLOCK_REALTIME", CLOCK_REALTIME),
        ("CLOCK_MONOTONIC", CLOCK_MONOTONIC),
        ("CLOCK_PROCESS_CPUTIME_ID", 2),
        ("CLOCK_THREAD_CPUTIME_ID", 3),
        ("CLOCK_MONOTONIC_RAW", 4),
        ("CLOCK_REALTIME_COARSE", 5),
        ("CLOCK_MONOTONIC_COARSE", 6),
        ("CLOCK_BOOTTIME", 7),
        ("CLOCK_TAI", 11),
    ] {
        println!("{name}");
        let mut last = 0;
        let mut back = 0;
        for _ in 0..1000 {
            let time = now(clock, at).unwrap_or(0);
            back += u32::from(time < last);
            last = time;
        }
        report.holds("never goes back", back == 0);
        report.holds("is not zero", last > 0);
        report.holds("has less than a second of nanoseconds", peek_u64(at + 8) < 1_000_000_000);
        report.is("clock_getres", call(nr64::CLOCK_GETRES, &[clock, at]), 0);
        let resolution = (peek_u64(at), peek_u64(at + 8));
        let fine = resolution.0 == 0 && (1..=10_000_000).contains(&resolution.1);
        report.holds("has a resolution of 10 ms or better", fine);
    }
    for clock in [10, 99] {
        println!("clock {clock}");
        report.fails("clock_gettime", call(nr64::CLOCK_GETTIME, &[clock, at]), Errno::EINVAL);
        report.fails("clock_getres", call(nr64::CLOCK_GETRES, &[clock, at]), Errno::EINVAL);
    }
    let seconds = now(CLOCK_REALTIME, at).unwrap_or(0) / 1_000_000_000;
    let time = call(nr64::TIME, &[at]).unwrap_or(0);
    report.holds("time answers what it writes", peek_u64(at) == time);
    report.holds("time agrees with CLOCK_REALTIME", time.abs_diff(seconds) <= 1);
    report.is("gettimeofday", call(nr64::GETTIMEOFDAY, &[at, 0]), 0);
    let good = peek_u64(at).abs_diff(seconds) <= 1 && peek_u64(at + 8) < 1_000_000;
    report.holds("agrees, and has microseconds", good);
    report.holds("it is later than 2020", seconds > 1_577_836_800);
}

fn sleeping(report: &mut Report, at: u64) {
    const ABSOLUTE: u64 = 1;
    let span = |seconds: u64, nanoseconds: u64| {
        poke_u64(at, seconds);
        poke_u64(at + 8, nanoseconds);
    };
    span(0, 1_000_000);
    let before = now(CLOCK_MONOTONIC, at + 64).unwrap_or(0);
    report.is("nanosleep of a millisecond", call(nr64::NANOSLEEP, &[at, 0]), 0);
    let after = now(CLOCK_MONOTONIC, at + 64).unwrap_or(0);
    report.holds("lasts one at least", after - before >= 1_000_000);
    span(0, 1_000_000);
    let before = now(CLOCK_MONOTONIC, at + 64).unwrap_or(0);
    let slept = call(nr64::CLOCK_NANOSLEEP, &[CLOCK_MONOTONIC, 0, at, 0]);
    report.is("clock_nanosleep of a millisecond", slept, 0);
    let after = now(CLOCK_MONOTONIC, at + 64).unwrap_or(0);
    report.holds("lasts one at least", after - before >= 1_000_000);
    let until = after + 2_000_000;
    span(until / 1_000_000_000, until % 1_000_000_000);
    let slept = call(nr64::CLOCK_NANOSLEEP, &[CLOCK_MONOTONIC, ABSOLUTE, at, 0]);
    report.is("clock_nanosleep until a time", slept, 0);
    let after = now(CLOCK_MONOTONIC, at + 64).unwrap_or(0);
    report.holds("ends then or later", after >= until);
    span(1, 0);
    let past = call(nr64::CLOCK_NANOSLEEP, &[CLOCK_REALTIME, ABSOLUTE, at, 0]);
    report.is("clock_nanosleep until 1970", past, 0);
    for (what, seconds, nanoseconds) in [
        ("nanosleep of too many nanoseconds", 0, 1_000_000_000),
        ("nanosleep of -1 nanoseconds", 0, MINUS_ONE),
        ("nanosleep of -1 seconds", MINUS_ONE, 0),
    ] {
        span(seconds, nanoseconds);
        report.fails(what, call(nr64::NANOSLEEP, &[at, 0]), Errno::EINVAL);
    }
    report.fails("nanosleep of a span at 0", call(nr64::NANOSLEEP, &[0, 0]), Errno::EFAULT);
    span(0, 1);
    let unknown = call(nr64::CLOCK_NANOSLEEP, &[99, 0, at, 0]);
    report.fails("clock_nanosleep by an unknown clock", unknown, Errno::EINVAL);
    // CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW, and the coarse ones.
    for clock in 3..=6 {
        let slept = call(nr64::CLOCK_NANOSLEEP, &[clock, 0, at, 0]);
        report.fails("clock_nanosleep by one that wakes nobody", slept, Errno::EOPNOTSUPP);
    }
}

fn actions(report: &mut Report, at: u64) {
    const SIGUSR1: u64 = 10;
    const RESTORER_RESTART_ONSTACK: u64 = 0x1c00_0000;
    let old = at + 64;
    let sigaction = |signal, new, old| call(nr64::RT_SIGACTION, &[signal, new, old, MASK_SIZE]);
    let new = [0x40_0000, RESTORER_RESTART_ONSTACK, 0x40_1000, MINUS_ONE];
    for (index, &word) in new.iter().enumerate() {
        poke_u64(at + 8 * index as u64, word);
    }
    report.is("rt_sigaction, set", sigaction(SIGUSR1, at, old), 0);
    report.holds("the default was there", (0..4).all(|word| peek_u64(old + 8 * word) == 0));
    report.is("rt_sigaction, get", sigaction(SIGUSR1, 0, old), 0);
    report.equals("handler", peek_u64(old), new[0]);
    report.equals("flags", peek_u64(old + 8), new[1]);
    report.equals("restorer", peek_u64(old + 16), new[2]);
    // KILL and STOP cannot be blocked.
    report.equals("mask", peek_u64(old + 24), !(1 << 8 | 1 << 18));
    // SA_UNSUPPORTED: a bit that no kernel keeps, for finding out (sigaction(2)).
    poke_u64(at + 8, RESTORER_RESTART_ONSTACK | 0x400);
    report.is("rt_sigaction, set an unsupported flag", sigaction(SIGUSR1, at, 0), 0);
    report.is("rt_sigaction, get", sigaction(SIGUSR1, 0, old), 0);
    report.equals("flags", peek_u64(old + 8), new[1]);
    for signal in [9, 19] {
        println!("signal {signal}");
        report.fails("rt_sigaction, set", sigaction(signal, at, 0), Errno::EINVAL);
        report.is("rt_sigaction, get", sigaction(signal, 0, old), 0);
    }
    for signal in [0, 65, MINUS_ONE] {
        println!("signal {signal:#x}");
        report.fails("rt_sigaction, get", sigaction(signal, 0, old), Errno::EINVAL);
    }
    let size = call(nr64::RT_SIGACTION, &[SIGUSR1, 0, old, 4]);
    report.fails("rt_sigaction, another mask size", size, Errno::EINVAL);
    (0..4).for_each(|word| poke_u64(at + 8 * word, 0));
    report.is("rt_sigaction, back", sigaction(SIGUSR1, at, 0), 0);
}

fn masks(report: &mut Report, at: u64) {
    const BLOCK: u64 = 0;
    const UNBLOCK: u64 = 1;
    const SETMASK: u64 = 2;
    const SIGUSR1: u64 = 10;
    const SIGUSR1_BIT: u64 = 1 << 9;
    let old = at + 64;
    let procmask = |how, new, old| call(nr64::RT_SIGPROCMASK, &[how, new, old, MASK_SIZE]);
    poke_u64(at, 0);
    report.is("rt_sigprocmask, block nothing at all", procmask(SETMASK, at, 0), 0);
    poke_u64(at, MINUS_ONE);
    report.is("rt_sigprocmask, block all", procmask(BLOCK, at, old), 0);
    report.equals("blocked before", peek_u64(old), 0);
    poke_u64(at, 0xff);
    report.is("rt_sigprocmask, unblock eight", procmask(UNBLOCK, at, old), 0);
    report.equals("blocked before", peek_u64(old), !(1 << 8 | 1 << 18));
    poke_u64(at, SIGUSR1_BIT);
    report.is("rt_sigprocmask, block one", procmask(SETMASK, at, old), 0);
    report.equals("blocked before", peek_u64(old), !(0xff | 1 << 8 | 1 << 18));
    report.fails("rt_sigprocmask, unknown", procmask(3, at, old), Errno::EINVAL);
    report.is("rt_sigprocmask, unknown without a mask", procmask(3, 0, old), 0);
    report.equals("blocked now", peek_u64(old), SIGUSR1_BIT);
    let size = call(nr64::RT_SIGPROCMASK, &[BLOCK, at, 0, 4]);
    report.fails("rt_sigprocmask, another mask size", size, Errno::EINVAL);

    let pid = call(nr64::GETPID, &[]).unwrap_or(0);
    report.is("kill by a blocked signal", call(nr64::KILL, &[pid, SIGUSR1]), 0);
    report.is("rt_sigpending", call(nr64::RT_SIGPENDING, &[old, MASK_SIZE]), 0);
    report.equals("pending", peek_u64(old), SIGUSR1_BIT);
    poke_u64(at, 1);
    (1..4).for_each(|word| poke_u64(at + 8 * word, 0));
    let ignore = call(nr64::RT_SIGACTION, &[SIGUSR1, at, 0, MASK_SIZE]);
    report.is("rt_sigaction, ignore it", ignore, 0);
    poke_u64(at, 0);
    report.is("rt_sigprocmask, unblock it", procmask(SETMASK, at, 0), 0);
    report.is("rt_sigpending", call(nr64::RT_SIGPENDING, &[old, MASK_SIZE]), 0);
    report.equals("pending", peek_u64(old), 0);
    // Ignored by default.
    report.is("kill by SIGCHLD", call(nr64::KILL, &[pid, 17]), 0);

    const DISABLE: u64 = 2;
    let altstack = |new, old| call(nr64::SIGALTSTACK, &[new, old]);
    let stack = |address, flags, size| {
        poke_u64(at, address);
        poke_u64(at + 8, flags);
        poke_u64(at + 16, size);
    };
    report.is("sigaltstack, get", altstack(0, old), 0);
    report.equals("flags", peek_u64(old + 8) & 0xffff_ffff, DISABLE);
    stack(0x10_0000, 0, 1 << 16);
    report.is("sigaltstack, set", altstack(at, 0), 0);
    report.is("sigaltstack, get", altstack(0, old), 0);
    report.equals("address", peek_u64(old), 0x10_0000);
    report.equals("flags", peek_u64(old + 8) & 0xffff_ffff, 0);
    report.equals("size", peek_u64(old + 16), 1 << 16);
    stack(0x10_0000, 0, 64);
    report.fails("sigaltstack, too small", altstack(at, 0), Errno::ENOMEM);
    stack(0x10_0000, 0x40, 1 << 16);
    report.fails("sigaltstack, unknown flag", altstack(at, 0), Errno::EINVAL);
    stack(0, DISABLE, 0);
    report.is("sigaltstack, disable", altstack(at, 0), 0);
    report.is("sigaltstack, get", altstack(0, old), 0);
    report.equals("flags", peek_u64(old + 8) & 0xffff_ffff, DISABLE);
}

fn futexes(report: &mut Report, at: u64) {
    const WAIT: u64 = 128;
    const WAKE: u64 = 129;
    const WAIT_BITSET: u64 = 137;
    const WAIT_SHARED: u64 = 0;
    let futex = |word, operation, value, timeout| {
        call(nr64::FUTEX, &[word, operation, value, timeout, 0, 0])
    };
    poke_u64(at, 7);
    report.fails("futex, wait for another value", futex(at, WAIT, 8, 0), Errno::EAGAIN);
    report.fails("futex, wait, shared", futex(at, WAIT_SHARED, 8, 0), Errno::EAGAIN);
    report.is("futex, wake nobody", futex(at, WAKE, 1, 0), 0);
    report.fails("futex at an odd address", futex(at + 1, WAIT, 8, 0), Errno::EINVAL);
    report.fails("futex, no bits to wait for", futex(at, WAIT_BITSET, 8, 0), Errno::EINVAL);
    report.fails("futex at 0", futex(0, WAIT, 8, 0), Errno::EFAULT);
    report.fails("futex, unknown", futex(at, 0x7f, 8, 0), Errno::ENOSYS);
    poke_u64(at + 64, 0);
    poke_u64(at + 72, 1_000_000);
    let before = now(CLOCK_MONOTONIC, at + 128).unwrap_or(0);
    report.fails("futex, wait for a millisecond", futex(at, WAIT, 7, at + 64), Errno::ETIMEDOUT);
    let after = now(CLOCK_MONOTONIC, at + 128).unwrap_or(0);
    report.holds("lasts one at least", after - before >= 1_000_000);
}

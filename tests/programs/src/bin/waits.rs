//! `waits WHAT`: calls that wait, and for how long. Reports to standard error.
//!
//! | what | of |
//! |---|---|
//! | `time` | nanosleep(2), clock_nanosleep(2), poll(2) and ppoll(2) without files |
//! | `sleeps COUNT` | as many calls of nanosleep(2), and nothing else |
//! | `files` | poll(2) of standard input, an empty pipe into which a byte comes, and of standard output |
//! | `much COUNT` | write(2) of so many mebibytes, one a call, to standard output |
//! | `ticks` | after sysinfo(2), which a test's kernel makes something else of: computes for 200 ms, and says whether its registers are as they were |
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "keeps registers through interrupts")]

use core::arch::asm;
use trapgate_programs::{PAGE, Pages, Report, address, call};
use trapgate_rt::{Args, println};
use trapgate_uapi::Errno;
use trapgate_uapi::poll::{POLLIN, POLLNVAL, POLLOUT, Pollfd};
use trapgate_uapi::syscall::nr64;
use trapgate_uapi::time::{CLOCK_MONOTONIC, CLOCK_REALTIME, TIMER_ABSTIME};

trapgate_rt::entry!(main);

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
/// How long it waits where it waits for nothing else.
const SPAN: u64 = 20 * MS;

fn main(args: Args) -> i32 {
    let mut report = Report::new();
    match args.arg(1).unwrap_or(b"") {
        b"time" => time(&mut report),
        b"sleeps" => sleeps(&mut report, args.arg(2).unwrap_or(b"")),
        b"files" => files(&mut report),
        b"much" => much(&mut report, args.arg(2).unwrap_or(b"")),
        b"ticks" => ticks(&mut report),
        _ => report.holds("a known WHAT", false),
    }
    report.status()
}

fn now(clock: i32) -> u64 {
    let mut time = [0u64; 2];
    match call(nr64::CLOCK_GETTIME, &[clock as u64, address(&mut time)]) {
        Ok(_) => time[0] * SECOND + time[1],
        Err(_) => 0,
    }
}

/// As a `struct timespec`.
fn timespec(ns: u64) -> [u64; 2] {
    [ns / SECOND, ns % SECOND]
}

/// That `wait` answers 0 after so long, and not much later.
fn takes(report: &mut Report, what: &str, least: u64, wait: impl FnOnce() -> Result<u64, Errno>) {
    let before = now(CLOCK_MONOTONIC);
    report.is(what, wait(), 0);
    let took = now(CLOCK_MONOTONIC) - before;
    report.holds("is long enough", took >= least);
    report.holds("is not for ever", took < least + 20 * SECOND);
}

fn time(report: &mut Report) {
    let mut span = timespec(SPAN);
    let at = address(&mut span);
    takes(report, "nanosleep", SPAN, || call(nr64::NANOSLEEP, &[at, 0]));
    for clock in [CLOCK_MONOTONIC, CLOCK_REALTIME] {
        let id = clock as u64;
        takes(report, "clock_nanosleep", SPAN, || call(nr64::CLOCK_NANOSLEEP, &[id, 0, at, 0]));
        let mut then = timespec(now(clock) + SPAN);
        let until = [id, TIMER_ABSTIME as u64, address(&mut then), 0];
        takes(report, "clock_nanosleep until", SPAN / 2, || call(nr64::CLOCK_NANOSLEEP, &until));
        report.holds("it is then", now(clock) >= then[0] * SECOND + then[1]);
        // It is over already.
        takes(report, "clock_nanosleep until then", 0, || call(nr64::CLOCK_NANOSLEEP, &until));
        let mut never = [0, SECOND];
        let wrong = [id, 0, address(&mut never), 0];
        report.fails("a wrong time", call(nr64::CLOCK_NANOSLEEP, &wrong), Errno::EINVAL);
    }
    takes(report, "poll", SPAN, || call(nr64::POLL, &[0, 0, SPAN / MS]));
    takes(report, "poll of nothing at once", 0, || call(nr64::POLL, &[0, 0, 0]));
    takes(report, "ppoll", SPAN, || call(nr64::PPOLL, &[0, 0, at, 0]));
    let mut nobody = [Pollfd { fd: -1, events: POLLIN, revents: 7 }];
    let list = nobody.as_mut_ptr() as u64;
    takes(report, "poll of nobody", SPAN, || call(nr64::POLL, &[list, 1, SPAN / MS]));
    report.equals("revents", nobody[0].revents.into(), 0);
    report.equals("seconds left", span[0], 0);
    report.equals("nanoseconds left", span[1], 0);
    span = timespec(SPAN);
    let mut left = [0, SPAN / 1000];
    let timeval = address(&mut left);
    takes(report, "select", SPAN, || call(nr64::SELECT, &[0, 0, 0, 0, timeval]));
    report.equals("seconds left", left[0], 0);
    report.equals("microseconds left", left[1], 0);
    report.fails("select of too few", call(nr64::SELECT, &[u64::MAX, 0, 0, 0, 0]), Errno::EINVAL);
    let mut negative = [0, u64::MAX];
    let wrong = [0, 0, 0, 0, address(&mut negative)];
    report.fails("select for a wrong time", call(nr64::SELECT, &wrong), Errno::EINVAL);
    takes(report, "pselect6", SPAN, || call(nr64::PSELECT6, &[0, 0, 0, 0, address(&mut span), 0]));
}

/// A number of the command line.
fn number(word: &[u8]) -> u64 {
    word.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

fn sleeps(report: &mut Report, count: &[u8]) {
    // Longer than a busy host keeps it from beginning to wait.
    let mut span = timespec(5 * SPAN);
    let at = address(&mut span);
    let failed = (0..number(count)).filter(|_| call(nr64::NANOSLEEP, &[at, 0]) != Ok(0)).count();
    report.equals("sleeps that failed", failed as u64, 0);
}

fn files(report: &mut Report) {
    let poll = |list: &mut [Pollfd], timeout: i64| {
        call(nr64::POLL, &[list.as_mut_ptr() as u64, list.len() as u64, timeout as u64])
    };
    let entry = |fd, events| Pollfd { fd, events, revents: 0 };
    let mut list = [entry(0, POLLIN)];
    report.is("poll of an empty pipe", poll(&mut list, 0), 0);
    takes(report, "poll of an empty pipe", SPAN, || poll(&mut list, (SPAN / MS) as i64));
    let mut both = [entry(0, POLLIN), entry(1, POLLOUT), entry(-5, POLLIN)];
    report.is("poll of both", poll(&mut both, -1), 1);
    report.equals("input", both[0].revents.into(), 0);
    report.equals("output", both[1].revents.into(), POLLOUT.into());
    let mut closed = [entry(0, POLLIN), entry(77, POLLIN)];
    report.is("poll of a closed one", poll(&mut closed, -1), 1);
    report.equals("it", closed[1].revents.into(), POLLNVAL.into());
    select(report, 0, 0b10);
    let mut unknown = [1u64 << 50; 1];
    let closed = [51, address(&mut unknown), 0, 0, 0];
    report.fails("select of a closed one", call(nr64::SELECT, &closed), Errno::EBADF);
    // Whoever reads this writes a byte then.
    println!("waiting");
    report.is("poll for ever", poll(&mut list, -1), 1);
    report.equals("what is there", list[0].revents.into(), POLLIN.into());
    select(report, 0b1, 0b10);
    let mut byte = [0u8; 8];
    let mut read = || call(nr64::READ, &[0, byte.as_mut_ptr() as u64, 8]);
    report.is("read", read(), 1);
    println!("waiting");
    report.is("read that waits", read(), 2);
}

/// Writes as many mebibytes, and says nothing: whoever reads counts.
fn much(report: &mut Report, count: &[u8]) {
    const MIB: u64 = 1 << 20;
    let count = number(count);
    let Ok(pages) = Pages::map(MIB / PAGE) else {
        return report.holds("memory", false);
    };
    for _ in 0..count {
        if call(nr64::WRITE, &[1, pages.page(0), MIB]) != Ok(MIB) {
            return report.holds("a whole mebibyte", false);
        }
    }
}

/// That of standard input and output these are ready.
fn select(report: &mut Report, input: u64, output: u64) {
    let (mut inputs, mut outputs, mut exceptions) = ([0b1u64], [0b110u64], [0b11u64]);
    let [i, o, e] = [address(&mut inputs), address(&mut outputs), address(&mut exceptions)];
    // Of standard error, which is what it is, nothing is asked: it is beyond the count.
    let ready = u64::from((input | output << 2).count_ones());
    report.is("select", call(nr64::SELECT, &[2, i, o, e, 0]), ready);
    report.equals("inputs", inputs[0], input);
    report.equals("outputs", outputs[0], output);
    report.equals("exceptions", exceptions[0], 0);
    inputs[0] = 0b1;
    let mut at_once = [0u64; 2];
    let poll = [2, i, 0, 0, address(&mut at_once), 0];
    report.is("pselect6", call(nr64::PSELECT6, &poll), input);
    report.equals("inputs", inputs[0], input);
}

/// Computes, with every register in use, until 200 ms are over.
fn ticks(report: &mut Report) {
    let mut buffer = [0u64; 64];
    let _ = call(nr64::SYSINFO, &[address(&mut buffer)]);
    let (start, mut rounds, mut wrong) = (now(CLOCK_MONOTONIC), 0u64, 0u64);
    while now(CLOCK_MONOTONIC) - start < 200 * MS && rounds < 1_000_000 {
        wrong += u64::from(!keeps_registers());
        rounds += 1;
    }
    report.equals("rounds in which a register changed", wrong, 0);
}

/// Whether the registers keep what is in them over some 100,000 instructions.
fn keeps_registers() -> bool {
    let sum: u64;
    // SAFETY: it changes nothing but the registers that it names.
    unsafe {
        asm!(
            "mov r8, 8", "mov r9, 9", "mov r10, 10", "mov r11, 11", "mov r12, 12",
            "mov r13, 13", "mov r14, 14", "mov r15, 15", "mov rsi, 6", "mov rdi, 7",
            "mov rdx, 5", "mov rax, 4", "stc",
            "mov ecx, 100000",
            "2:", "lea ecx, [ecx - 1]", "jecxz 3f", "jmp 2b", "3:",
            // The flags are as they were: the carry is one.
            "adc rax, r8", "add rax, r9", "add rax, r10", "add rax, r11", "add rax, r12",
            "add rax, r13", "add rax, r14", "add rax, r15", "add rax, rsi", "add rax, rdi",
            "add rax, rdx",
            out("rax") sum, out("rcx") _, out("rdx") _, out("rsi") _, out("rdi") _,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _, out("r12") _,
            out("r13") _, out("r14") _, out("r15") _,
            options(nostack, nomem),
        );
    }
    let all: u64 = (8..=15).sum();
    sum == all + 1 + 4 + 5 + 6 + 7
}

//! `open-flags WHAT`: what O_APPEND and O_NONBLOCK of a standard file do, as
//! fcntl(2) sets them or as whoever opened it did. Reports to standard error.
//!
//! | what | of | which is |
//! |---|---|---|
//! | `append` | standard output | a file that can be written |
//! | `full-setfl`, `full-fionbio`, `full-inherited` | standard output | what gets full, because nobody reads; the flag is set so |
//! | `empty-setfl`, `empty-fionbio`, `empty-inherited` | standard input | what has three bytes and no end |
//! | `wait` | standard output | what is read slowly, and does not wait at first |
//! | `shared` | standard output and error | one description |
#![no_std]
#![no_main]

use trapgate_programs::{Outcome, Pages, Report, address, call, peek_u64, poke_u64};
use trapgate_rt::{Args, println};
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::{O_APPEND, O_NONBLOCK};
use trapgate_uapi::stat::{S_IFCHR, S_IFIFO, S_IFMT};
use trapgate_uapi::syscall::nr64;

trapgate_rt::entry!(main);

const IN: u64 = 0;
/// Where standard output is once reports go to standard error.
const OUT: u64 = 30;
const FLAGS: u64 = (O_APPEND | O_NONBLOCK) as u64;
const SET: u64 = 0;
const CURRENT: u64 = 1;

fn main(args: Args) -> i32 {
    let mut report = Report::new();
    let what = args.arg(1).unwrap_or(b"");
    let moved = call(nr64::DUP2, &[1, OUT]).and_then(|_| call(nr64::DUP2, &[2, 1]));
    report.holds("reports go to standard error", moved.is_ok());
    match what {
        b"append" => append(&mut report),
        b"wait" => wait(&mut report),
        b"shared" => shared(&mut report),
        _ => {
            let fd = if what.starts_with(b"full") { OUT } else { IN };
            if what.ends_with(b"-setfl") {
                set(&mut report, fd, O_NONBLOCK);
            } else if what.ends_with(b"-fionbio") {
                const FIONBIO: u64 = 0x5421;
                let mut on = 1i32;
                let ioctl = call(nr64::IOCTL, &[fd, FIONBIO, address(&mut on)]);
                report.is("ioctl FIONBIO", ioctl, 0);
            }
            report.equals("flags", flags(fd), O_NONBLOCK.into());
            if fd == OUT { full(&mut report) } else { empty(&mut report) }
        }
    }
    report.status()
}

fn flags(fd: u64) -> u64 {
    const GETFL: u64 = 3;
    call(nr64::FCNTL, &[fd, GETFL, 0]).unwrap_or(u64::MAX) & FLAGS
}

fn set(report: &mut Report, fd: u64, flags: u32) {
    const SETFL: u64 = 4;
    report.is("fcntl SETFL", call(nr64::FCNTL, &[fd, SETFL, flags.into()]), 0);
    report.equals("flags", self::flags(fd), flags.into());
}

fn write(text: &[u8]) -> Result<u64, Errno> {
    call(nr64::WRITE, &[OUT, text.as_ptr() as u64, text.len() as u64])
}

fn append(report: &mut Report) {
    let seek = |offset, whence| call(nr64::LSEEK, &[OUT, offset, whence]);
    let position = || println!("at {}", Outcome(seek(0, CURRENT)));
    println!("flags {:#x}", flags(OUT));
    report.is("lseek", seek(2, SET), 2);
    report.is("write", write(b"as opened,"), 10);
    position();
    set(report, OUT, O_APPEND);
    report.is("lseek", seek(4, SET), 4);
    report.is("write", write(b"appended,"), 9);
    position();
    report.is("write", write(b"and again\n"), 10);
    position();
    let mut pieces = *b"one two\n";
    let vectors = [address(&mut pieces), 4, address(&mut pieces) + 4, 4];
    report.is("lseek", seek(1, SET), 1);
    report.is("writev", call(nr64::WRITEV, &[OUT, vectors.as_ptr() as u64, 2]), 8);
    position();
    set(report, OUT, 0);
    report.is("lseek", seek(6, SET), 6);
    report.is("write", write(b"OVER"), 4);
    position();
    report.is("write", write(b"WRITE"), 5);
    position();
}

/// Pages that are full of zeroes.
fn zeroes(pages: u64) -> u64 {
    Pages::map(pages).map_or(0, |pages| pages.page(0))
}

fn full(report: &mut Report) {
    const PAGES: u64 = 100;
    let at = zeroes(PAGES);
    let (kind, device) = kind(OUT);
    let some = report.works("write of much", call(nr64::WRITE, &[OUT, at, PAGES * 4096]));
    report.holds("is cut", 0 < some && some < PAGES * 4096);
    match (kind, device) {
        (S_IFIFO, _) => println!("to {some}"),
        // It may take a byte at a time.
        (_, MULTIPLEXER) => return,
        // A terminal hands some on to its other end, a little later, and a socket
        // counts more than bytes; both are full at last.
        _ => {
            for size in [4096, 1] {
                while call(nr64::WRITE, &[OUT, at, size]).is_ok() {}
            }
        }
    }
    if kind == S_IFCHR {
        return;
    }
    report.fails("write of a byte", call(nr64::WRITE, &[OUT, at, 1]), Errno::EAGAIN);
    let vectors = [at, 1, at, 1];
    let writev = call(nr64::WRITEV, &[OUT, vectors.as_ptr() as u64, 2]);
    report.fails("writev of two", writev, Errno::EAGAIN);
    report.is("write of nothing", call(nr64::WRITE, &[OUT, at, 0]), 0);
}

fn empty(report: &mut Report) {
    let at = zeroes(1);
    let read = |size| call(nr64::READ, &[IN, at, size]);
    report.is("read of two", read(2), 2);
    report.is("read of many", read(4096), 1);
    report.fails("read of a byte", read(1), Errno::EAGAIN);
    poke_u64(at, at + 64);
    poke_u64(at + 8, 64);
    report.fails("readv", call(nr64::READV, &[IN, at, 1]), Errno::EAGAIN);
}

fn wait(report: &mut Report) {
    const PAGES: u64 = 100;
    report.equals("flags", flags(OUT), O_NONBLOCK.into());
    set(report, OUT, 0);
    let write = call(nr64::WRITE, &[OUT, zeroes(PAGES), PAGES * 4096]);
    report.is("write of much", write, PAGES * 4096);
}

fn shared(report: &mut Report) {
    report.equals("flags of standard error", flags(2), 0);
    set(report, OUT, O_NONBLOCK);
    report.equals("flags of standard error", flags(2), O_NONBLOCK.into());
    set(report, 2, 0);
    report.equals("flags of standard output", flags(OUT), 0);
}

/// /dev/ptmx: a pseudo-terminal's other end.
const MULTIPLEXER: u64 = 0x502;

/// A descriptor's type, of `st_mode`, and its device number.
fn kind(fd: u64) -> (u32, u64) {
    let at = zeroes(1);
    match call(nr64::FSTAT, &[fd, at]) {
        Ok(_) => (peek_u64(at + 24) as u32 & S_IFMT, peek_u64(at + 40)),
        Err(_) => (0, 0),
    }
}

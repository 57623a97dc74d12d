//! Descriptors: what the calls on open files answer. Standard input must be
//! /dev/null, a file or a pipe whose writer is gone; standard output and error
//! must be no terminal.
#![no_std]
#![no_main]

use trapgate_programs::{
    BAD_FD, MINUS_ONE, Outcome, Pages, Report, address, call, peek_u64, poke_u64,
};
use trapgate_rt::{Args, println};
use trapgate_uapi::Errno;
use trapgate_uapi::syscall::nr64;

trapgate_rt::entry!(main);

const IN: u64 = 0;
const OUT: u64 = 1;
/// A descriptor that is free, above what a parent may have left open.
const HIGH: u64 = 40;

fn main(_: Args) -> i32 {
    let mut report = Report::new();
    match Pages::map(1) {
        Ok(pages) => {
            let at = pages.page(0);
            let steps: [fn(&mut Report, u64); 7] =
                [status, duplicates, flags, transfers, seeking, control, polling];
            for step in steps {
                pages.fill(0, 0);
                step(&mut report, at);
            }
        }
        Err(error) => report.failed(format_args!("no page: {}", error.name())),
    }
    report.status()
}

fn dup_to(report: &mut Report, what: &str, old: u64, new: u64) {
    report.is(what, call(nr64::DUP2, &[old, new]), new);
}

/// The type bits of a descriptor's mode.
fn file_type(fd: u64, at: u64) -> u64 {
    match call(nr64::FSTAT, &[fd, at]) {
        Ok(_) => peek_u64(at + 24) & 0o170_000,
        Err(_) => 0,
    }
}

fn status(report: &mut Report, at: u64) {
    const AT_EMPTY_PATH: u64 = 0x1000;
    for fd in 0..3 {
        report.is("fstat", call(nr64::FSTAT, &[fd, at]), 0);
        let (mode, size, device) = (peek_u64(at + 24) as u32, peek_u64(at + 48), peek_u64(at + 40));
        println!("descriptor {fd} is of type {:o}", mode & 0o170_000);
        if mode & 0o170_000 == 0o020_000 {
            println!("its device is {device:#x}");
        }
        if fd == IN && mode & 0o170_000 == 0o100_000 {
            println!("it has {size} bytes");
        }
        let mut empty = *b"\0";
        let path = address(&mut empty);
        let by_path = call(nr64::NEWFSTATAT, &[fd, path, at + 256, AT_EMPTY_PATH]);
        report.is("newfstatat of an empty path", by_path, 0);
        report.holds("answers the same", peek_u64(at + 24) == peek_u64(at + 256 + 24));
        let no_flag = call(nr64::NEWFSTATAT, &[fd, path, at, 0]);
        report.fails("newfstatat of an empty path without the flag", no_flag, Errno::ENOENT);
    }
    report.fails("fstat of a bad descriptor", call(nr64::FSTAT, &[BAD_FD, at]), Errno::EBADF);
    report.fails("fstat at 0", call(nr64::FSTAT, &[IN, 0]), Errno::EFAULT);
    let mut missing = *b"/no-such-directory/file\0";
    let path = address(&mut missing);
    for (what, number, arguments) in [
        ("open", nr64::OPEN, [path, 0, 0]),
        ("openat", nr64::OPENAT, [MINUS_ONE - 99, path, 0]),
        ("stat", nr64::STAT, [path, at, 0]),
        ("lstat", nr64::LSTAT, [path, at, 0]),
        ("access", nr64::ACCESS, [path, 0, 0]),
        ("readlink", nr64::READLINK, [path, at, 64]),
        ("chdir", nr64::CHDIR, [path, 0, 0]),
    ] {
        println!("{what} of what is not there");
        report.fails(what, call(number, &arguments), Errno::ENOENT);
    }
}

fn duplicates(report: &mut Report, _: u64) {
    const O_CLOEXEC: u64 = 0o2_000_000;
    dup_to(report, "dup2", OUT, HIGH);
    report.is("write to the duplicate", write(HIGH, b"by a duplicate\n"), 15);
    dup_to(report, "dup2 to itself", HIGH, HIGH);
    report.is("close", call(nr64::CLOSE, &[HIGH]), 0);
    report.fails("close again", call(nr64::CLOSE, &[HIGH]), Errno::EBADF);
    report.fails("write to what is closed", write(HIGH, b"x"), Errno::EBADF);
    report.fails("dup2 to itself, closed", call(nr64::DUP2, &[HIGH, HIGH]), Errno::EBADF);
    report.fails("dup of a bad descriptor", call(nr64::DUP, &[BAD_FD]), Errno::EBADF);
    report.fails("dup2 of a bad descriptor", call(nr64::DUP2, &[BAD_FD, HIGH]), Errno::EBADF);
    report.fails("dup2 to -1", call(nr64::DUP2, &[OUT, MINUS_ONE]), Errno::EBADF);
    report.fails("dup2 to a huge number", call(nr64::DUP2, &[OUT, 0x7fff_ffff]), Errno::EBADF);
    report.is("dup3, close on exec", call(nr64::DUP3, &[OUT, HIGH, O_CLOEXEC]), HIGH);
    report.fails("dup3 to itself", call(nr64::DUP3, &[HIGH, HIGH, 0]), Errno::EINVAL);
    report.fails("dup3, unknown flag", call(nr64::DUP3, &[OUT, HIGH, 1]), Errno::EINVAL);
    let low = call(nr64::DUP, &[OUT]).unwrap_or(0);
    report.holds("dup takes a low free descriptor", (3..HIGH).contains(&low));
    report.holds("close of it", call(nr64::CLOSE, &[low]) == Ok(0));
    report.holds("dup takes the same again", call(nr64::DUP, &[OUT]) == Ok(low));
    report.holds("close of it", call(nr64::CLOSE, &[low]) == Ok(0));
    report.is("close", call(nr64::CLOSE, &[HIGH]), 0);
}

fn flags(report: &mut Report, at: u64) {
    const DUPFD: u64 = 0;
    const GETFD: u64 = 1;
    const SETFD: u64 = 2;
    const GETFL: u64 = 3;
    const SETFL: u64 = 4;
    const DUPFD_CLOEXEC: u64 = 1030;
    const NONBLOCK: u64 = 0o4000;
    const FIONCLEX: u64 = 0x5450;
    const FIOCLEX: u64 = 0x5451;
    const FIONBIO: u64 = 0x5421;
    let fcntl = |fd, command, argument| call(nr64::FCNTL, &[fd, command, argument]);
    report.is("fcntl DUPFD", fcntl(OUT, DUPFD, HIGH), HIGH);
    report.is("fcntl DUPFD, taken", fcntl(OUT, DUPFD, HIGH), HIGH + 1);
    report.is("fcntl DUPFD_CLOEXEC", fcntl(OUT, DUPFD_CLOEXEC, HIGH), HIGH + 2);
    report.is("fcntl GETFD", fcntl(HIGH, GETFD, 0), 0);
    report.is("fcntl GETFD, close on exec", fcntl(HIGH + 2, GETFD, 0), 1);
    report.is("fcntl SETFD", fcntl(HIGH + 2, SETFD, 0), 0);
    report.is("fcntl GETFD", fcntl(HIGH + 2, GETFD, 0), 0);
    report.is("ioctl FIOCLEX", call(nr64::IOCTL, &[HIGH, FIOCLEX, 0]), 0);
    report.is("fcntl GETFD", fcntl(HIGH, GETFD, 0), 1);
    report.is("fcntl GETFD of another duplicate", fcntl(HIGH + 1, GETFD, 0), 0);
    report.is("ioctl FIONCLEX", call(nr64::IOCTL, &[HIGH, FIONCLEX, 0]), 0);
    report.is("fcntl GETFD", fcntl(HIGH, GETFD, 0), 0);
    for fd in 0..3 {
        let access = fcntl(fd, GETFL, 0).map(|flags| flags & 3);
        println!("descriptor {fd} has access {}", Outcome(access));
    }
    let before = fcntl(HIGH, GETFL, 0).unwrap_or(0);
    report.is("fcntl SETFL, not waiting", fcntl(HIGH, SETFL, before | NONBLOCK), 0);
    let shared = fcntl(OUT, GETFL, 0).is_ok_and(|flags| flags & NONBLOCK != 0);
    report.holds("duplicates share it", shared);
    poke_u64(at, 0);
    report.is("ioctl FIONBIO", call(nr64::IOCTL, &[HIGH, FIONBIO, at]), 0);
    report.holds("undoes it", fcntl(HIGH, GETFL, 0) == Ok(before));
    report.is("fcntl SETFL, access cannot change", fcntl(HIGH, SETFL, before ^ 3), 0);
    report.holds("and did not", fcntl(HIGH, GETFL, 0) == Ok(before));
    report.fails("fcntl DUPFD from -1", fcntl(OUT, DUPFD, MINUS_ONE), Errno::EINVAL);
    report.fails("fcntl, unknown", fcntl(OUT, 9999, 0), Errno::EINVAL);
    report.fails("fcntl of a bad descriptor", fcntl(BAD_FD, GETFD, 0), Errno::EBADF);
    for fd in HIGH..HIGH + 3 {
        report.is("close", call(nr64::CLOSE, &[fd]), 0);
    }
}

fn write(fd: u64, text: &[u8]) -> Result<u64, Errno> {
    call(nr64::WRITE, &[fd, text.as_ptr() as u64, text.len() as u64])
}

fn transfers(report: &mut Report, at: u64) {
    let writev = |fd, count| call(nr64::WRITEV, &[fd, at, count]);
    let pieces: [&[u8]; 4] = [b"one ", b"", b"two ", b"three\n"];
    for (index, piece) in pieces.iter().enumerate() {
        poke_u64(at + 16 * index as u64, piece.as_ptr() as u64);
        poke_u64(at + 16 * index as u64 + 8, piece.len() as u64);
    }
    report.is("writev of four", writev(OUT, 4), 14);
    report.is("writev of none", writev(OUT, 0), 0);
    report.fails("writev to a bad descriptor", writev(BAD_FD, 4), Errno::EBADF);
    report.fails("readv from a bad descriptor", call(nr64::READV, &[BAD_FD, at, 4]), Errno::EBADF);
    report.is("readv of none", call(nr64::READV, &[IN, at, 0]), 0);
    report.is("write of nothing", write(OUT, b""), 0);
    report.is("read of nothing", call(nr64::READ, &[IN, at, 0]), 0);
    report.fails("read from a bad descriptor", call(nr64::READ, &[BAD_FD, at, 1]), Errno::EBADF);
    report.fails("read from descriptor -1", call(nr64::READ, &[MINUS_ONE, at, 1]), Errno::EBADF);
    let access = |fd| call(nr64::FCNTL, &[fd, 3, 0]).unwrap_or(0) & 3;
    if access(OUT) == 1 {
        report.fails("read from standard output", call(nr64::READ, &[OUT, at, 1]), Errno::EBADF);
    }
    if access(IN) == 0 {
        println!("standard input is open for reading only");
        report.fails("write to standard input", write(IN, b"x"), Errno::EBADF);
    }
}

fn seeking(report: &mut Report, at: u64) {
    const SET: u64 = 0;
    const CUR: u64 = 1;
    const END: u64 = 2;
    let lseek = |fd, offset, whence| call(nr64::LSEEK, &[fd, offset, whence]);
    report.fails("lseek of a bad descriptor", lseek(BAD_FD, 0, SET), Errno::EBADF);
    report.fails("lseek, unknown", lseek(IN, 0, 99), Errno::EINVAL);
    let pread = |fd, offset| call(nr64::PREAD64, &[fd, at, 8, offset]);
    report.fails("pread64 before the beginning", pread(IN, MINUS_ONE), Errno::EINVAL);
    report.fails("pread64 from a bad descriptor", pread(BAD_FD, 0), Errno::EBADF);
    if file_type(OUT, at) == 0o010_000 {
        report.fails("lseek of a pipe", lseek(OUT, 0, CUR), Errno::ESPIPE);
        report.fails("pread64 from a pipe", pread(OUT, 0), Errno::ESPIPE);
    }
    if file_type(IN, at) == 0o100_000 {
        let size = report.works("lseek to the end", lseek(IN, 0, END));
        println!("which is at {size}");
        report.is("read there", call(nr64::READ, &[IN, at, 8]), 0);
        report.is("lseek to the beginning", lseek(IN, 0, SET), 0);
        report.fails("lseek to before it", lseek(IN, MINUS_ONE, SET), Errno::EINVAL);
        let first = call(nr64::READ, &[IN, at, 8]);
        report.is("read there", first, size.min(8));
        let word = peek_u64(at);
        report.is("lseek tells the position", lseek(IN, 0, CUR), size.min(8));
        report.is("pread64 at the beginning", pread(IN, 0), size.min(8));
        report.holds("reads the same", peek_u64(at) == word);
        report.is("and leaves the position", lseek(IN, 0, CUR), size.min(8));
        dup_to(report, "dup2", IN, HIGH);
        report.is("lseek of the duplicate", lseek(HIGH, 3, SET), 3);
        report.is("moves the original", lseek(IN, 0, CUR), 3);
        report.is("close", call(nr64::CLOSE, &[HIGH]), 0);
    }
}

fn control(report: &mut Report, at: u64) {
    const TCGETS: u64 = 0x5401;
    const TIOCGWINSZ: u64 = 0x5413;
    for fd in 0..3 {
        println!("descriptor {fd}");
        report.fails("ioctl TCGETS", call(nr64::IOCTL, &[fd, TCGETS, at]), Errno::ENOTTY);
        report.fails("ioctl TIOCGWINSZ", call(nr64::IOCTL, &[fd, TIOCGWINSZ, at]), Errno::ENOTTY);
        report.fails("ioctl, unknown", call(nr64::IOCTL, &[fd, 0xdead, at]), Errno::ENOTTY);
    }
    report.fails(
        "ioctl of a bad descriptor",
        call(nr64::IOCTL, &[BAD_FD, TCGETS, at]),
        Errno::EBADF,
    );
    report.fails("ioctl FIONBIO at 0", call(nr64::IOCTL, &[OUT, 0x5421, 0]), Errno::EFAULT);
}

fn polling(report: &mut Report, at: u64) {
    const POLLIN: u64 = 0x001;
    const POLLOUT: u64 = 0x004;
    const POLLHUP: u64 = 0x010;
    const NVAL: u64 = 0x020;
    let entry = |index: u64, fd: u64, events: u64| {
        poke_u64(at + 8 * index, fd & 0xffff_ffff | events << 32 | 0xffff << 48);
    };
    let revents = |index: u64| peek_u64(at + 8 * index) >> 48;
    let poll = |count, timeout| call(nr64::POLL, &[at, count, timeout]);
    entry(0, OUT, POLLOUT);
    report.is("poll standard output", poll(1, MINUS_ONE), 1);
    report.equals("it can be written", revents(0), POLLOUT);
    entry(0, IN, POLLIN);
    report.is("poll standard input", poll(1, MINUS_ONE), 1);
    // Whether a pipe's writer has gone already is a matter of the moment.
    println!("it has {:#x}", revents(0) & !POLLHUP);
    entry(0, OUT, 0);
    report.is("poll for nothing", poll(1, 0), 0);
    report.equals("it has", revents(0), 0);
    entry(0, BAD_FD, POLLIN);
    report.is("poll a bad descriptor", poll(1, MINUS_ONE), 1);
    report.equals("it is invalid", revents(0), NVAL);
    entry(0, MINUS_ONE, POLLIN);
    report.is("poll descriptor -1", poll(1, 1), 0);
    report.equals("it has", revents(0), 0);
    entry(0, OUT, POLLOUT);
    entry(1, MINUS_ONE, POLLOUT);
    entry(2, BAD_FD, 0);
    entry(3, OUT, 0);
    entry(4, OUT, POLLOUT);
    report.is("poll five", poll(5, 1000), 3);
    for (index, expected) in [POLLOUT, 0, NVAL, 0, POLLOUT].into_iter().enumerate() {
        report.equals("it has", revents(index as u64), expected);
    }
    report.is("poll nothing", poll(0, 1), 0);
    report.fails("poll far too many", poll(0xffff_ffff, 0), Errno::EINVAL);
    report.fails("poll at 0", call(nr64::POLL, &[0, 1, 0]), Errno::EFAULT);
    poke_u64(at + 64, 0);
    poke_u64(at + 72, 1_000_000_000);
    let ppoll = call(nr64::PPOLL, &[at, 0, at + 64, 0, 8]);
    report.fails("ppoll of too many nanoseconds", ppoll, Errno::EINVAL);
    poke_u64(at + 72, 1_000_000);
    report.is("ppoll nothing for a millisecond", call(nr64::PPOLL, &[at, 0, at + 64, 0, 8]), 0);
    entry(0, OUT, POLLOUT);
    report.is("ppoll standard output", call(nr64::PPOLL, &[at, 1, 0, 0, 8]), 1);
    report.equals("it can be written", revents(0), POLLOUT);
}

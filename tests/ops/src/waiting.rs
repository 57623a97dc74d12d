//! What threads wait for: pipes, eventfd, futexes, poll and epoll; and threads
//! themselves. A ping-pong is a whole round trip, both sides on one CPU.

use std::ffi::{c_int, c_long};
use std::io::{self, PipeReader, PipeWriter, Write as _};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::Operation;
use crate::measure::{Counted, Repeats, calls};
use crate::sys::{self, Doing, Failure, Stack};

pub(crate) const OPERATIONS: &[Operation] = &[
    ("pipe", |repeats| {
        let (reader, writer) = io::pipe().doing("pipe")?;
        calls(repeats, 300, || {
            sys::write(writer.as_raw_fd(), &[1]) | sys::read(reader.as_raw_fd(), &mut [0])
        })
    }),
    ("pipe-ping-pong-threads", |repeats| {
        let pipes = Pipes::new()?;
        echo_in_thread(pipes.theirs())?;
        ping_pong(repeats, pipes.ours())
    }),
    ("pipe-ping-pong-processes", |repeats| {
        let pipes = Pipes::new()?;
        let child = sys::check(
            "fork",
            sys::fork(|| {
                echo(&pipes.theirs());
            }),
        )?;
        let counted = ping_pong(repeats, pipes.ours());
        sys::check("kill", sys::kill(child, libc::SIGKILL) | sys::wait_for(child))?;
        counted
    }),
    ("eventfd", |repeats| {
        let event = sys::check("eventfd", sys::eventfd())? as RawFd;
        let one = 1u64.to_ne_bytes();
        calls(repeats, 300, || sys::write(event, &one) | sys::read(event, &mut [0; 8]))
    }),
    ("futex-wake", |repeats| {
        let word = AtomicU32::new(0);
        calls(repeats, 500, || sys::futex_wake(&word))
    }),
    ("futex-ping-pong", |repeats| {
        static RUNNING: AtomicU32 = AtomicU32::new(1);
        sys::check("clone", sys::thread(leak(Stack::new()), &RUNNING, answer, &()))?;
        calls(repeats, 200, || {
            give(&PING);
            take(&PONG);
            0
        })
    }),
    ("poll", |repeats| {
        let (reader, mut writer) = io::pipe().doing("pipe")?;
        writer.write_all(b"x").doing("write")?;
        let mut one = libc::pollfd { fd: reader.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        calls(repeats, 300, || sys::poll(&mut one))
    }),
    ("epoll-wait", |repeats| {
        let epoll = sys::check("epoll_create1", sys::epoll_create())? as RawFd;
        let (reader, mut writer) = io::pipe().doing("pipe")?;
        writer.write_all(b"x").doing("write")?;
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
        sys::check("epoll_ctl", sys::epoll_add(epoll, reader.as_raw_fd(), &mut event))?;
        calls(repeats, 300, || sys::epoll_wait(epoll, &mut event))
    }),
    ("thread", |repeats| {
        extern "C" fn nothing(_: &'static ()) -> c_int {
            0
        }
        let mut stack = Stack::new();
        let running = AtomicU32::new(0);
        let mut once = || {
            running.store(1, Ordering::Relaxed);
            let made = sys::thread(&mut stack, &running, nothing, &());
            while made > 0 && running.load(Ordering::Acquire) != 0 {
                sys::futex_wait_shared(&running, 1);
            }
            made
        };
        sys::check("clone", once())?;
        calls(repeats, 50, once)
    }),
];

/// A way there and a way back.
struct Pipes {
    there: (PipeReader, PipeWriter),
    back: (PipeReader, PipeWriter),
}

/// One side's descriptors: where it reads, and where it writes.
pub(crate) type Ends = [RawFd; 2];

impl Pipes {
    fn new() -> Result<Self, Failure> {
        Ok(Self { there: io::pipe().doing("pipe")?, back: io::pipe().doing("pipe")? })
    }

    fn ours(&self) -> Ends {
        [self.back.0.as_raw_fd(), self.there.1.as_raw_fd()]
    }

    fn theirs(&self) -> Ends {
        [self.there.0.as_raw_fd(), self.back.1.as_raw_fd()]
    }
}

/// A byte there, and a byte back.
pub(crate) fn ping_pong(repeats: Repeats, [from, to]: Ends) -> Result<Counted, Failure> {
    calls(repeats, 200, || sys::write(to, &[1]) | sys::read(from, &mut [0]))
}

/// Sends back what comes, until nothing does.
fn echo(&[from, to]: &Ends) {
    let mut byte = [0];
    while sys::read(from, &mut byte) == 1 && sys::write(to, &byte) == 1 {}
}

/// The same in a thread, which ends with the process.
pub(crate) fn echo_in_thread(ends: Ends) -> Result<c_long, Failure> {
    extern "C" fn body(ends: &'static Ends) -> c_int {
        echo(ends);
        0
    }
    static RUNNING: AtomicU32 = AtomicU32::new(1);
    sys::check("clone", sys::thread(leak(Stack::new()), &RUNNING, body, leak(ends)))
}

/// For a thread that ends with the process.
fn leak<T>(value: T) -> &'static mut T {
    Box::leak(Box::new(value))
}

static PING: AtomicU32 = AtomicU32::new(0);
static PONG: AtomicU32 = AtomicU32::new(0);

fn give(word: &AtomicU32) {
    word.store(1, Ordering::Release);
    sys::futex_wake(word);
}

fn take(word: &AtomicU32) {
    while word.load(Ordering::Acquire) == 0 {
        sys::futex_wait(word, 0);
    }
    word.store(0, Ordering::Release);
}

/// The other side of the futexes.
extern "C" fn answer(_: &'static ()) -> c_int {
    loop {
        take(&PING);
        give(&PONG);
    }
}

//! Pipes and fifos.

use super::*;
use crate::fs::pipe::Pipe;
use crate::tests::{HEAP, SIZE};
use trapgate_uapi::fcntl::{F_SETPIPE_SZ, O_DIRECT, O_NONBLOCK, O_WRONLY};
use trapgate_uapi::ioctl::FIONREAD;
use trapgate_uapi::poll::{POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM};
use trapgate_uapi::signal::{SIG_BLOCK, SIGPIPE};
use trapgate_uapi::stat::S_IFIFO;

/// A pipe with both ends open.
fn pipe() -> Pipe {
    let pipe = Pipe::default();
    pipe.add_end(O_RDONLY).unwrap();
    pipe.add_end(O_WRONLY).unwrap();
    pipe
}

fn put(pipe: &Pipe, length: usize) -> Result<u64, Errno> {
    pipe.write_of_kernel(&vec![7; length], O_WRONLY | O_NONBLOCK)
}

#[test]
fn small_writes_share_pages_and_those_that_do_not_fit_take_their_own() {
    let _sandbox = Sandbox::new();
    let small = pipe();
    let ones = (0..).take_while(|_| put(&small, 1).is_ok()).count();
    assert_eq!((ones, put(&small, 1)), (65_536, Err(Errno::EAGAIN)));
    let large = pipe();
    assert_eq!((0..).take_while(|_| put(&large, 3000).is_ok()).count(), 16);
    assert_eq!((large.bytes(), put(&large, 1096)), (48_000, Ok(1096)));
    assert_eq!(put(&large, 1), Err(Errno::EAGAIN));
}

#[test]
fn what_is_too_much_is_written_in_part() {
    let _sandbox = Sandbox::new();
    let pipe = pipe();
    assert_eq!(put(&pipe, 65_536 + 5), Ok(65_536));
    assert_eq!(put(&pipe, 5), Err(Errno::EAGAIN));
}

#[test]
fn sizes_are_powers_of_two_that_hold_what_is_there() {
    let _sandbox = Sandbox::new();
    let pipe = pipe();
    assert_eq!((pipe.size(), pipe.set_size(5000)), (65_536, Ok(8192)));
    assert_eq!(put(&pipe, 10_000), Ok(8192));
    assert_eq!((pipe.set_size(1), pipe.set_size(1 << 32)), (Err(Errno::EBUSY), Err(Errno::EINVAL)));
    assert_eq!((pipe.set_size(8193), put(&pipe, 10_000)), (Ok(16_384), Ok(8192)));
}

#[test]
fn ends_that_go_are_told_and_bytes_outlive_their_writer() {
    let _sandbox = Sandbox::new();
    let pipe = pipe();
    assert_eq!(pipe.ready(O_RDONLY, 0), 0);
    assert_eq!(pipe.ready(O_WRONLY, 0), POLLOUT | POLLWRNORM);
    put(&pipe, 10).unwrap();
    pipe.remove_end(O_WRONLY);
    assert_eq!(pipe.ready(O_RDONLY, 0), POLLIN | POLLRDNORM | POLLHUP);
    // Who came after the last writer has not seen one.
    assert_eq!(pipe.ready(O_RDONLY, 1), POLLIN | POLLRDNORM);
    assert_eq!(pipe.bytes(), 10);
    pipe.remove_end(O_RDONLY);
    assert_eq!((pipe.bytes(), put(&pipe, 1)), (0, Err(Errno::EPIPE)));
}

#[test]
fn a_fifo_that_must_not_wait_has_a_reader_first() {
    let _sandbox = Sandbox::new();
    let fifo = Pipe::default();
    assert_eq!(fifo.open(O_WRONLY | O_NONBLOCK), Err(Errno::ENXIO));
    assert_eq!(fifo.open(O_RDONLY | O_NONBLOCK), Ok(0));
    assert_eq!(fifo.open(O_WRONLY | O_NONBLOCK), Ok(0));
}

impl Sandbox {
    /// Makes a pipe: its ends are descriptors 3 and 4.
    fn pipe(&self, flags: u32) {
        assert_eq!(self.call(nr64::PIPE2, [BUFFER, flags.into(), 0, 0, 0, 0]), Ok(0));
        assert_eq!(self.load(BUFFER), [3, 0, 0, 0, 4, 0, 0, 0]);
    }

    /// What poll(2) tells of a descriptor.
    fn poll(&self, fd: u8, events: u16) -> u16 {
        let [low, high] = events.to_le_bytes();
        self.store(BUFFER, &[fd, 0, 0, 0, low, high, 0, 0]);
        self.call(nr64::POLL, [BUFFER, 1, 0, 0, 0, 0]).unwrap();
        u16::from_le_bytes(self.load(BUFFER + 6))
    }
}

#[test]
fn bytes_go_through_a_pipe_in_order_and_across_missing_pages() {
    let sandbox = Sandbox::new();
    sandbox.pipe(O_NONBLOCK);
    assert_eq!(sandbox.read::<1>(3), Err(Errno::EAGAIN));
    assert_eq!((sandbox.write(4, b"one"), sandbox.write(4, b" two")), (Ok(3), Ok(4)));
    assert_eq!(sandbox.call(nr64::IOCTL, [3, FIONREAD.into(), BUFFER, 0, 0, 0]), Ok(0));
    assert_eq!(sandbox.load(BUFFER), [7, 0, 0, 0]);
    assert_eq!(sandbox.read::<5>(3), Ok((*b"one t", 5)));
    assert_eq!(sandbox.read::<2>(3), Ok((*b"wo", 2)));
    // Nobody has touched these pages.
    let fresh = DATA + SIZE - 2 * PAGE_SIZE - 1;
    let length = PAGE_SIZE + 2;
    assert_eq!(sandbox.call(nr64::WRITE, [4, fresh, length, 0, 0, 0]), Ok(length));
    assert_eq!(sandbox.call(nr64::READ, [3, HEAP, 1, 0, 0, 0]), Err(Errno::EFAULT));
    assert_eq!(sandbox.call(nr64::READ, [3, fresh - 2 * PAGE_SIZE, length, 0, 0, 0]), Ok(length));
    // What begins well and ends badly is not written at all.
    let bad = DATA + SIZE - 4;
    assert_eq!(sandbox.call(nr64::WRITE, [4, bad, 8, 0, 0, 0]), Err(Errno::EFAULT));
    assert_eq!(sandbox.read::<1>(3), Err(Errno::EAGAIN));
}

#[test]
fn ends_have_one_direction_and_no_position() {
    let sandbox = Sandbox::new();
    sandbox.pipe(0);
    assert_eq!(sandbox.write(3, b"x"), Err(Errno::EBADF));
    assert_eq!(sandbox.read::<1>(4), Err(Errno::EBADF));
    assert_eq!(sandbox.call(nr64::LSEEK, [3, 0, 0, 0, 0, 0]), Err(Errno::ESPIPE));
    assert_eq!(sandbox.call(nr64::PREAD64, [3, BUFFER, 1, 0, 0, 0]), Err(Errno::ESPIPE));
    assert_eq!(sandbox.call(nr64::FSYNC, [3, 0, 0, 0, 0, 0]), Err(Errno::EINVAL));
    sandbox.call(nr64::FSTAT, [3, BUFFER, 0, 0, 0, 0]).unwrap();
    assert_eq!(sandbox.structure::<Stat>(BUFFER).st_mode, S_IFIFO | 0o600);
    assert_eq!(sandbox.call(nr64::PIPE2, [BUFFER, 1, 0, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(sandbox.call(nr64::PIPE, [HEAP, 0, 0, 0, 0, 0]), Err(Errno::EFAULT));
    assert_eq!(sandbox.call(nr64::DUP, [0, 0, 0, 0, 0, 0]), Ok(5), "both are closed again");
}

#[test]
fn who_writes_where_nobody_reads_gets_a_signal() {
    let sandbox = Sandbox::new();
    sandbox.pipe(0);
    sandbox.close(3);
    sandbox.store(BUFFER, &(1u64 << (SIGPIPE - 1)).to_le_bytes());
    let block = [SIG_BLOCK as u64, BUFFER, 0, 8, 0, 0];
    sandbox.call(nr64::RT_SIGPROCMASK, block).unwrap();
    assert_eq!(sandbox.call(nr64::WRITE, [4, BUFFER, 0, 0, 0, 0]), Ok(0));
    assert_eq!(sandbox.write(4, b"x"), Err(Errno::EPIPE));
    sandbox.call(nr64::RT_SIGPENDING, [BUFFER, 8, 0, 0, 0, 0]).unwrap();
    assert_eq!(sandbox.load_word(BUFFER), 1 << (SIGPIPE - 1));
}

#[test]
fn a_few_bytes_stay_in_order_where_a_page_of_the_pipe_ends() {
    let sandbox = Sandbox::new();
    sandbox.pipe(O_NONBLOCK);
    // A page is at hand from here on.
    sandbox.write(4, b"x").unwrap();
    assert_eq!(sandbox.read::<1>(3), Ok((*b"x", 1)));
    let most = PAGE_SIZE - 2;
    let write = |length: u64| sandbox.call(nr64::WRITE, [4, DATA, length, 0, 0, 0]);
    let read = |length: u64| sandbox.call(nr64::READ, [3, DATA, length, 0, 0, 0]);
    for _ in 0..3 {
        assert_eq!(write(most), Ok(most));
        assert_eq!(sandbox.write(4, b"yz"), Ok(2), "up to its end");
        assert_eq!((sandbox.write(4, b"abc"), sandbox.write(4, b"de")), (Ok(3), Ok(2)));
        assert_eq!(read(most), Ok(most));
        assert_eq!(sandbox.read::<4>(3), Ok((*b"yzab", 4)), "of two pages");
        assert_eq!(sandbox.read::<3>(3), Ok((*b"cde", 3)));
        assert_eq!(sandbox.read::<1>(3), Err(Errno::EAGAIN));
    }
}

#[test]
fn whichever_way_one_writes_where_nobody_reads_there_is_a_signal() {
    type Way = dyn Fn(&Sandbox) -> Result<u64, Errno>;
    let write = |sandbox: &Sandbox| sandbox.write(4, b"x");
    let writev = |sandbox: &Sandbox| {
        sandbox.store(BUFFER, &[BUFFER, 1].map(u64::to_le_bytes).concat());
        sandbox.call(nr64::WRITEV, [4, BUFFER, 1, 0, 0, 0])
    };
    let sendfile = |sandbox: &Sandbox| {
        let file = sandbox.open("/tmp/file", O_RDWR | O_CREAT).unwrap();
        sandbox.write(file, b"x").unwrap();
        sandbox.store(BUFFER, &[0; 8]);
        sandbox.call(nr64::SENDFILE, [4, file, BUFFER, 1, 0, 0])
    };
    let nowhere = |sandbox: &Sandbox| sandbox.call(nr64::WRITE, [4, u64::MAX, 1, 0, 0, 0]);
    let ways: [(&Way, _, _); 4] = [
        (&write, Errno::EPIPE, true),
        (&writev, Errno::EPIPE, true),
        (&sendfile, Errno::EPIPE, true),
        (&nowhere, Errno::EFAULT, false),
    ];
    for (way, error, signal) in ways {
        let sandbox = Sandbox::new();
        sandbox.pipe(0);
        sandbox.close(3);
        sandbox.store(BUFFER, &(1u64 << (SIGPIPE - 1)).to_le_bytes());
        let block = [SIG_BLOCK as u64, BUFFER, 0, 8, 0, 0];
        sandbox.call(nr64::RT_SIGPROCMASK, block).unwrap();
        assert_eq!(way(&sandbox), Err(error));
        sandbox.call(nr64::RT_SIGPENDING, [BUFFER, 8, 0, 0, 0, 0]).unwrap();
        assert_eq!(sandbox.load_word(BUFFER), u64::from(signal) << (SIGPIPE - 1));
    }
}

#[test]
fn poll_tells_what_a_pipe_has_and_who_is_gone() {
    let sandbox = Sandbox::new();
    sandbox.pipe(0);
    assert_eq!((sandbox.poll(3, POLLIN), sandbox.poll(4, POLLOUT)), (0, POLLOUT));
    sandbox.write(4, b"x").unwrap();
    assert_eq!(sandbox.poll(3, POLLIN | POLLRDNORM), POLLIN | POLLRDNORM);
    sandbox.close(4);
    assert_eq!(sandbox.poll(3, 0), POLLHUP);
    assert_eq!(sandbox.read::<4>(3), Ok(([b'x', 0, 0, 0], 1)));
    assert_eq!(sandbox.read::<1>(3).map(|(_, got)| got), Ok(0), "the end");
}

#[test]
fn packets_are_read_one_at_a_time() {
    let sandbox = Sandbox::new();
    sandbox.pipe(O_DIRECT);
    sandbox.write(4, b"first").unwrap();
    sandbox.write(4, b"second").unwrap();
    assert_eq!(sandbox.read::<2>(3), Ok((*b"fi", 2)));
    assert_eq!(sandbox.read::<6>(3), Ok((*b"second", 6)));
    assert_eq!(sandbox.call(nr64::FCNTL, [3, F_SETPIPE_SZ.into(), 1, 0, 0, 0]), Ok(4096));
}

#[test]
fn a_fifo_has_what_was_written_as_long_as_it_is_open() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.with_path(nr64::MKNOD, "/tmp/fifo", [(S_IFIFO | 0o644).into(), 0]), Ok(0));
    assert_eq!(sandbox.open("/tmp/fifo", O_WRONLY | O_NONBLOCK), Err(Errno::ENXIO));
    let both = sandbox.open("/tmp/fifo", O_RDWR).unwrap();
    sandbox.write(both, b"kept").unwrap();
    let reader = sandbox.open("/tmp/fifo", O_RDONLY).unwrap();
    sandbox.close(both);
    assert_eq!(sandbox.read::<2>(reader), Ok((*b"ke", 2)));
    sandbox.close(reader);
    let reader = sandbox.open("/tmp/fifo", O_RDONLY | O_NONBLOCK).unwrap();
    assert_eq!(sandbox.read::<2>(reader).map(|(_, got)| got), Ok(0));
    assert_eq!(sandbox.poll(reader as u8, POLLIN), 0, "nobody has written since");
}

//! What can be full or empty: the kinds of files that a program waits for.

use crate::programs::directory;
use nix::fcntl::{FcntlArg, fcntl};
use nix::pty::openpty;
use nix::sys::stat::Mode;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::{mkfifo, write};
use std::fs::File;
use std::io::pipe;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// A kind of these.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// pipe(7)
    Pipe,
    /// fifo(7)
    NamedPipe,
    /// unix(7), a stream.
    Socket,
    /// A pseudo-terminal: its master is read, its slave is written.
    Terminal,
    /// The other way round.
    TerminalsOtherEnd,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 5] =
        [Kind::Pipe, Kind::NamedPipe, Kind::Socket, Kind::Terminal, Kind::TerminalsOtherEnd];

    /// What is read from, and what is written to. A terminal is raw.
    ///
    /// # Panics
    /// If there can be none.
    pub fn ends(self) -> (OwnedFd, OwnedFd) {
        let terminal = || {
            let pair = openpty(None, None).expect("there are pseudo-terminals");
            let mut mode = tcgetattr(&pair.slave).expect("it is a terminal");
            cfmakeraw(&mut mode);
            tcsetattr(&pair.slave, SetArg::TCSANOW, &mode).expect("it is a terminal");
            (pair.master, pair.slave)
        };
        match self {
            Kind::Pipe => {
                let (reader, writer) = pipe().expect("there are pipes");
                (reader.into(), writer.into())
            }
            Kind::NamedPipe => named_pipe(),
            Kind::Socket => {
                let (one, other) = UnixStream::pair().expect("there are sockets");
                (one.into(), other.into())
            }
            Kind::Terminal => terminal(),
            Kind::TerminalsOtherEnd => {
                let (master, slave) = terminal();
                (slave, master)
            }
        }
    }
}

/// Both ends of a named pipe whose name is gone.
///
/// # Panics
/// If there can be none.
pub fn named_pipe() -> (OwnedFd, OwnedFd) {
    named_pipe_at(&directory().path().join("pipe"))
}

/// Both ends of one that has this name from now on.
///
/// # Panics
/// If there can be none.
pub fn named_pipe_at(path: &Path) -> (OwnedFd, OwnedFd) {
    mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).expect("there are named pipes");
    // Opening one end waits for the other.
    let both = File::options().read(true).write(true).open(path);
    let (reader, writer) = (File::open(path), File::options().write(true).open(path));
    assert!(both.is_ok(), "it can be opened");
    let opened = "the other end is open";
    (reader.expect(opened).into(), writer.expect(opened).into())
}

/// Both ends of a pipe that is full.
///
/// # Panics
/// If there can be none.
pub fn full_pipe() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = Kind::Pipe.ends();
    fill(&writer);
    (reader, writer)
}

/// Fills a pipe, which is a page from then on.
///
/// # Panics
/// If it is none, or not empty.
pub fn fill(writer: impl AsFd) {
    let size = fcntl(&writer, FcntlArg::F_SETPIPE_SZ(4096)).expect("a pipe can be small");
    let written = write(&writer, &vec![b'x'; size as usize]);
    assert_eq!(written, Ok(size as usize), "it has room");
}

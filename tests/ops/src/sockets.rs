//! Sockets on one machine: a byte there, by one thread; and there and back.

use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use crate::Operation;
use crate::measure::calls;
use crate::sys::{self, Doing, Failure};
use crate::waiting::{echo_in_thread, ping_pong};

pub(crate) const OPERATIONS: &[Operation] = &[
    ("unix-stream", |repeats| {
        let (ours, theirs) = unix()?;
        calls(repeats, 200, || {
            sys::write(ours.as_raw_fd(), &[1]) | sys::read(theirs.as_raw_fd(), &mut [0])
        })
    }),
    ("unix-ping-pong", |repeats| {
        let (ours, theirs) = unix()?;
        echo_in_thread([theirs.as_raw_fd(); 2])?;
        ping_pong(repeats, [ours.as_raw_fd(); 2])
    }),
    ("tcp", |repeats| {
        let (ours, theirs) = tcp()?;
        calls(repeats, 100, || {
            sys::write(ours.as_raw_fd(), &[1]) | sys::read(theirs.as_raw_fd(), &mut [0])
        })
    }),
    ("tcp-ping-pong", |repeats| {
        let (ours, theirs) = tcp()?;
        echo_in_thread([theirs.as_raw_fd(); 2])?;
        ping_pong(repeats, [ours.as_raw_fd(); 2])
    }),
];

fn unix() -> Result<(UnixStream, UnixStream), Failure> {
    UnixStream::pair().doing("socketpair")
}

/// Both ends of a connection over the loopback device.
fn tcp() -> Result<(TcpStream, TcpStream), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").doing("socket")?;
    let address = listener.local_addr().doing("getsockname")?;
    let ours = TcpStream::connect(address).doing("connect")?;
    let (theirs, _) = listener.accept().doing("accept")?;
    for end in [&ours, &theirs] {
        end.set_nodelay(true).doing("setsockopt")?;
    }
    Ok((ours, theirs))
}

//! linux/socket.h: families of sockets.

/// socket(2): within this machine, by names of files.
pub const AF_UNIX: i32 = 1;

//! `exec PROGRAM ARGUMENTS`: puts the files of standard input where they belong, and goes
//! on as that program, with these arguments and the environment.
//!
//! A file is the lengths of its path and of its bytes, as words of 32 bits, then both.
//! What it leaves for the new program to find shows what execve(2) takes away: a
//! descriptor that closes and one that stays, a handler and a signal that is ignored.
#![no_std]
#![no_main]

use trapgate_programs::call;
use trapgate_rt::{Args, STDIN, eprintln, read};
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::{AT_FDCWD, O_CLOEXEC, O_CREAT, O_TRUNC, O_WRONLY};
use trapgate_uapi::syscall::nr64;

trapgate_rt::entry!(main);

/// The most arguments and strings of the environment.
const MOST: usize = 64;

fn main(args: Args) -> i32 {
    match put_files().and_then(|()| prepare()) {
        Ok(()) => {}
        Err(error) => {
            eprintln!("before execve: {}", error.name());
            return 2;
        }
    }
    let mut arguments = [0; MOST + 1];
    for (to, argument) in arguments[..MOST].iter_mut().zip(args.argv().skip(1)) {
        *to = argument.as_ptr() as u64;
    }
    let mut environment = [0; MOST + 1];
    for (to, variable) in environment[..MOST].iter_mut().zip(args.env()) {
        *to = variable.as_ptr() as u64;
    }
    let [path, ..] = arguments;
    let (arguments, environment) = (arguments.as_ptr() as u64, environment.as_ptr() as u64);
    let error = call(nr64::EXECVE, &[path, arguments, environment]).err();
    eprintln!("execve: {}", error.map_or("came back", |error| error.name()));
    3
}

/// Writes the files that come.
fn put_files() -> Result<(), Errno> {
    let mut buffer = [0; 4096];
    loop {
        let mut lengths = [0; 8];
        match fill(&mut lengths)? {
            0 => return Ok(()),
            8 => {}
            _ => return Err(Errno::EINVAL),
        }
        let [path_length, mut left] = [0, 4].map(|at| {
            u32::from_le_bytes([lengths[at], lengths[at + 1], lengths[at + 2], lengths[at + 3]])
                as usize
        });
        // What follows it is the NUL.
        buffer.fill(0);
        fill(buffer.get_mut(..path_length).filter(|path| path.len() < 4096).ok_or(Errno::EINVAL)?)?;
        let flags = u64::from(O_CREAT | O_WRONLY | O_TRUNC);
        let directory = AT_FDCWD as u64;
        let file = call(nr64::OPENAT, &[directory, buffer.as_ptr() as u64, flags, 0o755])?;
        while left > 0 {
            let piece = left.min(buffer.len());
            if fill(&mut buffer[..piece])? < piece {
                return Err(Errno::EINVAL);
            }
            call(nr64::WRITE, &[file, buffer.as_ptr() as u64, piece as u64])?;
            left -= piece;
        }
        call(nr64::CLOSE, &[file])?;
    }
}

/// Reads until it is full or the input ends.
fn fill(bytes: &mut [u8]) -> Result<usize, Errno> {
    let mut done = 0;
    while done < bytes.len() {
        match read(STDIN, &mut bytes[done..])? {
            0 => break,
            count => done += count as usize,
        }
    }
    Ok(done)
}

fn prepare() -> Result<(), Errno> {
    const SIGUSR1: u64 = 10;
    const SIGUSR2: u64 = 12;
    const SIG_IGN: u64 = 1;
    const HANDLER: u64 = 0x1234;
    const RESTORER: u64 = 0x0400_0000;
    for (signal, handler) in [(SIGUSR1, HANDLER), (SIGUSR2, SIG_IGN)] {
        let action = [handler, RESTORER, 0x1234, 0];
        call(nr64::RT_SIGACTION, &[signal, action.as_ptr() as u64, 0, 8])?;
    }
    call(nr64::DUP3, &[1, 60, u64::from(O_CLOEXEC)])?;
    call(nr64::DUP3, &[1, 61, 0])?;
    Ok(())
}

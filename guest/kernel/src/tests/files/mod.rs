//! Files in memory, as a program's calls find them.

mod attributes;
mod directories;
mod generated;
mod host;
mod image;
mod locks;
mod lower;
mod mapping;
mod names;
mod opening;
mod pipes;
mod reading;
mod space;
mod walking;

use super::{DATA, Sandbox};
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::{O_CREAT, O_DIRECTORY, O_RDONLY, O_RDWR};
use trapgate_uapi::stat::Stat;
use trapgate_uapi::syscall::nr64;
use zerocopy::FromBytes;

/// Where tests put a path, and a second one.
const PATHS: [u64; 2] = [DATA + 4 * PAGE_SIZE, DATA + 6 * PAGE_SIZE];
/// Where they have bytes, and structures.
const BUFFER: u64 = DATA + 8 * PAGE_SIZE;

type Answer = Result<u64, Errno>;

impl Sandbox {
    fn at(&self, place: u64, path: &str) -> u64 {
        self.store(place, path.as_bytes());
        self.store(place + path.len() as u64, &[0]);
        place
    }

    /// A call with a path in front.
    fn with_path<const N: usize>(&self, number: u32, path: &str, rest: [u64; N]) -> Answer {
        let mut arguments = [0; 6];
        arguments[0] = self.at(PATHS[0], path);
        arguments[1..=N].copy_from_slice(&rest);
        self.call(number, arguments)
    }

    fn open(&self, path: &str, flags: u32) -> Answer {
        self.with_path(nr64::OPEN, path, [flags.into(), 0o644])
    }

    fn close(&self, fd: u64) {
        assert_eq!(self.call(nr64::CLOSE, [fd, 0, 0, 0, 0, 0]), Ok(0));
    }

    fn write(&self, fd: u64, bytes: &[u8]) -> Answer {
        self.store(BUFFER, bytes);
        self.call(nr64::WRITE, [fd, BUFFER, bytes.len() as u64, 0, 0, 0])
    }

    fn read<const N: usize>(&self, fd: u64) -> Result<([u8; N], u64), Errno> {
        let got = self.call(nr64::READ, [fd, BUFFER, N as u64, 0, 0, 0])?;
        Ok((self.load(BUFFER), got))
    }

    /// Makes a file with these bytes.
    fn file(&self, path: &str, bytes: &[u8]) {
        let fd = self.open(path, O_CREAT | O_RDWR).unwrap();
        assert_eq!(self.write(fd, bytes), Ok(bytes.len() as u64));
        self.close(fd);
    }

    fn stat(&self, path: &str) -> Result<Stat, Errno> {
        self.with_path(nr64::STAT, path, [BUFFER])?;
        Ok(self.structure(BUFFER))
    }

    fn structure<T: FromBytes>(&self, at: u64) -> T {
        let bytes: Vec<u8> =
            (0..size_of::<T>() as u64).flat_map(|byte| self.load::<1>(at + byte)).collect();
        T::read_from_bytes(&bytes).unwrap()
    }

    /// A call with two paths.
    fn with_paths(&self, number: u32, paths: [&str; 2]) -> Answer {
        let paths = [0, 1].map(|index| self.at(PATHS[index], paths[index]));
        self.call(number, [paths[0], paths[1], 0, 0, 0, 0])
    }

    fn open_directory(&self, path: &str) -> u64 {
        self.open(path, O_RDONLY | O_DIRECTORY).unwrap()
    }
}

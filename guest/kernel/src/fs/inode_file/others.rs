//! Reading and writing what is no regular file: pipes, counters, devices, and what is made
//! when it is read.

use super::{At, InodeFile, are_users};
use crate::fs::dev::Device;
use crate::fs::generated::{self, Generated};
use crate::fs::inode::Kind;
use crate::fs::pipe::Pipe;
use crate::mm::space::AddressSpace;
use crate::user::UserPtr;
use core::sync::atomic::Ordering;
use spin::Mutex;
use trapgate_arch::usercopy::access_ok;
use trapgate_uapi::Errno;
use trapgate_uapi::uio::Iovec;

/// Bytes of what an eventfd(2) takes and gives.
const EVENT: u64 = size_of::<u64>() as u64;

impl InodeFile {
    /// read(2) and pread(2) of what is no regular file: first of what can be had at once.
    #[inline(never)]
    pub(super) fn read_of_others(
        &self,
        memory: &Mutex<AddressSpace>,
        to: u64,
        length: u64,
        at: At,
    ) -> Result<u64, Errno> {
        if at == At::Position {
            match &self.dentry.inode.kind {
                Kind::Fifo(pipe) => {
                    let got = pipe.read_few(to, length);
                    if got > 0 {
                        self.dentry.inode.accessed();
                        return Ok(got);
                    }
                }
                Kind::Event(event) if length >= EVENT => {
                    let count = event.take(self.flags())?;
                    return UserPtr::new(to).write(count).map(|()| EVENT);
                }
                _ => {}
            }
        }
        self.read_slowly(memory, to, length, at)
    }

    /// The same of all others.
    #[inline(never)]
    fn read_slowly(
        &self,
        memory: &Mutex<AddressSpace>,
        to: u64,
        length: u64,
        at: At,
    ) -> Result<u64, Errno> {
        match &self.dentry.inode.kind {
            Kind::Timer(timer) if at == At::Position && length >= EVENT => {
                let count = timer.take(self.flags())?;
                UserPtr::new(to).write(count).map(|()| EVENT)
            }
            Kind::Character(device) => {
                if !access_ok(to, length) {
                    return Err(Errno::EFAULT);
                }
                Device::of(*device).ok_or(Errno::ENXIO)?.read(memory, to, length)
            }
            Kind::Directory(_) => Err(Errno::EISDIR),
            Kind::Fifo(_) | Kind::Event(_) | Kind::Timer(_) | Kind::Epoll(_)
                if at != At::Position =>
            {
                Err(Errno::ESPIPE)
            }
            Kind::Fifo(pipe) => {
                self.read_pipe(pipe, memory, &[Iovec { iov_base: to, iov_len: length }])
            }
            Kind::Generated => self.read_generated(to, length, at),
            _ => Err(Errno::EINVAL),
        }
    }

    #[cold]
    fn read_generated(&self, to: u64, length: u64, at: At) -> Result<u64, Errno> {
        let file = self.dentry.made().and_then(Generated::as_file).ok_or(Errno::EINVAL)?;
        let offset = match at {
            At::Position => self.position.load(Ordering::Relaxed),
            At::Offset(offset) => offset,
        };
        if !access_ok(to, length) {
            return Err(Errno::EFAULT);
        }
        let got = self.beside.read(&|text| file.read(text), offset, to, length)?;
        if at == At::Position {
            self.position.store(offset + got, Ordering::Relaxed);
        }
        Ok(got)
    }

    #[cold]
    fn write_generated(&self, from: u64, length: u64, at: At) -> Result<u64, Errno> {
        let file = self.dentry.made().and_then(Generated::as_file).ok_or(Errno::EINVAL)?;
        let done = generated::write(file, from, length)?;
        if at == At::Position {
            self.position.fetch_add(done, Ordering::Relaxed);
        }
        Ok(done)
    }

    /// write(2) and pwrite(2) to what is no regular file: first to what takes it at once.
    #[inline(never)]
    pub(super) fn write_to_others(
        &self,
        memory: &Mutex<AddressSpace>,
        from: u64,
        length: u64,
        at: At,
    ) -> Result<u64, Errno> {
        if at == At::Position {
            match &self.dentry.inode.kind {
                Kind::Fifo(pipe) if pipe.write_few(from, length, self.flags()) => {
                    self.dentry.inode.modify();
                    return Ok(length);
                }
                Kind::Event(event) if length == EVENT => {
                    let more = UserPtr::new(from).read()?;
                    return event.add(more, self.flags()).map(|()| EVENT);
                }
                _ => {}
            }
        }
        self.write_slowly(memory, from, length, at)
    }

    /// The same to all others.
    #[inline(never)]
    fn write_slowly(
        &self,
        memory: &Mutex<AddressSpace>,
        from: u64,
        length: u64,
        at: At,
    ) -> Result<u64, Errno> {
        match &self.dentry.inode.kind {
            Kind::Character(device) => Device::of(*device).ok_or(Errno::ENXIO)?.write(length),
            Kind::Fifo(_) | Kind::Event(_) | Kind::Timer(_) | Kind::Epoll(_)
                if at != At::Position =>
            {
                Err(Errno::ESPIPE)
            }
            Kind::Fifo(pipe) => {
                self.write_pipe(pipe, memory, &[Iovec { iov_base: from, iov_len: length }])
            }
            Kind::Generated => self.write_generated(from, length, at),
            _ => Err(Errno::EINVAL),
        }
    }

    pub(super) fn read_pipe(
        &self,
        pipe: &Pipe,
        memory: &Mutex<AddressSpace>,
        to: &[Iovec],
    ) -> Result<u64, Errno> {
        are_users(to)?;
        let got = pipe.read(memory, to, self.flags())?;
        self.dentry.inode.accessed();
        Ok(got)
    }

    pub(super) fn write_pipe(
        &self,
        pipe: &Pipe,
        memory: &Mutex<AddressSpace>,
        from: &[Iovec],
    ) -> Result<u64, Errno> {
        are_users(from)?;
        let done = pipe.write(memory, from, self.flags())?;
        self.dentry.inode.modify();
        Ok(done)
    }

    /// write(2) of bytes of the kernel's to what has no positions.
    ///
    /// # Errors
    /// Those of write(2).
    pub fn write_of_kernel(&self, bytes: &[u8]) -> Result<u64, Errno> {
        let length = bytes.len() as u64;
        match &self.dentry.inode.kind {
            Kind::Character(device) => Device::of(*device).ok_or(Errno::ENXIO)?.write(length),
            Kind::Fifo(pipe) => pipe.write_of_kernel(bytes, self.flags()),
            _ => Err(Errno::EINVAL),
        }
    }
}

//! An open file of a file system: reading, writing, and where in it one is.

use crate::fs::beside::Beside;
use crate::fs::content;
use crate::fs::dentry::Dentry;
use crate::fs::filesystem::ASK_THE_HOST;
use crate::fs::host;
use crate::fs::inode::Kind;
use crate::fs::lock::Owner;
use crate::fs::open_flags::{readable, writable};
use crate::fs::transfer::MAX_RW_COUNT;
use crate::memory::try_box;
use crate::mm::space::AddressSpace;
use crate::sched::wait_queue::WaitQueue;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use spin::Mutex;
use trapgate_arch::usercopy::access_ok;
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::{O_APPEND, O_NOATIME, O_PATH};
use trapgate_uapi::fs::{SEEK_CUR, SEEK_DATA, SEEK_END, SEEK_HOLE, SEEK_SET};
use trapgate_uapi::poll::{POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM};
use trapgate_uapi::uio::Iovec;

mod others;

/// An open file of a file system.
pub struct InodeFile {
    /// The name by which it was opened, and the file.
    pub dentry: Arc<Dentry>,
    /// `O_*` flags that fcntl(2) shows.
    pub flags: AtomicU32,
    /// Where the next transfer begins; in a directory, the next name's cookie; of a pipe,
    /// what opening it answered.
    pub position: AtomicU64,
    /// What it was when it was read, of a file that is made for that; of one that is written
    /// on the host, that it is.
    beside: Beside,
}

/// Who waits for a lock on a file: all of them, since there are few.
pub static LOCKED: WaitQueue = WaitQueue::new();

impl InodeFile {
    /// What its locks know it by.
    pub fn owner(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }

    /// Gives up locks, and wakes who may have waited.
    #[inline]
    pub fn unlock(&self, owners: &[Owner]) {
        // Most files have none.
        if !self.dentry.inode.locks.lock().is_empty() {
            self.clear_locks(owners);
        }
    }

    #[cold]
    fn clear_locks(&self, owners: &[Owner]) {
        let mut locks = self.dentry.inode.locks.lock();
        let mut any = false;
        owners.iter().for_each(|&owner| any |= locks.clear_all(owner));
        drop(locks);
        if any {
            LOCKED.wake_all();
        }
    }
}

/// Its locks go with an open file.
impl Drop for InodeFile {
    fn drop(&mut self) {
        let owner = self.owner();
        self.unlock(&[Owner::File(owner), Owner::Whole(owner)]);
        if let Kind::Fifo(pipe) = &self.dentry.inode.kind {
            pipe.remove_end(self.flags());
        }
    }
}

/// Where a transfer takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Where the file's position is, which moves on.
    Position,
    /// At an offset, and the position stays.
    Offset(u64),
}

impl InodeFile {
    /// A file that was just opened.
    pub fn new(dentry: Arc<Dentry>, flags: u32) -> InodeFile {
        InodeFile {
            dentry,
            flags: AtomicU32::new(flags),
            position: AtomicU64::new(0),
            beside: Beside::default(),
        }
    }

    /// The same of one that is written on the host.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn written_there(
        dentry: Arc<Dentry>,
        flags: u32,
        writer: host::Writer,
    ) -> Result<InodeFile, Errno> {
        let beside = Beside::token(try_box(writer)?)?;
        let mut file = InodeFile::new(dentry, flags);
        file.beside = beside;
        Ok(file)
    }

    #[inline]
    fn flags(&self) -> u32 {
        self.flags.load(Ordering::Relaxed)
    }

    /// What poll(2) tells of it: most files never keep anybody waiting.
    pub fn ready(&self) -> u16 {
        match &self.dentry.inode.kind {
            Kind::Fifo(pipe) => pipe.ready(self.flags(), self.position.load(Ordering::Relaxed)),
            Kind::Event(event) => event.ready(),
            Kind::Timer(timer) => timer.ready(),
            Kind::Epoll(epoll) => epoll.poll(),
            _ => POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM,
        }
    }

    /// Where those wait who want to hear of a change of that.
    pub fn queues(&self) -> Option<[Option<&WaitQueue>; 2]> {
        Some(match &self.dentry.inode.kind {
            Kind::Fifo(pipe) => {
                let flags = self.flags();
                let readers = readable(flags).then_some(&pipe.readers);
                [readers, writable(flags).then_some(&pipe.writers)]
            }
            Kind::Event(event) => [Some(&event.queue), None],
            Kind::Timer(timer) => [Some(&timer.queue), None],
            Kind::Epoll(epoll) => [Some(&epoll.queue), None],
            _ => return None,
        })
    }

    /// What goes when it is closed.
    pub const fn beside(&self) -> &Beside {
        &self.beside
    }

    /// Whether it is only a place in a file system (`O_PATH`).
    pub fn is_path(&self) -> bool {
        self.flags() & O_PATH != 0
    }

    /// read(2) and pread(2) into one piece of memory. It was opened for reading.
    ///
    /// # Errors
    /// Those of read(2).
    #[inline]
    pub fn read(
        &self,
        memory: &Mutex<AddressSpace>,
        to: u64,
        length: u64,
        at: At,
    ) -> Result<u64, Errno> {
        let length = at_most(to, length)?;
        let Kind::Regular(object) = &self.dentry.inode.kind else {
            return self.read_of_others(memory, to, length, at);
        };
        let offset = match at {
            At::Position => self.position.load(Ordering::Relaxed),
            At::Offset(offset) => offset,
        };
        let got = content::read(memory, object, offset, to, length)?;
        if at == At::Position {
            self.position.store(offset + got, Ordering::Relaxed);
        }
        if self.flags() & O_NOATIME == 0 {
            self.dentry.inode.accessed();
        }
        Ok(got)
    }

    /// read(2) into one piece of memory, as [`InodeFile::read`]: what has no position is
    /// spared the way of what has one.
    ///
    /// # Errors
    /// Those of read(2).
    #[inline(always)]
    pub fn read_on(
        &self,
        memory: &Mutex<AddressSpace>,
        to: u64,
        length: u64,
    ) -> Result<u64, Errno> {
        match self.dentry.inode.kind {
            Kind::Regular(_) => self.read(memory, to, length, At::Position),
            _ => self.read_of_others(memory, to, at_most(to, length)?, At::Position),
        }
    }

    /// write(2) and pwrite(2) of one piece of memory. It was opened for writing. With
    /// `append`, at the end.
    ///
    /// # Errors
    /// Those of write(2).
    #[inline]
    pub fn write(
        &self,
        memory: &Mutex<AddressSpace>,
        from: u64,
        length: u64,
        at: At,
        append: bool,
    ) -> Result<u64, Errno> {
        let length = at_most(from, length)?;
        let Kind::Regular(object) = &self.dentry.inode.kind else {
            return self.write_to_others(memory, from, length, at);
        };
        let offset = match at {
            _ if append => None,
            At::Position => Some(self.position.load(Ordering::Relaxed)),
            At::Offset(offset) => Some(offset),
        };
        if length == 0 {
            return Ok(0);
        }
        let (start, done) = match content::write(memory, object, offset, from, length) {
            Ok(written) => written,
            Err(error) => return self.write_there(error, memory, offset, [from, length], at),
        };
        if at == At::Position {
            self.position.store(start + done, Ordering::Relaxed);
        }
        self.dentry.inode.modify();
        Ok(done)
    }

    /// The same where this error says that the file is written on the host.
    #[cold]
    fn write_there(
        &self,
        error: Errno,
        memory: &Mutex<AddressSpace>,
        offset: Option<u64>,
        from: [u64; 2],
        at: At,
    ) -> Result<u64, Errno> {
        if error != ASK_THE_HOST {
            return Err(error);
        }
        let (start, done) = host::content::write(memory, &self.dentry.inode, offset, from)?;
        if at == At::Position {
            self.position.store(start + done, Ordering::Relaxed);
        }
        Ok(done)
    }

    /// write(2) of one piece of memory, as [`InodeFile::write`]; the same.
    ///
    /// # Errors
    /// Those of write(2).
    #[inline(always)]
    pub fn write_on(
        &self,
        memory: &Mutex<AddressSpace>,
        from: u64,
        length: u64,
        append: bool,
    ) -> Result<u64, Errno> {
        match self.dentry.inode.kind {
            Kind::Regular(_) => self.write(memory, from, length, At::Position, append),
            _ => self.write_to_others(memory, from, at_most(from, length)?, At::Position),
        }
    }

    /// Whether writes go to the end.
    pub fn appends(&self) -> bool {
        self.flags() & O_APPEND != 0
    }

    /// readv(2), preadv(2): piece by piece, until one comes short.
    ///
    /// # Errors
    /// Those of read(2), if nothing was read.
    pub fn read_pieces(
        &self,
        memory: &Mutex<AddressSpace>,
        pieces: &[Iovec],
        at: At,
    ) -> Result<u64, Errno> {
        if let (Kind::Fifo(pipe), At::Position) = (&self.dentry.inode.kind, at) {
            return self.read_pipe(pipe, memory, pieces);
        }
        each_piece(pieces, at, |piece, at| self.read(memory, piece.iov_base, piece.iov_len, at))
    }

    /// writev(2), pwritev(2): the same.
    ///
    /// # Errors
    /// Those of write(2), if nothing was written.
    pub fn write_pieces(
        &self,
        memory: &Mutex<AddressSpace>,
        pieces: &[Iovec],
        at: At,
        append: bool,
    ) -> Result<u64, Errno> {
        if let (Kind::Fifo(pipe), At::Position) = (&self.dentry.inode.kind, at) {
            return self.write_pipe(pipe, memory, pieces);
        }
        each_piece(pieces, at, |piece, at| {
            self.write(memory, piece.iov_base, piece.iov_len, at, append)
        })
    }

    /// lseek(2)
    ///
    /// # Errors
    /// Those of lseek(2).
    pub fn seek(&self, offset: i64, whence: u32) -> Result<u64, Errno> {
        let position = || self.position.load(Ordering::Relaxed) as i64;
        let to = match (&self.dentry.inode.kind, whence) {
            (Kind::Fifo(_) | Kind::Socket, _) => return Err(Errno::ESPIPE),
            // Devices that are here have no position, nor have counters.
            (Kind::Character(_) | Kind::Event(_) | Kind::Timer(_) | Kind::Epoll(_), _) => {
                return Ok(0);
            }
            (_, SEEK_SET) => Some(offset),
            (_, SEEK_CUR) => position().checked_add(offset),
            (Kind::Regular(object), SEEK_END) => (object.size() as i64).checked_add(offset),
            (Kind::Regular(object), SEEK_DATA | SEEK_HOLE) => {
                let from = u64::try_from(offset).ok().filter(|&from| from < object.size());
                let from = from.ok_or(Errno::ENXIO)?;
                let found = match whence {
                    SEEK_DATA => object.next_data(from)?.ok_or(Errno::ENXIO)?,
                    _ => object.next_hole(from)?,
                };
                Some(found as i64)
            }
            _ => return Err(Errno::EINVAL),
        };
        let to = to.filter(|&to| to >= 0).ok_or(Errno::EINVAL)?;
        self.position.store(to as u64, Ordering::Relaxed);
        Ok(to as u64)
    }
}

/// How many bytes of so many one call moves. All must be at addresses of the program's.
#[inline(always)]
fn at_most(address: u64, length: u64) -> Result<u64, Errno> {
    if length <= MAX_RW_COUNT { Ok(length) } else { too_many(address, length) }
}

#[cold]
fn too_many(address: u64, length: u64) -> Result<u64, Errno> {
    if access_ok(address, length) { Ok(MAX_RW_COUNT) } else { Err(Errno::EFAULT) }
}

/// Whether all pieces are at addresses of the program's.
fn are_users(pieces: &[Iovec]) -> Result<(), Errno> {
    let all = pieces.iter().all(|piece| access_ok(piece.iov_base, piece.iov_len));
    if all { Ok(()) } else { Err(Errno::EFAULT) }
}

/// Does it with each piece, until one comes short.
fn each_piece(
    pieces: &[Iovec],
    at: At,
    mut moves: impl FnMut(&Iovec, At) -> Result<u64, Errno>,
) -> Result<u64, Errno> {
    are_users(pieces)?;
    let mut done = 0;
    for piece in pieces.iter().filter(|piece| piece.iov_len > 0) {
        let room = piece.iov_len.min(MAX_RW_COUNT - done);
        let here = match at {
            At::Position => At::Position,
            At::Offset(offset) => At::Offset(offset.saturating_add(done)),
        };
        match moves(&Iovec { iov_len: room, ..*piece }, here) {
            Ok(moved) => {
                done += moved;
                if moved < piece.iov_len {
                    break;
                }
            }
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}

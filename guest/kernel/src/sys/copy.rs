//! Bytes from file to file: sendfile(2), copy_file_range(2).

use crate::fs::content::MAX_SIZE;
use crate::fs::file::{Kind, OpenFile, readable, writable};
use crate::fs::host;
use crate::fs::inode_file::{At, InodeFile};
use crate::fs::standard::Standard;
use crate::fs::transfer::MAX_RW_COUNT;
use crate::host::Call;
use crate::memory::try_with_capacity;
use crate::mm::frames;
use crate::mm::object::{NoPage, Object};
use crate::process::task::current;
use crate::sched::idle;
use crate::sched::thread::work;
use crate::sched::wait::wait_for;
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::descriptor::opened;
use crate::sys::read_write::or_broken;
use crate::sys::space::content;
use crate::sys::write_limit::allowed;
use crate::user::UserPtr;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use trapgate_abi::hypercall::{Request, Segment};
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::{percpu, phys};
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::{O_APPEND, O_NONBLOCK};
use trapgate_uapi::poll::POLLOUT;
use trapgate_uapi::signal::SIGPIPE;

/// Where a file is read or written: an offset of the caller's, or its own position.
pub(super) struct Position<'a> {
    pub(super) at: u64,
    /// `None`: the caller's.
    own: Option<&'a InodeFile>,
}

impl<'a> Position<'a> {
    pub(super) fn new(file: &'a OpenFile, given: Option<u64>) -> Position<'a> {
        let own = file.as_inode().filter(|_| given.is_none());
        let position = own.map(|file| file.position.load(Ordering::Relaxed));
        Position { at: given.or(position).unwrap_or(0), own }
    }

    pub(super) fn advance(&mut self, bytes: u64) {
        self.at += bytes;
        if let Some(file) = self.own {
            file.position.store(self.at, Ordering::Relaxed);
        }
    }
}

/// A page of the kernel's, for bytes on their way.
#[expect(clippy::disallowed_methods, reason = "it is reserved")]
pub(super) fn page() -> Result<Vec<u8>, Errno> {
    let mut page = try_with_capacity(PAGE_SIZE as usize)?;
    page.resize(PAGE_SIZE as usize, 0);
    Ok(page)
}

/// After so many bytes a copy that goes on looks at what has happened on the host.
const LOOK_AFTER: u64 = 1 << 24;

/// Copies up to `length` bytes of an object to a file, in steps.
fn copy(
    from: &Object,
    reads: &mut Position,
    length: u64,
    to: &OpenFile,
    writes: &mut Position,
) -> SysResult {
    match (&to.kind, content(to)) {
        (Kind::Inode(sink), Some(object)) if object.is_written_there() => {
            in_steps(reads, length, &mut |at, room| {
                let room = allowed_at(sink, writes.at, room)?;
                let file = &sink.dentry.inode;
                let done = host::content::write_of_file(file, writes.at, from, at, room)?;
                writes.advance(done);
                Ok(done)
            })
        }
        _ => {
            let mut page = page()?;
            in_steps(reads, length, &mut |at, room| {
                let room = room.min(PAGE_SIZE - at % PAGE_SIZE) as usize;
                match from.read_for_kernel(at, &mut page[..room])? {
                    0 => Ok(0),
                    got => put(to, writes, &page[..got]).map(|done| done as u64),
                }
            })
        }
    }
}

/// Has `step` move up to `length` bytes: it is told from where, and at most how many, and
/// answers how many it has moved. None ends it, and so does a signal.
fn in_steps(
    reads: &mut Position,
    length: u64,
    step: &mut dyn FnMut(u64, u64) -> Result<u64, Errno>,
) -> SysResult {
    let (mut done, mut looked) = (0, 0);
    while done < length {
        match step(reads.at, length - done) {
            Ok(0) => break,
            Ok(moved) => {
                done += moved;
                reads.advance(moved);
            }
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
        if done - looked >= LOOK_AFTER {
            idle::look();
            looked = done;
        }
        if percpu::work() & work::SIGNAL != 0 {
            break;
        }
    }
    Ok(done)
}

/// How many of so many bytes may be written to a file at `at`.
fn allowed_at(file: &InodeFile, at: u64, length: u64) -> Result<u64, Errno> {
    if at >= MAX_SIZE {
        return Err(Errno::EFBIG);
    }
    allowed(file, At::Offset(at), length.min(MAX_SIZE - at), false)
}

/// Writes bytes of the kernel's to a file, at a position that moves on.
pub(super) fn put(file: &OpenFile, to: &mut Position, bytes: &[u8]) -> Result<usize, Errno> {
    match &file.kind {
        Kind::Standard(standard) => to_host(standard, file.transfer_flags(), bytes),
        Kind::Inode(inode) => match content(file) {
            Some(object) => {
                let room = allowed_at(inode, to.at, bytes.len() as u64)? as usize;
                let (bytes, file) = (&bytes[..room], &inode.dentry.inode);
                let done = match object.write_for_kernel(to.at, bytes) {
                    Err(NoPage::There) => host::content::write_of_kernel(file, to.at, bytes)?,
                    written => {
                        let done = written?;
                        file.modify();
                        done
                    }
                };
                to.advance(done as u64);
                Ok(done)
            }
            None => {
                let written = inode.write_of_kernel(bytes);
                or_broken(inode, bytes.len() as u64, written).map(|done| done as usize)
            }
        },
    }
}

/// The same to a file of the host's, by a frame that the VMM reads.
fn to_host(file: &Standard, flags: u32, bytes: &[u8]) -> Result<usize, Errno> {
    let frame = frames::take_one().ok_or(Errno::ENOMEM)?;
    phys::write(frame, bytes);
    let result = loop {
        let mut call = Call::new(Request::Write { file: file.host, flags });
        call.push(Segment { address: frame, length: bytes.len() as u64 });
        match call.submit() {
            Err(Errno::EAGAIN) if flags & O_NONBLOCK == 0 => {
                if let Err(error) = wait_for(file.host, POLLOUT) {
                    break Err(error);
                }
            }
            result => break result,
        }
    };
    frames::give_back(&[frame]);
    if result == Err(Errno::EPIPE) {
        current().send(SIGPIPE);
    }
    result.map(|moved| moved as usize)
}

/// sendfile(2) for either width; an offset that is given is written back.
pub(super) fn send(
    to: u32,
    from: u32,
    offset: Option<u64>,
    count: u64,
) -> Result<(u64, u64), Errno> {
    let source = opened(from)?;
    if !readable(source.flags()) {
        return Err(Errno::EBADF);
    }
    let sink = opened(to)?;
    if !writable(sink.flags()) {
        return Err(Errno::EBADF);
    }
    let object = content(&source).ok_or(Errno::EINVAL)?;
    if sink.flags() & O_APPEND != 0 {
        return Err(Errno::EINVAL);
    }
    let mut reads = Position::new(&source, offset);
    let mut writes = Position::new(&sink, None);
    let length = count.min(MAX_RW_COUNT);
    let done = copy(object, &mut reads, length, &sink, &mut writes)?;
    source.as_inode().into_iter().for_each(|file| file.dentry.inode.accessed());
    Ok((done, reads.at))
}

syscall_define! {
    /// sendfile(2): from a file in memory.
    fn sendfile64(to: u32, from: u32, offset: UserPtr<u64>, count: u64) {
        let given = if offset.is_null() { None } else { Some(offset.read()?) };
        if given.is_some_and(|given| given > i64::MAX as u64) {
            return Err(Errno::EINVAL);
        }
        let (done, at) = send(to, from, given, count)?;
        offset.write_if(at)?;
        Ok(done)
    }
}

syscall_define! {
    /// copy_file_range(2)
    fn copy_file_range(
        from: u32,
        from_offset: UserPtr<u64>,
        to: u32,
        to_offset: UserPtr<u64>,
        count: u64,
        flags: u32,
    ) {
        let read = |at: UserPtr<u64>| if at.is_null() { Ok(None) } else { at.read().map(Some) };
        let (source, sink) = (opened(from)?, opened(to)?);
        let given = [read(from_offset)?, read(to_offset)?];
        if flags != 0 {
            return Err(Errno::EINVAL);
        }
        let is_directory = |file: &OpenFile| {
            file.as_inode().is_some_and(|file| file.dentry.is_directory())
        };
        if is_directory(&source) || is_directory(&sink) {
            return Err(Errno::EISDIR);
        }
        let (Some(object), Some(target)) = (content(&source), content(&sink)) else {
            return Err(Errno::EINVAL);
        };
        if !readable(source.flags()) || !writable(sink.flags()) || sink.flags() & O_APPEND != 0 {
            return Err(Errno::EBADF);
        }
        let (mut reads, mut writes) =
            (Position::new(&source, given[0]), Position::new(&sink, given[1]));
        let limit = i64::MAX as u64;
        let end = |at: u64| at.checked_add(count).filter(|&end| end <= limit);
        let (Some(read_end), Some(write_end)) = (end(reads.at), end(writes.at)) else {
            return Err(Errno::EOVERFLOW);
        };
        let overlaps = reads.at < write_end && writes.at < read_end;
        if Arc::ptr_eq(object, target) && overlaps {
            return Err(Errno::EINVAL);
        }
        let length = count.min(MAX_RW_COUNT);
        let done = copy(object, &mut reads, length, &sink, &mut writes)?;
        source.as_inode().into_iter().for_each(|file| file.dentry.inode.accessed());
        from_offset.write_if(reads.at)?;
        to_offset.write_if(writes.at)?;
        Ok(done)
    }
}

//! The bytes of files that are written on the host: what a call has written is there when
//! it answers. What is here of the file follows, so that who reads or maps it sees it.

use super::ask;
use super::buffer::Buffer;
use super::directory::times;
use super::names::node_of;
use super::node::Writer;
use super::pages::Pages;
use super::told::told;
use crate::fs::content::{MAX_SIZE, STRAIGHT};
use crate::fs::dentry::Dentry;
use crate::fs::inode::{Inode, Kind};
use crate::fs::transfer::gather;
use crate::mm::fault;
use crate::mm::frames;
use crate::mm::object::clean;
use crate::mm::object::there::BACK_AT_ONCE;
use crate::mm::object::{NoPage, Object};
use crate::mm::space::{AddressSpace, FRAMES_AT_ONCE, FaultError};
use crate::mm::vma::Prot;
use crate::sched::idle;
use crate::sched::thread::work;
use smallvec::SmallVec;
use spin::Mutex;
use trapgate_abi::boot_info::Range;
use trapgate_abi::file::FileStatus;
use trapgate_abi::hypercall::files::{AT_END, Access, Change};
use trapgate_abi::hypercall::{MAX_SEGMENTS, MAX_TRANSFER, Segment};
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::{percpu, phys};
use trapgate_uapi::Errno;
use trapgate_uapi::falloc::FALLOC_FL_PUNCH_HOLE;
use trapgate_uapi::uio::Iovec;

/// After so many bytes a write that goes on looks at what has happened on the host.
const LOOK_AFTER: u64 = 1 << 24;

/// A file's object, and where it lies.
fn content(inode: &Inode) -> Result<(&Object, &Pages), Errno> {
    let Kind::Regular(object) = &inode.kind else { return Err(Errno::EINVAL) };
    let pages = object.pager().and_then(|pager| pager.downcast_ref::<Pages>());
    Ok((object, pages.ok_or(Errno::EROFS)?))
}

/// A write has told what a file is, and what it was before: if others have changed it since
/// we knew it, what is here of it goes.
fn follow_write(inode: &Inode, object: &Object, [status, before]: &[FileStatus; 2]) {
    let [_, modified, changed] = times(before);
    let meta = inode.meta();
    if [meta.modified, meta.changed] != [modified, changed] || object.size() != before.size {
        object.changed_there(before.size.min(MAX_SIZE));
    }
    follow(inode, status);
}

/// The host has told what a file is, of which no byte has been changed but by us.
fn follow(inode: &Inode, status: &FileStatus) {
    if let Ok((_, pages)) = content(inode) {
        pages.told(status);
    }
    told(inode, status);
}

/// Opens a file there to be written, and with `reads` to be read: how long it is. It is open
/// as long as the writer is.
///
/// # Errors
/// Those of open(2), as the host has them.
pub fn open(inode: &Inode, reads: bool) -> Result<(u64, Writer), Errno> {
    let (object, pages) = content(inode)?;
    let writer = Writer::of(&pages.node);
    let access = if reads { Access::Both } else { Access::Write };
    pages.node.ask_open(access, |_| Ok(()))?;
    Ok((object.size(), writer))
}

/// write(2) of memory of the program's at `offset`, or at the end: where that was, and how
/// many bytes.
///
/// # Errors
/// EFAULT; those of write(2), as the host has them: if nothing was written.
pub fn write(
    memory: &Mutex<AddressSpace>,
    inode: &Inode,
    offset: Option<u64>,
    [from, length]: [u64; 2],
) -> Result<(u64, u64), Errno> {
    let (object, pages) = content(inode)?;
    let (mut start, mut done, mut looked) = (offset, 0, 0);
    let ended = |start: Option<u64>, done, error| match start {
        Some(start) if done > 0 => Ok((start, done)),
        _ => Err(error),
    };
    while done < length {
        if percpu::work() & work::SIGNAL != 0 {
            return ended(start, done, Errno::ERESTARTSYS);
        }
        let rest = [Iovec { iov_base: from + done, iov_len: length - done }];
        let at = start.map_or(AT_END, |start| start + done);
        // What is gathered may need frames, for which nobody asks in the meantime.
        frames::stock(FRAMES_AT_ONCE);
        let mut is_there = true;
        let written = pages.node.ask_open(Access::Write, |handle| {
            ask::put(handle, at, |call| {
                is_there = gather(memory, call, &rest, 0, Prot::READ).0 > 0;
                is_there
            })
        });
        let (bytes, status) = match written {
            Err(_) if !is_there => match fault::fetch(memory, from + done, Prot::READ) {
                Ok(()) => continue,
                Err(FaultError::OutOfMemory) => return ended(start, done, Errno::ENOMEM),
                Err(_) => return ended(start, done, Errno::EFAULT),
            },
            Err(error) => return ended(start, done, error),
            Ok(written) => written,
        };
        let bytes = bytes.min(length - done);
        if bytes == 0 {
            break;
        }
        let at = start.map_or(status[0].size.saturating_sub(bytes), |start| start + done);
        start.get_or_insert(at);
        follow_write(inode, object, &status);
        object.written_there(at, at.saturating_add(bytes), from + done);
        done += bytes;
        if done - looked >= LOOK_AFTER && done < length {
            idle::look();
            looked = done;
        }
    }
    Ok((start.unwrap_or(object.size()), done))
}

/// The same of bytes of another file, or of this one, from `from` on, as far as one request
/// takes them: how many. What is only on the host comes from there and is not kept, if it is
/// much.
///
/// # Errors
/// Those of reading the other, those of write(2), as the host has them; ENOMEM.
pub fn write_of_file(
    inode: &Inode,
    offset: u64,
    source: &Object,
    from: u64,
    length: u64,
) -> Result<u64, Errno> {
    let (object, pages) = content(inode)?;
    let length = length.min(MAX_TRANSFER);
    let mut pieces = Pieces::new();
    let mut buffer = None;
    loop {
        // What is asked for in between could change where it is.
        pages.node.ask_open(Access::Write, |_| Ok(()))?;
        pieces.clear();
        match source.where_it_is(from, length, |piece| add(&mut pieces, piece)) {
            Ok(0) => return Ok(0),
            Ok(_) => break,
            Err(NoPage::Absent) => {
                pieces.clear();
                match passed(source, from, length)? {
                    Some((its, bytes)) => {
                        let start = its.run().start;
                        add(&mut pieces, Range { start, end: start + bytes });
                        buffer = Some(its);
                        break;
                    }
                    None => source.bring_absent()?,
                }
            }
            Err(NoPage::Frame) if clean::give_up(FRAMES_AT_ONCE) > 0 => {}
            Err(error) => return Err(error.into()),
        }
    }
    let (done, status) = pages.node.ask_open(Access::Write, |handle| {
        ask::put(handle, offset, |call| {
            let mut push = call.attach();
            pieces.iter().all(|piece| push(Segment { address: piece.start, length: piece.len() }))
        })
    })?;
    let done = done.min(pieces.iter().map(Range::len).sum());
    follow_write(inode, object, &status);
    object.written_there_from(offset, offset.saturating_add(done), &pieces);
    drop(buffer);
    Ok(done)
}

/// Where bytes lie, as many pieces as a request holds.
type Pieces = SmallVec<[Range; MAX_SEGMENTS]>;

/// One more piece; false, if there is no room for it.
#[expect(clippy::disallowed_methods, reason = "it has room for as many")]
fn add(pieces: &mut Pieces, piece: Range) -> bool {
    let is_full = pieces.len() == MAX_SEGMENTS;
    match pieces.last_mut() {
        Some(last) if last.end == piece.start => last.end = piece.end,
        _ if is_full => return false,
        _ => pieces.push(piece),
    }
    true
}

/// Bytes of a file that are only where it lies, in memory of their own; none, if they are
/// few.
fn passed(source: &Object, from: u64, length: u64) -> Result<Option<(Buffer, u64)>, Errno> {
    let page = from / PAGE_SIZE;
    if !from.is_multiple_of(PAGE_SIZE) {
        return Ok(None);
    }
    let length = source.absent_from(page, length);
    if length < STRAIGHT {
        return Ok(None);
    }
    let buffer = Buffer::new(length.div_ceil(PAGE_SIZE))?;
    let Range { start, end } = buffer.run();
    let end = end.min(start + length);
    let bytes = source.pass(page, &[Range { start, end }])?;
    Ok((bytes > 0).then_some((buffer, bytes)))
}

/// The same of bytes of the kernel's, at most a page: how many.
///
/// # Errors
/// ENOMEM; those of write(2), as the host has them.
pub fn write_of_kernel(inode: &Inode, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
    let (object, pages) = content(inode)?;
    let length = bytes.len().min(PAGE_SIZE as usize);
    let buffer = Buffer::new(1)?;
    let address = buffer.run().start;
    phys::write(address, &bytes[..length]);
    let (done, status) = pages.node.ask_open(Access::Write, |handle| {
        ask::put(handle, offset, |call| call.push(Segment { address, length: length as u64 }))
    })?;
    let done = (done as usize).min(length);
    follow_write(inode, object, &status);
    object.written_there_by_kernel(offset, &bytes[..done]);
    Ok(done)
}

/// truncate(2): what is cut off is mapped no longer.
///
/// # Errors
/// Those of truncate(2), as the host has them.
pub fn truncate(memory: &Mutex<AddressSpace>, inode: &Inode, size: u64) -> Result<(), Errno> {
    let (object, pages) = content(inode)?;
    let change = Change { which: Change::SIZE, size, ..Change::ZERO };
    let status = pages.node.ask_open(Access::Write, |handle| ask::change(handle, &change))?;
    let shrinks = status.size < object.size();
    follow(inode, &status);
    if shrinks {
        memory.lock().truncate(object, status.size.div_ceil(PAGE_SIZE));
    }
    Ok(())
}

/// fallocate(2)
///
/// # Errors
/// Those of fallocate(2), as the host has them.
pub fn allocate(inode: &Inode, mode: u32, start: u64, end: u64) -> Result<(), Errno> {
    let (object, pages) = content(inode)?;
    let range = [start, end - start];
    pages.node.ask_open(Access::Write, |handle| ask::allocate(handle, mode, range))?;
    if mode & FALLOC_FL_PUNCH_HOLE != 0 {
        object.cleared_there(start, end);
    }
    follow(inode, &pages.node.ask(ask::look)?);
    Ok(())
}

/// Writes back what programs have stored in memory.
///
/// # Errors
/// Those of write(2), as the host has them; what is left is to be written back still.
pub fn write_back(inode: &Inode) -> Result<(), Errno> {
    let (object, pages) = content(inode)?;
    let (mut from, mut frames) = (0, [0; BACK_AT_ONCE]);
    while let Some((first, count)) = object.stored(from, &mut frames) {
        let offset = first * PAGE_SIZE;
        let length = (count as u64 * PAGE_SIZE).min(object.size().saturating_sub(offset));
        let (written, status) = pages.node.ask_open(Access::Write, |handle| {
            ask::put(handle, offset, |call| {
                let mut left = length;
                frames[..count].iter().all(|&address| {
                    let segment = Segment { address, length: left.min(PAGE_SIZE) };
                    left -= segment.length;
                    segment.length == 0 || call.push(segment)
                })
            })
        })?;
        // All of it, or whole pages.
        let done = if written >= length { count } else { (written / PAGE_SIZE) as usize };
        object.was_written_back(first, &frames[..done.min(count)]);
        follow_write(inode, object, &status);
        if done == 0 {
            return Err(Errno::EIO);
        }
        from = first + done as u64;
    }
    Ok(())
}

/// fsync(2), and fdatasync(2) of a file or a directory.
///
/// # Errors
/// Those of fsync(2), as the host has them.
pub fn synchronize(file: &Dentry, data_only: bool) -> Result<(), Errno> {
    let node = node_of(file).ok_or(Errno::EINVAL)?;
    if file.is_directory() {
        return node.ask(|handle| ask::sync(handle, data_only));
    }
    if matches!(file.inode.kind, Kind::Regular(_)) {
        write_back(&file.inode)?;
    }
    let access = if node.is_open(Access::Read) { Access::Read } else { Access::Write };
    node.ask_open(access, |handle| ask::sync(handle, data_only))
}

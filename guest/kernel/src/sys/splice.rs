//! Bytes by way of a pipe: splice(2), tee(2), vmsplice(2). Pages are copied.

use crate::fs::file::{OpenFile, readable, writable};
use crate::fs::pipe::Pipe;
use crate::fs::transfer::MAX_RW_COUNT;
use crate::process::task::current;
use crate::sys::copy::{Position, page, put};
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::descriptor::opened;
use crate::sys::pipe::pipe_of;
use crate::sys::space::content;
use crate::user::{IoVecs, UserPtr, read_iovecs};
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::{
    O_APPEND, O_NONBLOCK, SPLICE_F_GIFT, SPLICE_F_MORE, SPLICE_F_MOVE, SPLICE_F_NONBLOCK,
};
use trapgate_uapi::signal::SIGPIPE;
use trapgate_uapi::uio::Iovec;

/// Flags that there are.
const KNOWN: u32 = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT;

/// Whether a transfer may not wait for these files.
fn must_not_wait(flags: u32, files: &[&OpenFile]) -> bool {
    flags & SPLICE_F_NONBLOCK != 0 || files.iter().any(|file| file.flags() & O_NONBLOCK != 0)
}

/// A pipe whose readers are gone is a signal, too.
fn with_signal<T>(result: Result<T, Errno>) -> Result<T, Errno> {
    if matches!(result, Err(Errno::EPIPE)) {
        current().send(SIGPIPE);
    }
    result
}

/// An offset of the caller's; a file that has none must not get one.
fn offset(at: UserPtr<u64>, has_offsets: bool) -> Result<Option<u64>, Errno> {
    if at.is_null() {
        return Ok(None);
    }
    if !has_offsets {
        return Err(Errno::EINVAL);
    }
    at.read().map(Some)
}

/// Moves or copies what one pipe has to `put`, up to `length` bytes.
fn from_pipe(
    source: &Pipe,
    length: u64,
    keeps: bool,
    put: &mut dyn FnMut(&[u8]) -> Result<usize, Errno>,
) -> SysResult {
    let mut page = page()?;
    let mut done = 0;
    while done < length {
        let most = (length - done).min(page.len() as u64) as usize;
        let got = source.peek(if keeps { done } else { 0 }, &mut page[..most]);
        let moved = if got == 0 { Ok(0) } else { put(&page[..got]) };
        match moved {
            Ok(0) => break,
            Ok(moved) => {
                if !keeps {
                    source.consume(moved as u64);
                }
                done += moved as u64;
            }
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}

/// From a pipe to a pipe.
fn between([source, sink]: [&Pipe; 2], length: u64, must_not_wait: bool, keeps: bool) -> SysResult {
    if core::ptr::eq(source, sink) {
        return Err(Errno::EINVAL);
    }
    if !source.wait_for_bytes(must_not_wait)? {
        return Ok(0);
    }
    with_signal(sink.wait_for_room(must_not_wait))?;
    from_pipe(source, length, keeps, &mut |bytes| {
        sink.write_of_kernel(bytes, O_NONBLOCK).map(|moved| moved as usize)
    })
}

/// From a file to a pipe: as much as there is room for.
fn from_file(
    source: &OpenFile,
    at: UserPtr<u64>,
    sink: &Pipe,
    length: u64,
    wait: bool,
) -> SysResult {
    let object = content(source).ok_or(Errno::EINVAL)?;
    let mut reads = Position::new(source, offset(at, true)?);
    with_signal(sink.wait_for_room(!wait))?;
    let mut page = page()?;
    let mut done = 0;
    while done < length {
        // As pages of a file are put into a pipe: none is cut by another.
        let most = (length - done).min(PAGE_SIZE - reads.at % PAGE_SIZE) as usize;
        let got = object.read_for_kernel(reads.at, &mut page[..most]).map_err(Errno::from);
        let step = match got {
            Ok(0) => Ok(0),
            Ok(got) => sink.write_of_kernel(&page[..got], O_NONBLOCK),
            Err(error) => Err(error),
        };
        match step {
            Ok(0) => break,
            Ok(moved) => {
                done += moved;
                reads.advance(moved);
            }
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    source.as_inode().into_iter().for_each(|file| file.dentry.inode.accessed());
    at.write_if(reads.at)?;
    Ok(done)
}

/// From a pipe to a file.
fn to_file(source: &Pipe, sink: &OpenFile, at: UserPtr<u64>, length: u64, wait: bool) -> SysResult {
    let given = offset(at, content(sink).is_some())?;
    if sink.flags() & O_APPEND != 0 {
        return Err(Errno::EINVAL);
    }
    let mut writes = Position::new(sink, given);
    if !source.wait_for_bytes(!wait)? {
        return Ok(0);
    }
    let done = from_pipe(source, length, false, &mut |bytes| put(sink, &mut writes, bytes))?;
    at.write_if(writes.at)?;
    Ok(done)
}

syscall_define! {
    /// splice(2)
    fn splice(
        from: u32,
        from_offset: UserPtr<u64>,
        to: u32,
        to_offset: UserPtr<u64>,
        length: u64,
        flags: u32,
    ) {
        if length == 0 {
            return Ok(0);
        }
        if flags & !KNOWN != 0 {
            return Err(Errno::EINVAL);
        }
        let (source, sink) = (opened(from)?, opened(to)?);
        if !readable(source.flags()) || !writable(sink.flags()) {
            return Err(Errno::EBADF);
        }
        let length = length.min(MAX_RW_COUNT);
        let pipes = [pipe_of(&source), pipe_of(&sink)];
        let has_offset = [!from_offset.is_null(), !to_offset.is_null()];
        let misplaced = |end: usize| pipes[end].is_some() && has_offset[end];
        if misplaced(0) || misplaced(1) {
            return Err(Errno::ESPIPE);
        }
        match pipes {
            [Some(from), Some(to)] => {
                between([from, to], length, must_not_wait(flags, &[&source, &sink]), false)
            }
            [Some(from), None] => {
                to_file(from, &sink, to_offset, length, !must_not_wait(flags, &[&source]))
            }
            [None, Some(to)] => {
                from_file(&source, from_offset, to, length, !must_not_wait(flags, &[&sink]))
            }
            [None, None] => Err(Errno::EINVAL),
        }
    }
}

syscall_define! {
    /// tee(2)
    fn tee(from: u32, to: u32, length: u64, flags: u32) {
        if flags & !KNOWN != 0 {
            return Err(Errno::EINVAL);
        }
        if length == 0 {
            return Ok(0);
        }
        let (source, sink) = (opened(from)?, opened(to)?);
        if !readable(source.flags()) || !writable(sink.flags()) {
            return Err(Errno::EBADF);
        }
        let (Some(from), Some(to)) = (pipe_of(&source), pipe_of(&sink)) else {
            return Err(Errno::EINVAL);
        };
        let length = length.min(MAX_RW_COUNT);
        between([from, to], length, must_not_wait(flags, &[&source, &sink]), true)
    }
}

/// vmsplice(2) for either width: to a pipe what there is room for, from one what is
/// there.
pub(super) fn splice_memory(
    fd: u32,
    flags: u32,
    vectors: impl FnOnce() -> Result<IoVecs, Errno>,
) -> SysResult {
    if flags & !KNOWN != 0 {
        return Err(Errno::EINVAL);
    }
    let file = opened(fd)?;
    let wait = !must_not_wait(flags, &[]);
    if !readable(file.flags()) && !writable(file.flags()) {
        return Err(Errno::EBADF);
    }
    let pieces = vectors()?;
    let pipe = pipe_of(&file).ok_or(Errno::EBADF)?;
    let pieces: &[Iovec] = &pieces;
    if pieces.iter().all(|piece| piece.iov_len == 0) {
        return Ok(0);
    }
    let memory = &current().process.memory;
    if writable(file.flags()) {
        with_signal(pipe.wait_for_room(!wait))?;
        with_signal(pipe.write(memory, pieces, O_NONBLOCK))
    } else {
        pipe.read(memory, pieces, if wait { 0 } else { O_NONBLOCK })
    }
}
syscall_define! {
    /// vmsplice(2)
    fn vmsplice(fd: u32, vectors: UserPtr<Iovec>, count: u64, flags: u32) {
        splice_memory(fd, flags, || read_iovecs(vectors, count))
    }
}

//! The requests, one function each.

use super::release;
use crate::host::Call;
use smallvec::SmallVec;
use trapgate_abi::boot_info::Range;
use trapgate_abi::file::{FileStatus, FileSystemStatus};
use trapgate_abi::hypercall::files::{
    Access, Change, FileRequest, Found, Handle, MAX_WALK, WALK_OPENED,
};
use trapgate_abi::hypercall::{Request, Segment};
use trapgate_uapi::Errno;

/// What one walk finds.
pub(super) type Walked = SmallVec<[Found; MAX_WALK]>;

/// Sends a request, after `attach` has put to it what belongs to it. Handles that are given
/// back are so before it: a table that is full is full without them.
fn ask(
    request: FileRequest,
    mut attach: impl FnMut(&mut Call) -> bool,
) -> Result<(u64, Call), Errno> {
    release::send_left();
    let mut call = Call::new(Request::File(request));
    if !attach(&mut call) {
        return Err(Errno::ENAMETOOLONG);
    }
    Ok((call.submit()?, call))
}

/// Attaches what comes behind the first `skip` bytes of these runs.
fn push_runs(call: &mut Call, runs: &[Range], mut skip: u64) -> bool {
    runs.iter().all(|run| {
        let skipped = skip.min(run.len());
        skip -= skipped;
        let segment = Segment { address: run.start + skipped, length: run.len() - skipped };
        segment.length == 0 || call.push(segment)
    })
}

/// The files of these names, each in the one before: as far as they are there. The first
/// is. If the last is a regular file and there are frames, it is open then, and as many of
/// its first bytes are in them as is answered, too.
#[expect(clippy::disallowed_methods, reason = "it has room for as many")]
pub(super) fn walk(
    directory: Handle,
    names: &[&[u8]],
    to: &[Range],
) -> Result<(Walked, Option<u64>), Errno> {
    let request = FileRequest::Walk { directory };
    let (found, call) = ask(request, |call| call.put_names(names) && push_runs(call, to, 0))?;
    let found = usize::try_from(found).unwrap_or(0).min(names.len()).min(MAX_WALK);
    let mut walked = Walked::new();
    for index in 0..found {
        walked.push(Found::from_words(&call.data_from(index * Found::WORDS)));
    }
    let [opened] = call.data_from(WALK_OPENED - 1);
    let opened = (!to.is_empty() && opened != u64::MAX).then_some(opened);
    if walked.is_empty() { Err(Errno::EIO) } else { Ok((walked, opened)) }
}

/// A directory's next entries, written over these runs: how many bytes.
pub(super) fn list(directory: Handle, cookie: u64, to: &[Range]) -> Result<u64, Errno> {
    let request = FileRequest::List { directory, cookie };
    ask(request, |call| push_runs(call, to, 0)).map(|(bytes, _)| bytes)
}

/// A link's target, written over these runs: how many bytes.
pub(super) fn read_link(link: Handle, to: &[Range]) -> Result<u64, Errno> {
    let request = FileRequest::ReadLink { link };
    ask(request, |call| push_runs(call, to, 0)).map(|(bytes, _)| bytes)
}

/// Opens a file, and if it is to be read, reads its first bytes: how many, and what it is.
pub(super) fn open(file: Handle, access: Access, to: &[Range]) -> Result<(u64, FileStatus), Errno> {
    let request = FileRequest::Open { file, access };
    let (bytes, call) = ask(request, |call| push_runs(call, to, 0))?;
    Ok((bytes, status(&call)))
}

fn status(call: &Call) -> FileStatus {
    FileStatus::from_words(&call.data())
}

/// Reads from `offset` on to what is behind the first `skip` bytes of these runs: how many
/// bytes.
pub(super) fn get(file: Handle, offset: u64, to: &[Range], skip: u64) -> Result<u64, Errno> {
    let request = FileRequest::Get { file, offset };
    ask(request, |call| push_runs(call, to, skip)).map(|(bytes, _)| bytes)
}

/// What a file is now.
pub(super) fn look(file: Handle) -> Result<FileStatus, Errno> {
    let (_, call) = ask(FileRequest::Look { file }, |_| true)?;
    Ok(status(&call))
}

/// How much room there is where a file is.
pub(super) fn file_system(file: Handle) -> Result<FileSystemStatus, Errno> {
    let (_, call) = ask(FileRequest::FileSystem { file }, |_| true)?;
    Ok(FileSystemStatus::from_words(&call.data()))
}

/// Makes a file; `target`: where a link's target is.
pub(super) fn make(
    directory: Handle,
    name: &[u8],
    mode: u32,
    target: Option<Range>,
) -> Result<Found, Errno> {
    let request = FileRequest::Make { directory, mode };
    let (_, call) = ask(request, |call| {
        call.put_names(&[name]) && target.is_none_or(|target| push_runs(call, &[target], 0))
    })?;
    Ok(Found::from_words(&call.data()))
}

/// One more name for a file.
pub(super) fn link(file: Handle, directory: Handle, name: &[u8]) -> Result<(), Errno> {
    ask(FileRequest::Link { file, directory }, |call| call.put_names(&[name])).map(drop)
}

/// Takes a name away.
pub(super) fn unlink(directory: Handle, name: &[u8], is_directory: bool) -> Result<(), Errno> {
    let request = FileRequest::Unlink { directory, is_directory };
    ask(request, |call| call.put_names(&[name])).map(drop)
}

/// Moves a name: what has the second one then and, if they were exchanged, the first; as
/// far as that could be looked up.
pub(super) fn rename(
    [from, to]: [Handle; 2],
    names: [&[u8]; 2],
    flags: u32,
) -> Result<[Option<Found>; 2], Errno> {
    let request = FileRequest::Rename { from, to, flags };
    let (count, call) = ask(request, |call| call.put_names(&names))?;
    let found = |index: usize| Found::from_words(&call.data_from(index * Found::WORDS));
    Ok([0, 1].map(|index| (count > index as u64).then(|| found(index))))
}

/// Changes what is said of a file: what it is then.
pub(super) fn change(file: Handle, change: &Change) -> Result<FileStatus, Errno> {
    let (_, call) = ask(FileRequest::Change { file }, |call| {
        call.put_change(change);
        true
    })?;
    Ok(status(&call))
}

/// Writes what `attach` attaches: how many bytes, and what the file is then, and was before.
pub(super) fn put(
    file: Handle,
    offset: u64,
    attach: impl FnMut(&mut Call) -> bool,
) -> Result<(u64, [FileStatus; 2]), Errno> {
    let (bytes, call) = ask(FileRequest::Put { file, offset }, attach)?;
    let before = FileStatus::from_words(&call.data_from(FileStatus::WORDS));
    Ok((bytes, [status(&call), before]))
}

/// Where there is data from there on, or a hole.
pub(super) fn find(file: Handle, offset: u64, hole: bool) -> Result<u64, Errno> {
    ask(FileRequest::Find { file, offset, hole }, |_| true).map(|(at, _)| at)
}

/// fsync(2), fdatasync(2)
pub(super) fn sync(file: Handle, data_only: bool) -> Result<(), Errno> {
    ask(FileRequest::Sync { file, data_only }, |_| true).map(drop)
}

/// fallocate(2)
pub(super) fn allocate(file: Handle, mode: u32, [offset, length]: [u64; 2]) -> Result<(), Errno> {
    ask(FileRequest::Allocate { file, mode, offset, length }, |_| true).map(drop)
}

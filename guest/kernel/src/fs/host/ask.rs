//! The requests, one function each.

use super::release;
use crate::host::Call;
use smallvec::SmallVec;
use trapgate_abi::boot_info::Range;
use trapgate_abi::file::{FileStatus, FileSystemStatus};
use trapgate_abi::hypercall::files::{Access, FileRequest, Found, Handle, MAX_WALK, WALK_OPENED};
use trapgate_abi::hypercall::{Request, Segment};
use trapgate_uapi::Errno;

/// What one walk finds.
pub(super) type Walked = SmallVec<[Found; MAX_WALK]>;

/// Sends a request, after `attach` has put to it what belongs to it: once more, where the
/// VMM's table was full and there was something to take out of it.
fn ask(request: FileRequest, attach: impl Fn(&mut Call) -> bool) -> Result<(u64, Call), Errno> {
    loop {
        release::send_many();
        let mut call = Call::new(Request::File(request));
        if !attach(&mut call) {
            return Err(Errno::ENAMETOOLONG);
        }
        match call.submit() {
            Err(Errno::ENFILE | Errno::EMFILE) if release::send_all() => {}
            answer => return Ok((answer?, call)),
        }
    }
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

/// Opens a file to be read, and reads its first bytes: how many.
pub(super) fn open(file: Handle, to: &[Range]) -> Result<u64, Errno> {
    let request = FileRequest::Open { file, access: Access::Read };
    ask(request, |call| push_runs(call, to, 0)).map(|(bytes, _)| bytes)
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
    Ok(FileStatus::from_words(&call.data()))
}

/// How much room there is where a file is.
pub(super) fn file_system(file: Handle) -> Result<FileSystemStatus, Errno> {
    let (_, call) = ask(FileRequest::FileSystem { file }, |_| true)?;
    Ok(FileSystemStatus::from_words(&call.data()))
}

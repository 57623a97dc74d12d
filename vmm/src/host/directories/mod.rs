//! Directories of the host's: requests on handles ([`trapgate_abi::hypercall::files`]).
//!
//! ```text
//! (this file)  a request as a job; where it is carried out, and its bytes
//! server       the requests that read; change: those that change something
//! table        handles: an index and a generation
//! node         what a handle is, and how many descriptors there are
//! open         opening by name; list: a directory's names; status: what a file is
//! away         the thread for file systems that may not answer
//! ```
//!
//! What the guest says is a handle and a name, which [`hypercall::names`] has looked
//! through. A handle is looked up in the table of its own sandbox. A name is opened by
//! openat2(2), beneath its directory and following nothing, as `O_PATH`: that opens no
//! device and waits for no pipe. What is found is what is told of, and what is opened for
//! reading or writing is that again, through /proc/self/fd, if it is a regular file and
//! still the one that was found. So it does not matter what others do to names meanwhile.
//!
//! File systems that may not answer (`filesystem`) are asked by a thread of their own. The
//! vCPU's waits for it, so that the guest sees no difference; but it can be stopped.

mod away;
mod change;
mod list;
mod node;
mod open;
mod server;
mod status;
mod table;
#[cfg(test)]
mod tests;

pub use node::raise_descriptor_limit;
pub(crate) use server::{Server, Shared};

use super::raw::{How, Vectors, Way};
use super::{Failure, Reply, Services};
use crate::machine::Control;
use away::{Away, Came};
use rustix::io;
use trapgate_abi::file::FileStatus;
use trapgate_abi::hypercall::files::{
    AT_END, Access, Change, FileRequest, Found, Handle, WALK_OPENED, change, handles,
};
use trapgate_abi::hypercall::{
    MAX_SEGMENTS_BESIDE_NAMES, MAX_TRANSFER, Malformed, Message, Names, Segment, names, segments,
};
use trapgate_uapi::Errno;

/// Bytes of a link's target at most, and one more: `PATH_MAX`.
const LONGEST_TARGET: u64 = 4096;

/// Whether a request may wait for a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    Yes,
    No,
}

/// Why a request is not carried out.
#[derive(Debug)]
enum Trouble {
    /// This is the answer.
    Errno(Errno),
    /// The same, because it is not granted.
    Refused(Errno),
    /// It could wait, where that is not allowed.
    MayWait,
}

impl From<Errno> for Trouble {
    fn from(errno: Errno) -> Trouble {
        Trouble::Errno(errno)
    }
}

impl From<io::Errno> for Trouble {
    fn from(errno: io::Errno) -> Trouble {
        match errno {
            // To the program descriptors of this process are the system's.
            io::Errno::MFILE => Errno::ENFILE.into(),
            errno => {
                let number = u16::try_from(errno.raw_os_error()).ok();
                number.and_then(Errno::new).unwrap_or(Errno::EIO).into()
            }
        }
    }
}

/// A request with all that it needs.
#[derive(Debug)]
struct Job {
    request: FileRequest,
    names: Option<Names>,
    handles: Vec<Handle>,
    change: Option<Change>,
    /// Bytes that the answer may have.
    room: usize,
    /// Bytes that it brings.
    input: Vec<u8>,
}

/// What came of it.
#[derive(Debug, Default)]
struct Done {
    /// The result.
    value: u64,
    /// Words of the reply.
    data: Vec<u64>,
    /// For the segments.
    bytes: Vec<u8>,
}

impl Done {
    fn of(value: u64) -> Done {
        Done { value, ..Done::default() }
    }
}

/// The host's directories that a sandbox has.
#[derive(Default)]
pub(crate) struct Directories {
    /// None, if there are none; or if it did not come back.
    server: Option<Box<Server>>,
    away: Option<Away>,
}

impl Directories {
    /// These.
    pub(crate) fn new(server: Server) -> Directories {
        Directories { server: Some(Box::new(server)), away: None }
    }

    fn server(&mut self) -> Result<&mut Server, Trouble> {
        self.server.as_deref_mut().ok_or(Trouble::Refused(Errno::EBADF))
    }

    fn carry_out(&mut self, job: Job, control: &Control) -> Result<Done, Failure> {
        loop {
            if control.is_stopped() {
                return Err(Failure::Stopped);
            }
            match self.server()?.carry_out(&job, Waits::No) {
                Err(Trouble::Errno(Errno::EINTR)) => {}
                Err(Trouble::MayWait) => return self.carry_out_away(job, control),
                result => return Ok(result?),
            }
        }
    }

    /// Releases what the guest gives back beside a request: false, if it is told to stop
    /// meanwhile. What is no handle is passed over.
    pub(crate) fn release(&mut self, handles: &[u64], control: &Control) -> bool {
        let handles = handles.iter().copied().map(Handle).collect();
        let job = Job { handles, ..Job::new(FileRequest::Release { keep: false }) };
        !matches!(self.carry_out(job, control), Err(Failure::Stopped))
    }

    fn carry_out_away(&mut self, job: Job, control: &Control) -> Result<Done, Failure> {
        if self.away.is_none() {
            self.away = Some(Away::begin()?);
        }
        let (Some(away), Some(server)) = (&self.away, self.server.take()) else {
            return Err(Errno::EIO.into());
        };
        match away.carry_out(server, job, control) {
            Came::Back((server, result)) => {
                self.server = Some(server);
                Ok(result?)
            }
            Came::Stopped => Err(Failure::Stopped),
            Came::Lost => Err(Errno::EIO.into()),
        }
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Failure {
        match trouble {
            Trouble::Errno(errno) => Failure::Errno(errno),
            Trouble::Refused(errno) => Failure::Refused(errno),
            Trouble::MayWait => Failure::Errno(Errno::EIO),
        }
    }
}

impl Services {
    /// Carries a request for files out. The outer error is a malformed attachment.
    pub(super) fn file_request(
        &mut self,
        request: FileRequest,
        message: &Message,
        data: &mut [u64],
    ) -> Result<Reply, Malformed> {
        let (mut job, mut pieces) = (Job::new(request), Vec::new());
        match request {
            FileRequest::Link { .. } | FileRequest::Unlink { .. } => {
                job.names = Some(so_many::<1>(message)?);
            }
            FileRequest::Rename { .. } => job.names = Some(so_many::<2>(message)?),
            FileRequest::Walk { .. } | FileRequest::Make { .. } => {
                job.names = Some(match request {
                    FileRequest::Make { .. } => so_many::<1>(message)?,
                    _ => names(message)?,
                });
                pieces = segments(message)?.collect();
                if pieces.len() > MAX_SEGMENTS_BESIDE_NAMES {
                    return Err(Malformed::Count(pieces.len() as u64));
                }
            }
            FileRequest::List { .. }
            | FileRequest::ReadLink { .. }
            | FileRequest::Open { .. }
            | FileRequest::Get { .. }
            | FileRequest::Put { .. } => pieces = segments(message)?.collect(),
            FileRequest::Release { .. } => job.handles = handles(message)?.collect(),
            FileRequest::Change { .. } => job.change = Some(change(message)?),
            FileRequest::Look { .. }
            | FileRequest::FileSystem { .. }
            | FileRequest::Sync { .. }
            | FileRequest::Allocate { .. }
            | FileRequest::Find { .. } => {}
        }
        Ok(self.file_reply(job, &pieces, data))
    }

    fn file_reply(&mut self, mut job: Job, pieces: &[Segment], data: &mut [u64]) -> Reply {
        let request = job.request;
        match request {
            FileRequest::Get { file, offset } => return self.get(file, offset, pieces),
            FileRequest::Put { file, offset } => return self.put(file, offset, pieces, data),
            // A link's target: one that is too long is found to be.
            FileRequest::Make { .. } => job.input = self.gather(pieces, LONGEST_TARGET)?,
            _ => {
                self.check(pieces.iter().copied())?;
                job.room = room(pieces);
            }
        }
        let asked = job.names.as_ref().map_or(0, |names| names.iter().count() as u64);
        let done = self.directories.carry_out(job, &self.control)?;
        data[..done.data.len()].copy_from_slice(&done.data);
        self.scatter(pieces, &done.bytes)?;
        if pieces.is_empty() {
            return Ok(done.value);
        }
        match request {
            // Not for writing alone; and what cannot be read, reading says.
            FileRequest::Open { file, .. } => Ok(self.get_if_it_can(file, pieces)?.unwrap_or(0)),
            FileRequest::Walk { .. } => {
                data[WALK_OPENED - 1] = u64::MAX;
                let (found, _) = done.data.as_chunks();
                if let Some(last) = found.last().map(Found::from_words)
                    && done.value == asked
                    && self.open_if_it_can(last.handle)?
                {
                    let bytes = self.get_if_it_can(last.handle, pieces)?;
                    data[WALK_OPENED - 1] = bytes.unwrap_or(0);
                }
                Ok(done.value)
            }
            _ => Ok(done.value),
        }
    }

    /// Opens a file for reading; false, if that cannot be, for whatever reason.
    fn open_if_it_can(&mut self, file: Handle) -> Result<bool, Failure> {
        let job = Job::new(FileRequest::Open { file, access: Access::Read });
        match self.directories.carry_out(job, &self.control) {
            Err(Failure::Stopped) => Err(Failure::Stopped),
            opened => Ok(opened.is_ok()),
        }
    }

    /// Reads a file's beginning, if that can be.
    fn get_if_it_can(&mut self, file: Handle, pieces: &[Segment]) -> Result<Option<u64>, Failure> {
        match self.get(file, 0, pieces) {
            Err(Failure::Stopped) => Err(Failure::Stopped),
            result => Ok(result.ok()),
        }
    }

    /// Reads an open file: where its file system answers at once, without a copy.
    fn get(&mut self, file: Handle, offset: u64, pieces: &[Segment]) -> Reply {
        let vectors = Vectors::new(&self.ram, pieces.iter().copied(), None)?;
        let at = i64::try_from(offset).map_err(|_| Errno::EINVAL)?;
        let server = self.directories.server.as_deref_mut();
        let (open, at_once) = server.ok_or(Failure::Refused(Errno::EBADF))?.reading(file)?;
        if !at_once {
            let job = Job { room: room(pieces), ..Job::new(FileRequest::Get { file, offset }) };
            let done = self.directories.carry_out_away(job, &self.control)?;
            self.scatter(pieces, &done.bytes)?;
            return Ok(done.value);
        }
        let control = &self.control;
        super::interruptible(control, || vectors.transfer_at(&open.file, Way::In, at))
    }
}

impl Services {
    /// Writes an open file, as [`Services::get`] reads it.
    fn put(&mut self, file: Handle, offset: u64, pieces: &[Segment], data: &mut [u64]) -> Reply {
        let image = self.image.as_deref();
        let vectors = Vectors::new(&self.ram, pieces.iter().copied(), image)?;
        let at = match offset {
            AT_END => None,
            offset => Some(i64::try_from(offset).map_err(|_| Errno::EFBIG)?),
        };
        let server = self.directories.server.as_deref_mut();
        let (open, at_once) = server.ok_or(Failure::Refused(Errno::EBADF))?.writing(file)?;
        if !at_once {
            let input = self.gather(pieces, MAX_TRANSFER)?;
            let job = Job { input, ..Job::new(FileRequest::Put { file, offset }) };
            let done = self.directories.carry_out_away(job, &self.control)?;
            data[..done.data.len()].copy_from_slice(&done.data);
            return Ok(done.value);
        }
        let (before, _) = status::of(&open.file)?;
        let written = super::interruptible(&self.control, || match at {
            Some(at) => vectors.transfer_at(&open.file, Way::Out, at),
            None => vectors.transfer(&open.file, Way::Out, How::Append),
        })?;
        let (status, _) = status::of(&open.file)?;
        let both = [status.to_words(), before.to_words()];
        data[..2 * FileStatus::WORDS].copy_from_slice(both.as_flattened());
        Ok(written)
    }
}

/// The names of a request that has so many.
fn so_many<const N: usize>(message: &Message) -> Result<Names, Malformed> {
    let names = names(message)?;
    names.exactly::<N>()?;
    Ok(names)
}

impl Job {
    /// Its names, of which there are so many.
    fn exactly<const N: usize>(&self) -> Result<[&[u8]; N], Errno> {
        let names = self.names.as_ref().ok_or(Errno::EINVAL)?;
        names.exactly().map_err(|_| Errno::EINVAL)
    }

    fn new(request: FileRequest) -> Job {
        let (names, handles, change) = (None, Vec::new(), None);
        Job { request, names, handles, change, room: 0, input: Vec::new() }
    }
}

/// How many bytes pieces of RAM have room for, or as many as a request moves.
fn room(pieces: &[Segment]) -> usize {
    let all = pieces.iter().fold(0u64, |sum, piece| sum.saturating_add(piece.length));
    all.min(MAX_TRANSFER) as usize
}

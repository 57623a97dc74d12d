//! A thread that waits in a transfer so that nobody else has to: for files of which
//! Linux cannot be asked for a transfer that does not wait (`transfer` has the
//! others).
//!
//! It moves bytes between the file and a copy of the VMM's own: none of the guest's
//! memory is touched once the request has been answered. It begins only when
//! poll(2) has said that the file is ready, so mostly it is done at once, and whoever
//! gave it the transfer waits [`AT_ONCE`] for that. It also asks for what else a server of
//! files may take its time to say (`files`). Who waits for a regular file then
//! asks again until it is over ([`Worker::carry_out`]). Of a stream somebody else was
//! faster, or it takes less than was thought; then
//!
//! - what it reads is there for the next read: no more than was asked for;
//! - what it writes counts as written, as if the file had so much more room; an
//!   error is the next write's. The end of the program waits for it.

use super::files::status;
use super::transfer::reopened;
use crate::machine::kvm::kick;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::{SeekFrom, seek};
use rustix::io::{self, ReadWriteFlags};
use std::fs::File;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a transfer of a file that is ready may take to count as one that does
/// not wait.
const AT_ONCE: Duration = Duration::from_millis(10);
/// How often a thread that is to end is kicked, and how long it has.
const KICK_INTERVAL: Duration = Duration::from_millis(1);
const END: Duration = Duration::from_secs(1);

/// A worker: of one file, for one way.
pub(super) struct Worker {
    shared: Arc<Shared>,
}

struct Shared {
    file: File,
    state: Mutex<State>,
    changed: Condvar,
    /// Readable when a transfer is over.
    done: OwnedFd,
}

#[derive(Default)]
struct State {
    progress: Progress,
    /// The thread, once it runs, until it ends.
    thread: Option<kick::Target>,
    /// It is to end.
    end: bool,
    ended: bool,
}

#[derive(Default)]
enum Progress {
    /// There is nothing to do.
    #[default]
    Idle,
    /// To do this.
    Given(Work),
    /// On its way.
    Busy,
    /// It is over.
    Done(io::Result<Moved>),
}

/// What it does.
pub(super) enum Work {
    /// Read so many bytes at most: at the position, or there.
    Get { most: usize, at: Option<u64> },
    /// Write these, or as many as Linux takes at once.
    Put(Vec<u8>, Put),
    /// Write all of these to a stream.
    PutAll(Vec<u8>),
    /// Set the position: how many bytes it is from the beginning.
    Seek(SeekFrom),
    /// What fstat(2) says: the bytes of a `FileStatus`'s words.
    Status,
}

/// Where a regular file is written.
#[derive(Clone, Copy)]
pub(super) enum Put {
    /// At the position.
    Plain,
    /// At the end.
    Append,
    /// At the position, although the description would append.
    ByOwn,
}

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Moved {
    /// What was read.
    pub(super) bytes: Vec<u8>,
    /// How many were read or written.
    pub(super) count: usize,
}

impl Moved {
    fn read(bytes: Vec<u8>) -> Moved {
        let count = bytes.len();
        Moved { bytes, count }
    }

    fn written(count: usize) -> Moved {
        Moved { bytes: Vec::new(), count }
    }
}

impl Worker {
    /// For this file.
    ///
    /// # Errors
    /// If there can be no thread or no descriptor: ENOMEM, whatever was missing.
    /// EAGAIN would have the kernel wait for the file, which is ready, and try again.
    pub(super) fn begin(file: &File) -> io::Result<Worker> {
        Worker::try_begin(file).ok_or(io::Errno::NOMEM)
    }

    fn try_begin(file: &File) -> Option<Worker> {
        kick::install().ok()?;
        let shared = Arc::new(Shared {
            file: file.try_clone().ok()?,
            state: Mutex::default(),
            changed: Condvar::new(),
            done: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok()?,
        });
        let works = shared.clone();
        let name = "transfer".to_owned();
        thread::Builder::new().name(name).spawn(move || works.work()).ok()?;
        Some(Worker { shared })
    }

    /// Whether its transfer is over, and nobody has asked since.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.shared.lock().progress, Progress::Done(_))
    }

    /// Whether its transfer is not over.
    pub(super) fn is_busy(&self) -> bool {
        !matches!(self.shared.lock().progress, Progress::Idle | Progress::Done(_))
    }

    /// Waits for its end, but not long.
    pub(super) fn wait_a_moment(&self) {
        let state = self.shared.lock();
        drop(self.shared.changed.wait_timeout(state, AT_ONCE));
    }

    /// Whether it has nothing to do and nothing to tell.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.shared.lock().progress, Progress::Idle)
    }

    /// What is readable when it is done.
    pub(super) fn done_fd(&self) -> BorrowedFd<'_> {
        self.shared.done.as_fd()
    }

    /// Reads at most so many bytes.
    ///
    /// # Errors
    /// EAGAIN, if that takes longer: then ask again, once it is done. Those of
    /// read(2).
    pub(super) fn read(&self, most: usize) -> io::Result<Vec<u8>> {
        let Moved { bytes, .. } = self.carry_out(Work::Get { most, at: None })?;
        let (now, later) = bytes.split_at(bytes.len().min(most));
        if !later.is_empty() {
            let later = Moved::read(later.to_vec());
            self.shared.is_over(&mut self.shared.lock(), Ok(later));
        }
        Ok(now.to_vec())
    }

    /// Does this, or says what came of it, if it was begun before.
    ///
    /// # Errors
    /// EAGAIN, if it takes longer: then ask again, once it is done. Those of the
    /// transfer.
    pub(super) fn carry_out(&self, work: Work) -> io::Result<Moved> {
        if self.is_idle() {
            self.give(work);
        }
        self.take().ok_or(io::Errno::AGAIN)?
    }

    /// Writes these bytes to a stream, or takes them to be written.
    ///
    /// # Errors
    /// EAGAIN, if there are some from before. Those of write(2), of these bytes or
    /// of earlier ones.
    pub(super) fn write(&self, bytes: Vec<u8>) -> io::Result<usize> {
        let length = bytes.len();
        if !self.is_idle() {
            self.take().ok_or(io::Errno::AGAIN)??;
        }
        self.give(Work::PutAll(bytes));
        match self.take() {
            Some(done) => done.map(|_| length),
            None => Ok(length),
        }
    }

    /// Gives it something to do, and waits a little for its end.
    fn give(&self, work: Work) {
        let mut state = self.shared.lock();
        state.progress = Progress::Given(work);
        self.shared.changed.notify_all();
        let until = Instant::now() + AT_ONCE;
        while !matches!(state.progress, Progress::Done(_)) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What came of its work, if it is done.
    fn take(&self) -> Option<io::Result<Moved>> {
        let mut state = self.shared.lock();
        match std::mem::take(&mut state.progress) {
            Progress::Done(result) => {
                // Nobody is to be told of it any more.
                let _ = io::read(&self.shared.done, &mut [0; 8]);
                Some(result)
            }
            other => {
                state.progress = other;
                None
            }
        }
    }
}

impl Drop for Worker {
    /// Ends the thread, whatever it waits for. One that Linux does not let go of
    /// is left to itself: nothing that it has is anybody else's.
    fn drop(&mut self) {
        let start = Instant::now();
        let mut state = self.shared.lock();
        state.end = true;
        self.shared.changed.notify_all();
        while !state.ended && start.elapsed() < END {
            if let Some(thread) = &state.thread {
                thread.kick();
            }
            let waited = self.shared.changed.wait_timeout(state, KICK_INTERVAL);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Whoever panicked with it left it whole: every change is one word.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that a transfer is over, and what came of it.
    fn is_over(&self, state: &mut State, result: io::Result<Moved>) {
        state.progress = Progress::Done(result);
        let _ = io::write(&self.done, &1u64.to_ne_bytes());
        self.changed.notify_all();
    }

    /// What the thread does.
    fn work(&self) {
        kick::take_kicks();
        let mut state = self.lock();
        state.thread = Some(kick::Target::this_thread());
        while !state.end {
            let work = match std::mem::replace(&mut state.progress, Progress::Busy) {
                Progress::Given(work) => work,
                other => {
                    state.progress = other;
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
            };
            drop(state);
            let result = self.transfer(work);
            state = self.lock();
            self.is_over(&mut state, result);
        }
        state.thread = None;
        state.ended = true;
        self.changed.notify_all();
    }

    fn transfer(&self, work: Work) -> io::Result<Moved> {
        match work {
            Work::Get { most, at } => {
                let mut bytes = vec![0; most];
                let read = self.unless_it_ends(PollFlags::IN, || match at {
                    Some(at) => io::pread(&self.file, &mut bytes[..], at),
                    None => io::read(&self.file, &mut bytes[..]),
                })?;
                bytes.truncate(read);
                Ok(Moved::read(bytes))
            }
            Work::Put(bytes, put) => {
                let written =
                    self.unless_it_ends(PollFlags::OUT, || put.write(&self.file, &bytes))?;
                Ok(Moved::written(written))
            }
            Work::PutAll(bytes) => {
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let written =
                        self.unless_it_ends(PollFlags::OUT, || io::write(&self.file, rest))?;
                    rest = &rest[written..];
                }
                Ok(Moved::written(bytes.len()))
            }
            Work::Seek(to) => Ok(Moved::written(seek(&self.file, to)? as usize)),
            Work::Status => {
                let words = status(&self.file)?.to_words();
                Ok(Moved::read(words.iter().flat_map(|word| word.to_ne_bytes()).collect()))
            }
        }
    }

    /// Repeats `call` while signals interrupt it, or the file says EAGAIN, as it does
    /// if somebody has set `O_NONBLOCK` of the description that all share: until it
    /// answers or the thread is to end. What was moved in part is not told of.
    fn unless_it_ends(
        &self,
        wanted: PollFlags,
        mut call: impl FnMut() -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            let answer = match call() {
                Err(io::Errno::AGAIN) => self.wait_for(wanted).map(|()| None),
                answer => answer.map(Some),
            };
            match answer {
                Ok(Some(moved)) => return Ok(moved),
                Ok(None) => {}
                Err(io::Errno::INTR) if !self.lock().end => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until the file has something of this, or it is to end: a kick that comes
    /// before poll(2) is repeated.
    fn wait_for(&self, wanted: PollFlags) -> io::Result<()> {
        poll(&mut [PollFd::from_borrowed_fd(self.file.as_fd(), wanted)], None)?;
        Ok(())
    }
}

impl Put {
    fn write(self, file: &File, bytes: &[u8]) -> io::Result<usize> {
        /// Where the description is: pwritev2(2).
        const POSITION: u64 = u64::MAX;
        match self {
            Put::Plain => io::write(file, bytes),
            Put::Append => {
                let bytes = [IoSlice::new(bytes)];
                match io::pwritev2(file, &bytes, POSITION, ReadWriteFlags::APPEND) {
                    // What has no end, like a file of /proc.
                    Err(io::Errno::OPNOTSUPP) => io::writev(file, &bytes),
                    written => written,
                }
            }
            Put::ByOwn => {
                // As of a file that nobody may do more than append to.
                let own = reopened(file).ok_or(io::Errno::PERM)?;
                let at = seek(file, SeekFrom::Current(0))?;
                let written = io::pwrite(own, bytes, at)?;
                seek(file, SeekFrom::Start(at + written as u64))?;
                Ok(written)
            }
        }
    }
}

//! Reading and writing as the program's own `O_APPEND` has it, and without waiting.
//!
//! Other processes may share the host's description of a standard file: a shell
//! shares its terminal. So its flags stay as they are, and each call is told what is
//! wanted. What would wait is EAGAIN, whatever the program's `O_NONBLOCK` says: its
//! kernel then waits for the file, or tells the program.
//!
//! | of | how, in this order |
//! |---|---|
//! | block devices, directories, regular files of file systems that answer at once (`filesystem`) | in place |
//! | the same, with `O_APPEND` | `RWF_APPEND` |
//! | the same, without it where the host's has it | at its position, by a description of our own |
//! | other regular files | the same by a worker, for whose end the program waits |
//! | sockets | `MSG_DONTWAIT` |
//! | everything else | `RWF_NOWAIT`; a description of our own; in place, if it has no readiness; a worker's transfer (`worker`) |
//!
//! A description of our own is the same file opened through /proc/self/fd. A
//! regular file, and a block device, is always ready, and other processes see its
//! position move. Status and position of a file on a network come from there as well, and
//! are the one thing that a sandbox waits for outside `wait` (`files`): a kill or a timeout
//! ends that, for it is a worker that asks. What waits for NFS only SIGKILL of this process
//! ends.

use super::filesystem::answers_at_once;
use super::raw::{How, Vectors, Way};
use super::wait::{has_readiness, polled};
use super::worker::{Put, Work, Worker};
use super::{Failure, Reply, Services};
use crate::machine::memory::OutOfRam;
use rustix::event::PollFlags;
use rustix::fs::{OFlags, SeekFrom, fcntl_getfl, makedev, seek};
use rustix::io;
use std::cell::{Cell, OnceCell};
use std::fs::{File, OpenOptions};
use std::io::IsTerminal;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use trapgate_abi::hypercall::{MAX_TRANSFER, Segment};
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::O_APPEND;
use trapgate_uapi::stat::{S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFMT, S_IFREG, S_IFSOCK};

/// What a worker reads at once, in bytes, and what it is given to write, which a
/// file that is ready mostly takes: a pipe has room for a page.
const WORK: u64 = 4096;

/// How a file is told that a transfer shall not wait.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Means {
    NoWait,
    Own,
    InPlace,
    Worker,
}

/// A standard file of the program's, as the host has it.
pub(crate) struct HostFile {
    pub(super) file: File,
    /// Its type: `st_mode` and [`S_IFMT`].
    kind: u32,
    /// Whether its transfers end at once. Found out at the start: to ask which file system
    /// it is asks a server, too.
    in_place: bool,
    /// How transfers do not wait, once there was one; as yet, `RWF_NOWAIT`.
    means: Cell<Means>,
    /// A description of our own, once it was needed; none, if there can be none.
    own: OnceCell<Option<File>>,
    /// For reading and for writing, if that is what it takes.
    workers: [OnceCell<Worker>; 2],
    /// For what else is asked of it: a transfer may be on its way.
    asker: OnceCell<Worker>,
}

impl HostFile {
    pub(super) fn new(file: File) -> Self {
        let kind = file.metadata().map_or(0, |data| data.mode() & S_IFMT);
        // Linux says so of all that have positions, and ignores their `O_NONBLOCK`.
        let in_place = match kind {
            S_IFBLK | S_IFDIR => true,
            S_IFREG => answers_at_once(file.as_fd()),
            _ => false,
        };
        let (own, workers, asker) = (OnceCell::new(), Default::default(), OnceCell::new());
        HostFile { file, kind, in_place, means: Cell::new(Means::NoWait), own, workers, asker }
    }

    /// The `O_*` flags of the host's description, as they are now.
    pub(super) fn flags(&self) -> io::Result<OFlags> {
        fcntl_getfl(&self.file)
    }

    /// Whether its transfers end at once.
    fn is_moved_in_place(&self) -> bool {
        self.in_place
    }

    /// Whether whoever asks something of it may have to wait, for a server of files that
    /// is not there any more, say.
    pub(super) fn may_keep_waiting(&self) -> bool {
        self.kind == S_IFREG && !self.in_place
    }

    /// A description of our own. Only what another opening does not change: the other
    /// end of a pseudo-terminal, or a device, may be another one each time.
    fn own(&self) -> Option<&File> {
        let open = || {
            let reopens = match self.kind {
                S_IFREG | S_IFBLK | S_IFIFO => true,
                S_IFCHR => self.file.is_terminal() && !self.is_multiplexer(),
                _ => false,
            };
            if reopens { reopened(&self.file) } else { None }
        };
        self.own.get_or_init(open).as_ref()
    }

    /// Whether it is /dev/ptmx, which makes a new terminal each time.
    fn is_multiplexer(&self) -> bool {
        let device = self.file.metadata().map_or(0, |data| data.rdev());
        device == makedev(5, 2)
    }

    /// The worker for this way, if there is one.
    pub(super) fn worker(&self, way: Way) -> Option<&Worker> {
        self.workers[way as usize].get()
    }

    /// As if it were of a kind for which there is no other means.
    #[cfg(test)]
    pub(super) fn only_by_worker(&mut self) {
        self.means.set(Means::Worker);
        self.in_place = false;
    }

    /// As if it were a regular file that may wait.
    #[cfg(test)]
    pub(super) fn as_regular(&mut self) {
        self.only_by_worker();
        self.kind = S_IFREG;
    }

    pub(super) fn begun_worker(&self, way: Way) -> io::Result<&Worker> {
        self.begun(&self.workers[way as usize])
    }

    /// The worker that asks.
    pub(super) fn asker(&self) -> io::Result<&Worker> {
        self.begun(&self.asker)
    }

    fn begun<'a>(&self, cell: &'a OnceCell<Worker>) -> io::Result<&'a Worker> {
        if cell.get().is_none() {
            let _ = cell.set(Worker::begin(&self.file)?);
        }
        cell.get().ok_or(io::Errno::NOMEM)
    }
}

/// The same file, opened once more: with its access, without `O_APPEND`, and not to
/// wait. `None`, if that cannot be.
pub(super) fn reopened(file: &File) -> Option<File> {
    let access = fcntl_getfl(file).ok()? & OFlags::ACCMODE;
    let mut options = OpenOptions::new();
    options.read(access != OFlags::WRONLY).write(access != OFlags::RDONLY);
    options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed());
    options.open(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()
}

/// How many bytes pieces of RAM have room for, or so many.
fn room(segments: &[Segment], most: u64) -> usize {
    let all = segments.iter().fold(0u64, |sum, segment| sum.saturating_add(segment.length));
    all.min(most) as usize
}

impl Services {
    /// write(2), with the program's flags.
    pub(super) fn write(
        &self,
        number: u32,
        flags: u32,
        data: impl Iterator<Item = Segment> + Clone,
    ) -> Reply {
        let file = self.file(number)?;
        let vectors = Vectors::new(&self.ram, data.clone(), self.image.as_deref())?;
        if file.is_moved_in_place() {
            return if flags & O_APPEND != 0 {
                self.append(file, &vectors)
            } else if file.flags()?.contains(OFlags::APPEND) {
                self.write_at_position(file, &vectors)
            } else {
                self.interruptible(|| vectors.transfer(&file.file, Way::Out, How::Plain))
            };
        }
        if file.kind == S_IFREG {
            let put = if flags & O_APPEND != 0 {
                Put::Append
            } else if file.flags()?.contains(OFlags::APPEND) {
                Put::ByOwn
            } else {
                Put::Plain
            };
            let bytes = self.gather(&data.collect::<Vec<_>>(), MAX_TRANSFER)?;
            return self.wait_for_worker(file, Way::Out, Work::Put(bytes, put), &[]);
        }
        self.stream(file, Way::Out, vectors, data)
    }

    /// read(2).
    pub(super) fn read(&self, number: u32, buffer: impl Iterator<Item = Segment> + Clone) -> Reply {
        let file = self.file(number)?;
        let vectors = Vectors::new(&self.ram, buffer.clone(), None)?;
        if file.is_moved_in_place() {
            return self.interruptible(|| vectors.transfer(&file.file, Way::In, How::Plain));
        }
        if file.kind == S_IFREG {
            let segments: Vec<_> = buffer.collect();
            let work = Work::Get { most: room(&segments, MAX_TRANSFER), at: None };
            return self.wait_for_worker(file, Way::In, work, &segments);
        }
        self.stream(file, Way::In, vectors, buffer)
    }

    /// pread(2): of what has positions.
    pub(super) fn read_at(
        &self,
        number: u32,
        offset: u64,
        buffer: impl Iterator<Item = Segment> + Clone,
    ) -> Reply {
        let file = self.file(number)?;
        let vectors = Vectors::new(&self.ram, buffer.clone(), None)?;
        let at = i64::try_from(offset).map_err(|_| Errno::EINVAL)?;
        if !file.is_moved_in_place() {
            if file.kind == S_IFREG {
                let segments: Vec<_> = buffer.collect();
                let work = Work::Get { most: room(&segments, MAX_TRANSFER), at: Some(offset) };
                return self.wait_for_worker(file, Way::In, work, &segments);
            }
            if has_readiness(file.file.as_fd())? {
                return Err(Errno::ESPIPE.into());
            }
        }
        self.interruptible(|| vectors.transfer_at(&file.file, Way::In, at))
    }

    /// Writes at the end of a file, and leaves its position there.
    fn append(&self, file: &HostFile, vectors: &Vectors<'_>) -> Reply {
        let write = |how| self.interruptible(|| vectors.transfer(&file.file, Way::Out, how));
        match write(How::Append) {
            // What has no end, like a file of /proc.
            Err(Failure::Errno(Errno::EOPNOTSUPP)) => write(How::Plain),
            result => result,
        }
    }

    /// Writes where the host's description is, though that would append.
    fn write_at_position(&self, file: &HostFile, vectors: &Vectors<'_>) -> Reply {
        // As of a file that nobody may do more than append to.
        let own = file.own().ok_or(Errno::EPERM)?;
        let at = seek(&file.file, SeekFrom::Current(0))?;
        let offset = at.cast_signed();
        let written = self.interruptible(|| vectors.transfer_at(own, Way::Out, offset))?;
        seek(&file.file, SeekFrom::Start(at + written))?;
        Ok(written)
    }

    /// A transfer that does not wait: EAGAIN, if nothing can be moved.
    fn stream(
        &self,
        file: &HostFile,
        way: Way,
        mut vectors: Vectors<'_>,
        segments: impl Iterator<Item = Segment>,
    ) -> Reply {
        if file.kind == S_IFSOCK {
            return self.interruptible(|| vectors.transfer_of_socket(&file.file, way));
        }
        if file.means.get() == Means::NoWait {
            let result = self.interruptible(|| vectors.transfer(&file.file, way, How::NoWait));
            // Pipes have it from Linux 6.4 on, terminals not at all.
            if !matches!(result, Err(Failure::Errno(Errno::EOPNOTSUPP))) {
                return result;
            }
            file.means.set(match file.own() {
                Some(_) => Means::Own,
                None if has_readiness(file.file.as_fd())? => Means::Worker,
                None => Means::InPlace,
            });
        }
        let at_once = match file.means.get() {
            Means::Worker => return self.by_worker(file, way, segments),
            Means::Own => file.own().unwrap_or(&file.file),
            Means::NoWait | Means::InPlace => &file.file,
        };
        self.interruptible(|| vectors.transfer(at_once, way, How::Plain))
    }

    /// A transfer of a regular file that may take long: EAGAIN until it is over, and
    /// then whoever asks gets what came of it. That is who asked before: Linux lets a
    /// transfer of such a file end before somebody has the next one.
    fn wait_for_worker(&self, file: &HostFile, way: Way, work: Work, into: &[Segment]) -> Reply {
        let is_idle = file.worker(way).is_none_or(Worker::is_idle);
        let wanted = if way == Way::In { PollFlags::IN } else { PollFlags::OUT };
        // Most are always ready; what can say that it is not, as trace_pipe, is believed.
        if is_idle && polled(file.file.as_fd(), wanted)?.is_empty() {
            return Err(Errno::EAGAIN.into());
        }
        let moved = file.begun_worker(way)?.carry_out(work)?;
        self.scatter(into, &moved.bytes)?;
        Ok(moved.count as u64)
    }

    /// A stream's transfer by a thread that may wait.
    fn by_worker(
        &self,
        file: &HostFile,
        way: Way,
        segments: impl Iterator<Item = Segment>,
    ) -> Reply {
        let wanted = if way == Way::In { PollFlags::IN } else { PollFlags::OUT };
        let is_idle = file.worker(way).is_none_or(Worker::is_idle);
        if is_idle {
            let ready = polled(file.file.as_fd(), wanted)?;
            if ready.is_empty() {
                return Err(Errno::EAGAIN.into());
            }
            // Nobody reads the pipe: pipe(7). To be told so, one need not write.
            if way == Way::Out && file.kind == S_IFIFO && ready.contains(PollFlags::ERR) {
                return Err(Errno::EPIPE.into());
            }
        }
        let worker = file.begun_worker(way)?;
        let segments: Vec<_> = segments.collect();
        match way {
            Way::In => {
                let bytes = worker.read(room(&segments, WORK))?;
                self.scatter(&segments, &bytes)?;
                Ok(bytes.len() as u64)
            }
            Way::Out => {
                let bytes = self.gather(&segments, WORK)?;
                Ok(worker.write(bytes)? as u64)
            }
        }
    }

    /// Copies bytes into pieces of RAM, which have room for them.
    pub(super) fn scatter(&self, segments: &[Segment], mut bytes: &[u8]) -> Result<(), OutOfRam> {
        for segment in segments {
            let length = bytes.len().min(segment.length as usize);
            let (now, later) = bytes.split_at(length);
            self.ram.write(segment.address, now)?;
            bytes = later;
        }
        Ok(())
    }

    /// Copies bytes out of pieces of RAM, or of the image: all, or so many.
    pub(super) fn gather(&self, segments: &[Segment], most: u64) -> Result<Vec<u8>, OutOfRam> {
        let mut bytes = vec![0; room(segments, most)];
        let mut rest = &mut bytes[..];
        for segment in segments {
            let length = rest.len().min(segment.length as usize);
            let (now, later) = rest.split_at_mut(length);
            if let Err(error) = self.ram.read(segment.address, now)
                && !self.image.as_ref().is_some_and(|image| image.read(segment.address, now))
            {
                return Err(error);
            }
            rest = later;
        }
        Ok(bytes)
    }

    /// Waits until what the program has written is where it was to go, or somebody
    /// wants the sandbox's end: at the program's.
    pub(super) fn finish_writing(&self) {
        for file in self.files.iter().flatten() {
            while let Some(worker) = file.worker(Way::Out).filter(|worker| worker.is_busy()) {
                if self.control.is_stopped() || self.control.has_signals() {
                    return;
                }
                worker.wait_a_moment();
            }
        }
    }
}

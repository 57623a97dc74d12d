//! The one place that waits for the host: what of the files is ready, signals for
//! the program, and time.
//!
//! An epoll instance a sandbox has the files that the kernel watches. Each is told
//! of once, and then not before it is watched again (EPOLLONESHOT); one that is
//! ready when it is watched is told of in the answer to that. What this machine is
//! told from outside comes by a descriptor of its own (`machine::control`).

use super::raw::Way;
use super::{Failure, Reply, Services};
use crate::machine::watcher;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io;
use std::cell::{Cell, OnceCell};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};
use trapgate_abi::event::{Event, MAX_EVENTS, WatchEntry};
use trapgate_abi::hypercall::{Message, NEVER, Request, put_event};
use trapgate_uapi::Errno;

/// Reading and writing, in all the names that poll(2) has for them.
const INPUT: PollFlags = PollFlags::IN.union(PollFlags::RDNORM);
const OUTPUT: PollFlags = PollFlags::OUT.union(PollFlags::WRNORM).union(PollFlags::WRBAND);

/// What a file's readiness can come from.
#[derive(Clone, Copy)]
pub(super) enum Source {
    /// The file.
    File,
    /// A worker's end of a transfer.
    Worker(Way),
}

impl Source {
    const ALL: [Source; 3] = [Source::File, Source::Worker(Way::In), Source::Worker(Way::Out)];

    fn number(self) -> usize {
        match self {
            Source::File => 0,
            Source::Worker(Way::In) => 1,
            Source::Worker(Way::Out) => 2,
        }
    }

    /// What it means for the program that this source is ready, which has `flags`.
    fn mask(self, flags: EventFlags) -> u16 {
        match self {
            Source::File => flags.bits() as u16,
            Source::Worker(Way::In) => PollFlags::IN.bits(),
            Source::Worker(Way::Out) => PollFlags::OUT.bits(),
        }
    }
}

/// The files that are watched.
#[derive(Default)]
pub(super) struct Watched {
    epoll: OnceCell<OwnedFd>,
    /// Which sources of which files are in it.
    known: [[Cell<bool>; 3]; 3],
    /// The files of which the kernel will be told, and by which generation it knows
    /// that. A source that an older one armed may still be in `epoll`.
    armed: [Cell<Option<u32>>; 3],
}

impl Watched {
    fn epoll(&self) -> io::Result<BorrowedFd<'_>> {
        if self.epoll.get().is_none() {
            let _ = self.epoll.set(epoll::create(CreateFlags::CLOEXEC)?);
        }
        self.epoll.get().map(AsFd::as_fd).ok_or(io::Errno::BADF)
    }

    pub(super) fn has_any(&self) -> bool {
        self.armed.iter().any(|armed| armed.get().is_some())
    }

    /// Has a source of a file told of once.
    pub(super) fn arm(
        &self,
        entry: &WatchEntry,
        source: Source,
        fd: BorrowedFd<'_>,
        wanted: PollFlags,
    ) -> io::Result<()> {
        let epoll = self.epoll()?;
        let known = &self.known[entry.file as usize][source.number()];
        let data = EventData::new_u64(
            u64::from(entry.file)
                | (source.number() as u64) << 8
                | u64::from(entry.generation) << 32,
        );
        let flags = EventFlags::from_bits_retain(wanted.bits().into()) | EventFlags::ONESHOT;
        if known.get() {
            epoll::modify(epoll, fd, data, flags)?;
        } else {
            match epoll::add(epoll, fd, data, flags) {
                // What has no readiness is always ready, and has been asked.
                Err(io::Errno::PERM) => return Ok(()),
                added => added?,
            }
            known.set(true);
        }
        self.armed[entry.file as usize].set(Some(entry.generation));
        Ok(())
    }

    /// Who is ready, and is not watched any more: at most so many. What an older
    /// generation armed is nothing to the newer one, which goes on.
    pub(super) fn ready(&self, most: usize) -> io::Result<Vec<Event>> {
        let mut events = Vec::with_capacity(most);
        if most > 0
            && let Some(epoll) = self.epoll.get()
        {
            epoll::wait(epoll, spare_capacity(&mut events), Some(&Timespec::default()))?;
        }
        let told = events.iter().filter_map(|event| {
            let (flags, data) = (event.flags, event.data.u64());
            let (file, generation) = ((data & 0xff) as u32, (data >> 32) as u32);
            let source = Source::ALL[(data >> 8 & 0xff) as usize];
            let armed = &self.armed[file as usize];
            if armed.get() != Some(generation) {
                return None;
            }
            armed.set(None);
            Some(Event::Ready { file, mask: source.mask(flags), generation })
        });
        Ok(told.collect())
    }
}

impl Services {
    /// [`trapgate_abi::hypercall::Request::Watch`].
    pub(super) fn watch(&self, arm: bool, entries: &[WatchEntry], data: &mut [u64]) -> Reply {
        for entry in entries {
            self.policy.check_file(entry.file).map_err(Failure::Refused)?;
            // Before any is armed: one that is not there is the answer to all.
            self.file(entry.file)?;
        }
        let mut count = 0;
        for (entry, word) in entries.iter().zip(data) {
            let file = self.file(entry.file)?;
            let wanted = self.granted(entry);
            let mut ready = polled(file.file.as_fd(), wanted)?;
            let mut rest = wanted;
            for (way, bits) in [(Way::In, INPUT), (Way::Out, OUTPUT)] {
                if let Some(worker) = file.worker(way).filter(|worker| !worker.is_idle()) {
                    // Its end decides, whatever the file says.
                    ready -= bits;
                    ready |= if worker.is_done() { wanted & bits } else { PollFlags::empty() };
                    rest -= bits;
                }
            }
            *word = ready.bits().into();
            count += u64::from(!ready.is_empty());
            if !arm || !ready.is_empty() {
                continue;
            }
            self.watched.arm(entry, Source::File, file.file.as_fd(), rest)?;
            for (way, bits) in [(Way::In, INPUT), (Way::Out, OUTPUT)] {
                let worker = file.worker(way).filter(|worker| !worker.is_idle());
                if let Some(worker) = worker.filter(|_| wanted.intersects(bits)) {
                    let source = Source::Worker(way);
                    self.watched.arm(entry, source, worker.done_fd(), PollFlags::IN)?;
                }
            }
        }
        Ok(count)
    }

    /// What of this may be known of a file: that there is something to read, to who may
    /// read, whatever the file's number is, as with reading itself; and so on.
    fn granted(&self, entry: &WatchEntry) -> PollFlags {
        let mut wanted = PollFlags::from_bits_retain(entry.mask);
        if self.policy.check(&Request::Read { file: entry.file, flags: 0 }).is_err() {
            wanted -= INPUT | PollFlags::RDBAND | PollFlags::PRI;
        }
        if self.policy.check(&Request::Write { file: entry.file, flags: 0 }).is_err() {
            wanted -= OUTPUT;
        }
        wanted
    }

    /// [`trapgate_abi::hypercall::Request::Wait`].
    pub(super) fn wait(&self, timeout_ns: u64, reply: &mut Message) -> Reply {
        let is_granted = self.policy.check_wait(self.watched.has_any(), timeout_ns);
        is_granted.map_err(Failure::Refused)?;
        let deadline = match timeout_ns {
            NEVER => None,
            // A time beyond the clock's end is none.
            timeout => Instant::now().checked_add(Duration::from_nanos(timeout)),
        };
        let wake = if timeout_ns == 0 { None } else { Some(self.control.wake_fd()?) };
        loop {
            if self.control.is_stopped() {
                return Err(Failure::Stopped);
            }
            // It needs no interrupt to look: it does.
            let is_interrupted = self.control.take_interrupt();
            let count = self.happened(reply)?;
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            let Some(wake) = wake else { return Ok(count) };
            if count > 0 || is_interrupted || left == Some(Duration::ZERO) {
                return Ok(count);
            }
            let mut list = vec![PollFd::from_borrowed_fd(wake, PollFlags::IN)];
            if self.watched.has_any() {
                let epoll = self.watched.epoll()?;
                list.push(PollFd::from_borrowed_fd(epoll, PollFlags::IN));
            }
            match poll(&mut list, left.map(super::timespec).as_ref()) {
                // A kick, and then the loop looks.
                Err(io::Errno::INTR) => continue,
                answer => answer?,
            };
            if !list[0].revents().is_empty() {
                // What it counts tells nothing.
                let _ = io::read(wake, &mut [0; 8]);
            }
        }
    }

    /// Writes what has happened into a reply: how many events.
    fn happened(&self, reply: &mut Message) -> Result<u64, Failure> {
        let mut count = 0;
        // The first has room.
        if self.control.take_tick() && put_event(reply, count, Event::Tick) {
            count += 1;
        }
        let signals = self.control.take_signals();
        for number in (1..=64u8).filter(|number| signals & 1 << (number - 1) != 0) {
            if put_event(reply, count, Event::Signal { number }) {
                count += 1;
            } else {
                self.control.put_signals_back(1 << (number - 1));
            }
        }
        if self.watched.has_any() {
            for event in self.watched.ready(MAX_EVENTS - count)? {
                put_event(reply, count, event);
                count += 1;
            }
        }
        Ok(count as u64)
    }

    /// [`trapgate_abi::hypercall::Request::Tick`].
    pub(super) fn tick(&self, after_ns: u64, period_ns: u64) -> Reply {
        let after = (after_ns != NEVER).then(|| Duration::from_nanos(after_ns));
        let period = (period_ns != 0).then(|| Duration::from_nanos(period_ns));
        watcher::tick(&self.control, after, period).map_err(|_| Errno::EAGAIN)?;
        Ok(0)
    }
}

/// Whether a file can be waited for. Others, as /dev/full, answer at once.
pub(super) fn has_readiness(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    match epoll::add(epoll, fd, EventData::new_u64(0), EventFlags::empty()) {
        Err(io::Errno::PERM) => Ok(false),
        added => added.map(|()| true),
    }
}

/// What of this a file has now.
pub(super) fn polled(fd: BorrowedFd<'_>, wanted: PollFlags) -> io::Result<PollFlags> {
    let mut entry = [PollFd::from_borrowed_fd(fd, wanted)];
    loop {
        match poll(&mut entry, Some(&Timespec::default())) {
            Err(io::Errno::INTR) => {}
            answer => return answer.map(|_| entry[0].revents()),
        }
    }
}

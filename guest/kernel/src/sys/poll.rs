//! Waiting for files: poll(2).
//!
//! Each standard file is asked for once, however many descriptors refer to it.

use super::descriptor::file;
use crate::fs::file::{Kind, OpenFile};
use crate::fs::inode_file::InodeFile;
use crate::memory::{try_push, try_push_small, try_with_capacity};
use crate::process::send;
use crate::process::task::{RestartBlock, current};
use crate::sched::thread::work;
use crate::sched::wait::wait;
use crate::sched::wait_queue::WaitQueue;
use crate::sched::watch::{self, HOST_FILES, Masks};
use crate::sys::define::{SysResult, syscall_define};
use crate::user::UserPtr;
use alloc::sync::Arc;
use alloc::vec::Vec;
use smallvec::SmallVec;
use trapgate_abi::hypercall::NEVER;
use trapgate_arch::percpu;
use trapgate_uapi::Errno;
use trapgate_uapi::poll::{POLLERR, POLLHUP, POLLNVAL, Pollfd};
use trapgate_uapi::signal::SIGSET_SIZE;
use trapgate_uapi::time::Timespec;

/// What is polled.
pub(super) enum Source {
    /// A file of the host's.
    Host(usize),
    /// One of a file system.
    Local(Arc<OpenFile>),
}

impl Source {
    /// The file behind a descriptor.
    pub(super) fn of(fd: u32) -> Result<Source, Errno> {
        let file = file(fd)?;
        Ok(match file.as_standard() {
            Some(standard) => Source::Host(standard.host as usize),
            None => Source::Local(file),
        })
    }

    /// What is ready of it: the host has answered, or it is asked now.
    pub(super) fn ready(&self, answers: &Masks) -> u16 {
        match self {
            Source::Host(host) => answers.get(*host).copied().flatten().unwrap_or_default(),
            Source::Local(file) => file.as_inode().map_or(0, InodeFile::ready),
        }
    }
}

/// What is waited for.
#[derive(Default)]
pub(super) struct Wanted {
    /// Of the host's files.
    host: Masks,
    /// Of those that keep somebody waiting.
    local: Vec<(Arc<OpenFile>, u16)>,
    /// Something of what is wanted is ready at once.
    pub(super) any_ready: bool,
}

impl Wanted {
    /// Adds `POLL*` bits of a file, of which `always` are told in any case.
    pub(super) fn add(&mut self, source: &Source, mask: u16, always: u16) -> Result<(), Errno> {
        match source {
            Source::Host(host) => {
                if let Some(slot) = self.host.get_mut(*host) {
                    *slot = Some(slot.unwrap_or(0) | mask);
                }
            }
            Source::Local(file) => {
                let Some(inode) = file.as_inode() else { return Ok(()) };
                self.any_ready |= inode.ready() & (mask | always) != 0;
                if inode.queues().is_some() {
                    try_push(&mut self.local, (file.clone(), mask | always))?;
                }
            }
        }
        Ok(())
    }

    /// What is ready of the host's files, if anything is.
    fn look(&self, arm: bool) -> Result<Option<Masks>, Errno> {
        let is_any_wanted = self.host.iter().any(Option::is_some);
        let ready = if is_any_wanted { watch::look(&self.host, arm)? } else { NOTHING };
        let local = |(file, mask): &(Arc<OpenFile>, u16)| {
            file.as_inode().is_some_and(|inode| inode.ready() & mask != 0)
        };
        let any = ready.iter().flatten().any(|mask| *mask != 0) || self.local.iter().any(local);
        Ok(any.then_some(ready))
    }

    /// Where it is waited.
    fn queues(&self) -> Result<SmallVec<[&WaitQueue; 2 * HOST_FILES]>, Errno> {
        let mut queues = SmallVec::new();
        for (file, _) in (0..).zip(&self.host).filter(|(_, mask)| mask.is_some()) {
            try_push_small(&mut queues, watch::queue(file)?)?;
        }
        for (file, _) in &self.local {
            for queue in file.as_inode().and_then(InodeFile::queues).into_iter().flatten().flatten()
            {
                try_push_small(&mut queues, queue)?;
            }
        }
        Ok(queues)
    }
}

const NOTHING: Masks = [None; HOST_FILES];

/// poll(2) with the time in nanoseconds, negative for ever.
fn poll_for(entries: UserPtr<Pollfd>, count: u32, timeout_ns: i64) -> SysResult {
    if count as usize > current().process.limits.descriptors() {
        return Err(Errno::EINVAL);
    }
    match ready_now(entries, count)? {
        0 => poll_slowly(entries, count, timeout_ns),
        ready => Ok(ready),
    }
}

/// What most calls find: files of file systems, of which one is ready. Nothing has to be
/// kept for that; 0, if the host is to be asked, or if it may have to be waited.
#[inline(always)]
fn ready_now(entries: UserPtr<Pollfd>, count: u32) -> SysResult {
    let files = &current().process.files;
    let mut ready = 0;
    for index in 0..count.into() {
        let at = entries.offset(index);
        let entry = at.read()?;
        let revents = match entry.fd {
            ..0 => 0,
            fd => match files.lock().look(fd as u32).map(|file| &file.kind) {
                None => POLLNVAL,
                Some(Kind::Inode(file)) => file.ready() & (entry.events | POLLERR | POLLHUP),
                Some(Kind::Standard(_)) => return Ok(0),
            },
        };
        ready += u64::from(revents != 0);
        at.write(Pollfd { revents, ..entry })?;
    }
    Ok(ready)
}

/// All others.
#[inline(never)]
fn poll_slowly(entries: UserPtr<Pollfd>, count: u32, timeout_ns: i64) -> SysResult {
    let mut wanted = Wanted::default();
    let mut list = try_with_capacity(count as usize)?;
    for index in 0..count.into() {
        let entry = entries.offset(index).read()?;
        let source = match entry.fd {
            ..0 => None,
            fd => Some(Source::of(fd as u32).ok()),
        };
        match &source {
            Some(Some(source)) => wanted.add(source, entry.events, POLLERR | POLLHUP)?,
            // No file: that is an answer.
            Some(None) => wanted.any_ready = true,
            None => {}
        }
        try_push(&mut list, (entry, source))?;
    }
    let answers = ready_within(&wanted, timeout_ns)?;
    let mut ready = 0;
    for (index, (entry, source)) in list.into_iter().enumerate() {
        let revents = match source {
            None => 0,
            Some(None) => POLLNVAL,
            Some(Some(source)) => source.ready(&answers) & (entry.events | POLLERR | POLLHUP),
        };
        ready += u64::from(revents != 0);
        entries.offset(index as u64).write(Pollfd { revents, ..entry })?;
    }
    Ok(ready)
}

/// Waits until something of what is wanted is ready, at most so long, negative for
/// ever, and answers what is of the host's files. With an answer at hand there is nothing
/// to wait for.
///
/// # Errors
/// ERESTARTSYS, ENOMEM; what the VMM answered.
pub(super) fn ready_within(wanted: &Wanted, timeout_ns: i64) -> Result<Masks, Errno> {
    let timeout_ns = if wanted.any_ready { 0 } else { timeout_ns };
    // What is ready costs no place in a queue.
    if let Some(ready) = wanted.look(timeout_ns != 0)? {
        return Ok(ready);
    }
    let elapsed = || current().process.clock.elapsed();
    let deadline = match u64::try_from(timeout_ns) {
        Ok(0) if percpu::work() & work::SIGNAL != 0 => return Err(Errno::ERESTARTSYS),
        Ok(0) => return Ok(NOTHING),
        Ok(timeout) => Some(elapsed().saturating_add(timeout)),
        Err(_) => None,
    };
    let queues = wanted.queues()?;
    // It has just been looked at, and nobody has run since.
    let mut looked = true;
    let ready = wait(&queues, deadline, || {
        if core::mem::take(&mut looked) { Ok(None) } else { wanted.look(true) }
    })?;
    Ok(ready.unwrap_or(NOTHING))
}

syscall_define! {
    /// poll(2)
    fn poll(entries: UserPtr<Pollfd>, count: u32, timeout_ms: i32) {
        let timeout_ns = i64::from(timeout_ms) * 1_000_000;
        let began = if timeout_ns > 0 { current().process.clock.elapsed() } else { 0 };
        match poll_for(entries, count, timeout_ns) {
            Err(Errno::ERESTARTSYS) => {
                let deadline = u64::try_from(timeout_ns).map_or(NEVER, |timeout| began + timeout);
                poll_later(entries, count, deadline)
            }
            result => result,
        }
    }
}

/// It was interrupted: without a handler it goes on until the same time.
#[cold]
fn poll_later(entries: UserPtr<Pollfd>, count: u32, deadline: u64) -> SysResult {
    let arguments = [entries.address(), count.into(), deadline, 0, 0];
    *current().restart.lock() = Some(RestartBlock { again: poll_again, arguments });
    Err(Errno::ERESTART_RESTARTBLOCK)
}

fn poll_again([entries, count, deadline, ..]: [u64; 5]) -> SysResult {
    let left = match deadline {
        NEVER => -1,
        _ => deadline.saturating_sub(current().process.clock.elapsed()) as i64,
    };
    match poll_for(UserPtr::new(entries), count as u32, left) {
        Err(Errno::ERESTARTSYS) => poll_later(UserPtr::new(entries), count as u32, deadline),
        result => result,
    }
}
syscall_define! {
    /// ppoll(2)
    fn ppoll(
        entries: UserPtr<Pollfd>,
        count: u32,
        timeout: UserPtr<Timespec>,
        mask: UserPtr<u64>,
        mask_size: u64,
    ) {
        let time = if timeout.is_null() { None } else { Some(timeout.read()?) };
        poll_within(entries, count, time, (mask, mask_size), |left| timeout.write(left))
    }
}

/// ppoll(2) for either width; without a time, for ever.
pub(super) fn poll_within(
    entries: UserPtr<Pollfd>,
    count: u32,
    timeout: Option<Timespec>,
    mask: (UserPtr<u64>, u64),
    tell: impl FnOnce(Timespec) -> Result<(), Errno>,
) -> SysResult {
    let timeout = timeout.map(Timespec::to_ns).transpose()?;
    let mask = read_mask(mask)?;
    let tell = |left| tell(Timespec::from_ns(left));
    within(timeout, tell, |timeout_ns| with_mask(mask, || poll_for(entries, count, timeout_ns)))
}

/// The signals to be blocked while a call waits: where they are, and how many bytes.
pub(super) fn read_mask((mask, size): (UserPtr<u64>, u64)) -> Result<Option<u64>, Errno> {
    if mask.is_null() {
        return Ok(None);
    }
    if size != SIGSET_SIZE {
        return Err(Errno::EINVAL);
    }
    mask.read().map(Some)
}

/// Blocks other signals while `wait` waits. One that ends it acts on the way back to
/// ring 3, and until then the mask stays.
pub(super) fn with_mask(mask: Option<u64>, wait: impl FnOnce() -> SysResult) -> SysResult {
    // Without a handler it is made again, with what is left of its time.
    let wait = || match wait() {
        Err(Errno::ERESTARTSYS) => Err(Errno::ERESTARTNOHAND),
        result => result,
    };
    let Some(mask) = mask else { return wait() };
    let task = current();
    let before = task.signals.blocked();
    send::set_blocked(task, mask);
    let result = wait();
    if result == Err(Errno::ERESTARTNOHAND) {
        task.signals.block_after_acting(before);
    } else {
        send::set_blocked(task, before);
    }
    result
}

/// Waits, for at most so many nanoseconds: `wait` is told them, negative without a
/// time. `tell` writes what is left of them where the caller had them, as Linux does
/// (`poll_select_finish`).
pub(super) fn within(
    timeout_ns: Option<u64>,
    tell: impl FnOnce(u64) -> Result<(), Errno>,
    wait: impl FnOnce(i64) -> SysResult,
) -> SysResult {
    let Some(timeout) = timeout_ns else { return wait(-1) };
    let elapsed = || current().process.clock.elapsed();
    let began = elapsed();
    let result = wait(i64::try_from(timeout).unwrap_or(-1));
    if timeout != 0 {
        // Where it cannot be told, the result stands.
        let _ = tell(timeout.saturating_sub(elapsed().saturating_sub(began)));
    }
    result
}

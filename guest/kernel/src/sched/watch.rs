//! Files of the host's that somebody waits for.
//!
//! The VMM tells of a watched file once, and then not before it is watched again.
//! Whoever waits looks ([`look`]); what is not ready is watched from then on, for
//! all who wait for that file, whatever each waits for.

use super::wait_queue::WaitQueue;
use crate::host::Call;
use core::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use trapgate_abi::event::WatchEntry;
use trapgate_abi::hypercall::Request;
use trapgate_uapi::Errno;
use trapgate_uapi::poll::{POLLERR, POLLHUP};

/// Files that there are on the host.
pub const HOST_FILES: usize = 3;

/// `POLL*` bits of each of them: what is wanted, or what is ready.
pub type Masks = [Option<u16>; HOST_FILES];

struct Watched {
    queue: WaitQueue,
    /// Counts how often it was watched: an event of another time is out of date.
    generation: AtomicU32,
    /// What the VMM will tell of.
    armed: AtomicU16,
    /// Counts transfers, from 1 on and never 0.
    moved: AtomicU32,
}

static FILES: [Watched; HOST_FILES] = [const {
    Watched {
        queue: WaitQueue::new(),
        generation: AtomicU32::new(0),
        armed: AtomicU16::new(0),
        moved: AtomicU32::new(1),
    }
}; HOST_FILES];

/// Begins: with nothing watched.
pub fn init() {
    for file in &FILES {
        file.generation.store(0, Ordering::Relaxed);
        file.armed.store(0, Ordering::Relaxed);
    }
}

/// Something was moved from or to a file, or would have been: for those who are told of
/// what comes once, and look again only then.
pub fn has_moved(file: u32) {
    if let Some(watched) = FILES.get(file as usize) {
        let count = watched.moved.load(Ordering::Relaxed).wrapping_add(1);
        watched.moved.store(count.max(1), Ordering::Relaxed);
    }
}

/// How often that was: it is never 0.
pub fn moved(file: u32) -> u32 {
    FILES.get(file as usize).map_or(1, |watched| watched.moved.load(Ordering::Relaxed))
}

/// Who waits for a file.
///
/// # Errors
/// EBADF.
pub fn queue(file: u32) -> Result<&'static WaitQueue, Errno> {
    FILES.get(file as usize).map(|watched| &watched.queue).ok_or(Errno::EBADF)
}

/// What is ready of what is wanted, and errors and hang-ups. If nothing of a file is
/// and `arm` says so, those who wait for it are woken when something is.
///
/// # Errors
/// What the VMM answered.
pub fn look(wanted: &Masks, arm: bool) -> Result<Masks, Errno> {
    let mut call = Call::new(Request::Watch { arm });
    let asked = || (0..).zip(&FILES).zip(wanted).filter_map(|(file, mask)| Some((file, (*mask)?)));
    for ((file, watched), mask) in asked() {
        // What others wait for is watched further on.
        let others = if arm { watched.armed.load(Ordering::Relaxed) } else { 0 };
        let generation = watched.generation.load(Ordering::Relaxed).wrapping_add(1);
        call.push_watch(WatchEntry { file, mask: mask | others, generation });
    }
    call.submit()?;
    let answers = call.data::<HOST_FILES>();
    let mut ready = [None; HOST_FILES];
    for (((file, watched), mask), answer) in asked().zip(answers) {
        let answer = answer as u16;
        ready[file as usize] = Some(answer & (mask | POLLERR | POLLHUP));
        if arm && answer == 0 {
            watched.generation.fetch_add(1, Ordering::Relaxed);
            watched.armed.fetch_or(mask, Ordering::Relaxed);
        }
    }
    Ok(ready)
}

/// The VMM says that a file is ready.
pub fn ready(file: u32, generation: u32) {
    let Some(watched) = FILES.get(file as usize) else { return };
    if watched.generation.load(Ordering::Relaxed) == generation {
        watched.armed.store(0, Ordering::Relaxed);
        watched.queue.wake_all();
    }
}

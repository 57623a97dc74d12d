//! Moving bytes between user memory and a file of the host's.
//!
//! They travel without a copy in the kernel: it tells the VMM where in physical
//! memory they are.

use crate::host::Call;
use crate::mm::fault;
use crate::mm::frames;
use crate::mm::space::{AddressSpace, FRAMES_AT_ONCE};
use crate::mm::vma::Prot;
use crate::sched::thread::work;
use crate::sched::wait::{wait, wait_for};
use crate::sched::{idle, timers};
use spin::Mutex;
use trapgate_abi::hypercall::{MAX_TRANSFER, Request};
use trapgate_arch::percpu;
use trapgate_arch::usercopy::access_ok;
use trapgate_uapi::Errno;
use trapgate_uapi::uio::Iovec;

/// The most bytes that one call moves: Linux's `MAX_RW_COUNT`.
pub const MAX_RW_COUNT: u64 = 0x7fff_f000;

/// After so many requests, or so many bytes, a transfer that goes on looks at what has
/// happened on the host, as Linux does at a fatal signal.
const LOOK_AFTER: (u32, u64) = (16, 1 << 20);

/// How long it waits where a file is ready and moves nothing all the same.
const PAUSE_NS: u64 = 1_000_000;

/// When a transfer is over, besides by an error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// After one request: the next byte may be long in coming.
    Once,
    /// When the host moves less than it was asked for.
    Short,
    /// When everything is moved.
    Done,
}

/// What a transfer came to.
pub struct Moved {
    /// How many bytes were moved.
    pub bytes: u64,
    /// The error that ended it.
    pub error: Option<Errno>,
}

impl Moved {
    /// The call's result: an error that comes after some bytes is for the next
    /// call to find.
    ///
    /// # Errors
    /// The error, if nothing was moved.
    pub fn result(self) -> Result<u64, Errno> {
        match self.error {
            Some(error) if self.bytes == 0 => Err(error),
            _ => Ok(self.bytes),
        }
    }
}

/// What a transfer waits for when the host has no bytes or no room: the file and
/// its `POLL*` bits. `None`: it does not wait.
pub type WaitFor = Option<(u32, u16)>;

/// Moves bytes between the host and user memory, request by request.
///
/// A request takes as many pages as fit; `request` is told how many bytes were
/// moved before it. A bad address ends the transfer with EFAULT, and so does EAGAIN
/// if it does not wait.
pub fn transfer(
    memory: &Mutex<AddressSpace>,
    ranges: &[Iovec],
    access: Prot,
    until: Until,
    wait: WaitFor,
    request: &mut dyn FnMut(u64) -> Request,
) -> Moved {
    let ended = |bytes, error| Moved { bytes, error };
    let mut all = 0u64;
    for range in ranges {
        if !access_ok(range.iov_base, range.iov_len) {
            return ended(0, Some(Errno::EFAULT));
        }
        all = all.saturating_add(range.iov_len);
    }
    let all = all.min(MAX_RW_COUNT);
    let mut bytes = 0;
    let mut fruitless = false;
    let mut since_look = (0, 0);
    while bytes < all {
        if percpu::work() & work::SIGNAL != 0 {
            return ended(bytes, Some(Errno::ERESTARTSYS));
        }
        // What is gathered may need frames, for which nobody asks in the meantime.
        frames::stock(FRAMES_AT_ONCE);
        let mut call = Call::new(request(bytes));
        let (taken, stopped) = gather(memory, &mut call, ranges, bytes, access);
        if stopped.is_some_and(|at| fault::was_absent(memory, at, access)) {
            continue;
        }
        if taken == 0 {
            return ended(bytes, Some(Errno::EFAULT));
        }
        let moved = match call.submit() {
            Ok(moved) => moved,
            Err(error) => match wait {
                Some((file, mask)) if error == Errno::EAGAIN => {
                    // It was ready, perhaps, and still is: that alone would wait for
                    // nothing and hear of nothing.
                    let waited = if fruitless { pause() } else { Ok(()) };
                    fruitless = true;
                    match waited.and_then(|()| wait_for(file, mask)) {
                        Ok(()) => continue,
                        Err(error) => return ended(bytes, Some(error)),
                    }
                }
                _ => return ended(bytes, Some(error)),
            },
        };
        bytes += moved;
        fruitless = false;
        let on = match until {
            Until::Once => false,
            Until::Short => moved == taken,
            Until::Done => moved > 0,
        };
        if !on {
            break;
        }
        since_look = (since_look.0 + 1, since_look.1 + moved);
        if bytes < all && (since_look.0 >= LOOK_AFTER.0 || since_look.1 >= LOOK_AFTER.1) {
            idle::look();
            since_look = (0, 0);
        }
    }
    ended(bytes, None)
}

/// Waits a little, or at least hears what has happened, where the program may not sleep.
///
/// # Errors
/// EINTR, ENOMEM.
fn pause() -> Result<(), Errno> {
    let until = timers::now().saturating_add(PAUSE_NS);
    match wait(&[], Some(until), || Ok(None::<()>)) {
        Err(Errno::EPERM) => {
            idle::look();
            Ok(())
        }
        waited => waited.map(|_| ()),
    }
}

/// Attaches what comes after the first `skip` bytes of the ranges to a request.
/// Answers how many bytes that is, none, if a bad address comes first; and where there
/// was no page, or no room in the request.
pub(super) fn gather(
    memory: &Mutex<AddressSpace>,
    call: &mut Call,
    ranges: &[Iovec],
    mut skip: u64,
    access: Prot,
) -> (u64, Option<u64>) {
    let mut memory = memory.lock();
    let mut limit = MAX_TRANSFER.min(MAX_RW_COUNT - skip);
    let mut taken = 0;
    for range in ranges {
        let skipped = skip.min(range.iov_len);
        skip -= skipped;
        let length = (range.iov_len - skipped).min(limit);
        let got = memory.pieces(range.iov_base + skipped, length, access, call.attach());
        taken += got;
        limit -= got;
        // A bad address, or the request is full.
        if got < length {
            return (taken, Some(range.iov_base + skipped + got));
        }
    }
    (taken, None)
}

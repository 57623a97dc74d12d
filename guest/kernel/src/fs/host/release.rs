//! Handles that are not needed any more: they are given back many at a time, in front of
//! a request that comes anyway.

use crate::host::Call;
use crate::memory::try_push;
use alloc::vec::Vec;
use spin::Mutex;
use trapgate_abi::hypercall::Request;
use trapgate_abi::hypercall::files::{FileRequest, Handle, MAX_RELEASED};

/// So many are worth a request.
const MANY: usize = MAX_RELEASED / 2;

/// What is to be given back.
static RELEASED: Mutex<Vec<Handle>> = Mutex::new(Vec::new());

/// Gives a handle back, some time. Anything may be locked.
pub(super) fn release(handle: Handle) {
    // Without memory for it, it stays with the VMM, which has a bound.
    let _ = try_push(&mut RELEASED.lock(), handle);
}

/// Sends them, if they are many. Nothing is locked.
#[inline]
pub(super) fn send_many() {
    if RELEASED.lock().len() >= MANY {
        send_all();
    }
}

/// Sends those that are there: false, if there is none. Nothing is locked.
pub(super) fn send_all() -> bool {
    let mut any = false;
    loop {
        let mut call = Call::new(Request::File(FileRequest::Release { keep: false }));
        let mut released = RELEASED.lock();
        if released.is_empty() {
            return any;
        }
        while let Some(&last) = released.last()
            && call.push_handle(last)
        {
            released.pop();
        }
        drop(released);
        any = true;
        let _ = call.submit();
    }
}

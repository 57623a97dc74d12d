//! Handles that are not needed any more, and files that nobody writes any more: they go
//! with the request that comes next, whatever that is. So what a program has written is
//! closed on the host before anybody there can hear that it is done.

use crate::host::Call;
use crate::memory::try_push;
use alloc::vec::Vec;
use spin::Mutex;
use trapgate_abi::hypercall::Request;
use trapgate_abi::hypercall::files::{FileRequest, Handle};
use trapgate_arch::hostpage::give_back;

/// What had no room there.
static LEFT: Mutex<Vec<Handle>> = Mutex::new(Vec::new());

/// Gives a handle back. Anything may be locked.
pub(super) fn release(handle: Handle) {
    if !give_back(handle.0) {
        // Without memory for it, it stays with the VMM, which has a bound.
        let _ = try_push(&mut LEFT.lock(), handle);
    }
}

/// Has a file closed that nobody writes any more. The same.
pub(super) fn close_for_writing(handle: Handle) {
    release(Handle(handle.0 | Handle::NOT_WRITTEN));
}

/// Sends what is left. Nothing is locked.
pub(super) fn send_left() {
    while !LEFT.lock().is_empty() {
        let mut call = Call::new(Request::File(FileRequest::Release { keep: false }));
        let mut left = LEFT.lock();
        while let Some(&last) = left.last()
            && call.push_handle(last)
        {
            left.pop();
        }
        drop(left);
        let _ = call.submit();
    }
}

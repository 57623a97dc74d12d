//! Trace records: into the CPU's ring, out of which the VMM takes them
//! (`trapgate_abi::trace`). Only called where there is a ring: by the dispatch of
//! the instrumented image, if the run is traced.
//!
//! Writing a record does not leave the VM. When half of the ring is full the kernel
//! leaves for the VMM once, at the beginning of a call, when no other request can be
//! under way.

use crate::host;
use trapgate_abi::hypercall::Request;
use trapgate_abi::trace::{Entry, Exit, Head, RecordId};
use trapgate_arch::{cpu, trace_ring};

/// Who makes a call.
#[derive(Clone, Copy)]
pub struct Caller {
    /// gettid(2).
    pub thread: u32,
    /// getpid(2).
    pub process: u32,
}

impl Caller {
    #[inline(always)]
    fn head(self, id: RecordId) -> Head {
        let Caller { thread, process } = self;
        Head { thread, process, id, tsc: cpu::tsc() }
    }
}

/// A call begins. Its record's number.
#[inline(always)]
pub fn enter(caller: Caller, entry: &Entry) -> RecordId {
    if trace_ring::is_due() {
        // Who does not take the records loses some.
        let _ = host::call(Request::Drain);
    }
    trace_ring::write(|id| entry.to_words(&caller.head(id)))
}

/// A call ends.
#[inline(always)]
pub fn leave(caller: Caller, exit: &Exit) {
    trace_ring::write(|id| exit.to_words(&caller.head(id)));
}

//! The client of the hypercall interface: a request into this CPU's page, one
//! OUT, the reply out of the same page.
#![allow(unsafe_code, reason = "the host call page has a fixed address")]

use trapgate_abi::PtRegs;
use trapgate_abi::crash::{BACKTRACE_DEPTH, Fault};
use trapgate_abi::hypercall::{self, FailureKind, Message, PORT, PollEntry, Request, Segment};
use trapgate_abi::layout;
use trapgate_arch::cpu;
use trapgate_uapi::Errno;
use trapgate_uapi::errno::from_return;

/// A request that is being written, or the reply to it.
pub struct Call {
    message: &'static mut Message,
}

impl Call {
    /// Starts a request without attachments.
    #[inline]
    pub fn new(request: Request) -> Call {
        let address = layout::PERCPU_BASE + layout::percpu::HOST_CALL;
        // SAFETY: the page is mapped, and only this CPU uses it; calls do not
        // nest, because nothing here can fault or be interrupted.
        let message = unsafe { &mut *(address as *mut Message) };
        request.encode(message);
        Call { message }
    }

    /// Attaches a segment; false if there is no room.
    #[inline]
    pub fn push(&mut self, segment: Segment) -> bool {
        hypercall::push_segment(self.message, segment)
    }

    /// Attaches a file to poll; false if there is no room.
    pub fn push_poll(&mut self, entry: PollEntry) -> bool {
        hypercall::push_poll(self.message, entry)
    }

    /// Sends the request and waits for the reply.
    ///
    /// # Errors
    /// What the VMM answered.
    #[inline]
    pub fn submit(&mut self) -> Result<u64, Errno> {
        cpu::out(PORT);
        // SAFETY: a plain read; volatile, because the VMM has written it.
        from_return(unsafe { (&raw const self.message[0]).read_volatile() })
    }

    /// The reply's data.
    pub fn data(&self) -> &[u64] {
        &self.message[1..]
    }
}

/// A request without attachments.
///
/// # Errors
/// What the VMM answered.
pub fn call(request: Request) -> Result<u64, Errno> {
    Call::new(request).submit()
}

/// Ends the sandbox: the program is done.
pub fn exit(status: u8) -> ! {
    let _ = call(Request::Exit { status });
    cpu::halt()
}

/// Ends the sandbox: a signal killed the program.
pub fn killed(signal: u8, fault: &Fault, regs: &PtRegs) -> ! {
    let mut call = Call::new(Request::Killed { signal });
    hypercall::put_crash(call.message, fault, regs);
    let _ = call.submit();
    cpu::halt()
}

/// Ends the sandbox: the kernel itself failed.
pub fn failed(
    kind: FailureKind,
    words: Segment,
    fault: &Fault,
    regs: &PtRegs,
    backtrace: &[u64; BACKTRACE_DEPTH],
) -> ! {
    let mut call = Call::new(Request::Failed { kind, words });
    hypercall::put_crash(call.message, fault, regs);
    hypercall::put_backtrace(call.message, backtrace);
    let _ = call.submit();
    cpu::halt()
}

//! The client of the hypercall interface: a request into this CPU's page, one
//! OUT, the reply out of the same page. Who needs something of the host makes the
//! request (`fs::transfer`, `sys`, `mm`, `clock`); here it is sent.

use core::sync::atomic::{AtomicU64, Ordering};
use trapgate_abi::PtRegs;
use trapgate_abi::crash::{BACKTRACE_DEPTH, Fault};
use trapgate_abi::event::{EVENT_WORDS, WatchEntry};
use trapgate_abi::hypercall::files::{Change, Handle, push_handle, put_change};
use trapgate_abi::hypercall::{self, FailureKind, Request, Segment};
use trapgate_arch::cpu;
use trapgate_arch::hostpage::HostPage;
use trapgate_uapi::Errno;
use trapgate_uapi::errno::from_return;

/// Ticks of the time-stamp counter in requests, until somebody counts them as his.
static TICKS: AtomicU64 = AtomicU64::new(0);

/// Whether there were any.
#[inline]
pub fn has_ticks() -> bool {
    TICKS.load(Ordering::Relaxed) != 0
}

/// Takes them.
pub fn take_ticks() -> u64 {
    TICKS.swap(0, Ordering::Relaxed)
}

/// A request that is being written, or the reply to it.
pub struct Call {
    page: HostPage,
}

impl Call {
    /// Starts a request without attachments.
    #[inline]
    pub fn new(request: Request) -> Call {
        let mut page = HostPage::take();
        request.encode(page.message());
        Call { page }
    }

    /// Attaches a segment; false if there is no room.
    #[inline]
    pub fn push(&mut self, segment: Segment) -> bool {
        self.attach()(segment)
    }

    /// The same for many: what it answers has the page's address at hand.
    #[inline]
    pub fn attach(&mut self) -> impl FnMut(Segment) -> bool {
        let message = self.page.message();
        move |segment| hypercall::push_segment(message, segment)
    }

    /// Attaches a file to watch; false if there is no room.
    pub fn push_watch(&mut self, entry: WatchEntry) -> bool {
        hypercall::push_watch(self.page.message(), entry)
    }

    /// Attaches names; false if there is no room, or if one is none.
    pub fn put_names(&mut self, names: &[&[u8]]) -> bool {
        hypercall::put_names(self.page.message(), names)
    }

    /// Attaches what shall be different of a file.
    pub fn put_change(&mut self, change: &Change) {
        put_change(self.page.message(), change);
    }

    /// Attaches a handle of a file; false if there is no room.
    pub fn push_handle(&mut self, handle: Handle) -> bool {
        push_handle(self.page.message(), handle)
    }

    /// Sends the request and waits for the reply.
    ///
    /// # Errors
    /// What the VMM answered.
    #[inline]
    pub fn submit(&mut self) -> Result<u64, Errno> {
        let before = cpu::tsc();
        let result = self.page.submit();
        TICKS.fetch_add(cpu::tsc().saturating_sub(before), Ordering::Relaxed);
        from_return(result)
    }

    /// The words of the reply's event `index`.
    pub fn event(&self, index: usize) -> [u64; EVENT_WORDS] {
        core::array::from_fn(|word| self.page.word(1 + EVENT_WORDS * index + word))
    }

    /// The reply's data: `N` words.
    pub fn data<const N: usize>(&self) -> [u64; N] {
        self.data_from(0)
    }

    /// The same from the word `first` of it on.
    pub fn data_from<const N: usize>(&self, first: usize) -> [u64; N] {
        core::array::from_fn(|index| self.page.word(1 + first + index))
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

/// Ends the sandbox: the first program cannot be executed.
pub fn not_started(errno: Errno) -> ! {
    let _ = call(Request::NotStarted { errno });
    cpu::halt()
}

/// Ends the sandbox: a signal killed the program. Its instruction is so many bytes behind
/// the beginning of the file at this path, if it is not empty.
pub fn killed(signal: u8, fault: &Fault, regs: &PtRegs, (offset, path): (u64, &[u8])) -> ! {
    let mut call = Call::new(Request::Killed { signal });
    hypercall::put_crash(call.page.message(), fault, regs);
    hypercall::put_code_file(call.page.message(), offset, path);
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
    hypercall::put_crash(call.page.message(), fault, regs);
    hypercall::put_backtrace(call.page.message(), backtrace);
    let _ = call.submit();
    cpu::halt()
}

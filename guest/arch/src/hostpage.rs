//! This CPU's page of requests to the VMM (`trapgate_abi::hypercall`): what goes
//! in, the one OUT, and what comes out.
#![allow(unsafe_code, reason = "the page is reached by its address, which GS knows")]

use super::{cpu, percpu};
use trapgate_abi::hypercall::files::{GIVEN_BACK, MAX_GIVEN_BACK};
use trapgate_abi::hypercall::{Message, PORT};

/// Gives a handle back with the next request, whatever that is; false, if there is no room.
/// A request may be being written meanwhile.
pub fn give_back(word: u64) -> bool {
    let list = (percpu::host_page() as *mut u64).wrapping_add(GIVEN_BACK);
    // SAFETY: the list is behind the message, in the same page, and this CPU's; volatile,
    // because the VMM takes it.
    unsafe {
        let count = list.read_volatile();
        if count >= MAX_GIVEN_BACK as u64 {
            return false;
        }
        list.wrapping_add(1 + count as usize).write_volatile(word);
        list.write_volatile(count + 1);
    }
    true
}

/// The page while a request is written, answered and read. There is one, so
/// whoever has taken it does not take it again before it is done: a request is
/// gathered first, and nothing here can fault or be interrupted.
pub struct HostPage {
    message: *mut Message,
}

impl HostPage {
    /// This CPU's.
    #[inline(always)]
    pub fn take() -> HostPage {
        HostPage { message: percpu::host_page() as *mut Message }
    }

    /// What is in it.
    #[inline(always)]
    pub fn message(&mut self) -> &mut Message {
        // SAFETY: the page is mapped and this CPU's, the VMM touches it only in
        // `submit`, and there is one taker at a time.
        unsafe { &mut *self.message }
    }

    /// Sends the request and waits for the reply, whose first word this is.
    #[inline(always)]
    pub fn submit(&mut self) -> u64 {
        cpu::out(PORT);
        // SAFETY: as above; volatile, because the VMM has written it.
        unsafe { self.message.cast::<u64>().read_volatile() }
    }

    /// A word of the reply.
    #[inline]
    pub fn word(&self, index: usize) -> u64 {
        // SAFETY: as above.
        unsafe { (&*self.message)[index] }
    }
}

//! A panic in the kernel ends the sandbox with a report, never the VMM.
#![allow(unsafe_code, reason = "walks its own stack")]

use core::fmt::Write;
use core::panic::PanicInfo;
use trapgate_abi::PtRegs;
use trapgate_abi::crash::{BACKTRACE_DEPTH, Fault, NO_VECTOR};
use trapgate_abi::hypercall::{FailureKind, Segment};
use trapgate_abi::layout::{KERNEL_BASE, stack_of};
use trapgate_kernel::host;

/// The panic's words, in static memory whose physical address is known.
struct Words {
    text: [u8; 256],
    length: usize,
}

impl Write for Words {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let room = &mut self.text[self.length..];
        let length = text.len().min(room.len());
        room[..length].copy_from_slice(&text.as_bytes()[..length]);
        self.length += length;
        Ok(())
    }
}

static WORDS: spin::Mutex<Words> = spin::Mutex::new(Words { text: [0; 256], length: 0 });

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let Some(mut words) = WORDS.try_lock() else {
        // A panic while reporting one.
        trapgate_arch::cpu::halt();
    };
    let _ = write!(words, "{}", info.message());
    if let Some(location) = info.location() {
        let _ = write!(words, " at {}:{}", location.file(), location.line());
    }
    let here: u64;
    // SAFETY: reads RSP.
    unsafe { core::arch::asm!("mov {}, rsp", out(reg) here, options(nomem, nostack)) };
    let address = words.text.as_ptr() as u64 - KERNEL_BASE;
    let words = Segment { address, length: words.length as u64 };
    let fault = Fault { vector: NO_VECTOR, ..Fault::default() };
    let regs = PtRegs::default();
    host::failed(FailureKind::Panic, words, &fault, &regs, &backtrace(here));
}

/// Addresses in kernel text on the stack from `rsp` up: who called whom, most
/// likely. The kernel keeps no frame pointers, to save their instructions on
/// the hot path.
pub(crate) fn backtrace(rsp: u64) -> [u64; BACKTRACE_DEPTH] {
    unsafe extern "C" {
        static __text_start: u8;
        static __text_end: u8;
    }
    let text = &raw const __text_start as u64..&raw const __text_end as u64;
    let mut found = [0; BACKTRACE_DEPTH];
    let mut slots = found.iter_mut();
    let Some((bottom, end)) = stack_of(rsp) else {
        // Another stack (#DF, NMI), or, whatever went wrong, none of ours.
        return found;
    };
    for address in ((rsp & !7).max(bottom)..end).step_by(8) {
        // SAFETY: inside the kernel stack that RSP is in or has just left.
        let word = unsafe { (address as *const u64).read() };
        if text.contains(&word) {
            match slots.next() {
                Some(slot) => *slot = word,
                None => break,
            }
        }
    }
    found
}

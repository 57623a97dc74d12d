//! Jobs: what a VM does that measures instead of running a program.
//!
//! A room apart, which no call of a program's ever enters. `start` comes here if
//! the VMM asks for it ([`trapgate_abi::job`]); one of three does the work:
//!
//! - `legacy`: the doors of legacy protected mode;
//! - `bare`: ways from 64-bit ring 3 into ring 0 and back;
//! - `exits`: ways out of the VM.
//!
//! The first two run the kernel's own ring-3 code, of one text in `ring3`.
#![cfg_attr(target_os = "none", allow(unsafe_code, reason = "results are at an address"))]

pub mod bare;
#[cfg(target_os = "none")]
mod exits;
pub mod legacy;
#[cfg(target_os = "none")]
mod registers;
pub mod ring3;

#[cfg(target_os = "none")]
mod carry_out {
    use super::{bare, exits, legacy};
    use crate::arch::paging::direct;
    use crate::host;
    use trapgate_abi::boot_info::BootInfo;
    use trapgate_abi::job::{Answer, kind};

    /// Does what the VMM asks, and ends the sandbox.
    pub fn carry_out(boot: &BootInfo) -> ! {
        let request = &boot.job;
        let answer = match request.kind {
            kind::LEGACY => legacy::measure(request),
            kind::BARE => bare::measure(request, boot.page_table),
            kind::EXITS => exits::measure(request),
            other => panic!("there is no job {other}"),
        };
        // SAFETY: the VMM has reserved these words for the results.
        unsafe { direct::<[u64; Answer::WORDS]>(request.results).write(answer.to_words()) };
        host::exit(0)
    }
}
#[cfg(target_os = "none")]
pub use carry_out::carry_out;

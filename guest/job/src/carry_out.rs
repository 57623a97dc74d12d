//! A job from the VMM's wish to the kernel's exit.
//!
//! Called by `start`; calls the room of the job's kind.
#![allow(unsafe_code, reason = "results are at an address")]

use super::{bare, exits, legacy};
use trapgate_abi::boot_info::BootInfo;
use trapgate_abi::job::{Answer, kind};
use trapgate_arch::phys::direct;
use trapgate_kernel::host;

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

//! Signals: actions, masks, and what a signal comes to on the way to ring 3.

use super::{DATA, Sandbox, boot_info};
use trapgate_abi::PtRegs;
use trapgate_abi::boot_info::BootInfo;
use trapgate_abi::hypercall::Request;
use trapgate_abi::x86::vector;
use trapgate_uapi::Errno;
use trapgate_uapi::signal::{self, SA_RESTORER, SIG_BLOCK, SIG_IGN, SIG_UNBLOCK, SIGCHLD};
use trapgate_uapi::syscall::{nr32, nr64};

const SIGUSR1: u64 = signal::SIGUSR1 as u64;
const SIGTERM: u64 = signal::SIGTERM as u64;

fn action(sandbox: &Sandbox, signal: u64, new: u64, old: u64) -> Result<u64, Errno> {
    sandbox.call(nr64::RT_SIGACTION, [signal, new, old, 8, 0, 0])
}

fn mask(sandbox: &Sandbox, how: u64, set: u64) -> Result<u64, Errno> {
    sandbox.store(DATA, &set.to_le_bytes());
    sandbox.call(nr64::RT_SIGPROCMASK, [how, DATA, DATA + 8, 8, 0, 0])
}

#[test]
fn an_action_is_recorded_without_what_is_unknown_and_told() {
    let sandbox = Sandbox::new();
    let new = [0x40_1000, SA_RESTORER | 1 << 40, 0x40_2000, u64::MAX].map(u64::to_le_bytes);
    sandbox.store(DATA, new.as_flattened());
    assert_eq!(action(&sandbox, SIGUSR1, DATA, 0), Ok(0));
    assert_eq!(action(&sandbox, SIGUSR1, 0, DATA + 64), Ok(0));
    let told: [u64; 4] = [64, 72, 80, 88].map(|at| sandbox.load_word(DATA + at));
    let unblockable = 1 << 8 | 1 << 18;
    assert_eq!(told, [0x40_1000, SA_RESTORER, 0x40_2000, !unblockable]);
    for signal in [9, 19, 0, 65] {
        assert_eq!(action(&sandbox, signal, DATA, 0), Err(Errno::EINVAL), "{signal}");
    }
    assert_eq!(action(&sandbox, SIGUSR1, 8, 0), Err(Errno::EFAULT));
}

#[test]
fn both_widths_share_their_actions() {
    let sandbox = Sandbox::new();
    let signal = [SIGTERM as u32, SIG_IGN as u32, 0, 0, 0, 0];
    assert_eq!(sandbox.call_32(nr32::SIGNAL, signal), Ok(0));
    assert_eq!(action(&sandbox, SIGTERM, 0, DATA), Ok(0));
    assert_eq!(sandbox.load_word(DATA), SIG_IGN);
    assert_eq!(sandbox.call(nr64::KILL, [1, SIGTERM, 0, 0, 0, 0]), Ok(0));
}

#[test]
fn a_blocked_signal_waits_and_acts_when_it_is_let() {
    let sandbox = Sandbox::new();
    let set = 1 << (SIGUSR1 - 1);
    assert_eq!(mask(&sandbox, SIG_BLOCK as u64, set | 1 << 8), Ok(0));
    assert_eq!(sandbox.call(nr64::KILL, [1, SIGUSR1, 0, 0, 0, 0]), Ok(0));
    assert_eq!(sandbox.call(nr64::RT_SIGPENDING, [DATA, 8, 0, 0, 0, 0]), Ok(0));
    assert_eq!(sandbox.load_word(DATA), set);
    assert_eq!(mask(&sandbox, 7, 0), Err(Errno::EINVAL));
    let end = sandbox.end_of(|| assert_eq!(mask(&sandbox, SIG_UNBLOCK as u64, set), Ok(set)));
    assert_eq!(end, Request::Killed { signal: SIGUSR1 as u8 });
}

#[test]
fn what_nobody_handles_ends_the_program_unless_its_default_is_nothing() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.call(nr64::KILL, [1, SIGCHLD.into(), 0, 0, 0, 0]), Ok(0));
    assert_eq!(sandbox.call(nr64::KILL, [2, SIGTERM, 0, 0, 0, 0]), Err(Errno::ESRCH));
    let end = sandbox.last_call(nr64::KILL, [1, SIGTERM, 0, 0, 0, 0]);
    assert_eq!(end, Request::Killed { signal: 15 });
}

#[test]
fn signals_that_were_ignored_before_the_start_still_are() {
    let ignored_signals = 1 << (SIGTERM - 1);
    let sandbox = Sandbox::boot(BootInfo { ignored_signals, ..boot_info() });
    assert_eq!(sandbox.call(nr64::KILL, [1, SIGTERM, 0, 0, 0, 0]), Ok(0));
}

#[test]
fn an_exception_is_a_signal_that_cannot_be_ignored() {
    let sandbox = Sandbox::new();
    let new = [SIG_IGN, 0, 0, 0].map(u64::to_le_bytes);
    sandbox.store(DATA, new.as_flattened());
    action(&sandbox, 8, DATA, 0).unwrap();
    let regs = PtRegs { orig_rax: u64::MAX, rip: DATA, ..PtRegs::default() };
    let end = sandbox.end_of(|| {
        let mut regs = regs;
        crate::process::exception::caused(&regs, vector::DE.into(), 0);
        crate::process::prepare_return::prepare_return(&mut regs);
    });
    assert_eq!(end, Request::Killed { signal: 8 });
}

//! Signals: actions, masks, and what a signal comes to on the way to ring 3.

use super::{DATA, Sandbox, TEXT, boot_info};
use crate::process::exception;
use crate::process::prepare_return::prepare_return;
use crate::process::task::current;
use crate::sys::table::SYS_CALL_TABLE_64;
use trapgate_abi::PtRegs;
use trapgate_abi::boot_info::BootInfo;
use trapgate_abi::hypercall::Request;
use trapgate_abi::x86::{rflags, selector, vector};
use trapgate_arch::fake;
use trapgate_uapi::Errno;
use trapgate_uapi::signal::{
    self, SA_RESTORER, SA_SIGINFO, SIG_BLOCK, SIG_IGN, SIG_UNBLOCK, SIGCHLD,
};
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
        exception::caused(&mut regs, vector::DE.into());
        prepare_return(&mut regs);
    });
    assert_eq!(end, Request::Killed { signal: 8 });
}

/// A handler of x86-64's at `TEXT`, for this signal.
fn handle(sandbox: &Sandbox, signal: u64, flags: u64) {
    let new = [TEXT, SA_RESTORER | flags, TEXT + 8, 0].map(u64::to_le_bytes);
    sandbox.store(DATA, new.as_flattened());
    assert_eq!(action(sandbox, signal, DATA, 0), Ok(0));
}

/// Registers of a program that computes, each another.
fn computing() -> PtRegs {
    let words = core::array::from_fn(|index| 0x1111 * (index as u64 + 1));
    PtRegs {
        orig_rax: u64::MAX,
        rip: TEXT + 64,
        cs: selector::USER_CS.into(),
        ss: selector::USER_DS.into(),
        rflags: rflags::FIXED | rflags::IF | rflags::CF | rflags::DF,
        rsp: DATA + 0x8008,
        ..PtRegs::from_words(&words)
    }
}

#[test]
fn a_handler_finds_its_frame_and_what_it_interrupted_goes_on_as_it_was() {
    let sandbox = Sandbox::new();
    handle(&sandbox, SIGUSR1, SA_SIGINFO);
    fake::set_xmm0(0x7777);
    let before = computing();
    let mut regs = before;
    current().send(SIGUSR1 as u8);
    prepare_return(&mut regs);
    assert_eq!((regs.rip, regs.rdi, regs.rax), (TEXT, SIGUSR1, 0));
    assert_eq!(regs.rflags, rflags::FIXED | rflags::IF | rflags::CF);
    assert!(regs.rsp % 16 == 8 && regs.rsp < before.rsp - 128);
    assert_eq!(sandbox.load_word(regs.rsp), TEXT + 8, "where it returns to");
    assert_eq!(sandbox.load_word(regs.rsi), SIGUSR1);
    assert_eq!(current().signals.blocked(), 1 << (SIGUSR1 - 1));
    assert_eq!(fake::xmm0(), 0, "a handler begins with registers as after a reset");
    // Its RET has taken the first word.
    let (rsp, rflags) = (regs.rsp + 8, regs.rflags);
    let call = PtRegs { rsp, rflags, ..sandbox.registers(nr64::RT_SIGRETURN) };
    let mut back = call;
    back.rax = SYS_CALL_TABLE_64[nr64::RT_SIGRETURN as usize](&call);
    prepare_return(&mut back);
    assert_eq!(back, before);
    assert_eq!((fake::xmm0(), current().signals.blocked()), (0x7777, 0));
}

#[test]
fn without_room_for_its_frame_a_handler_is_not_called() {
    for signal in [SIGUSR1, signal::SIGSEGV.into()] {
        let sandbox = Sandbox::new();
        handle(&sandbox, signal, 0);
        let end = sandbox.end_of(|| {
            let mut regs = PtRegs { rsp: 64, ..computing() };
            current().send(signal as u8);
            prepare_return(&mut regs);
        });
        assert_eq!(end, Request::Killed { signal: signal::SIGSEGV });
    }
}

#[test]
fn a_handler_of_sigsegv_is_told_where_and_why() {
    let sandbox = Sandbox::new();
    handle(&sandbox, signal::SIGSEGV.into(), SA_SIGINFO);
    let mut regs = PtRegs { orig_rax: 6, ..computing() };
    exception::page_fault(&mut regs, 0x1230);
    prepare_return(&mut regs);
    let words = [0, 8, 16].map(|at| sandbox.load_word(regs.rsi + at));
    assert_eq!(words, [11, 1, 0x1230], "SEGV_MAPERR");
    let context = regs.rdx + 40;
    let [err, trapno, cr2] = [152, 160, 176].map(|at| sandbox.load_word(context + at));
    assert_eq!([err, trapno, cr2], [6, 14, 0x1230]);
}

#[test]
fn timers_by_the_cpus_time_are_refused_as_the_documents_say() {
    let sandbox = Sandbox::new();
    let create = |clock| sandbox.call(nr64::TIMER_CREATE, [clock, 0, DATA, 0, 0, 0]);
    assert_eq!([2, 3, 4].map(create), [Err(Errno::EOPNOTSUPP); 3]);
    assert_eq!([12, 77].map(create), [Err(Errno::EINVAL); 2]);
    assert_eq!([0, 1, 7, 11].map(create), [Ok(0); 4]);
    let second = [0, 0, 1, 0].map(u64::to_le_bytes);
    sandbox.store(DATA, second.as_flattened());
    let set = |which, new| sandbox.call(nr64::SETITIMER, [which, new, 0, 0, 0, 0]);
    assert_eq!([1, 2].map(|which| set(which, DATA)), [Err(Errno::ENOSYS); 2]);
    assert_eq!([1, 2].map(|which| set(which, 0)), [Ok(0); 2], "they are off");
    assert_eq!(set(0, DATA), Ok(0));
}

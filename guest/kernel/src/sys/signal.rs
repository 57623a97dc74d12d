//! Signals: actions and masks are recorded; what ends the program ends it.
//! Handlers cannot be called yet.

use crate::host;
use crate::log::log;
use crate::process::task::{SignalAction, current};
use crate::signal::exception::describe;
use crate::sys::define::{SysResult, syscall_define};
use crate::user::{UserPtr, plain_struct};
use alloc::collections::BTreeMap;
use core::sync::atomic::Ordering;
use trapgate_abi::PtRegs;
use trapgate_abi::crash::{Fault, NO_VECTOR};
use trapgate_abi::log::{Event, Level};
use trapgate_arch::percpu;
use trapgate_uapi::Errno;

/// Illegal instruction.
pub const SIGILL: u8 = 4;
/// Breakpoint or single step.
pub const SIGTRAP: u8 = 5;
/// Bad memory access: alignment, stack segment.
pub const SIGBUS: u8 = 7;
/// Arithmetic error.
pub const SIGFPE: u8 = 8;
/// Kill, cannot be caught.
pub const SIGKILL: u8 = 9;
/// Bad memory access.
pub const SIGSEGV: u8 = 11;
/// Write to a pipe that nobody reads.
pub const SIGPIPE: u8 = 13;
/// Write beyond the largest size of files.
pub const SIGXFSZ: u8 = 25;
const SIGCHLD: u8 = 17;
const SIGCONT: u8 = 18;
const SIGSTOP: u8 = 19;
const SIGTTOU: u8 = 22;
const SIGURG: u8 = 23;
const SIGWINCH: u8 = 28;
/// Signals have numbers 1 to this.
const SIGNALS: i32 = 64;

/// The `SA_*` flags that there are (sigaction(2)).
const SA_KNOWN: u64 = 0xdc00_0807;

/// Set in a recorded action that came by an i386 call: the handler wants
/// i386's frame. Programs do not see it (Linux has the same bit).
pub const SA_IA32_ABI: u64 = 0x0200_0000;

const SIG_DFL: u64 = 0;
const SIG_IGN: u64 = 1;

/// Bytes of a signal mask: the only size that calls accept.
pub(super) const MASK_SIZE: u64 = 8;

/// Bits of signals that cannot be blocked.
const UNBLOCKABLE: u64 = bit(SIGKILL) | bit(SIGSTOP);

const fn bit(signal: u8) -> u64 {
    1 << (signal - 1)
}

/// What happens if nobody handles the signal (signal(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Default {
    Terminate,
    Ignore,
}

/// Stopping has no meaning without somebody who continues: it is ignored.
const fn default_action(signal: u8) -> Default {
    match signal {
        SIGCHLD | SIGCONT | SIGURG | SIGWINCH | SIGSTOP..=SIGTTOU => Default::Ignore,
        _ => Default::Terminate,
    }
}

/// The actions of a program that starts with these signals ignored, bit `n - 1`
/// for signal `n`.
pub fn inherited(ignored: u64) -> BTreeMap<u8, SignalAction> {
    let ignored = (1..=SIGNALS as u8).filter(|signal| ignored & !UNBLOCKABLE & bit(*signal) != 0);
    let action = SignalAction { handler: SIG_IGN, ..SignalAction::default() };
    ignored.map(|signal| (signal, action)).collect()
}

fn action(signal: u8) -> SignalAction {
    current().process.actions.lock().get(&signal).copied().unwrap_or_default()
}

/// Sends a signal to the running task; it acts before the return to ring 3.
pub fn send(signal: u8) {
    current().pending.fetch_or(bit(signal), Ordering::Relaxed);
    percpu::set_work(true);
}

/// Acts on pending signals that are not blocked. Called on the way to ring 3.
#[cold]
pub fn exit_work(regs: &PtRegs) {
    percpu::set_work(false);
    let task = current();
    loop {
        let ready = task.pending.load(Ordering::Relaxed) & !task.blocked.load(Ordering::Relaxed);
        if ready == 0 {
            return;
        }
        let signal = ready.trailing_zeros() as u8 + 1;
        task.pending.fetch_and(!bit(signal), Ordering::Relaxed);
        let fault = describe(regs, NO_VECTOR, 0);
        match action(signal).handler {
            SIG_IGN => {}
            SIG_DFL if default_action(signal) == Default::Ignore => {}
            SIG_DFL => die(signal, &fault, regs),
            handler => {
                log(Level::Error, Event::HandlerNotCalled, [signal.into(), handler, 0, 0]);
                die(signal, &fault, regs);
            }
        }
    }
}

/// A signal that the task caused itself by a fault. It cannot be ignored or
/// blocked (Linux: `force_sig`).
pub fn deliver_fault(signal: u8, fault: &Fault, regs: &PtRegs) -> ! {
    let handler = action(signal).handler;
    if handler > SIG_IGN {
        log(Level::Warn, Event::HandlerNotCalled, [signal.into(), handler, 0, 0]);
    }
    die(signal, fault, regs)
}

fn die(signal: u8, fault: &Fault, regs: &PtRegs) -> ! {
    log(Level::Debug, Event::Killed, [signal.into(), regs.rip, 0, 0]);
    host::killed(signal, fault, regs)
}

plain_struct! {
    /// The kernel's `struct sigaction`.
    pub struct KernelSigaction {
        /// `SIG_DFL`, `SIG_IGN` or an address.
        pub handler: u64,
        /// `SA_*`.
        pub flags: u64,
        /// The return trampoline.
        pub restorer: u64,
        /// Signals to block meanwhile.
        pub mask: u64,
    }
}

/// A signal number of a caller, or EINVAL.
fn signal_number(number: i32) -> Result<u8, Errno> {
    if (1..=SIGNALS).contains(&number) { Ok(number as u8) } else { Err(Errno::EINVAL) }
}

syscall_define! {
    /// rt_sigaction(2)
    fn rt_sigaction(
        number: i32,
        new: UserPtr<KernelSigaction>,
        old: UserPtr<KernelSigaction>,
        mask_size: u64,
    ) {
        if mask_size != MASK_SIZE {
            return Err(Errno::EINVAL);
        }
        let new = || {
            let read = |new: KernelSigaction| SignalAction {
                handler: new.handler,
                flags: new.flags,
                restorer: new.restorer,
                mask: new.mask,
            };
            if new.is_null() { Ok(None) } else { new.read().map(read).map(Some) }
        };
        let SignalAction { handler, flags, restorer, mask } = change_action(number, new, 0)?;
        old.write_if(KernelSigaction { handler, flags, restorer, mask }).map(|()| 0)
    }
}

/// sigaction(2) for either width. `new` reads the new action, if there is one;
/// `width` is 0 or [`SA_IA32_ABI`]. Answers the old one.
pub(super) fn change_action(
    number: i32,
    new: impl FnOnce() -> Result<Option<SignalAction>, Errno>,
    width: u64,
) -> Result<SignalAction, Errno> {
    let signal = signal_number(number)?;
    let new = new()?;
    if new.is_some() && UNBLOCKABLE & bit(signal) != 0 {
        return Err(Errno::EINVAL);
    }
    let before = action(signal);
    if let Some(new) = new {
        let handler = new.handler;
        let ignored = default_action(signal) == Default::Ignore;
        if handler == SIG_IGN || handler == SIG_DFL && ignored {
            current().pending.fetch_and(!bit(signal), Ordering::Relaxed);
        }
        // Unknown flags are cleared, which is how programs ask for them.
        let flags = new.flags & SA_KNOWN | width;
        let action = SignalAction { flags, mask: new.mask & !UNBLOCKABLE, ..new };
        current().process.actions.lock().insert(signal, action);
    }
    Ok(SignalAction { flags: before.flags & !SA_IA32_ABI, ..before })
}

/// `how` of sigprocmask(2).
mod how {
    pub(super) const BLOCK: i32 = 0;
    pub(super) const UNBLOCK: i32 = 1;
    pub(super) const SETMASK: i32 = 2;
}

syscall_define! {
    /// rt_sigprocmask(2)
    fn rt_sigprocmask(how: i32, new: UserPtr<u64>, old: UserPtr<u64>, mask_size: u64) {
        if mask_size != MASK_SIZE {
            return Err(Errno::EINVAL);
        }
        let new = if new.is_null() { None } else { Some(new.read()?) };
        old.write_if(change_mask(how, new, u64::MAX)?).map(|()| 0)
    }
}

/// sigprocmask(2) for either width: changes the blocked signals, if `new` says
/// how, and answers what they were. `reach`: the signals that the set can hold.
pub(super) fn change_mask(how: i32, new: Option<u64>, reach: u64) -> Result<u64, Errno> {
    let blocked = &current().blocked;
    let before = blocked.load(Ordering::Relaxed);
    if let Some(new) = new {
        let set = new & !UNBLOCKABLE;
        let after = match how {
            how::BLOCK => before | set,
            how::UNBLOCK => before & !set,
            how::SETMASK => before & !reach | set,
            _ => return Err(Errno::EINVAL),
        };
        blocked.store(after, Ordering::Relaxed);
        if current().pending.load(Ordering::Relaxed) & !after != 0 {
            percpu::set_work(true);
        }
    }
    Ok(before)
}

syscall_define! {
    /// rt_sigpending(2)
    fn rt_sigpending(set: UserPtr<u8>, mask_size: u64) { write_pending(set, mask_size) }
}

/// rt_sigpending(2) for either width: a set may be cut short.
pub(super) fn write_pending(set: UserPtr<u8>, mask_size: u64) -> SysResult {
    if mask_size > MASK_SIZE {
        return Err(Errno::EINVAL);
    }
    let pending = current().pending.load(Ordering::Relaxed).to_le_bytes();
    set.write_slice(&pending[..mask_size as usize]).map(|()| 0)
}

plain_struct! {
    /// `stack_t` of sigaltstack(2); the upper half of `flags` is padding.
    pub struct SignalStack {
        /// Lowest address.
        pub address: u64,
        /// `SS_*`.
        pub flags: u64,
        /// Bytes.
        pub size: u64,
    }
}

syscall_define! {
    /// sigaltstack(2)
    fn sigaltstack(new: UserPtr<SignalStack>, old: UserPtr<SignalStack>) {
        let new = if new.is_null() { None } else { Some(new.read()?) };
        old.write_if(change_stack(new)?).map(|()| 0)
    }
}

/// sigaltstack(2) for either width: sets the stack, if there is a new one, and
/// answers what it was.
pub(super) fn change_stack(new: Option<SignalStack>) -> Result<SignalStack, Errno> {
    const DISABLE: u64 = 2;
    const AUTODISARM: u64 = 1 << 31;
    const LEAST: u64 = 2048;
    let mut stack = current().alternate_stack.lock();
    let [address, flags, size] = *stack;
    let before = SignalStack { address, flags: if size == 0 { DISABLE } else { flags }, size };
    if let Some(new) = new {
        let flags = new.flags & 0xffff_ffff;
        *stack = match flags & !AUTODISARM {
            DISABLE => [0; 3],
            0 | 1 if new.size < LEAST => return Err(Errno::ENOMEM),
            0 | 1 => [new.address, flags & AUTODISARM, new.size],
            _ => return Err(Errno::EINVAL),
        };
    }
    Ok(before)
}

/// Sends a signal on behalf of kill(2) and its kin: there is one process with
/// one task. Signal 0 only asks.
fn send_checked(number: i32) -> SysResult {
    if number != 0 {
        send(signal_number(number)?);
    }
    Ok(0)
}

syscall_define! {
    /// kill(2): to the one process there is.
    fn kill(pid: i32, number: i32) {
        if !(0..=SIGNALS).contains(&number) {
            return Err(Errno::EINVAL);
        }
        match pid {
            // Linux does not send to oneself by -1.
            -1 => Err(Errno::ESRCH),
            0 => send_checked(number),
            _ if pid.unsigned_abs() == current().process.pid => send_checked(number),
            _ => Err(Errno::ESRCH),
        }
    }
}
syscall_define! {
    /// tkill(2)
    fn tkill(tid: i32, number: i32) { send_to_task(tid, number) }
}
syscall_define! {
    /// tgkill(2)
    fn tgkill(tgid: i32, tid: i32, number: i32) {
        if tgid <= 0 {
            return Err(Errno::EINVAL);
        }
        if tgid as u32 != current().process.pid {
            return Err(Errno::ESRCH);
        }
        send_to_task(tid, number)
    }
}

fn send_to_task(tid: i32, number: i32) -> SysResult {
    if tid <= 0 || !(0..=SIGNALS).contains(&number) {
        return Err(Errno::EINVAL);
    }
    if tid as u32 != current().tid {
        return Err(Errno::ESRCH);
    }
    send_checked(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_actions_are_those_of_signal_7() {
        for signal in [17, 18, 23, 28] {
            assert_eq!(default_action(signal), Default::Ignore, "{signal}");
        }
        for signal in [1, 2, 6, 9, 11, 13, 14, 15, 24, 31, 34, 64] {
            assert_eq!(default_action(signal), Default::Terminate, "{signal}");
        }
    }
}

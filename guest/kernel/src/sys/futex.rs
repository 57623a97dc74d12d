//! futex(2).

use crate::futex::key::{Word, check};
use crate::futex::lock::{lock, unlock};
use crate::futex::table::is_empty;
use crate::futex::wait::wait;
use crate::futex::wake::{requeue, wake, wake_by};
use crate::process::task::{RestartBlock, current, find};
use crate::sys::args::x64;
use crate::sys::define::{SysResult, with_registers};
use crate::user::UserPtr;
use trapgate_abi::PtRegs;
use trapgate_uapi::Errno;
use trapgate_uapi::futex::{
    FUTEX_BITSET_MATCH_ANY, FUTEX_CLOCK_REALTIME, FUTEX_CMD_MASK, FUTEX_CMP_REQUEUE, FUTEX_LOCK_PI,
    FUTEX_LOCK_PI2, FUTEX_PRIVATE_FLAG, FUTEX_REQUEUE, FUTEX_TRYLOCK_PI, FUTEX_UNLOCK_PI,
    FUTEX_WAIT, FUTEX_WAIT_BITSET, FUTEX_WAIT_REQUEUE_PI, FUTEX_WAKE, FUTEX_WAKE_BITSET,
    FUTEX_WAKE_OP,
};
use trapgate_uapi::time::{CLOCK_MONOTONIC, CLOCK_REALTIME, Timespec};

const WAKE_PRIVATE: u32 = FUTEX_WAKE | FUTEX_PRIVATE_FLAG;
const WAIT_PRIVATE: u32 = FUTEX_WAIT | FUTEX_PRIVATE_FLAG;

/// A word of the running process's own.
fn private(word: UserPtr<u32>) -> Word<'static> {
    Word { memory: &current().process.memory, address: word.address(), shared: false }
}

/// futex(2). A wake while nobody waits, which is asked for most, has few instructions.
pub(crate) extern "C-unwind" fn __x64_sys_futex(regs: &PtRegs) -> u64 {
    let [word, operation, ..] = x64(regs);
    if operation as u32 == WAKE_PRIVATE && is_empty() && check(word).is_ok() {
        return 0;
    }
    any_futex(regs)
}

with_registers! {
    /// Any other.
    #[inline(never)]
    fn any_futex by x64(
        regs;
        word: UserPtr<u32>,
        operation: u32,
        value: u32,
        timeout: UserPtr<Timespec>,
        second: UserPtr<u32>,
        third: u32,
    ) {
        match operation {
            WAKE_PRIVATE => return wake(private(word), value, FUTEX_BITSET_MATCH_ANY),
            WAIT_PRIVATE if timeout.is_null() => {
                return wait(private(word), value, FUTEX_BITSET_MATCH_ANY, None).map(|()| 0);
            }
            _ => {}
        }
        let time = || if timeout.is_null() { Ok(None) } else { timeout.read().map(Some) };
        let arguments = Arguments { operation, value, count: timeout.address() as u32, third };
        futex_by(word, second, &arguments, time)
    }
}

/// What is the same of all widths.
pub(super) struct Arguments {
    /// Which operation, and how.
    pub operation: u32,
    /// Of the first word.
    pub value: u32,
    /// What some operations have in the timeout's place.
    pub count: u32,
    /// The last argument: a set of bits, a value, or what is to be done.
    pub third: u32,
}

/// futex(2) for either width; `timeout` reads the timeout.
#[inline(never)]
pub(super) fn futex_by(
    first: UserPtr<u32>,
    second: UserPtr<u32>,
    arguments: &Arguments,
    timeout: impl FnOnce() -> Result<Option<Timespec>, Errno>,
) -> SysResult {
    let &Arguments { operation, value, count, third } = arguments;
    let command = operation & FUTEX_CMD_MASK;
    let by_realtime = operation & FUTEX_CLOCK_REALTIME != 0;
    let deadline = match command {
        FUTEX_WAIT | FUTEX_WAIT_BITSET | FUTEX_LOCK_PI | FUTEX_LOCK_PI2 | FUTEX_WAIT_REQUEUE_PI => {
            let time = timeout()?.map(Timespec::to_ns).transpose()?;
            time.map(|time| since_start(command, by_realtime, time))
        }
        _ => None,
    };
    if by_realtime && !matches!(command, FUTEX_WAIT_BITSET | FUTEX_LOCK_PI2) {
        return Err(Errno::ENOSYS);
    }
    let task = current();
    let shared = operation & FUTEX_PRIVATE_FLAG == 0;
    let of = |word: UserPtr<u32>| {
        let memory = &task.process.memory;
        Word { memory, address: word.address(), shared }
    };
    let word = of(first);
    let lock = |tries| {
        // The first task of a process has its number when it has ended.
        let exists = |tid| find(tid).is_some_and(|task| !task.has_ended());
        lock(word, task.tid(), exists, deadline, tries)
    };
    match command {
        FUTEX_WAIT => wait_within(word, value, FUTEX_BITSET_MATCH_ANY, deadline),
        FUTEX_WAIT_BITSET => wait_within(word, value, third, deadline),
        FUTEX_WAKE => wake(word, value, FUTEX_BITSET_MATCH_ANY),
        FUTEX_WAKE_BITSET => wake(word, value, third),
        FUTEX_REQUEUE => requeue(word, of(second), [value, count], None),
        FUTEX_CMP_REQUEUE => requeue(word, of(second), [value, count], Some(third)),
        FUTEX_WAKE_OP => wake_by(word, of(second), [value, count], third),
        FUTEX_LOCK_PI | FUTEX_LOCK_PI2 => match lock(false) {
            Err(Errno::ERESTARTSYS) => Err(Errno::ERESTARTNOINTR),
            result => result.map(|()| 0),
        },
        FUTEX_TRYLOCK_PI => lock(true).map(|()| 0),
        FUTEX_UNLOCK_PI => unlock(word, task.tid()).map(|()| 0),
        _ => Err(Errno::ENOSYS),
    }
}

/// Waits, without a time until somebody wakes it. Interrupted, it goes on until the same
/// time.
fn wait_within(word: Word, value: u32, bitset: u32, deadline: Option<u64>) -> SysResult {
    let (address, shared) = (word.address, word.shared);
    match (wait(word, value, bitset, deadline), deadline) {
        (Err(Errno::ERESTARTSYS), Some(deadline)) => {
            let arguments = [address, value.into(), bitset.into(), deadline, shared.into()];
            *current().restart.lock() = Some(RestartBlock { again: wait_again, arguments });
            Err(Errno::ERESTART_RESTARTBLOCK)
        }
        (result, _) => result.map(|()| 0),
    }
}

fn wait_again([address, value, bitset, deadline, shared]: [u64; 5]) -> SysResult {
    let memory = &current().process.memory;
    let word = Word { memory, address, shared: shared != 0 };
    wait_within(word, value as u32, bitset as u32, Some(deadline))
}

/// A timeout as nanoseconds since the start: of `FUTEX_WAIT` it is from now on, of the
/// others a time of a clock.
fn since_start(command: u32, by_realtime: bool, time: u64) -> u64 {
    let clock = &current().process.clock;
    let which = match command {
        FUTEX_WAIT => return clock.elapsed().saturating_add(time),
        FUTEX_LOCK_PI => CLOCK_REALTIME,
        _ if by_realtime => CLOCK_REALTIME,
        _ => CLOCK_MONOTONIC,
    };
    // No clock is ever set.
    time.saturating_sub(clock.base(which).unwrap_or(0))
}

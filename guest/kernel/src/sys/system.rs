//! The machine as the program sees it: uname(2), sysinfo(2), getrandom(2),
//! scheduling with one CPU, resource usage.

use crate::clock::NSEC_PER_SEC;
use crate::fs::transfer::MAX_RW_COUNT;
use crate::host::Call;
use crate::mm::frames::FRAMES;
use crate::mm::vma::Prot;
use crate::process::task::current;
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::time::{self, Timespec};
use crate::user::UserPtr;
use trapgate_abi::hypercall::{MAX_RANDOM, Request};
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::usercopy::access_ok;
use trapgate_arch::usercopy::plain_struct;
use trapgate_uapi::Errno;

/// One field of `struct utsname`.
pub(super) type Name = [u8; 65];

const fn name(text: &str) -> Name {
    let mut field = [0; 65];
    let mut index = 0;
    while index < text.len() {
        field[index] = text.as_bytes()[index];
        index += 1;
    }
    field
}

/// What the program is told: a Linux whose interface this kernel follows.
pub(super) static UTSNAME: [Name; 6] = [
    name("Linux"),
    name("trapgate"),
    name("6.12.0-trapgate"),
    name(concat!("#1 trapgate ", env!("CARGO_PKG_VERSION"))),
    name("x86_64"),
    name("(none)"),
];

syscall_define! {
    /// uname(2)
    fn newuname(buffer: UserPtr<[Name; 6]>) {
        buffer.cast::<Name>().write_slice(&UTSNAME).map(|()| 0)
    }
}

plain_struct! {
    /// `struct sysinfo` of sysinfo(2).
    pub struct SysInfo {
        /// Seconds since boot.
        pub uptime: u64,
        /// Load averages.
        pub loads: [u64; 3],
        /// RAM in `unit`s.
        pub total_ram: u64,
        /// Free RAM.
        pub free_ram: u64,
        /// Shared and buffer memory, total and free swap.
        pub other_memory: [u64; 4],
        /// Processes; the rest is padding.
        pub processes: u64,
        /// High memory.
        pub high: [u64; 2],
        /// Bytes in a unit; the rest is padding.
        pub unit: u64,
    }
}

syscall_define! {
    /// sysinfo(2)
    fn sysinfo(buffer: UserPtr<SysInfo>) { buffer.write(system_info()).map(|()| 0) }
}

/// What sysinfo(2) tells.
pub(super) fn system_info() -> SysInfo {
    let process = &current().process;
    let free_ram = FRAMES.lock().available() * PAGE_SIZE;
    SysInfo {
        uptime: process.clock.elapsed() / NSEC_PER_SEC,
        total_ram: process.ram_size,
        free_ram,
        processes: 1,
        unit: 1,
        ..SysInfo::default()
    }
}

/// `GRND_*` of getrandom(2).
mod grnd {
    pub(super) const NONBLOCK: u32 = 1;
    pub(super) const RANDOM: u32 = 2;
    pub(super) const INSECURE: u32 = 4;
}

syscall_define! {
    /// getrandom(2): from the host.
    fn getrandom(buffer: UserPtr<u8>, length: u64, flags: u32) {
        let both = grnd::RANDOM | grnd::INSECURE;
        if flags & !(grnd::NONBLOCK | both) != 0 || flags & both == both {
            return Err(Errno::EINVAL);
        }
        let length = length.min(MAX_RW_COUNT);
        if !access_ok(buffer.address(), length) {
            return Err(Errno::EFAULT);
        }
        if length == 8 || length == 16 {
            // What a libc wants for its hash seeds: from the stock.
            let mut stock = current().process.random_stock.lock();
            if stock.len() as u64 * 8 >= length {
                let rest = stock.len() - length as usize / 8;
                let words = stock.split_off(rest);
                buffer.cast().write_slice(&words)?;
                return Ok(length);
            }
        }
        // No signal can come, so the call gives all that it is asked for.
        let mut done = 0;
        while done < length {
            let mut call = Call::new(Request::Random);
            let mut memory = current().process.memory.lock();
            let at = buffer.address() + done;
            let part = (length - done).min(MAX_RANDOM);
            let taken = memory.pieces(at, part, Prot::WRITE, |piece| call.push(piece));
            drop(memory);
            if taken == 0 {
                return if done == 0 { Err(Errno::EFAULT) } else { Ok(done) };
            }
            match call.submit() {
                // What was given is given.
                Err(_) if done > 0 => return Ok(done),
                result => done += result?,
            }
        }
        Ok(done)
    }
}
syscall_define! {
    /// getcpu(2): there is one.
    fn getcpu(cpu: UserPtr<u32>, node: UserPtr<u32>) {
        cpu.write_if(0)?;
        node.write_if(0).map(|()| 0)
    }
}
syscall_define! {
    /// sched_yield(2): nobody else waits.
    fn sched_yield() { Ok(0) }
}

fn check_pid(pid: i32) -> Result<(), Errno> {
    let task = current();
    let own = pid as u32 == task.tid || pid as u32 == task.process.pid;
    if pid < 0 {
        Err(Errno::EINVAL)
    } else if pid == 0 || own {
        Ok(())
    } else {
        Err(Errno::ESRCH)
    }
}

/// The same where a negative number is merely nobody's.
pub(super) fn find_pid(pid: i32) -> Result<(), Errno> {
    check_pid(pid).map_err(|_| Errno::ESRCH)
}

syscall_define! {
    /// sched_getaffinity(2): CPU 0. Answers the bytes written, as the system
    /// call does.
    fn sched_getaffinity(pid: i32, size: u32, mask: UserPtr<u64>) {
        if size < 8 || !size.is_multiple_of(8) {
            return Err(Errno::EINVAL);
        }
        find_pid(pid)?;
        mask.write(1).map(|()| 8)
    }
}
syscall_define! {
    /// sched_setaffinity(2): any set with CPU 0.
    fn sched_setaffinity(pid: i32, size: u32, mask: UserPtr<u8>) {
        set_affinity(pid, size, mask)
    }
}

/// sched_setaffinity(2) for either width: the first byte decides.
pub(super) fn set_affinity(pid: i32, size: u32, mask: UserPtr<u8>) -> SysResult {
    let first = if size == 0 { 0 } else { mask.read()? };
    find_pid(pid)?;
    if first & 1 == 0 { Err(Errno::EINVAL) } else { Ok(0) }
}
syscall_define! {
    /// sched_getscheduler(2): `SCHED_OTHER`.
    fn sched_getscheduler(pid: i32) { check_pid(pid).map(|()| 0) }
}
syscall_define! {
    /// sched_getparam(2): priority 0.
    fn sched_getparam(pid: i32, parameters: UserPtr<u32>) {
        check_pid(pid)?;
        parameters.write(0).map(|()| 0)
    }
}
syscall_define! {
    /// getpriority(2): nice value 0, which the system call answers as 20.
    fn getpriority(which: i32, who: i32) {
        const PRIO_USER: i32 = 2;
        match which {
            0..PRIO_USER => find_pid(who).map(|()| 20),
            PRIO_USER if who == 0 => Ok(20),
            PRIO_USER => Err(Errno::ESRCH),
            _ => Err(Errno::EINVAL),
        }
    }
}

syscall_define! {
    /// getrusage(2): all time is user time.
    fn getrusage(who: i32, usage: UserPtr<[u64; 18]>) {
        usage.write(resource_usage(who)?).map(|()| 0)
    }
}

/// What getrusage(2) tells, word by word.
pub(super) fn resource_usage(who: i32) -> Result<[u64; 18], Errno> {
    const CHILDREN: i32 = -1;
    const THREAD: i32 = 1;
    if !(CHILDREN..=THREAD).contains(&who) {
        return Err(Errno::EINVAL);
    }
    let mut values = [0; 18];
    if who != CHILDREN {
        let elapsed = current().process.clock.elapsed();
        values[0] = elapsed / NSEC_PER_SEC;
        values[1] = elapsed % NSEC_PER_SEC / 1000;
    }
    Ok(values)
}

/// `FUTEX_*` of futex(2).
mod futex_op {
    pub(super) const WAIT: u32 = 0;
    pub(super) const WAKE: u32 = 1;
    pub(super) const WAIT_BITSET: u32 = 9;
    pub(super) const WAKE_BITSET: u32 = 10;
    pub(super) const CLOCK_REALTIME: u32 = 256;
    pub(super) const COMMAND: u32 = 0x7f;
}

syscall_define! {
    /// futex(2)
    fn futex(
        word: UserPtr<u32>,
        operation: u32,
        value: u32,
        timeout: UserPtr<Timespec>,
        _second: u64,
        bitset: u32,
    ) {
        let timeout = || if timeout.is_null() { Ok(None) } else { timeout.read().map(Some) };
        futex_by(word, operation, value, timeout, bitset)
    }
}

/// futex(2) for either width, with one task: a wait whose value has changed
/// answers EAGAIN, one with a timeout waits for that, a wake wakes nobody. A
/// wait that only another task could end is EDEADLK, and not a hang.
/// `timeout` reads the timeout.
pub(super) fn futex_by(
    word: UserPtr<u32>,
    operation: u32,
    value: u32,
    timeout: impl FnOnce() -> Result<Option<Timespec>, Errno>,
    bitset: u32,
) -> SysResult {
    let command = operation & futex_op::COMMAND;
    let with_bitset = matches!(command, futex_op::WAIT_BITSET | futex_op::WAKE_BITSET);
    if with_bitset && bitset == 0 {
        return Err(Errno::EINVAL);
    }
    match command {
        futex_op::WAIT | futex_op::WAIT_BITSET => {
            let time = timeout()?.map(Timespec::to_ns).transpose()?;
            check_futex(word)?;
            if word.read()? != value {
                return Err(Errno::EAGAIN);
            }
            let time = time.ok_or(Errno::EDEADLK)?;
            let clock = &current().process.clock;
            let wait = match (command, operation & futex_op::CLOCK_REALTIME != 0) {
                (futex_op::WAIT, _) => time,
                (_, true) => time.saturating_sub(clock.realtime()),
                (_, false) => time.saturating_sub(clock.monotonic()),
            };
            time::sleep(wait)?;
            Err(Errno::ETIMEDOUT)
        }
        futex_op::WAKE | futex_op::WAKE_BITSET => check_futex(word).map(|()| 0),
        _ => Err(Errno::ENOSYS),
    }
}

/// A futex's address, as futex(2) checks it.
fn check_futex(word: UserPtr<u32>) -> Result<(), Errno> {
    if !word.address().is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    if access_ok(word.address(), 4) { Ok(()) } else { Err(Errno::EFAULT) }
}

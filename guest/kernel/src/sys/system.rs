//! The machine as the program sees it: uname(2), sysinfo(2), getrandom(2),
//! scheduling with one CPU, resource usage.

use crate::fs::transfer::MAX_RW_COUNT;
use crate::host::Call;
use crate::mm::frames::FRAMES;
use crate::mm::vma::Prot;
use crate::process::task::current;
use crate::sys::define::{SysResult, syscall_define};
use crate::sys::time;
use crate::user::UserPtr;
use core::slice;
use trapgate_abi::hypercall::{MAX_RANDOM, Request};
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::usercopy::access_ok;
use trapgate_uapi::Errno;
use trapgate_uapi::futex::{
    FUTEX_CLOCK_REALTIME, FUTEX_CMD_MASK, FUTEX_WAIT, FUTEX_WAIT_BITSET, FUTEX_WAKE,
    FUTEX_WAKE_BITSET,
};
use trapgate_uapi::random::{GRND_INSECURE, GRND_NONBLOCK, GRND_RANDOM};
use trapgate_uapi::resource::{
    PRIO_PROCESS, PRIO_USER, RUSAGE_CHILDREN, RUSAGE_SELF, RUSAGE_THREAD, Rusage,
};
use trapgate_uapi::sysinfo::Sysinfo;
use trapgate_uapi::time::{NSEC_PER_SEC, Timespec, Timeval};
use trapgate_uapi::utsname::{Name, NewUtsname};

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
pub(super) static UTSNAME: NewUtsname = NewUtsname {
    sysname: name("Linux"),
    nodename: name("trapgate"),
    release: name("6.12.0-trapgate"),
    version: name(concat!("#1 trapgate ", env!("CARGO_PKG_VERSION"))),
    machine: name("x86_64"),
    domainname: name("(none)"),
};

syscall_define! {
    /// uname(2)
    fn newuname(buffer: UserPtr<NewUtsname>) {
        buffer.write_slice(slice::from_ref(&UTSNAME)).map(|()| 0)
    }
}

syscall_define! {
    /// sysinfo(2)
    fn sysinfo(buffer: UserPtr<Sysinfo>) { buffer.write(system_info()).map(|()| 0) }
}

/// What sysinfo(2) tells.
pub(super) fn system_info() -> Sysinfo {
    let process = &current().process;
    let freeram = FRAMES.lock().available() * PAGE_SIZE;
    Sysinfo {
        uptime: (process.clock.elapsed() / NSEC_PER_SEC) as i64,
        totalram: process.ram_size,
        freeram,
        procs: 1,
        mem_unit: 1,
        ..Sysinfo::default()
    }
}

syscall_define! {
    /// getrandom(2): from the host.
    fn getrandom(buffer: UserPtr<u8>, length: u64, flags: u32) {
        let both = GRND_RANDOM | GRND_INSECURE;
        if flags & !(GRND_NONBLOCK | both) != 0 || flags & both == both {
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
        match which {
            PRIO_PROCESS..PRIO_USER => find_pid(who).map(|()| 20),
            PRIO_USER if who == 0 => Ok(20),
            PRIO_USER => Err(Errno::ESRCH),
            _ => Err(Errno::EINVAL),
        }
    }
}

syscall_define! {
    /// getrusage(2): all time is user time.
    fn getrusage(who: i32, usage: UserPtr<Rusage>) {
        usage.write(resource_usage(who)?).map(|()| 0)
    }
}

/// What getrusage(2) tells.
pub(super) fn resource_usage(who: i32) -> Result<Rusage, Errno> {
    let ru_utime = match who {
        RUSAGE_SELF | RUSAGE_THREAD => Timeval::from_ns(current().process.clock.elapsed()),
        RUSAGE_CHILDREN => Timeval::default(),
        _ => return Err(Errno::EINVAL),
    };
    Ok(Rusage { ru_utime, ..Rusage::default() })
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
    let command = operation & FUTEX_CMD_MASK;
    let with_bitset = matches!(command, FUTEX_WAIT_BITSET | FUTEX_WAKE_BITSET);
    if with_bitset && bitset == 0 {
        return Err(Errno::EINVAL);
    }
    match command {
        FUTEX_WAIT | FUTEX_WAIT_BITSET => {
            let time = timeout()?.map(Timespec::to_ns).transpose()?;
            check_futex(word)?;
            if word.read()? != value {
                return Err(Errno::EAGAIN);
            }
            let time = time.ok_or(Errno::EDEADLK)?;
            let clock = &current().process.clock;
            let wait = match (command, operation & FUTEX_CLOCK_REALTIME != 0) {
                (FUTEX_WAIT, _) => time,
                (_, true) => time.saturating_sub(clock.realtime()),
                (_, false) => time.saturating_sub(clock.monotonic()),
            };
            time::sleep(wait)?;
            Err(Errno::ETIMEDOUT)
        }
        FUTEX_WAKE | FUTEX_WAKE_BITSET => check_futex(word).map(|()| 0),
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

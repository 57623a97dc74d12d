//! `poison DOOR`: every register holds poison, the call is made by the door,
//! every register is compared.
#![no_std]
#![no_main]

use core::sync::atomic::AtomicU32;
use trapgate_programs32::crossing::{
    EAX, EBP, EBX, ECX, EDI, EDX, ESI, NAMES, PLAIN_FLAGS, State, cross,
};
use trapgate_programs32::{BAD_FD, Door, Report};
use trapgate_rt::{Args, println};
use trapgate_uapi::Errno;
use trapgate_uapi::errno::from_return;
use trapgate_uapi::syscall::nr32;

trapgate_rt::entry!(main);

static WORD: AtomicU32 = AtomicU32::new(0);
const FUTEX_WAIT_BITSET: u32 = 9;

/// CF, PF, AF, ZF, SF, OF; DF; AC.
const UNUSUAL_FLAGS: u32 = PLAIN_FLAGS | 0x8d5 | 1 << 10 | 1 << 18;

fn main(args: Args) -> i32 {
    let door = Door::of(args);
    let mut report = Report::new();
    for flags in [PLAIN_FLAGS, UNUSUAL_FLAGS] {
        println!("eflags {flags:#x}");
        let mut call = |what, registers: &[_]| one(&mut report, door, what, flags, registers);
        let getpid = call("getpid", &[(EAX, nr32::GETPID)]);
        let unknown = call("unknown call", &[(EAX, 5000)]);
        let write = call("write to a bad descriptor", &[(EAX, nr32::WRITE), (EBX, BAD_FD)]);
        // Six arguments, of which this call uses all: wait while the word is 1,
        // which it is not.
        let futex = [
            (EAX, nr32::FUTEX_TIME64),
            (EBX, &raw const WORD as u32),
            (ECX, FUTEX_WAIT_BITSET),
            (EDX, 1),
            (ESI, 0),
            (EDI, 0),
            (EBP, 1),
        ];
        let waited = call("futex", &futex);
        // The sixth argument, of which no bit may be missing: an empty set is
        // none.
        let mut empty = futex;
        empty[6] = (EBP, 0);
        let refused = call("futex with an empty set", &empty);
        report.holds("getpid is positive", getpid.is_ok_and(|pid| pid > 0));
        report.fails("unknown call", unknown, Errno::ENOSYS);
        report.fails("write to a bad descriptor", write, Errno::EBADF);
        report.fails("futex", waited, Errno::EAGAIN);
        report.fails("futex with an empty set", refused, Errno::EINVAL);
    }
    report.status()
}

/// Makes one call with poison in all registers but these, and compares.
fn one(
    report: &mut Report,
    door: Door,
    what: &str,
    eflags: u32,
    registers: &[(usize, u32)],
) -> Result<u64, Errno> {
    let mut before = State::poison();
    before.eflags = eflags;
    for &(register, value) in registers {
        before.general[register] = value;
    }
    let (before, after) = cross(door, &before);
    let mut expected = before;
    // What a call may change.
    expected.general[EAX] = after.general[EAX];
    for (index, name) in NAMES.iter().enumerate() {
        let (got, expected) = (after.general[index], expected.general[index]);
        if got != expected {
            report.failed(format_args!("{what}: {name} is {got:#x}, not {expected:#x}"));
        }
    }
    let (got, eflags) = (after.eflags & door.kept_flags(), eflags & door.kept_flags());
    if got != eflags {
        report.failed(format_args!("{what}: eflags is {got:#x}, not {eflags:#x}"));
    }
    if after.selectors != before.selectors {
        let (got, expected) = (after.selectors, before.selectors);
        report.failed(format_args!("{what}: selectors {got:x?}, not {expected:x?}"));
    }
    println!("{what}: compared");
    from_return(after.general[EAX].cast_signed() as u64)
}

//! `placed DOOR WHERE`: the door's instruction where one would not expect it.
//! The call is close(2) of a descriptor that is not open.
//!
//! | where | what Linux does |
//! |---|---|
//! | `hole` | its second byte is on a page that is not there: SIGSEGV at the instruction |
//! | `nx` | its second byte is on a page that is not executable: the same |
//! | `last` | it is the last of a page, nothing behind it: the call is made; INT 0x80 then comes back to where nothing is |
//! | `across` | it lies on two pages: the call is made |
//! | `middle` | it is inside another instruction's number: the call is made |
#![no_std]
#![no_main]

use trapgate_programs32::jump::{Jump, back_address};
use trapgate_programs32::{BAD_FD, Door, PAGE, Report, map, poke, protect, unmap};
use trapgate_rt::{Args, eprintln};
use trapgate_uapi::errno::from_return;
use trapgate_uapi::{Errno, syscall::nr32};

trapgate_rt::entry!(main);

const CODE: u32 = 0x2000_0000;
const STACK: u32 = 0x2100_0000;
const READ: u32 = 1;
const READ_WRITE: u32 = 3;
const READ_EXECUTE: u32 = 5;
const RET: u8 = 0xc3;
/// MOV EAX, and four bytes.
const MOV_EAX: u8 = 0xb8;

fn main(args: Args) -> i32 {
    let door = Door::of(args);
    let end = CODE + PAGE;
    let [first, second] = door.bytes();
    let place = args.arg(2).unwrap_or(b"");
    let at = match place {
        b"hole" | b"nx" | b"across" => end - 1,
        b"last" => end - 2,
        b"middle" => CODE + 1,
        _ => {
            eprintln!("second argument: hole, nx, last, across or middle");
            return 2;
        }
    };
    map(CODE, 2, READ_WRITE);
    poke(CODE, &[MOV_EAX]);
    poke(at, &[first, second, RET]);
    protect(CODE, 2, READ_EXECUTE);
    match place {
        b"hole" | b"last" => unmap(end, 1),
        b"nx" => protect(end, 1, READ),
        _ => {}
    }
    let mut report = Report::new();
    let eax = prepared(door, at).go();
    let result = from_return(eax.cast_signed() as u64);
    report.fails("close of a bad descriptor", result, Errno::EBADF);
    report.status()
}

/// The registers and the stack of a call by this door.
fn prepared(door: Door, eip: u32) -> Jump {
    map(STACK, 1, READ_WRITE);
    let esp = STACK + 0x800;
    let mut jump =
        Jump { eax: nr32::CLOSE, ebx: BAD_FD, ecx: 0x33, edx: 0x44, esp, eip, ..Jump::default() };
    let words = match door {
        Door::Int80 => [back_address(), 0, 0, 0],
        // What the vDSO pops, and its RET.
        _ => [0x66, 0x44, 0x33, back_address()],
    };
    for (index, word) in (0..).zip(words) {
        poke(esp + 4 * index, &word.to_le_bytes());
    }
    jump.ebp = match door {
        Door::Sysenter => esp,
        Door::Syscall => 0x33,
        _ => 0x66,
    };
    jump
}

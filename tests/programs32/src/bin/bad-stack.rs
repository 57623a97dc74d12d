//! `bad-stack DOOR KIND`: SYSENTER or SYSCALL with the stack pointer at some
//! place where the kernel cannot find the sixth argument. The call answers
//! EFAULT at the vDSO's landing pad, which then faults at its first POP: the
//! test compares the registers of that death. Where the word can be read, the
//! call is made.
//!
//! | kind | what is there |
//! |---|---|
//! | `unmapped` | nothing |
//! | `none` | a page without access |
//! | `kernel` | the last page of 4 GiB |
//! | `wraps` | the last byte of 4 GiB |
//! | `straddles` | the last two bytes before nothing |
//! | `last-word` | the last four bytes before nothing: the call is made, the second POP faults |
//! | `misaligned` | a good stack at an odd address: the call is made |
//! | `read-only` | a good stack that cannot be written: the call is made |
#![no_std]
#![no_main]

use trapgate_programs32::jump::{Jump, back_address};
use trapgate_programs32::{BAD_FD, Door, PAGE, Report, map, poke, print_landing_pad, protect};
use trapgate_rt::{Args, eprintln};
use trapgate_uapi::errno::from_return;
use trapgate_uapi::{Errno, syscall::nr32};

trapgate_rt::entry!(main);

const CODE: u32 = 0x2000_0000;
const STACK: u32 = 0x2100_0000;
const NONE: u32 = 0;
const READ: u32 = 1;
const READ_WRITE: u32 = 3;
const READ_EXECUTE: u32 = 5;
const UD2: [u8; 2] = [0x0f, 0x0b];

fn main(args: Args) -> i32 {
    let door = Door::of(args);
    print_landing_pad();
    map(CODE, 1, READ_WRITE);
    poke(CODE, &door.bytes());
    poke(CODE + 2, &UD2);
    protect(CODE, 1, READ_EXECUTE);
    let (protection, esp) = match args.arg(2).unwrap_or(b"") {
        b"unmapped" => (READ_WRITE, STACK + 4 * PAGE),
        b"none" => (NONE, STACK + 0x800),
        b"kernel" => (READ_WRITE, 0xffff_f800),
        b"wraps" => (READ_WRITE, 0xffff_ffff),
        b"straddles" => (READ_WRITE, STACK + PAGE - 2),
        b"last-word" => (READ_WRITE, STACK + PAGE - 4),
        b"misaligned" => (READ_WRITE, STACK + 0x801),
        b"read-only" => (READ, STACK + 0x800),
        _ => {
            eprintln!("second argument: see the source");
            return 2;
        }
    };
    map(STACK, 1, READ_WRITE);
    // As much of what the vDSO pops as there is a place for.
    let words = [0x66, 0x44, 0x33, back_address()];
    let bytes = words.iter().flat_map(|word| word.to_le_bytes());
    for (at, byte) in (esp..).zip(bytes) {
        if (STACK..STACK + PAGE).contains(&at) {
            poke(at, &[byte]);
        }
    }
    protect(STACK, 1, protection);
    let ebp = if door == Door::Sysenter { esp } else { 0x33 };
    let eax = Jump {
        eax: nr32::CLOSE,
        ebx: BAD_FD,
        ecx: 0x33,
        edx: 0x44,
        esi: 0x55,
        edi: 0x77,
        ebp,
        esp,
        eip: CODE,
    }
    .go();
    let mut report = Report::new();
    let result = from_return(eax.cast_signed() as u64);
    report.fails("close of a bad descriptor", result, Errno::EBADF);
    report.status()
}

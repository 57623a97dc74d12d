//! `step DOOR`: single-steps over the door's instruction, that is with TF set.
//! Dies by SIGTRAP; the test compares where, and with which registers.
#![no_std]
#![no_main]

use trapgate_programs32::jump::{Jump, back_address};
use trapgate_programs32::{BAD_FD, Door, PAGE, map, poke, print_landing_pad, protect};
use trapgate_rt::{Args, eprintln};
use trapgate_uapi::syscall::nr32;

trapgate_rt::entry!(main);

const CODE: u32 = 0x2000_0000;
const STACK: u32 = 0x2100_0000;
const READ_WRITE: u32 = 3;
const READ_EXECUTE: u32 = 5;
const POPF: u8 = 0x9d;
const NOP: u8 = 0x90;
const RET: u8 = 0xc3;
/// TF, and what is always set.
const FLAGS: u32 = 0x302;

fn main(args: Args) -> i32 {
    let door = Door::of(args);
    print_landing_pad();
    let [first, second] = door.bytes();
    map(CODE, 1, READ_WRITE);
    poke(CODE, &[POPF, first, second, NOP, NOP, NOP, RET]);
    protect(CODE, 1, READ_EXECUTE);
    map(STACK, 1, READ_WRITE);
    let esp = STACK + PAGE / 2;
    // Below what the vDSO pops, and its RET: the flags.
    let words = match door {
        Door::Int80 => [FLAGS, back_address(), 0, 0, 0],
        _ => [FLAGS, 0x66, 0x44, 0x33, back_address()],
    };
    for (index, word) in (0..).zip(words) {
        poke(esp - 4 + 4 * index, &word.to_le_bytes());
    }
    let ebp = match door {
        Door::Sysenter => esp,
        Door::Syscall => 0x33,
        _ => 0x66,
    };
    Jump {
        eax: nr32::CLOSE,
        ebx: BAD_FD,
        ecx: 0x33,
        edx: 0x44,
        esi: 0x55,
        edi: 0x77,
        ebp,
        esp: esp - 4,
        eip: CODE,
    }
    .go();
    eprintln!("survived");
    1
}

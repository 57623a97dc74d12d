//! `placed DOOR WHERE`: the door's instruction where one would not expect it;
//! `DOOR` is `syscall` or `int80`. The call is close(2) of a descriptor that is
//! not open.
//!
//! | where | what Linux does |
//! |---|---|
//! | `hole` | its second byte is on a page that is not there: SIGSEGV at the instruction |
//! | `nx` | its second byte is on a page that is not executable: the same |
//! | `last` | it is the last of a page, nothing behind it: the call is made and comes back to where nothing is |
//! | `across` | it lies on two pages: the call is made |
//! | `middle` | it is inside another instruction's number: the call is made |
//! | `user-end` | it ends where the user's addresses end: as `last` |
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "replaces the page that its stack may be in")]

use core::arch::naked_asm;
use trapgate_programs::jump::{Jump, back_address};
use trapgate_programs::{BAD_FD, PAGE, Report, USER_END, call, map_at, poke, poke_u64};
use trapgate_rt::{Args, eprintln};
use trapgate_uapi::Errno;
use trapgate_uapi::errno::from_return;
use trapgate_uapi::syscall::{nr32, nr64};

trapgate_rt::entry!(main);

const CODE: u64 = 0x2000_0000;
const STACK: u64 = 0x2100_0000;
const READ: u64 = 1;
const READ_EXECUTE: u64 = 5;
const MAP_PRIVATE_ANONYMOUS_FIXED: u64 = 0x32;
const RET: u8 = 0xc3;
/// MOV EAX, and four bytes.
const MOV_EAX: u8 = 0xb8;

fn main(args: Args) -> i32 {
    let (number, [first, second]) = match args.arg(1) {
        Some(b"syscall") => (nr64::CLOSE, [0x0f, 0x05]),
        Some(b"int80") => (nr32::CLOSE, [0xcd, 0x80]),
        _ => {
            eprintln!("first argument: syscall or int80");
            return 2;
        }
    };
    let place = args.arg(2).unwrap_or(b"");
    let end = CODE + PAGE;
    let at = match place {
        b"hole" | b"nx" | b"across" => end - 1,
        b"last" => end - 2,
        b"middle" => CODE + 1,
        b"user-end" => return at_user_end(number, [first, second]),
        _ => {
            eprintln!("second argument: hole, nx, last, across, middle or user-end");
            return 2;
        }
    };
    map_at(CODE, 2);
    poke(CODE, MOV_EAX);
    for (at, byte) in (at..).zip([first, second, RET]) {
        poke(at, byte);
    }
    protect(CODE, 2, READ_EXECUTE);
    match place {
        b"hole" | b"last" => {
            call(nr64::MUNMAP, &[end, PAGE]).expect("a page of ours");
        }
        b"nx" => protect(end, 1, READ),
        _ => {}
    }
    let rax = registers(number, at).go();
    let mut report = Report::new();
    report.fails("close of a bad descriptor", from_return(rax), Errno::EBADF);
    report.status()
}

/// The registers and the stack of the call.
fn registers(number: u32, rip: u64) -> Jump {
    map_at(STACK, 1);
    let rsp = STACK + 0x800;
    poke_u64(rsp, back_address());
    Jump {
        rax: number.into(),
        rbx: BAD_FD,
        rdi: BAD_FD,
        rcx: 0x33,
        rdx: 0x44,
        r11: 0x11,
        rsp,
        rip,
        ..Jump::default()
    }
}

/// The program's first stack may be in the last page below the user's end, so
/// what maps something else there has another one, and does not come back.
fn at_user_end(number: u32, door: [u8; 2]) -> i32 {
    let mut jump = registers(number, 0);
    jump.rip = replace_last_page as *const () as u64;
    // What `replace_last_page` finds there and takes away.
    jump.rsp -= 24;
    poke_u64(jump.rsp, number.into());
    poke_u64(jump.rsp + 8, u16::from_le_bytes(door).into());
    poke_u64(jump.rsp + 16, USER_END - 2);
    jump.rdi = USER_END - PAGE;
    jump.rsi = PAGE;
    jump.go();
    1
}

/// On arrival: rdi and rsi = mmap's first two arguments; on the stack: a
/// number, a door's bytes, where to put them.
#[unsafe(naked)]
unsafe extern "C" fn replace_last_page() {
    naked_asm!(
        "mov eax, {mmap}",
        "mov edx, 7",
        "mov r10d, {flags}",
        "mov r8, -1",
        "xor r9d, r9d",
        "syscall",
        "pop rax",
        "pop rdx",
        "pop rcx",
        "mov [rcx], dx",           // the last two bytes = the door
        "mov edi, {fd}",
        "xor edx, edx",
        "jmp rcx",
        mmap = const nr64::MMAP,
        flags = const MAP_PRIVATE_ANONYMOUS_FIXED,
        fd = const BAD_FD,
    )
}

fn protect(address: u64, pages: u64, protection: u64) {
    let arguments = [address, pages * PAGE, protection];
    call(nr64::MPROTECT, &arguments).expect("another protection");
}

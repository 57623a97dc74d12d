//! What a program finds that another has become by execve(2): where its parts are, what
//! was taken from the other one, and what was left. Prints it.
#![no_std]
#![no_main]

use core::str::from_utf8;
use trapgate_programs::{Report, address, call};
use trapgate_rt::{Args, aux, println};
use trapgate_uapi::Errno;
use trapgate_uapi::prctl::{ARCH_GET_FS, ARCH_GET_GS, PR_GET_NAME, TASK_COMM_LEN};
use trapgate_uapi::syscall::nr64;

trapgate_rt::entry!(main);

/// Data and zeroes, across pages.
static mut DATA: [u64; 2000] = [0x5a5a; 2000];
static mut ZEROES: [u64; 2000] = [0; 2000];

fn main(args: Args) -> i32 {
    let mut report = Report::new();
    for argument in args.argv().chain(args.env()) {
        println!("{}", from_utf8(argument).unwrap_or("not UTF-8"));
    }
    let execfn = args.aux_string(aux::EXECFN).unwrap_or(b"none");
    println!("execfn: {}", from_utf8(execfn).unwrap_or("not UTF-8"));
    let mut name = [0u8; TASK_COMM_LEN];
    let _ = call(nr64::PRCTL, &[PR_GET_NAME as u64, address(&mut name)]);
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(TASK_COMM_LEN);
    println!("name: {}", from_utf8(&name[..end]).unwrap_or("not UTF-8"));
    let word = |at: *const u64| trapgate_programs::peek_u64(at as u64);
    let all = |start: *const u64, value: u64| {
        (0..2000).all(|index| word(start.wrapping_add(index)) == value)
    };
    report.holds("data is as in the file", all((&raw const DATA).cast(), 0x5a5a));
    report.holds("zeroes are zeroes", all((&raw const ZEROES).cast(), 0));
    for signal in [10u64, 12] {
        let mut action = [0u64; 4];
        let _ = call(nr64::RT_SIGACTION, &[signal, 0, address(&mut action), 8]);
        println!("action of {signal}: {:x?}", action);
    }
    for fd in [60u64, 61] {
        const F_GETFD: u64 = 1;
        let open = call(nr64::FCNTL, &[fd, F_GETFD]).map_err(Errno::name);
        println!("descriptor {fd}: {open:?}");
    }
    for code in [ARCH_GET_FS, ARCH_GET_GS] {
        let mut base = 1u64;
        let _ = call(nr64::ARCH_PRCTL, &[code as u64, address(&mut base)]);
        println!("base: {base:#x}");
    }
    let brk = call(nr64::BRK, &[0]).unwrap_or(0);
    report.holds("the heap is on a page", brk.is_multiple_of(4096) && brk > 0);
    let grown = call(nr64::BRK, &[brk + 0x3000]);
    report.holds("the heap grows", grown == Ok(brk + 0x3000));
    let vdso = args.aux(aux::SYSINFO_EHDR).unwrap_or(0) as u64;
    let magic = trapgate_programs::peek_u64(vdso) & 0xffff_ffff;
    report.holds("the vDSO is one", magic == u64::from(u32::from_le_bytes(*b"\x7fELF")));
    report.holds("AT_RANDOM is there", args.random().is_some());
    report.holds("the stack is aligned to 16", args.stack_address().is_multiple_of(16));
    report.status()
}

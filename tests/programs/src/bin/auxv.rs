//! The initial stack: arguments, environment, auxiliary vector. Prints what
//! must be the same wherever the program runs.
#![no_std]
#![no_main]

use core::str::from_utf8;
use trapgate_programs::Report;
use trapgate_rt::{Args, aux, println};

trapgate_rt::entry!(main);

fn main(args: Args) -> i32 {
    let mut report = Report::new();
    println!("argc: {}", args.argc());
    for (index, argument) in args.argv().enumerate() {
        // The program's own name depends on how it was started.
        let shown = match index {
            0 => argument.rsplit(|&byte| byte == b'/').next().unwrap_or(argument),
            _ => argument,
        };
        println!("argv[{index}]: {}", from_utf8(shown).unwrap_or("not UTF-8"));
    }
    for variable in args.env() {
        println!("env: {}", from_utf8(variable).unwrap_or("not UTF-8"));
    }
    let value = |key| args.aux(key).unwrap_or(usize::MAX) as u64;
    report.equals("AT_PAGESZ", value(aux::PAGESZ), 4096);
    report.equals("AT_CLKTCK", value(aux::CLKTCK), 100);
    report.equals("AT_PHENT", value(aux::PHENT), 56);
    report.equals("AT_BASE", value(aux::BASE), 0);
    report.equals("AT_FLAGS", value(aux::FLAGS), 0);
    report.equals("AT_SECURE", value(aux::SECURE), 0);
    println!("AT_PHNUM: {}", value(aux::PHNUM));
    println!("AT_ENTRY: {:#x}", value(aux::ENTRY));
    println!("AT_PHDR: {:#x}", value(aux::PHDR));
    program_headers(&mut report, &args);
    let platform = args.aux_string(aux::PLATFORM).unwrap_or(b"missing");
    report.holds("AT_PLATFORM is x86_64", platform == b"x86_64");
    let name = args.aux_string(aux::EXECFN);
    report.holds("AT_EXECFN names something", name.is_some_and(|name| !name.is_empty()));
    let random = args.random();
    let differ = random.is_some_and(|bytes| bytes.iter().any(|byte| *byte != bytes[0]));
    report.holds("AT_RANDOM has 16 bytes, not all alike", differ);
    let same_user = args.aux(aux::UID) == args.aux(aux::EUID);
    report.holds("AT_UID is AT_EUID", same_user && args.aux(aux::UID).is_some());
    let same_group = args.aux(aux::GID) == args.aux(aux::EGID);
    report.holds("AT_GID is AT_EGID", same_group && args.aux(aux::GID).is_some());
    report.holds("AT_HWCAP has FPU, TSC, FXSR, SSE and SSE2", {
        const WANTED: u64 = 1 | 1 << 4 | 1 << 24 | 1 << 25 | 1 << 26;
        value(aux::HWCAP) & WANTED == WANTED
    });
    report.holds("the stack is aligned to 16", args.stack_address().is_multiple_of(16));
    let mut keys = [0; 64];
    let once = args.auxv().all(|(key, _)| {
        let count = keys.get_mut(key);
        count.is_none_or(|count| core::mem::replace(count, 1) == 0)
    });
    report.holds("each key comes once", once);
    report.status()
}

/// AT_PHDR leads to the headers: the first says where it is itself.
fn program_headers(report: &mut Report, args: &Args) {
    const PT_PHDR: u64 = 6;
    let at = args.aux(aux::PHDR).unwrap_or(0) as u64;
    let kind = trapgate_programs::peek_u64(at) & 0xffff_ffff;
    let address = trapgate_programs::peek_u64(at + 16);
    report.holds("the first program header is its own", kind == PT_PHDR && address == at);
}

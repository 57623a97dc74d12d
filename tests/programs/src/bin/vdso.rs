//! The vDSO, found by AT_SYSINFO_EHDR and used without a C library.
//!
//! - `vdso`: its symbols by both hash tables, their versions, and what the
//!   functions answer beside the kernel's own calls;
//! - `vdso data-page`: nothing but the clock is on the page before it. Sandbox
//!   only;
//! - `vdso clock`: prints the seconds of CLOCK_REALTIME;
//! - `vdso NAME`: does something to it (see `MISTAKES`) and may die of that.
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "calls functions by address")]

use core::mem::transmute;
use trapgate_programs::vdso::{Symbol, Vdso};
use trapgate_programs::{PAGE, Pages, Report, address, call, peek, peek_u64, poke};
use trapgate_rt::{Args, aux, println};
use trapgate_uapi::Errno;
use trapgate_uapi::errno::from_return;
use trapgate_uapi::syscall::nr64;

trapgate_rt::entry!(main);

const NAMES: [&str; 5] = ["clock_gettime", "gettimeofday", "time", "getcpu", "clock_getres"];
/// Clocks that show the time of day or the time since the start: by the vDSO.
const CLOCKS: [u64; 7] = [0, 1, 4, 5, 6, 7, 11];
/// Clocks that are the kernel's business, or nobody's.
const OTHER_CLOCKS: [u64; 7] = [2, 3, 10, 12, 32, 64, u64::MAX];

const READ_WRITE: u64 = 3;
const READ_WRITE_EXEC: u64 = 7;
/// MAP_PRIVATE, MAP_FIXED, MAP_ANONYMOUS.
const OVER: u64 = 0x32;

fn main(args: Args) -> i32 {
    let base = args.aux(aux::SYSINFO_EHDR).unwrap_or(0) as u64;
    let Some(vdso) = (base != 0).then(|| Vdso::at(base)).flatten() else {
        println!("no vDSO");
        return 1;
    };
    let mut report = Report::new();
    match args.arg(1) {
        None => {
            symbols(&mut report, vdso);
            clocks(&mut report, vdso);
            null_pointers(&mut report, vdso);
        }
        Some(b"data-page") => data_page(&mut report, vdso),
        Some(b"clock") => {
            let mut time = [0; 2];
            run(vdso, "clock_gettime", &[0, address(&mut time)]);
            println!("{}", time[0]);
        }
        Some(name) => match MISTAKES.iter().find(|(known, _)| known.as_bytes() == name) {
            Some((_, mistake)) => mistake(&mut report, vdso),
            None => {
                MISTAKES.iter().for_each(|(name, _)| println!("{name}"));
                return 2;
            }
        },
    }
    report.status()
}

fn find(vdso: Vdso, name: &str) -> Option<Symbol> {
    vdso.by_gnu_hash(name)
}

/// Calls a function of the vDSO; arguments not given are zero.
fn run(vdso: Vdso, name: &str, arguments: &[u64]) -> u64 {
    let Some(symbol) = find(vdso, name) else { return u64::MAX };
    run_at(symbol.address, arguments)
}

fn run_at(address: u64, arguments: &[u64]) -> u64 {
    let mut given = [0; 3];
    given[..arguments.len()].copy_from_slice(arguments);
    // SAFETY: a function of the vDSO's, all of which take at most three words
    // and follow the C ABI; where there is none any more, a SIGSEGV is wanted.
    let function: extern "C" fn(u64, u64, u64) -> u64 = unsafe { transmute(address) };
    function(given[0], given[1], given[2])
}

/// What a function that returns an `int` answered.
fn answer(value: u64) -> Result<u64, Errno> {
    from_return(value as i32 as u64)
}

fn symbols(report: &mut Report, vdso: Vdso) {
    report.holds("AT_SYSINFO_EHDR is a page's", vdso.base.is_multiple_of(PAGE));
    report.holds("it is linux-vdso.so.1", vdso.soname() == Some(b"linux-vdso.so.1"));
    for name in NAMES {
        let mut prefixed = [0; 32];
        let prefix = b"__vdso_";
        prefixed[..prefix.len()].copy_from_slice(prefix);
        prefixed[prefix.len()..][..name.len()].copy_from_slice(name.as_bytes());
        let prefixed = &prefixed[..prefix.len() + name.len()];
        let prefixed = core::str::from_utf8(prefixed).unwrap_or("");
        println!("{name}:");
        let (plain, own) = (vdso.by_hash(name), vdso.by_hash(prefixed));
        report.holds("DT_HASH has it under both names", plain.is_some() && own.is_some());
        let same = plain == vdso.by_gnu_hash(name) && own == vdso.by_gnu_hash(prefixed);
        report.holds("DT_GNU_HASH finds the same", same);
        let addresses = plain.map(|it| it.address) == own.map(|it| it.address);
        report.holds("both are the same function", addresses);
        let versions = [plain, own].map(|it| it.and_then(|symbol| vdso.version(symbol)));
        let right = versions == [Some((&b"LINUX_2.6"[..], true)); 2];
        report.holds("the version is LINUX_2.6", right);
    }
    let unknown = ["", "clock", "__vdso_clock_settime"];
    let none = |name: &&str| vdso.by_hash(name).is_none() && vdso.by_gnu_hash(name).is_none();
    report.holds("other names are not found", unknown.iter().all(none));
}

/// Each clock by the kernel's call between two of the vDSO's.
fn clocks(report: &mut Report, vdso: Vdso) {
    let ns = |time: [u64; 2]| time[0] * 1_000_000_000 + time[1];
    for clock in CLOCKS {
        let (mut before, mut between, mut after) = ([0; 2], [0; 2], [0; 2]);
        run(vdso, "clock_gettime", &[clock, address(&mut before)]);
        let _ = call(nr64::CLOCK_GETTIME, &[clock, address(&mut between)]);
        run(vdso, "clock_gettime", &[clock, address(&mut after)]);
        let in_order = ns(before) <= ns(between) && ns(between) <= ns(after);
        let close = ns(after) - ns(before) < 1_000_000_000 && ns(before) > 0;
        println!("clock {clock}:");
        report
            .holds("the vDSO and the kernel agree", in_order && close && after[1] < 1_000_000_000);
        let (mut own, mut kernels) = ([7; 2], [8; 2]);
        let got = answer(run(vdso, "clock_getres", &[clock, address(&mut own)]));
        let expected = call(nr64::CLOCK_GETRES, &[clock, address(&mut kernels)]);
        report.holds("so do their resolutions", own == kernels && got == expected);
    }
    for clock in OTHER_CLOCKS {
        let (mut own, mut kernels) = ([0; 2], [0; 2]);
        println!("clock {}:", clock as i64);
        for (name, number) in
            [("clock_gettime", nr64::CLOCK_GETTIME), ("clock_getres", nr64::CLOCK_GETRES)]
        {
            let expected = call(number, &[clock, address(&mut kernels)]);
            report.answers(name, answer(run(vdso, name, &[clock, address(&mut own)])), expected);
        }
    }
    let (mut time, mut zone, mut now) = ([0; 2], [7u32; 2], [0; 2]);
    let _ = call(nr64::CLOCK_GETTIME, &[0, address(&mut now)]);
    let got = answer(run(vdso, "gettimeofday", &[address(&mut time), address(&mut zone)]));
    report.is("gettimeofday", got, 0);
    let late = time[0] * 1_000_000 + time[1] - (now[0] * 1_000_000 + now[1] / 1000);
    report.holds("it is now, in microseconds", late < 1_000_000 && time[1] < 1_000_000);
    report.holds("the time zone is UTC", zone == [0; 2]);
    let mut seconds = 0u64;
    let got = run(vdso, "time", &[address(&mut seconds)]);
    report.holds("time is now", got == seconds && got - time[0] < 2);
    let (mut cpu, mut node) = (u32::MAX, u32::MAX);
    let got = answer(run(vdso, "getcpu", &[address(&mut cpu), address(&mut node)]));
    report.is("getcpu", got, 0);
    report.holds("there is such a CPU", cpu < 4096 && node < 1024);
}

fn null_pointers(report: &mut Report, vdso: Vdso) {
    report.is("gettimeofday of nothing", answer(run(vdso, "gettimeofday", &[])), 0);
    report.is("clock_getres of nothing", answer(run(vdso, "clock_getres", &[1])), 0);
    report.is("getcpu of nothing", answer(run(vdso, "getcpu", &[])), 0);
    let kernels = call(nr64::TIME, &[]).unwrap_or(0);
    report.holds("time of nothing", run(vdso, "time", &[]) - kernels < 2);
}

/// The data page has four words, and zeroes behind them.
fn data_page(report: &mut Report, vdso: Vdso) {
    let word = |index: u64| peek_u64(vdso.base - PAGE + 8 * index);
    report.holds("the clock's speed is there", word(1) > 0);
    report.holds("and nothing else", (4..PAGE / 8).all(|index| word(index) == 0));
    let last = vdso.base + vdso.size;
    let code_end = (vdso.base..last).rev().find(|&at| peek(at) != 0).unwrap_or(last);
    report.holds("behind the image there are zeroes", code_end < last - 1);
}

type Mistake = fn(&mut Report, Vdso);

const MISTAKES: [(&str, Mistake); 11] = [
    ("write", |_, vdso| poke(vdso.base, 0)),
    ("write-data", |_, vdso| poke(vdso.base - PAGE, 0)),
    ("null", |_, vdso| _ = run(vdso, "clock_gettime", &[0, 0])),
    ("unmap", |report, vdso| {
        let time = find(vdso, "time").map_or(0, |symbol| symbol.address);
        report.is("munmap", call(nr64::MUNMAP, &[vdso.base, vdso.size]), 0);
        run_at(time, &[]);
    }),
    ("no-access", |report, vdso| {
        let time = find(vdso, "time").map_or(0, |symbol| symbol.address);
        report.is("mprotect", call(nr64::MPROTECT, &[vdso.base, vdso.size, 0]), 0);
        run_at(time, &[]);
    }),
    ("no-execute", |report, vdso| {
        let time = find(vdso, "time").map_or(0, |symbol| symbol.address);
        report.is("mprotect", call(nr64::MPROTECT, &[vdso.base, vdso.size, 1]), 0);
        report.holds("it can still be read", peek(vdso.base + 1) == b'E');
        run_at(time, &[]);
    }),
    ("overmap", |report, vdso| {
        let arguments = [vdso.base, vdso.size, READ_WRITE, OVER, u64::MAX, 0];
        let at = call(nr64::MMAP, &arguments);
        report.holds("mmap over it", at == Ok(vdso.base));
        let zero = (0..vdso.size).all(|offset| peek(vdso.base + offset) == 0);
        report.holds("there are zeroes now", zero);
        poke(vdso.base, 1);
    }),
    ("change", |report, vdso| {
        let arguments = [vdso.base, vdso.size, READ_WRITE_EXEC];
        report.is("mprotect", call(nr64::MPROTECT, &arguments), 0);
        let time = find(vdso, "time").map_or(0, |symbol| symbol.address);
        // mov eax, 7; ret
        for (byte, at) in [0xb8, 7, 0, 0, 0, 0xc3].into_iter().zip(time..) {
            poke(at, byte);
        }
        report.equals("time, changed", run_at(time, &[]), 7);
        let mut now = [0; 2];
        let got = call(nr64::CLOCK_GETTIME, &[0, address(&mut now)]);
        report.is("the kernel's call", got, 0);
        report.holds("the kernel's clock is as it was", now[0] != 7);
    }),
    ("change-data", |report, vdso| {
        for prot in [2, READ_WRITE, 4, READ_WRITE_EXEC] {
            let got = call(nr64::MPROTECT, &[vdso.base - PAGE, PAGE, prot]);
            report.fails("mprotect of the data page", got, Errno::EACCES);
        }
        let got = call(nr64::GETRANDOM, &[vdso.base - PAGE, 8, 0]);
        report.fails("getrandom into the data page", got, Errno::EFAULT);
        let got = call(nr64::GETRANDOM, &[vdso.base, 8, 0]);
        report.fails("getrandom into the image", got, Errno::EFAULT);
    }),
    ("move", |report, vdso| {
        const MAY_MOVE_FIXED: u64 = 3;
        let to = report.works("pages", Pages::map(vdso.size / PAGE).map(|pages| pages.page(0)));
        let getcpu = find(vdso, "getcpu").map_or(0, |symbol| symbol.address);
        let got = call(nr64::MREMAP, &[vdso.base, vdso.size, vdso.size, MAY_MOVE_FIXED, to]);
        report.holds("mremap", got == Ok(to));
        let got = run_at(getcpu - vdso.base + to, &[]);
        report.is("getcpu there", answer(got), 0);
        run_at(getcpu, &[]);
    }),
    ("not-handed-out", |report, vdso| {
        // Far more than fits between the vDSO and the stack.
        let mut apart = true;
        for count in [1, 16, 300, 5000] {
            let at = report.works("mmap", Pages::map(count).map(|pages| pages.page(0)));
            apart &= at + count * PAGE <= vdso.base - PAGE || vdso.base + vdso.size <= at;
        }
        report.holds("mmap gives other addresses", apart);
        report.holds("the vDSO is still there", run(vdso, "time", &[]) > 0);
    }),
];

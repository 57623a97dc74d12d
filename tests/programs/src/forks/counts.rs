//! What a fork and the writes after it take, by a time-stamp counter that counts
//! instructions.

use super::{Calls, PAGE, load, store};
use core::arch::asm;
use trapgate_abi::test_hook::{END, FORK};
use trapgate_rt::println;

/// Pages that a process writes to after the fork.
const WRITTEN: usize = 256;
/// Pages that are there when a process forks that does nothing else: 16 MiB.
const TOUCHED: usize = 4096;
/// The least of so many counts.
const REPEATS: usize = 10;

/// Prints what the first write to a page after a fork takes, and what each page that
/// is there adds to fork, end, and noticing that.
pub fn count(calls: &Calls) -> i32 {
    let shared = calls.map(1, true);
    let [end, ticks] = [shared, shared + size_of::<usize>()];
    let least = |once: &dyn Fn() -> u64| (0..REPEATS).map(|_| once()).min().unwrap_or(0);
    let fork = |child: &dyn Fn()| {
        store(end, 0);
        if calls.hook(FORK, &[]) == 0 {
            child();
            calls.hook(END, &[end, 1]);
        }
        calls.wait(end, |ended| ended == 1);
    };
    let fork_alone = || least(&|| once(|| fork(&|| {})));
    let without = fork_alone();
    let area = calls.map(TOUCHED, false);
    let write = |pages: usize| (0..pages).for_each(|page| store(area + page * PAGE, page));
    write(WRITTEN);
    let writes = least(&|| {
        fork(&|| {
            let count = once(|| write(WRITTEN)) - once(|| write(WRITTEN));
            store(ticks, count as usize);
        });
        load(ticks) as u64
    });
    println!("write={}", writes / WRITTEN as u64);
    write(TOUCHED);
    println!("page={}", (fork_alone() - without) / TOUCHED as u64);
    0
}

fn once(what: impl FnOnce()) -> u64 {
    let start = ticks();
    what();
    ticks() - start
}

fn ticks() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter.
    unsafe { asm!("lfence", "rdtsc", "lfence", out("eax") low, out("edx") high) };
    u64::from(high) << 32 | u64::from(low)
}

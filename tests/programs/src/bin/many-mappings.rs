//! Thousands of mappings, of which neighbours differ: made, found, changed, joined,
//! and taken apart again.
//!
//! `many-mappings [count]`: 4,000 if not given.
#![no_std]
#![no_main]

use trapgate_programs::{PAGE, Report, call, peek, poke};
use trapgate_rt::{Args, Errno, println};
use trapgate_uapi::syscall::nr64;

trapgate_rt::entry!(main);

const READ: u64 = 1;
const READ_WRITE: u64 = 3;

fn main(args: Args) -> i32 {
    let count = args.number(1).unwrap_or(4000);
    let mut report = Report::new();
    if let Err(error) = go(&mut report, count) {
        report.failed(format_args!("a call that should work: {}", error.name()));
    }
    println!("{count} mappings");
    report.status()
}

fn mmap(length: u64, prot: u64) -> Result<u64, Errno> {
    call(nr64::MMAP, &[0, length, prot, 0x22, u64::MAX, 0])
}

fn go(report: &mut Report, count: u64) -> Result<(), Errno> {
    let prot = |number: u64| if number.is_multiple_of(2) { READ_WRITE } else { READ };
    // One below the other.
    let top = mmap(PAGE, prot(0))?;
    for number in 1..count {
        let at = mmap(PAGE, prot(number))?;
        if at != top - number * PAGE {
            report.failed(format_args!("mapping {number} is at {at:#x}, and not below the last"));
            return Ok(());
        }
    }
    let at = |number: u64| top - number * PAGE;
    (0..count).step_by(2).for_each(|number| poke(at(number), number as u8));
    let kept = (0..count).step_by(2).all(|number| peek(at(number)) == number as u8);
    report.holds("each is memory of its own", kept);
    // Room in their middle, and nowhere above.
    for number in [count / 2, count / 2 + 1] {
        call(nr64::MUNMAP, &[at(number), PAGE])?;
    }
    let middle = mmap(2 * PAGE, READ)?;
    report.holds("room is found where it is", middle == at(count / 2 + 1));
    let whole = [at(count - 1), count * PAGE, READ_WRITE];
    report.is("all become one", call(nr64::MPROTECT, &whole), 0);
    (0..count).for_each(|number| poke(at(number), 1));
    for number in (0..count).step_by(2) {
        call(nr64::MPROTECT, &[at(number), PAGE, READ])?;
    }
    report.is("all go at once", call(nr64::MUNMAP, &[at(count - 1), count * PAGE]), 0);
    report.holds("and their room is free", mmap(PAGE, READ)? == top);
    Ok(())
}

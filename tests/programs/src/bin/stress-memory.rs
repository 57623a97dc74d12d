//! Touches memory page by page, again and again: each page must be zero when
//! it comes, and keep what is written to it.
//!
//! `stress-memory [mebibytes [rounds]]`: 16 and 8 if not given.
#![no_std]
#![no_main]

use trapgate_programs::{PAGE, Pages, Report, call, peek_u64, poke_u64};
use trapgate_rt::{Args, println};
use trapgate_uapi::syscall::nr64;

trapgate_rt::entry!(main);

fn main(args: Args) -> i32 {
    let mebibytes = args.number(1).unwrap_or(16);
    let rounds = args.number(2).unwrap_or(8);
    let mut report = Report::new();
    for round in 0..rounds {
        if let Err(error) = touch(&mut report, (mebibytes << 20) / PAGE, round) {
            report.failed(format_args!("round {round}: {}", error.name()));
            break;
        }
    }
    println!("{rounds} rounds of {mebibytes} MiB");
    report.status()
}

fn touch(report: &mut Report, count: u64, round: u64) -> Result<(), trapgate_rt::Errno> {
    let pages = Pages::map(count)?;
    let (mut dirty, mut lost) = (0, 0);
    for page in 0..count {
        let at = pages.page(page);
        let used = (0..PAGE).step_by(8).any(|offset| peek_u64(at + offset) != 0);
        dirty += u32::from(used);
        for offset in (0..PAGE).step_by(8) {
            poke_u64(at + offset, pattern(round, page, offset));
        }
    }
    for page in 0..count {
        let at = pages.page(page);
        let kept = |offset| peek_u64(at + offset) == pattern(round, page, offset);
        lost += u32::from(!(0..PAGE).step_by(8).all(kept));
    }
    if dirty + lost > 0 {
        report.failed(format_args!("round {round}: {dirty} pages not zero, {lost} not kept"));
    }
    call(nr64::MUNMAP, &[pages.page(0), count * PAGE])?;
    Ok(())
}

/// Differs between rounds, pages and words.
fn pattern(round: u64, page: u64, offset: u64) -> u64 {
    (round + 1) << 56 | page << 16 | offset | 1
}

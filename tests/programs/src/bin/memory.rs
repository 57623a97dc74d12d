//! mmap, munmap, mprotect, mremap, madvise and brk: what they do to memory,
//! and what they refuse.
#![no_std]
#![no_main]

use trapgate_programs::{KERNEL_HALF, MINUS_ONE, PAGE, Pages, Report, USER_END, call, peek, poke};
use trapgate_rt::Args;
use trapgate_uapi::Errno;
use trapgate_uapi::syscall::nr64;

trapgate_rt::entry!(main);

const NONE: u64 = 0;
const READ: u64 = 1;
const READ_WRITE: u64 = 3;

const PRIVATE: u64 = 0x02;
const SHARED: u64 = 0x01;
const FIXED: u64 = 0x10;
const ANONYMOUS: u64 = 0x20;
const NORESERVE: u64 = 0x4000;
const FIXED_NOREPLACE: u64 = 0x10_0000;
const PRIVATE_ANONYMOUS: u64 = PRIVATE | ANONYMOUS;

const MAYMOVE: u64 = 1;
const REMAP_FIXED: u64 = 2;

const MADV_NORMAL: u64 = 0;
const MADV_SEQUENTIAL: u64 = 2;
const MADV_DONTNEED: u64 = 4;
const MADV_FREE: u64 = 8;
const MADV_DONTFORK: u64 = 10;
const MADV_DOFORK: u64 = 11;

fn mmap(address: u64, length: u64, prot: u64, flags: u64) -> Result<u64, Errno> {
    call(nr64::MMAP, &[address, length, prot, flags, MINUS_ONE, 0])
}

fn munmap(address: u64, length: u64) -> Result<u64, Errno> {
    call(nr64::MUNMAP, &[address, length])
}

fn mprotect(address: u64, length: u64, prot: u64) -> Result<u64, Errno> {
    call(nr64::MPROTECT, &[address, length, prot])
}

fn mremap(address: u64, old: u64, new: u64, flags: u64, to: u64) -> Result<u64, Errno> {
    call(nr64::MREMAP, &[address, old, new, flags, to])
}

fn madvise(address: u64, length: u64, advice: u64) -> Result<u64, Errno> {
    call(nr64::MADVISE, &[address, length, advice])
}

/// Whether the kernel can read there for us: it finds an unknown `how` only
/// after it has read the mask.
fn readable(address: u64) -> bool {
    call(nr64::RT_SIGPROCMASK, &[99, address, 0, 8]) == Err(Errno::EINVAL)
}

/// Whether the kernel can write there for us (it writes a word of zero: no
/// signal is blocked).
fn writable(address: u64) -> bool {
    call(nr64::RT_SIGPROCMASK, &[0, 0, address, 8]).is_ok()
}

fn access(address: u64) -> u64 {
    u64::from(readable(address)) | u64::from(writable(address)) << 1
}

/// A group of checks; what should work and does not is its error.
type Step = fn(&mut Report) -> Result<(), Errno>;

fn main(_: Args) -> i32 {
    let mut report = Report::new();
    let steps: [Step; 10] = [
        fresh_memory,
        read_before_written,
        shared_memory,
        mmap_refusals,
        fixed_mappings,
        unmapping,
        protection,
        remapping,
        advice,
        heap,
    ];
    for step in steps {
        if let Err(error) = step(&mut report) {
            report.failed(format_args!("a call that should work: {}", error.name()));
        }
    }
    report.status()
}

fn fresh_memory(report: &mut Report) -> Result<(), Errno> {
    let pages = Pages::map(8)?;
    report.holds("a mapping begins on a page", pages.page(0) % PAGE == 0);
    report.holds("fresh memory is zero", (0..8).all(|page| pages.is_all(page, 0)));
    for page in 0..8 {
        pages.fill(page, page as u8 + 1);
    }
    report.holds("pages are distinct", (0..8).all(|page| pages.is_all(page, page as u8 + 1)));
    munmap(pages.page(0), 8 * PAGE)?;
    let again = Pages::map(8)?;
    report.holds("recycled memory is zero", (0..8).all(|page| again.is_all(page, 0)));
    munmap(again.page(0), 8 * PAGE)?;
    report.equals("unmapped memory allows", access(again.page(0)), 0);

    let odd = mmap(0, PAGE + 1, READ_WRITE, PRIVATE_ANONYMOUS)?;
    report.equals("a length is rounded up: its second page allows", access(odd + PAGE), 3);
    munmap(odd, PAGE + 1)?;
    report.equals("and gone with the first", access(odd + PAGE), 0);

    let hint = Pages::map(4)?;
    munmap(hint.page(0), 4 * PAGE)?;
    let got = mmap(hint.page(1) + 123, PAGE, READ_WRITE, PRIVATE_ANONYMOUS)?;
    report.holds("a hint at a free page is taken, rounded down", got == hint.page(1));
    let other = mmap(hint.page(1), PAGE, READ_WRITE, PRIVATE_ANONYMOUS)?;
    report.holds("a hint at a used page is not", other != got);
    munmap(got, PAGE)?;
    munmap(other, PAGE)?;

    let large = mmap(0, 64 << 30, NONE, PRIVATE_ANONYMOUS | NORESERVE)?;
    report.equals("64 GiB without access allow", access(large + (63 << 30)), 0);
    mprotect(large + (32 << 30), PAGE, READ_WRITE)?;
    report.equals("a page in their middle, made usable, allows", access(large + (32 << 30)), 3);
    report.is("all of it can be unmapped", munmap(large, 64 << 30), 0);
    Ok(())
}

fn read_before_written(report: &mut Report) -> Result<(), Errno> {
    let pages = Pages::map(64)?;
    report.holds("all is zero", (0..64).all(|page| pages.is_all(page, 0)));
    (0..64).step_by(3).for_each(|page| pages.fill(page, page as u8 + 1));
    let kept =
        (0..64).all(|page| pages.is_all(page, if page % 3 == 0 { page as u8 + 1 } else { 0 }));
    report.holds("what is written then is on its own page", kept);
    // Read first, and writable only later.
    let later = mmap(0, 2 * PAGE, READ, PRIVATE_ANONYMOUS)?;
    report.equals("a read-only page reads", peek(later).into(), 0);
    mprotect(later, 2 * PAGE, READ_WRITE)?;
    poke(later, 7);
    report.equals("made writable, it keeps what is written", peek(later).into(), 7);
    report.equals("and its neighbour is zero", peek(later + PAGE).into(), 0);
    report.equals("the kernel can write to the neighbour", access(later + PAGE), 3);
    munmap(later, 2 * PAGE)?;
    munmap(pages.page(0), 64 * PAGE)?;
    Ok(())
}

fn shared_memory(report: &mut Report) -> Result<(), Errno> {
    let at = mmap(0, 4 * PAGE, READ_WRITE, SHARED | ANONYMOUS)?;
    report.equals("shared memory is zero", peek(at).into(), 0);
    (0..4).for_each(|page| poke(at + page * PAGE, page as u8 + 1));
    let second = mremap(at + PAGE, 0, 2 * PAGE, MAYMOVE, 0)?;
    report.holds("mremap from nothing maps it once more", second != at + PAGE);
    let same = peek(second) == 2 && peek(second + PAGE) == 3;
    report.holds("the same pages", same);
    poke(second, 0x22);
    report.equals("written here, read there", peek(at + PAGE).into(), 0x22);
    report.is("madvise DONTNEED of shared memory", madvise(at, 4 * PAGE, MADV_DONTNEED), 0);
    report.equals("leaves it as it was", peek(at + PAGE).into(), 0x22);
    report.fails("madvise FREE of it", madvise(at, PAGE, MADV_FREE), Errno::EINVAL);
    report.is("its first mapping can go", munmap(at, 4 * PAGE), 0);
    report.equals("the other stays", peek(second).into(), 0x22);
    let moved = mremap(second, 2 * PAGE, 2 * PAGE, MAYMOVE | REMAP_FIXED, at)?;
    report.holds("and moves with its pages", peek(moved) == 0x22 && peek(moved + PAGE) == 3);
    munmap(moved, 2 * PAGE)?;
    let read_only = mmap(0, PAGE, READ, SHARED | ANONYMOUS)?;
    report.equals("read-only shared memory allows", access(read_only), 1);
    mprotect(read_only, PAGE, READ_WRITE)?;
    report.equals("and made writable", access(read_only), 3);
    munmap(read_only, PAGE)?;
    Ok(())
}

fn mmap_refusals(report: &mut Report) -> Result<(), Errno> {
    let length_zero = mmap(0, 0, READ_WRITE, PRIVATE_ANONYMOUS);
    report.fails("mmap of nothing", length_zero, Errno::EINVAL);
    let neither = mmap(0, PAGE, READ_WRITE, ANONYMOUS);
    report.fails("mmap neither shared nor private", neither, Errno::EINVAL);
    let offset = call(nr64::MMAP, &[0, PAGE, READ, PRIVATE_ANONYMOUS, MINUS_ONE, 1]);
    report.fails("mmap with an odd offset", offset, Errno::EINVAL);
    let no_file = mmap(0, PAGE, READ, PRIVATE);
    report.fails("mmap of a bad descriptor", no_file, Errno::EBADF);
    for (what, length) in [
        ("mmap of the user's half", USER_END),
        ("mmap of more", 1 << 62),
        ("mmap up to the top", MINUS_ONE & !(PAGE - 1)),
        ("mmap of a length that wraps when rounded", MINUS_ONE),
        ("mmap of 64 TiB to be written", 64 << 40),
    ] {
        report.fails(what, mmap(0, length, READ_WRITE, PRIVATE_ANONYMOUS), Errno::ENOMEM);
    }
    let fixed = PRIVATE_ANONYMOUS | FIXED;
    let free = Pages::map(1)?;
    munmap(free.page(0), PAGE)?;
    let odd = mmap(free.page(0) + 1, PAGE, READ, fixed);
    report.fails("mmap fixed at an odd address", odd, Errno::EINVAL);
    for (what, address) in [
        ("mmap fixed at the user's end", USER_END),
        ("mmap fixed in the kernel's half", KERNEL_HALF),
        ("mmap fixed at the top", MINUS_ONE & !(PAGE - 1)),
    ] {
        report.fails(what, mmap(address, PAGE, READ, fixed), Errno::ENOMEM);
    }
    Ok(())
}

fn fixed_mappings(report: &mut Report) -> Result<(), Errno> {
    let pages = Pages::map(4)?;
    for page in 0..4 {
        pages.fill(page, 0x11);
    }
    let noreplace = PRIVATE_ANONYMOUS | FIXED_NOREPLACE;
    for (what, page, count) in [
        ("fixed, not replacing, over a mapping", 1, 1),
        ("fixed, not replacing, around a mapping", 0, 8),
    ] {
        let got = mmap(pages.page(page), count * PAGE, READ_WRITE, noreplace);
        report.fails(what, got, Errno::EEXIST);
    }
    let over = mmap(pages.page(1), 2 * PAGE, READ_WRITE, PRIVATE_ANONYMOUS | FIXED)?;
    report.holds("fixed over a mapping is where it should be", over == pages.page(1));
    report.holds("and zero", pages.is_all(1, 0) && pages.is_all(2, 0));
    let kept = pages.is_all(0, 0x11) && pages.is_all(3, 0x11);
    report.holds("its neighbours are as they were", kept);
    pages.remove(2)?;
    let hole = mmap(pages.page(2), PAGE, READ_WRITE, noreplace)?;
    report.holds("fixed, not replacing, into a hole", hole == pages.page(2) && pages.is_all(2, 0));
    munmap(pages.page(0), 4 * PAGE)?;
    Ok(())
}

fn unmapping(report: &mut Report) -> Result<(), Errno> {
    let pages = Pages::map(5)?;
    for page in 0..5 {
        pages.fill(page, 0x22);
    }
    report.is("munmap in the middle", munmap(pages.page(2), PAGE), 0);
    report.equals("the middle allows", access(pages.page(2)), 0);
    let kept = [0, 1, 3, 4].iter().all(|&page| pages.is_all(page, 0x22));
    report.holds("the rest is as it was", kept);
    report.is("munmap of a hole", munmap(pages.page(2), PAGE), 0);
    report.is("munmap with a hole in it", munmap(pages.page(1), 3 * PAGE), 0);
    let ends = pages.is_all(0, 0x22) && pages.is_all(4, 0x22);
    report.holds("the ends are as they were", ends);
    report.is("munmap of less than a page", munmap(pages.page(0), 1), 0);
    report.equals("takes the page", access(pages.page(0)), 0);
    munmap(pages.page(4), PAGE)?;
    report.fails("munmap of nothing", munmap(pages.page(0), 0), Errno::EINVAL);
    report.fails("munmap at an odd address", munmap(pages.page(0) + 8, PAGE), Errno::EINVAL);
    report.fails("munmap of the kernel's half", munmap(KERNEL_HALF, PAGE), Errno::EINVAL);
    report.fails("munmap up to the top", munmap(pages.page(0), MINUS_ONE), Errno::EINVAL);
    report.fails("munmap across the user's end", munmap(USER_END - PAGE, 2 * PAGE), Errno::EINVAL);
    Ok(())
}

fn protection(report: &mut Report) -> Result<(), Errno> {
    let pages = Pages::map(4)?;
    for page in 0..4 {
        pages.fill(page, 0x33);
    }
    report.is("mprotect to read", pages.protect(1, READ), 0);
    report.equals("read-only memory allows", access(pages.page(1)), 1);
    report.is("mprotect to none", pages.protect(1, NONE), 0);
    report.equals("memory without access allows", access(pages.page(1)), 0);
    report.is("mprotect to read and write", pages.protect(1, READ_WRITE), 0);
    report.holds("content outlives all that", pages.is_all(1, 0x33));
    report.equals("its neighbour allows", access(pages.page(2)), 3);
    // The word that `access` wrote is zero now.
    report.is("mprotect of nothing", mprotect(pages.page(0), 0, NONE), 0);
    report.equals("changes nothing: the page allows", access(pages.page(0)), 3);
    report.is("mprotect of a byte", mprotect(pages.page(3), 1, READ), 0);
    report.equals("changes its page, which allows", access(pages.page(3)), 1);
    pages.protect(3, READ_WRITE)?;
    report.fails(
        "mprotect at an odd address",
        mprotect(pages.page(0) + 1, PAGE, READ),
        Errno::EINVAL,
    );
    report.fails(
        "mprotect with an unknown bit",
        mprotect(pages.page(0), PAGE, 0x10),
        Errno::EINVAL,
    );
    report.fails(
        "mprotect that wraps",
        mprotect(pages.page(0), MINUS_ONE - PAGE + 1, READ),
        Errno::ENOMEM,
    );
    pages.remove(2)?;
    report.fails("mprotect of a hole", pages.protect(2, READ), Errno::ENOMEM);
    report.fails("mprotect of the kernel's half", mprotect(KERNEL_HALF, PAGE, READ), Errno::ENOMEM);
    munmap(pages.page(0), 4 * PAGE)?;

    let none = mmap(0, 2 * PAGE, NONE, PRIVATE_ANONYMOUS)?;
    report.equals("a mapping without access allows", access(none), 0);
    mprotect(none, PAGE, READ_WRITE)?;
    report.equals("made usable, it allows", access(none), 3);
    report.equals("its neighbour allows", access(none + PAGE), 0);
    munmap(none, 2 * PAGE)?;
    let read_only = mmap(0, PAGE, READ, PRIVATE_ANONYMOUS)?;
    report.equals("a read-only mapping allows", access(read_only), 1);
    report.holds("and is zero", peek(read_only) == 0 && peek(read_only + PAGE - 1) == 0);
    munmap(read_only, PAGE)?;
    Ok(())
}

fn remapping(report: &mut Report) -> Result<(), Errno> {
    // Eight pages, of which the last four are free again: room to grow.
    let pages = Pages::map(8)?;
    for page in 0..4 {
        pages.fill(page, page as u8 + 1);
    }
    munmap(pages.page(4), 4 * PAGE)?;
    let start = pages.page(0);
    let same = |pages: Pages, count: u64| (0..count).all(|page| pages.is_all(page, page as u8 + 1));

    let grown = mremap(start, 4 * PAGE, 6 * PAGE, 0, 0)?;
    report.holds("mremap grows in place into free room", grown == start);
    report.holds("content is kept", same(pages, 4));
    report.holds("what is new is zero", pages.is_all(4, 0) && pages.is_all(5, 0));
    let shrunk = mremap(start, 6 * PAGE, 4 * PAGE, 0, 0)?;
    report.holds("mremap shrinks in place", shrunk == start && same(pages, 4));
    report.equals("what was cut off allows", access(pages.page(4)), 0);
    let kept = mremap(start, 4 * PAGE, 4 * PAGE, 0, 0)?;
    report.holds("mremap to the same size", kept == start && same(pages, 4));

    let wall = mmap(pages.page(4), PAGE, READ_WRITE, PRIVATE_ANONYMOUS | FIXED_NOREPLACE)?;
    let stuck = mremap(start, 4 * PAGE, 5 * PAGE, 0, 0);
    report.fails("mremap into a neighbour, not moving", stuck, Errno::ENOMEM);
    report.holds("leaves all as it was", same(pages, 4));
    let moved = mremap(start, 4 * PAGE, 5 * PAGE, MAYMOVE, 0)?;
    report.holds("mremap into a neighbour moves", moved != start);
    let content = (0..4).all(|page| {
        let at = moved + page * PAGE;
        peek(at) == page as u8 + 1 && peek(at + PAGE - 1) == page as u8 + 1
    });
    report.holds("content moves along", content);
    report.holds("what is new is zero", (0..PAGE).all(|at| peek(moved + 4 * PAGE + at) == 0));
    report.equals("the old place allows", access(start), 0);

    let back = mremap(moved, 4 * PAGE, 4 * PAGE, MAYMOVE | REMAP_FIXED, start)?;
    report.holds("mremap to a fixed place", back == start && same(pages, 4));
    report.equals("what was not moved allows", access(moved + 4 * PAGE), 3);
    munmap(moved + 4 * PAGE, PAGE)?;
    poke(wall, 0x77);
    let over = mremap(start, PAGE, PAGE, MAYMOVE | REMAP_FIXED, wall)?;
    report.holds("mremap over a mapping replaces it", over == wall && peek(wall) == 1);

    let one = pages.page(1);
    report.fails("mremap at an odd address", mremap(one + 1, PAGE, PAGE, 0, 0), Errno::EINVAL);
    report.fails("mremap with unknown flags", mremap(one, PAGE, PAGE, 64, 0), Errno::EINVAL);
    report.fails(
        "mremap fixed, not moving",
        mremap(one, PAGE, PAGE, REMAP_FIXED, start),
        Errno::EINVAL,
    );
    report.fails("mremap to nothing", mremap(one, PAGE, 0, MAYMOVE, 0), Errno::EINVAL);
    report.fails("mremap from nothing", mremap(one, 0, PAGE, MAYMOVE, 0), Errno::EINVAL);
    let overlap = mremap(one, 2 * PAGE, 2 * PAGE, MAYMOVE | REMAP_FIXED, one + PAGE);
    report.fails("mremap onto itself", overlap, Errno::EINVAL);
    let odd = mremap(one, PAGE, PAGE, MAYMOVE | REMAP_FIXED, start + 8);
    report.fails("mremap to an odd place", odd, Errno::EINVAL);
    let outside = mremap(one, PAGE, PAGE, MAYMOVE | REMAP_FIXED, USER_END);
    report.fails("mremap to the user's end", outside, Errno::EINVAL);
    report.fails("mremap of a hole", mremap(start, PAGE, 2 * PAGE, MAYMOVE, 0), Errno::EFAULT);
    munmap(start, 8 * PAGE)?;
    Ok(())
}

fn advice(report: &mut Report) -> Result<(), Errno> {
    let pages = Pages::map(4)?;
    for page in 0..4 {
        pages.fill(page, 0x44);
    }
    report.is("madvise DONTNEED", madvise(pages.page(1), 2 * PAGE, MADV_DONTNEED), 0);
    report.holds("memory not needed is zero", pages.is_all(1, 0) && pages.is_all(2, 0));
    let kept = pages.is_all(0, 0x44) && pages.is_all(3, 0x44);
    report.holds("its neighbours are as they were", kept);
    pages.fill(1, 0x55);
    pages.protect(1, READ)?;
    report.is("madvise DONTNEED, read-only", madvise(pages.page(1), 1, MADV_DONTNEED), 0);
    report.holds("is zero", pages.is_all(1, 0));
    report.equals("and still only allows", access(pages.page(1)), 1);
    report.is("madvise FREE", madvise(pages.page(3), PAGE, MADV_FREE), 0);
    let either = pages.is_all(3, 0) || pages.is_all(3, 0x44);
    report.holds("memory freed is zero or as it was", either);
    for (what, advice) in [
        ("madvise NORMAL", MADV_NORMAL),
        ("madvise SEQUENTIAL", MADV_SEQUENTIAL),
        ("madvise DONTFORK", MADV_DONTFORK),
        ("madvise DOFORK", MADV_DOFORK),
    ] {
        report.is(what, madvise(pages.page(0), PAGE, advice), 0);
    }
    pages.remove(2)?;
    pages.fill(0, 0x66);
    pages.fill(3, 0x66);
    let hole = madvise(pages.page(0), 4 * PAGE, MADV_DONTNEED);
    report.fails("madvise with a hole", hole, Errno::ENOMEM);
    report.holds("does the rest", pages.is_all(0, 0) && pages.is_all(3, 0));
    report.is("madvise of nothing", madvise(pages.page(0), 0, MADV_DONTNEED), 0);
    let odd = madvise(pages.page(0) + 1, PAGE, MADV_NORMAL);
    report.fails("madvise at an odd address", odd, Errno::EINVAL);
    report.fails("madvise with unknown advice", madvise(pages.page(0), PAGE, 999), Errno::EINVAL);
    munmap(pages.page(0), 4 * PAGE)?;
    Ok(())
}

fn heap(report: &mut Report) -> Result<(), Errno> {
    let brk = |address| call(nr64::BRK, &[address]);
    let start = brk(0)?;
    // Ask for whole pages above the first boundary.
    let base = start.next_multiple_of(PAGE);
    report.holds("brk grows", brk(base + 3 * PAGE)? == base + 3 * PAGE);
    let zero = (0..3 * PAGE).all(|offset| peek(base + offset) == 0);
    report.holds("the new heap is zero", zero);
    for offset in 0..3 * PAGE {
        poke(base + offset, 0x88);
    }
    report.holds("brk shrinks", brk(base + PAGE)? == base + PAGE);
    report.equals("what was cut off allows", access(base + PAGE), 0);
    report.holds("what remains is as it was", (0..PAGE).all(|at| peek(base + at) == 0x88));
    report.holds("brk grows again", brk(base + 2 * PAGE)? == base + 2 * PAGE);
    let zero = (PAGE..2 * PAGE).all(|offset| peek(base + offset) == 0);
    report.holds("and reads zero again", zero);
    report.holds("brk within a page", brk(base + PAGE + 5)? == base + PAGE + 5);
    report.equals("keeps that page, which allows", access(base + PAGE), 3);
    let now = base + PAGE + 5;
    report.holds("brk below the heap changes nothing", brk(1)? == now);
    report.holds("brk beyond the user's end changes nothing", brk(USER_END)? == now);
    report.holds("brk to the top changes nothing", brk(MINUS_ONE)? == now);
    report.holds("brk(0) tells the end", brk(0)? == now);
    let wall = mmap(base + 4 * PAGE, PAGE, READ_WRITE, PRIVATE_ANONYMOUS | FIXED_NOREPLACE)?;
    report.holds("brk into a mapping changes nothing", brk(base + 8 * PAGE)? == now);
    munmap(wall, PAGE)?;
    report.holds("brk back to the start", brk(start)? == start);
    Ok(())
}

//! Memory: the calls, page faults, and what is done when frames run out.

use super::{DATA, HEAP, SIZE, Sandbox, TEXT, boot_info, free_frames};
use crate::process::task::current;
use crate::sched::idle;
use trapgate_abi::boot_info::{BootInfo, feature};
use trapgate_abi::hypercall::Request;
use trapgate_abi::layout::{LARGE_PAGE_SIZE, MMAP_BASE, PAGE_SIZE, USER_STACK_TOP};
use trapgate_arch::fake::user;
use trapgate_uapi::Errno;
use trapgate_uapi::resource::RLIMIT_STACK;
use trapgate_uapi::syscall::{nr32, nr64};

const READ: u64 = 1;
const WRITE: u64 = 2;
const PRIVATE: u64 = 2;
const ANONYMOUS: u64 = 0x20;
const FIXED: u64 = 0x10;
const NORESERVE: u64 = 0x4000;

fn mmap(sandbox: &Sandbox, length: u64) -> Result<u64, Errno> {
    let flags = PRIVATE | ANONYMOUS | NORESERVE;
    sandbox.call(nr64::MMAP, [0, length, READ | WRITE, flags, u64::MAX, 0])
}

#[test]
fn a_page_fault_finds_a_page_of_zeroes_and_serves_those_around_it() {
    let sandbox = Sandbox::new();
    assert!(user::load(DATA + 5).is_err(), "nothing was touched");
    assert_eq!(sandbox.load(DATA + 5), [0]);
    assert!(user::load(DATA + SIZE - 1).is_ok(), "the last of 16 pages");
    assert!(user::store(DATA + SIZE - 1, 1).is_err(), "there is nothing to write to");
    let before = free_frames();
    sandbox.store(DATA + 5, b"x");
    assert!(user::store(DATA + SIZE - 1, 1).is_ok(), "the last of 16 pages");
    assert_eq!(before - free_frames(), 16);
    assert!(user::load(DATA + SIZE).is_err(), "not of the mapping");
}

#[test]
fn a_page_that_is_only_read_costs_no_frame() {
    let sandbox = Sandbox::new();
    // From the first piece of 16 pages on.
    let at = mmap(&sandbox, 80 * PAGE_SIZE).unwrap().next_multiple_of(16 * PAGE_SIZE);
    sandbox.store(at, b"x");
    let before = free_frames();
    for page in 0..64 {
        assert_eq!(sandbox.load(at + page * PAGE_SIZE + 1), [0; 8]);
    }
    assert_eq!(free_frames(), before);
    // The kernel reads and writes for the program as the program does.
    let uname = |address| sandbox.call(nr64::UNAME, [address, 0, 0, 0, 0, 0]);
    assert_eq!(uname(at + 40 * PAGE_SIZE), Ok(0));
    assert_eq!(sandbox.load(at + 40 * PAGE_SIZE), *b"Linux\0");
    assert_eq!(sandbox.load(at + 56 * PAGE_SIZE), [0; 8], "the page of zeroes is as it was");
    sandbox.call(nr64::MUNMAP, [at, 64 * PAGE_SIZE, 0, 0, 0, 0]).unwrap();
    assert!(free_frames() >= before + 16);
}

#[test]
fn where_ring_0_is_interpreted_pages_come_before_they_are_touched_and_can_be_written() {
    let sandbox = Sandbox::boot(BootInfo { features: feature::INTERPRETED, ..boot_info() });
    let at = mmap(&sandbox, 192 * PAGE_SIZE).unwrap();
    assert!(user::store(at + 63 * PAGE_SIZE, 1).is_ok());
    assert!(user::load(at + 64 * PAGE_SIZE).is_err());
    let piece = (at + 64 * PAGE_SIZE).next_multiple_of(64 * PAGE_SIZE);
    assert_eq!(sandbox.load(piece), [0]);
    assert!(user::store(piece + 63 * PAGE_SIZE, 1).is_ok(), "without a fault of its own");
}

#[test]
fn mmap_gives_memory_and_munmap_takes_it_back() {
    let sandbox = Sandbox::new();
    // A neighbour, with which it shares its tables.
    let neighbour = mmap(&sandbox, PAGE_SIZE).unwrap();
    assert_eq!(neighbour, MMAP_BASE - PAGE_SIZE);
    sandbox.store(neighbour, b"x");
    let before = free_frames();
    let at = mmap(&sandbox, 5 * PAGE_SIZE).unwrap();
    assert_eq!(at, neighbour - 5 * PAGE_SIZE);
    sandbox.store(at + PAGE_SIZE - 2, b"abcd");
    assert_eq!(sandbox.load(at + PAGE_SIZE - 2), *b"abcd");
    assert_eq!(sandbox.call(nr64::MUNMAP, [at, 5 * PAGE_SIZE, 0, 0, 0, 0]), Ok(0));
    assert!(user::load(at).is_err());
    assert_eq!(free_frames(), before);
    let end = sandbox.end_of(|| sandbox.store(at, b"x"));
    assert_eq!(end, Request::Killed { signal: 11 });
}

#[test]
fn what_was_unmapped_comes_back_as_zeroes() {
    let sandbox = Sandbox::new();
    for _ in 0..3 {
        let at = mmap(&sandbox, PAGE_SIZE).unwrap();
        assert_eq!(sandbox.load(at), [0; 16]);
        sandbox.store(at, &[0xff; 16]);
        sandbox.call(nr64::MUNMAP, [at, PAGE_SIZE, 0, 0, 0, 0]).unwrap();
    }
}

#[test]
fn mprotect_holds_for_pages_that_are_there_and_for_those_that_come() {
    let sandbox = Sandbox::new();
    sandbox.store(DATA, b"kept");
    assert_eq!(sandbox.call(nr64::MPROTECT, [DATA, SIZE, READ, 0, 0, 0]), Ok(0));
    assert_eq!(sandbox.load(DATA), *b"kept");
    let [pages, all] = sandbox.machine.flushes();
    assert!(pages + all > 0, "the TLB had other entries");
    for at in [DATA, DATA + SIZE - 1] {
        let end = sandbox.end_of(|| sandbox.store(at, b"x"));
        assert_eq!(end, Request::Killed { signal: 11 });
    }
    let beyond = [DATA, 2 * SIZE, READ, 0, 0, 0];
    assert_eq!(sandbox.call(nr64::MPROTECT, beyond), Err(Errno::ENOMEM));
}

#[test]
fn a_table_that_is_given_up_is_not_used_any_more() {
    let sandbox = Sandbox::new();
    let map = |at, prot| {
        let flags = PRIVATE | ANONYMOUS | FIXED;
        sandbox.call(nr64::MMAP, [at, PAGE_SIZE, prot, flags, u64::MAX, 0]).unwrap();
    };
    // In large pages of their own, below one table.
    let [neighbour, first, second] = [6, 8, 10].map(|number| number * LARGE_PAGE_SIZE);
    map(neighbour, READ | WRITE);
    sandbox.store(neighbour, b"x");
    map(first, READ | WRITE);
    sandbox.store(first, b"x");
    sandbox.call(nr64::MPROTECT, [first, PAGE_SIZE, 0, 0, 0, 0]).unwrap();
    // The CPU comes as far as the table, and finds no page there to forget.
    assert!(user::load(first).is_err());
    sandbox.call(nr64::MUNMAP, [first, PAGE_SIZE, 0, 0, 0, 0]).unwrap();
    map(second, READ | WRITE);
    sandbox.store(second, b"x");
    assert!(user::load(first).is_err(), "it has got the table that is another's now");
}

#[test]
fn the_heap_grows_and_shrinks_by_brk() {
    let sandbox = Sandbox::new();
    sandbox.load::<1>(DATA);
    let before = free_frames();
    let brk = |to| sandbox.call(nr64::BRK, [to, 0, 0, 0, 0, 0]).unwrap();
    assert_eq!(brk(HEAP + 100), HEAP + 100);
    sandbox.store(HEAP + 99, b"x");
    assert_eq!(brk(DATA), HEAP + 100, "below its start");
    assert_eq!(brk(HEAP), HEAP);
    assert!(user::load(HEAP).is_err());
    assert_eq!(free_frames(), before);
}

#[test]
fn a_call_of_i386_gets_a_place_below_4_gib() {
    let sandbox = Sandbox::new();
    let flags = (PRIVATE | ANONYMOUS) as u32;
    let at = sandbox.call_32(nr32::MMAP2, [0, 0x1000, 3, flags, u32::MAX, 0]).unwrap();
    assert_eq!(at, 0xf7ff_d000);
    sandbox.store(at.into(), b"x");
}

#[test]
fn a_pointer_that_is_no_good_is_efault_and_leaves_the_program_alive() {
    let sandbox = Sandbox::new();
    let uname = |address| sandbox.call(nr64::UNAME, [address, 0, 0, 0, 0, 0]);
    for address in [0, TEXT, DATA + SIZE - 8, USER_STACK_TOP - 8, u64::MAX - 8, 1 << 47] {
        assert_eq!(uname(address), Err(Errno::EFAULT), "{address:#x}");
    }
    assert_eq!(uname(DATA), Ok(0));
    assert_eq!(sandbox.load(DATA), *b"Linux\0");
}

#[test]
fn mmap_refuses_what_can_never_fit() {
    let sandbox = Sandbox::new();
    let arguments = [0, 1 << 40, READ | WRITE, PRIVATE | ANONYMOUS, u64::MAX, 0];
    assert_eq!(sandbox.call(nr64::MMAP, arguments), Err(Errno::ENOMEM));
}

#[test]
fn when_frames_run_out_a_call_is_enomem_and_a_touch_kills() {
    const MAYMOVE: u64 = 1;
    let sandbox = Sandbox::new();
    let moved = mmap(&sandbox, PAGE_SIZE).unwrap();
    sandbox.store(moved, b"moved");
    let all = mmap(&sandbox, 1 << 30).unwrap();
    let touch = |page: u64| sandbox.store(all + page * PAGE_SIZE, b"x");
    let end = sandbox.end_of(|| (0..1 << 18).for_each(touch));
    assert_eq!(end, Request::Killed { signal: 9 });
    // The page would need tables at its new place.
    let fixed = MAYMOVE | 2;
    let arguments = [moved, PAGE_SIZE, PAGE_SIZE, fixed, 0x10_0000_0000, 0];
    assert_eq!(sandbox.call(nr64::MREMAP, arguments), Err(Errno::ENOMEM));
    assert_eq!(sandbox.load(moved), *b"moved", "nothing was changed");
}

#[test]
fn who_waits_gives_much_memory_back_first() {
    let sandbox = Sandbox::new();
    sandbox.machine.set_vmm(|_, _, _| Ok(0));
    let at = mmap(&sandbox, 400 * PAGE_SIZE).unwrap();
    (0..400).for_each(|page| sandbox.store(at + page * PAGE_SIZE, b"x"));
    sandbox.call(nr64::MUNMAP, [at, 400 * PAGE_SIZE, 0, 0, 0, 0]).unwrap();
    assert_eq!(sandbox.machine.requests(), [], "munmap asks nobody");
    idle::wait().unwrap();
    let requests = sandbox.machine.requests();
    assert!(matches!(requests[..], [Request::Discard, Request::Wait { .. }]), "{requests:?}");
    idle::wait().unwrap();
    assert_eq!(sandbox.machine.requests().len(), 1, "there is no more");
}

#[test]
fn memory_that_grows_down_does_so_up_to_its_limit() {
    const AT: u64 = 0x7000_0000;
    let sandbox = Sandbox::new();
    let flags = PRIVATE | ANONYMOUS | FIXED | 0x100;
    sandbox.call(nr64::MMAP, [AT, PAGE_SIZE, READ | WRITE, flags, u64::MAX, 0]).unwrap();
    sandbox.store(AT - 5 * PAGE_SIZE, b"x");
    assert_eq!(sandbox.load(AT - 5 * PAGE_SIZE), *b"x");
    let unmapped = |address: u64| current().process.memory.lock().area_from(address).unwrap().start;
    assert_eq!(unmapped(0x6000_0000), AT - 5 * PAGE_SIZE, "one mapping");
    // The kernel touches for the program.
    let uname = |address| sandbox.call(nr64::UNAME, [address, 0, 0, 0, 0, 0]);
    assert_eq!(uname(AT - 9 * PAGE_SIZE), Ok(0));
    sandbox.store(DATA, [64 * PAGE_SIZE; 2].map(u64::to_le_bytes).as_flattened());
    sandbox.call(nr64::SETRLIMIT, [RLIMIT_STACK.into(), DATA, 0, 0, 0, 0]).unwrap();
    assert_eq!(uname(AT - 64 * PAGE_SIZE), Err(Errno::EFAULT));
    assert_eq!(uname(AT - 63 * PAGE_SIZE), Ok(0));
}

#[test]
fn a_child_has_what_madvise_says() {
    const AT: u64 = 0x7000_0000;
    let sandbox = Sandbox::new();
    let flags = PRIVATE | ANONYMOUS | FIXED;
    let length = 4 * PAGE_SIZE;
    sandbox.call(nr64::MMAP, [AT, length, READ | WRITE, flags, u64::MAX, 0]).unwrap();
    sandbox.store(AT, &[1; 4 * PAGE_SIZE as usize]);
    let advise = |page: u64, advice| {
        let at = AT + page * PAGE_SIZE;
        sandbox.call(nr64::MADVISE, [at, PAGE_SIZE, advice, 0, 0, 0]).unwrap();
    };
    // A mark of nothing changes nothing.
    let before = current().process.memory.lock().mappings();
    let nothing = [AT + 2 * PAGE_SIZE, 0, 10, 0, 0, 0];
    assert_eq!(sandbox.call(nr64::MADVISE, nothing), Ok(0));
    assert_eq!(current().process.memory.lock().mappings(), before);
    advise(1, 18);
    advise(2, 10);
    sandbox.call(nr64::MLOCK, [AT, PAGE_SIZE, 0, 0, 0, 0]).unwrap();
    let mut child = current().process.memory.lock().fork().unwrap();
    let there = [0, 1, 2, 3].map(|page| child.is_resident(AT + page * PAGE_SIZE));
    assert_eq!(there, [Some(true), Some(false), None, Some(true)]);
    assert_eq!((child.locked_pages(), current().process.memory.lock().locked_pages()), (0, 1));
    assert_eq!(sandbox.load(AT + PAGE_SIZE), [1], "the parent keeps its own");
}

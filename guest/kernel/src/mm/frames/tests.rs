//! Free frames, and frames with owners.

use super::*;
use trapgate_abi::layout::KERNEL_PHYS_END;
use trapgate_arch::fake::{self, Machine};

/// RAM of the tests' machine.
const RAM: u64 = 4 << 20;

/// A machine whose free frames are those of a range, and its frames.
fn frames(interpreted: bool) -> Machine {
    let machine = Machine::new(RAM);
    let fresh = Range { start: KERNEL_PHYS_END, end: RAM };
    FRAMES.lock().init([fresh, Range::ZERO], interpreted);
    machine
}

fn is_zero(run: Range) -> bool {
    let bytes = fake::bytes_of(&Segment { address: run.start, length: run.len() });
    bytes.iter().all(|&byte| byte == 0)
}

fn dirty(run: Range) {
    let bytes = vec![0xaa; run.len() as usize];
    fake::fill(&Segment { address: run.start, length: run.len() }, &bytes);
}

/// All frames that can be taken, run by run.
fn take_all(most: u64) -> Vec<Range> {
    core::iter::from_fn(|| FRAMES.lock().take(most)).collect()
}

#[test]
fn frames_come_once_and_as_zeroes_however_they_were_given_up() {
    let _machine = frames(false);
    let total = FRAMES.lock().available();
    for most in [1, 3, 16, 512, 7] {
        let mut runs = take_all(most);
        let taken: u64 = runs.iter().map(|run| run.len() / PAGE_SIZE).sum();
        assert_eq!(taken, total - FRAMES.lock().reserve, "all but the reserve");
        assert!(runs.iter().all(|&run| run.len() <= most * PAGE_SIZE && is_zero(run)));
        runs.sort_by_key(|run| run.start);
        assert!(runs.windows(2).all(|pair| pair[0].end <= pair[1].start), "no frame twice");
        // In an order that leaves no long runs.
        for (index, run) in runs.iter().enumerate() {
            if index % 3 == 0 {
                FRAMES.lock().give_back(*run);
            }
        }
        for (_, run) in runs.iter().enumerate().filter(|(index, _)| index % 3 != 0) {
            dirty(*run);
            FRAMES.lock().give_up(*run);
        }
        assert_eq!(FRAMES.lock().available(), total);
    }
}

#[test]
fn giving_frames_up_touches_neither_them_nor_the_host() {
    let machine = frames(false);
    let run = FRAMES.lock().take(5).unwrap();
    dirty(run);
    FRAMES.lock().give_up(run);
    let bytes = fake::bytes_of(&Segment { address: run.start, length: run.len() });
    assert!(bytes.iter().all(|&byte| byte == 0xaa));
    assert_eq!(machine.requests(), []);
}

#[test]
fn what_was_taken_and_not_used_goes_back_without_a_note() {
    let _machine = frames(false);
    let frames = &mut *FRAMES.lock();
    let mut run = frames.take(16).unwrap();
    let all = run;
    run.start += 4 * PAGE_SIZE;
    frames.give_back(run);
    assert_eq!(frames.zero.frames(), 0);
    assert!((number(all.start)..number(all.end)).all(|frame| frames.table.get(frame) == 0));
    assert_eq!(frames.take(1).unwrap().start, run.start);
}

#[test]
fn a_frame_is_free_when_its_last_owner_has_gone() {
    let _machine = frames(false);
    let frames = &mut *FRAMES.lock();
    let frame = frames.take(1).unwrap().start;
    assert!(frames.is_exclusive(frame));
    frames.own(frame);
    frames.own(frame);
    assert!(!frames.is_exclusive(frame));
    assert!(!frames.disown(frame) && !frames.disown(frame) && frames.disown(frame));
}

#[test]
fn a_frame_that_nobody_can_count_further_is_never_free() {
    let _machine = frames(false);
    let frames = &mut *FRAMES.lock();
    let frame = frames.take(1).unwrap().start;
    frames.table.set(number(frame), SATURATED - 1);
    frames.own(frame);
    frames.own(frame);
    for _ in 0..3 {
        assert!(!frames.disown(frame) && !frames.is_exclusive(frame));
    }
}

#[test]
fn runs_leave_the_reserve_and_come_from_used_frames_too() {
    let _machine = frames(false);
    let total = FRAMES.lock().available();
    let reserve = FRAMES.lock().reserve;
    assert!(reserve > 0);
    assert_eq!(FRAMES.lock().allocate_run(total), None);
    let all = FRAMES.lock().allocate_run(total - reserve).unwrap();
    assert_eq!(FRAMES.lock().allocate_run(1), None);
    assert_eq!(for_heap(PAGE_SIZE, false), None);
    for _ in 0..reserve {
        assert!(for_heap(PAGE_SIZE, true).is_some(), "the kernel's own page");
    }
    // Two runs, of which the second is long enough.
    let piece = |first: u64, count: u64| Range {
        start: all + first * PAGE_SIZE,
        end: all + (first + count) * PAGE_SIZE,
    };
    for run in [piece(40, 300), piece(20, 2), piece(10, 1)] {
        dirty(run);
        FRAMES.lock().give_up(run);
    }
    let start = FRAMES.lock().allocate_run(4).unwrap();
    assert_eq!(start, piece(40, 1).start);
    assert!(is_zero(piece(40, 4)));
    let mut rest = take_all(100);
    rest.sort_by_key(|run| run.start);
    assert!(rest.iter().all(|&run| is_zero(run)));
    assert!(rest.iter().all(|run| run.start != start), "no frame twice");
}

/// Answers `Discard` as the VMM does, or not at all.
fn discarding(machine: &Machine, works: bool) {
    machine.set_vmm(move |request, segments, _| {
        assert_eq!(request, Request::Discard);
        assert!(FRAMES.try_lock().is_some(), "a request while the frames are locked");
        if !works {
            return Err(trapgate_uapi::Errno::EINVAL);
        }
        for segment in segments {
            fake::fill(segment, &vec![0; segment.length as usize]);
        }
        Ok(0)
    });
}

#[test]
fn where_ring_0_is_interpreted_the_host_clears_many_frames_at_once() {
    for works in [true, false] {
        let machine = frames(true);
        discarding(&machine, works);
        let total = FRAMES.lock().available();
        let run = FRAMES.lock().take(64).unwrap();
        dirty(run);
        FRAMES.lock().give_up(run);
        stock(64);
        assert_eq!(machine.requests(), [Request::Discard]);
        assert_eq!(FRAMES.lock().available(), total);
        stock(if works { 64 } else { 0 });
        assert_eq!(machine.requests(), [], "there are enough now");
        let again = FRAMES.lock().take(64).unwrap();
        assert!(is_zero(again));
        assert_eq!(again.start == run.start, works, "else what was never used comes first");
    }
}

#[test]
fn with_native_ring_0_there_is_nothing_to_stock() {
    let machine = frames(false);
    let run = FRAMES.lock().take(64).unwrap();
    FRAMES.lock().give_up(run);
    stock(64);
    assert_eq!(machine.requests(), []);
}

#[test]
fn when_there_is_nothing_to_do_memory_goes_back_to_the_host_but_for_a_rest() {
    let machine = frames(false);
    discarding(&machine, true);
    assert!(!tidy(1000), "nothing was used");
    let start = FRAMES.lock().allocate_run(KEPT_DIRTY + 100).unwrap();
    let run = Range { start, end: start + (KEPT_DIRTY + 100) * PAGE_SIZE };
    let total = FRAMES.lock().available();
    dirty(run);
    FRAMES.lock().give_up(run);
    assert!(tidy(30), "more is left");
    assert_eq!(FRAMES.lock().dirty.frames(), KEPT_DIRTY + 70);
    assert!(!tidy(1000));
    assert_eq!(machine.requests(), [Request::Discard; 2]);
    assert_eq!(FRAMES.lock().dirty.frames(), KEPT_DIRTY);
    assert_eq!(FRAMES.lock().available(), total + KEPT_DIRTY + 100);
    assert!(!tidy(1000));
    assert_eq!(machine.requests(), []);
    discarding(&machine, false);
    let more = FRAMES.lock().take(100).unwrap();
    FRAMES.lock().give_up(more);
    assert!(!tidy(1000), "a host that takes nothing is not asked again and again");
}

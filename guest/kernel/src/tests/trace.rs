//! Calls as trace records.

use super::{DATA, FREE, Sandbox, boot_info};
use crate::sys::table::{SYS_CALL_TABLE_32, SYS_CALL_TABLE_64};
use crate::sys::traced::{entered_32, entered_64, left_32, left_64};
use trapgate_abi::PtRegs;
use trapgate_abi::boot_info::Range;
use trapgate_abi::hypercall::Request;
use trapgate_abi::trace::{CAPACITY, Door, Event, HALF, RING_SIZE, Record, RecordId, Way};
use trapgate_arch::fake::TraceRing;
use trapgate_uapi::Errno;
use trapgate_uapi::syscall::{Abi, X32_BIT, nr32, nr64};

/// A kernel with a ring, and a VMM that takes what is in it only if it `listens`.
fn traced(listens: bool) -> Sandbox {
    let mut boot = boot_info();
    boot.free[0] = Range { start: FREE + RING_SIZE, ..boot.free[0] };
    let sandbox = Sandbox::boot(boot);
    sandbox.machine.set_trace_ring(FREE);
    sandbox.machine.set_vmm(move |request, _, _| {
        if listens && request == Request::Drain {
            TraceRing::take();
        }
        Ok(0)
    });
    sandbox
}

impl Sandbox {
    /// A call of x86-64's, as the dispatch makes it when it is traced.
    fn traced_call(&self, number: u32, arguments: [u64; 3]) -> u64 {
        let [rdi, rsi, rdx] = arguments;
        let mut regs = PtRegs { rdi, rsi, rdx, ..self.registers(number) };
        let entry = entered_64(&regs, Way::native(Door::Syscall64).bits());
        let handler = SYS_CALL_TABLE_64[(number as usize).min(SYS_CALL_TABLE_64.len() - 1)];
        regs.rax = handler(&regs);
        left_64(&regs, entry);
        regs.rax
    }
}

/// Beginning and end of the one call that was made.
fn pair(records: &[Record]) -> (trapgate_abi::trace::Entry, trapgate_abi::trace::Exit) {
    let [first, second] = records else { panic!("{records:?}") };
    let (Event::Entry(entry), Event::Exit(exit)) = (first.event, second.event) else {
        panic!("{records:?}")
    };
    assert_eq!(exit.entry, first.head.id);
    assert_eq!(second.head.id, RecordId(first.head.id.0 + 1));
    (entry, exit)
}

#[test]
fn a_call_leaves_a_record_when_it_begins_and_one_when_it_ends() {
    let sandbox = traced(true);
    sandbox.machine.set_tsc(1234);
    let result = sandbox.traced_call(nr64::CLOSE, [77, 2, 3]);
    assert_eq!(result, Errno::EBADF.number().wrapping_neg());
    let (records, lost) = TraceRing::take();
    let (entry, exit) = pair(&records);
    assert_eq!((entry.abi, entry.number), (Abi::X86_64, nr64::CLOSE.into()));
    assert_eq!(entry.arguments, [77, 2, 3, 0, 0, 0]);
    assert_eq!(entry.way, Way::native(Door::Syscall64));
    assert_eq!((exit.abi, exit.number, exit.result), (entry.abi, entry.number, result));
    let head = records[0].head;
    assert_eq!((head.thread, head.process, head.tsc, lost), (1, 1, 1234, 0));
    assert_eq!(sandbox.machine.requests(), [], "the VM is not left for it");
}

#[test]
fn each_abi_has_its_own_registers_and_numbers() {
    let sandbox = traced(true);
    let mut regs =
        PtRegs { rbx: 0xffff_ffff_0000_0007, rcx: DATA, rdx: 3, ..sandbox.registers(nr32::GETPID) };
    let way = Way::trapped(Door::Sysenter);
    let entry = entered_32(&regs, way.bits());
    regs.rax = SYS_CALL_TABLE_32[nr32::GETPID as usize](&regs);
    left_32(&regs, entry);
    let (entry, exit) = pair(&TraceRing::take().0);
    assert_eq!((entry.abi, entry.way), (Abi::I386, way));
    assert_eq!(entry.arguments[..3], [7, DATA, 3]);
    assert_eq!(exit.result, 1);

    for (number, abi) in
        [(X32_BIT | nr64::GETPID, Abi::X32), (5000, Abi::X86_64), (u32::MAX, Abi::X32)]
    {
        sandbox.traced_call(number, [0; 3]);
        let (entry, exit) = pair(&TraceRing::take().0);
        assert_eq!(entry.abi, abi, "{number:#x}");
        assert_eq!((entry.number, exit.number), (number.into(), number.into()));
    }
}

#[test]
fn a_call_that_does_not_come_back_leaves_its_beginning() {
    let sandbox = traced(true);
    let end = sandbox.end_of(|| {
        sandbox.traced_call(nr64::EXIT_GROUP, [3, 0, 0]);
    });
    assert_eq!(end, Request::Exit { status: 3 });
    let (records, _) = TraceRing::take();
    assert!(matches!(records[..], [Record { event: Event::Entry(entry), .. }]
        if entry.number == nr64::EXIT_GROUP.into() && entry.arguments[0] == 3));
}

#[test]
fn the_kernel_leaves_for_the_vmm_once_in_half_a_ring_and_nothing_is_lost_on_the_way_round() {
    let sandbox = traced(true);
    let calls = 5 * CAPACITY;
    for _ in 0..calls {
        sandbox.traced_call(nr64::GETPID, [0; 3]);
    }
    let exits = sandbox.machine.requests().len() as u64;
    assert_eq!(exits, (2 * calls - 1) / HALF);
    assert!(calls / exits >= 500, "{exits} exits for {calls} calls");
    let (records, lost) = TraceRing::take();
    assert_eq!(lost, 0);
    assert_eq!(records.last().map(|record| record.head.id), Some(RecordId(2 * calls - 1)));
}

#[test]
fn a_ring_that_was_taken_from_meanwhile_is_not_left_for() {
    let sandbox = traced(true);
    for _ in 0..4 * CAPACITY / 100 {
        for _ in 0..100 {
            sandbox.traced_call(nr64::GETPID, [0; 3]);
        }
        TraceRing::take();
    }
    assert_eq!(sandbox.machine.requests(), []);
}

#[test]
fn what_finds_no_room_is_counted_and_a_vmm_that_does_not_listen_is_seldom_asked() {
    let sandbox = traced(false);
    let calls = 2 * CAPACITY;
    for _ in 0..calls {
        sandbox.traced_call(nr64::GETPID, [0; 3]);
    }
    // Full after one lap; from then on nothing is written, so nobody is asked.
    assert_eq!(sandbox.machine.requests().len() as u64, CAPACITY / HALF);
    let (records, lost) = TraceRing::take();
    assert_eq!((records.len() as u64, lost), (CAPACITY, 2 * calls - CAPACITY));
    // And it goes on.
    sandbox.traced_call(nr64::GETPID, [0; 3]);
    pair(&TraceRing::take().0);
}

#[test]
fn an_end_whose_beginning_was_lost_says_so() {
    let sandbox = traced(false);
    for _ in 0..CAPACITY / 2 {
        sandbox.traced_call(nr64::GETPID, [0; 3]);
    }
    let regs = sandbox.registers(nr64::GETPID);
    let entry = entered_64(&regs, Way::native(Door::Syscall64).bits());
    assert_eq!(entry, RecordId::LOST);
    TraceRing::take();
    left_64(&regs, entry);
    let (records, lost) = TraceRing::take();
    assert_eq!(lost, 1);
    assert!(matches!(records[..], [Record { event: Event::Exit(exit), .. }]
        if exit.entry == RecordId::LOST));
}

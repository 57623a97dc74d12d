//! Epolls and timers that are files, as one program sees them: what only the kernel's own
//! tests can show, or show best. What Linux does is compared in tests/cases.

use super::{DATA, Sandbox, boot_info};
use crate::sched::idle;
use std::cell::Cell;
use std::rc::Rc;
use trapgate_abi::boot_info::{BootInfo, ClockInfo};
use trapgate_abi::event::Event;
use trapgate_abi::hypercall::{Request, put_event, watch_entries};
use trapgate_uapi::Errno;
use trapgate_uapi::syscall::nr64;

const IN: u32 = 1;
const OUT: u32 = 4;
const EDGE: u32 = 1 << 31;
const ADD: u64 = 1;
const DELETE: u64 = 2;
const MODIFY: u64 = 3;

fn sandbox() -> Sandbox {
    let clock = ClockInfo { multiplier: 1 << 32, monotonic_ns: 5000, ..ClockInfo::ZERO };
    Sandbox::boot(BootInfo { clock, ..boot_info() })
}

impl Sandbox {
    fn epoll(&self) -> u64 {
        self.call(nr64::EPOLL_CREATE1, [0; 6]).unwrap()
    }

    fn counter(&self, count: u64) -> u64 {
        self.call(nr64::EVENTFD2, [count, 0o4000, 0, 0, 0, 0]).unwrap()
    }

    fn control(&self, epoll: u64, operation: u64, fd: u64, events: u32) -> Result<u64, Errno> {
        self.store(DATA, &events.to_le_bytes());
        self.store(DATA + 4, &fd.to_le_bytes());
        self.call(nr64::EPOLL_CTL, [epoll, operation, fd, DATA, 0, 0])
    }

    /// What is told at once: events and data.
    fn told(&self, epoll: u64) -> Vec<(u32, u64)> {
        let count = self.call(nr64::EPOLL_WAIT, [epoll, DATA + 0x100, 8, 0, 0, 0]).unwrap();
        (0..count)
            .map(|index| {
                let at = DATA + 0x100 + index * 12;
                (u32::from_le_bytes(self.load(at)), self.load_word(at + 4))
            })
            .collect()
    }

    fn write_word(&self, fd: u64, word: u64) {
        self.store(DATA, &word.to_le_bytes());
        assert_eq!(self.call(nr64::WRITE, [fd, DATA, 8, 0, 0, 0]), Ok(8));
    }

    fn read_word(&self, fd: u64) -> Result<u64, Errno> {
        self.call(nr64::READ, [fd, DATA, 8, 0, 0, 0])?;
        Ok(self.load_word(DATA))
    }
}

const EVERY: std::ops::Range<u32> = 0..3;

#[test]
fn what_is_ready_is_told_of_as_long_as_it_is() {
    let sandbox = sandbox();
    let (epoll, counter) = (sandbox.epoll(), sandbox.counter(0));
    sandbox.control(epoll, ADD, counter, IN).unwrap();
    assert_eq!(sandbox.told(epoll), []);
    sandbox.write_word(counter, 1);
    for _ in EVERY {
        assert_eq!(sandbox.told(epoll), [(IN, counter)]);
    }
    sandbox.read_word(counter).unwrap();
    assert_eq!(sandbox.told(epoll), []);
    sandbox.control(epoll, MODIFY, counter, OUT).unwrap();
    assert_eq!(sandbox.told(epoll), [(OUT, counter)]);
    sandbox.control(epoll, DELETE, counter, 0).unwrap();
    assert_eq!(sandbox.told(epoll), []);
    assert_eq!(sandbox.machine.requests(), [], "and nobody was asked");
}

#[test]
fn an_edge_is_told_of_once_and_reading_is_none() {
    let sandbox = sandbox();
    let epoll = sandbox.epoll();
    let counter = sandbox.call(nr64::EVENTFD2, [0, 0o4001, 0, 0, 0, 0]).unwrap();
    sandbox.control(epoll, ADD, counter, IN | EDGE).unwrap();
    sandbox.write_word(counter, 3);
    assert_eq!(sandbox.told(epoll), [(IN, counter)]);
    sandbox.read_word(counter).unwrap();
    assert_eq!(sandbox.told(epoll), [], "a read is no edge for who waits to read");
    sandbox.write_word(counter, 1);
    assert_eq!(sandbox.told(epoll), [(IN, counter)]);
}

#[test]
fn a_file_that_is_closed_leaves_and_one_that_is_duplicated_stays() {
    let sandbox = sandbox();
    let (epoll, counter) = (sandbox.epoll(), sandbox.counter(1));
    sandbox.control(epoll, ADD, counter, IN).unwrap();
    let twin = sandbox.call(nr64::DUP, [counter, 0, 0, 0, 0, 0]).unwrap();
    let close = |fd| sandbox.call(nr64::CLOSE, [fd, 0, 0, 0, 0, 0]).unwrap();
    close(counter);
    assert_eq!(sandbox.told(epoll), [(IN, counter)]);
    close(twin);
    assert_eq!(sandbox.told(epoll), []);
    // The epoll goes first.
    let counter = sandbox.counter(1);
    sandbox.control(epoll, ADD, counter, IN).unwrap();
    close(epoll);
    sandbox.write_word(counter, 1);
    close(counter);
}

#[test]
fn places_are_used_again_and_events_come_in_turn() {
    let sandbox = sandbox();
    let epoll = sandbox.epoll();
    let counters: Vec<u64> = (0..20).map(|_| sandbox.counter(1)).collect();
    counters.iter().for_each(|&fd| _ = sandbox.control(epoll, ADD, fd, IN).unwrap());
    // Eight at a time, and those that were told of last are last.
    let mut told: Vec<u64> = vec![];
    for _ in 0..5 {
        told.extend(sandbox.told(epoll).iter().map(|(_, data)| data));
    }
    assert_eq!(told[..20], counters);
    assert_eq!(told[20..], counters);
    for &fd in &counters[3..17] {
        sandbox.control(epoll, DELETE, fd, 0).unwrap();
    }
    assert_eq!(sandbox.told(epoll).len(), 6);
    for &fd in counters[3..17].iter().rev() {
        sandbox.control(epoll, ADD, fd, IN).unwrap();
    }
    let mut all: Vec<u64> = (0..3).flat_map(|_| sandbox.told(epoll)).map(|told| told.1).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all, counters);
}

#[test]
fn standard_input_is_told_of_and_asked_for_again_only_if_something_was_read() {
    let sandbox = sandbox();
    let ready = Rc::new(Cell::new(false));
    sandbox.machine.set_vmm({
        let ready = ready.clone();
        move |request, _, message| match request {
            Request::Watch { .. } => {
                let entries: Vec<_> = watch_entries(message).unwrap().collect();
                for (word, entry) in message[1..].iter_mut().zip(&entries) {
                    *word = if ready.get() { u64::from(entry.mask) & u64::from(IN) } else { 0 };
                }
                Ok(entries.len() as u64)
            }
            Request::Wait { .. } => {
                ready.set(true);
                let event = Event::Ready { file: 0, mask: IN as u16, generation: 1 };
                assert!(put_event(message, 0, event));
                Ok(1)
            }
            Request::Read { .. } => Err(Errno::EAGAIN),
            _ => Ok(0),
        }
    });
    let epoll = sandbox.epoll();
    sandbox.control(epoll, ADD, 0, IN | EDGE).unwrap();
    assert_eq!(sandbox.told(epoll), []);
    let look = Request::Watch { arm: true };
    assert_eq!(sandbox.machine.requests(), [look], "it is watched, and asked for once");
    idle::look();
    assert_eq!(sandbox.told(epoll), [(IN, 0)]);
    sandbox.machine.requests();
    for _ in EVERY {
        assert_eq!(sandbox.told(epoll), []);
    }
    assert_eq!(sandbox.machine.requests(), []);
    const SETFL: u64 = 4;
    sandbox.call(nr64::FCNTL, [0, SETFL, 0o4000, 0, 0, 0]).unwrap();
    assert_eq!(sandbox.call(nr64::READ, [0, DATA, 8, 0, 0, 0]), Err(Errno::EAGAIN));
    assert_eq!(sandbox.told(epoll), [(IN, 0)]);
}

#[test]
fn a_timer_counts_what_has_passed_when_it_is_read() {
    let sandbox = sandbox();
    sandbox.machine.set_vmm(|_, _, _| Ok(0));
    let timer = sandbox.call(nr64::TIMERFD_CREATE, [1, 0o4000, 0, 0, 0, 0]).unwrap();
    let times = |interval: u64, value: u64| {
        sandbox.store(DATA, [0, interval, 0, value].map(u64::to_le_bytes).as_flattened());
    };
    let at = |now| {
        sandbox.machine.tsc().set(now);
        idle::look();
    };
    times(100, 250);
    assert_eq!(sandbox.call(nr64::TIMERFD_SETTIME, [timer, 0, DATA, 0, 0, 0]), Ok(0));
    let tick = Request::Tick { after_ns: 250, period_ns: 0 };
    assert_eq!(sandbox.machine.requests(), [tick], "an interrupt comes, if nobody waits");
    assert_eq!(sandbox.read_word(timer), Err(Errno::EAGAIN));
    at(250);
    at(455);
    assert_eq!(sandbox.read_word(timer), Ok(3));
    assert_eq!(sandbox.read_word(timer), Err(Errno::EAGAIN));
    assert_eq!(sandbox.call(nr64::TIMERFD_GETTIME, [timer, DATA, 0, 0, 0, 0]), Ok(0));
    assert_eq!([8, 24].map(|offset| sandbox.load_word(DATA + offset)), [100, 95]);
    // One that is over since before the start counts from its beginning.
    times(1000, 1000);
    const ABSTIME: u64 = 1;
    assert_eq!(sandbox.call(nr64::TIMERFD_SETTIME, [timer, ABSTIME, DATA, 0, 0, 0]), Ok(0));
    assert_eq!(sandbox.read_word(timer), Ok(5));
}

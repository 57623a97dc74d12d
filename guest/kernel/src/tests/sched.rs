//! Waiting: what the VMM is asked, and who goes on when.

use super::{DATA, Sandbox, boot_info};
use crate::sched::idle;
use crate::sched::timers::{Expire, Timer};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, Mutex, Weak};
use trapgate_abi::boot_info::{BootInfo, ClockInfo};
use trapgate_abi::event::{Event, WatchEntry};
use trapgate_abi::hypercall::{Message, NEVER, Request, put_event, watch_entries};
use trapgate_arch::fake::{bytes_of, fill};
use trapgate_uapi::Errno;
use trapgate_uapi::fcntl::O_NONBLOCK;
use trapgate_uapi::syscall::nr64;

const IN: u16 = 1;
const OUT: u16 = 4;
const NONE: [u64; 6] = [0; 6];

/// One whose counter ticks once a nanosecond, with these signals ignored.
fn sandbox(ignored_signals: u64) -> Sandbox {
    let clock = ClockInfo { multiplier: 1 << 32, ..ClockInfo::ZERO };
    Sandbox::boot(BootInfo { clock, ignored_signals, ..boot_info() })
}

/// Answers to waits, one after the other: how far the time has gone on then, and
/// what has happened.
type Script = Rc<RefCell<VecDeque<(u64, Vec<Event>)>>>;

/// A VMM in which a transfer is EAGAIN until the file was told of.
struct Host {
    script: Script,
    /// What was asked to be watched.
    watched: Rc<RefCell<Vec<WatchEntry>>>,
    ready: Rc<Cell<bool>>,
}

fn host(sandbox: &Sandbox, script: Vec<(u64, Vec<Event>)>) -> Host {
    let script: Script = Rc::new(RefCell::new(script.into()));
    let (watched, ready) = (Rc::<RefCell<Vec<_>>>::default(), Rc::new(Cell::new(false)));
    let host = Host { script: script.clone(), watched: watched.clone(), ready: ready.clone() };
    let machine = sandbox.machine.tsc();
    let mut now = 0;
    sandbox.machine.set_vmm(move |request, segments, message| match request {
        Request::Wait { timeout_ns } => {
            let next = script.borrow_mut().pop_front();
            let (after, events) = next.unwrap_or_else(|| match timeout_ns {
                0 => (0, vec![]),
                _ => panic!("it waits for ever"),
            });
            now += after.min(timeout_ns);
            machine.set(now);
            ready.set(
                ready.get() || events.iter().any(|event| matches!(event, Event::Ready { .. })),
            );
            Ok(put(message, &events))
        }
        Request::Watch { .. } => {
            let entries: Vec<_> = watch_entries(message).unwrap().collect();
            let count = entries.len();
            watched.borrow_mut().extend(entries.iter().copied());
            for (word, entry) in message[1..].iter_mut().zip(entries) {
                *word = if ready.get() { entry.mask.into() } else { 0 };
            }
            Ok(if ready.get() { count as u64 } else { 0 })
        }
        Request::Read { .. } | Request::Write { .. } if !ready.replace(false) => Err(Errno::EAGAIN),
        Request::Read { .. } => Ok(fill(&segments[0], b"input")),
        // A few bytes at a time.
        Request::Write { .. } => Ok(bytes_of(&segments[0]).len().min(3) as u64),
        _ => Ok(0),
    });
    host
}

fn put(message: &mut Message, events: &[Event]) -> u64 {
    for (index, event) in events.iter().enumerate() {
        assert!(put_event(message, index, *event));
    }
    events.len() as u64
}

fn ready(file: u32, generation: u32) -> Event {
    Event::Ready { file, mask: IN | OUT, generation }
}

#[test]
fn a_read_of_an_empty_file_watches_it_and_waits() {
    let sandbox = sandbox(0);
    // An event of another generation is of another time.
    let host = host(&sandbox, vec![(1, vec![ready(0, 77)]), (1, vec![ready(0, 1)])]);
    host.ready.set(false);
    let script = host.script.clone();
    assert_eq!(sandbox.call(nr64::READ, [0, DATA, 100, 0, 0, 0]), Ok(5));
    assert!(script.borrow().is_empty());
    assert_eq!(sandbox.load(DATA), *b"input");
    let watch = WatchEntry { file: 0, mask: IN, generation: 1 };
    assert_eq!(host.watched.borrow()[0], watch);
    let read = Request::Read { file: 0, flags: 0 };
    let wait = Request::Wait { timeout_ns: NEVER };
    let look = Request::Watch { arm: true };
    assert_eq!(sandbox.machine.requests(), [read, look, wait, wait, look, read]);
}

#[test]
fn a_write_that_may_wait_writes_all() {
    let sandbox = sandbox(0);
    let told = (1..=3).map(|generation| (1, vec![ready(1, generation)])).collect();
    let host = host(&sandbox, told);
    assert_eq!(sandbox.call(nr64::WRITE, [1, DATA, 9, 0, 0, 0]), Ok(9));
    assert!(host.script.borrow().is_empty());
    assert!(host.watched.borrow().iter().all(|entry| entry.mask == OUT));
}

#[test]
fn a_signal_ends_a_write_that_the_host_always_takes() {
    let sandbox = sandbox(0);
    let host = host(&sandbox, vec![(0, vec![]), (0, vec![Event::Signal { number: 15 }])]);
    sandbox.machine.set_vmm({
        let (script, mut took) = (host.script.clone(), 0);
        move |request, _, message| match request {
            Request::Write { .. } => {
                took += 1;
                assert!(took < 100, "it hears of nothing");
                Ok(3)
            }
            Request::Wait { timeout_ns: 0 } => {
                Ok(put(message, &script.borrow_mut().pop_front().unwrap().1))
            }
            _ => Ok(0),
        }
    });
    let end = sandbox.last_call(nr64::WRITE, [1, DATA, 1000, 0, 0, 0]);
    assert_eq!(end, Request::Killed { signal: 15 });
    assert!(host.script.borrow().is_empty());
}

#[test]
fn what_is_ready_and_moves_nothing_is_waited_for_a_little() {
    for may_sleep in [true, false] {
        let sandbox = sandbox(0);
        let mut looks = 0;
        sandbox.machine.set_vmm(move |request, _, message| match request {
            Request::Write { .. } => Err(Errno::EAGAIN),
            Request::Watch { .. } => {
                message[1] = OUT.into();
                Ok(1)
            }
            Request::Wait { timeout_ns: 1.. } if !may_sleep => Err(Errno::EPERM),
            Request::Wait { .. } => {
                looks += 1;
                Ok(put(message, &[Event::Signal { number: 15 }][..usize::from(looks == 3)]))
            }
            _ => Ok(0),
        });
        let end = sandbox.last_call(nr64::WRITE, [1, DATA, 9, 0, 0, 0]);
        assert_eq!(end, Request::Killed { signal: 15 });
    }
}

#[test]
fn who_must_not_wait_does_not() {
    let sandbox = sandbox(0);
    let _host = host(&sandbox, vec![]);
    const SETFL: u64 = 4;
    for (fd, number) in [(0, nr64::READ), (1, nr64::WRITE)] {
        assert_eq!(sandbox.call(nr64::FCNTL, [fd, SETFL, O_NONBLOCK.into(), 0, 0, 0]), Ok(0));
        assert_eq!(sandbox.call(number, [fd, DATA, 1, 0, 0, 0]), Err(Errno::EAGAIN));
    }
    assert_eq!(sandbox.machine.requests().len(), 2);
}

#[test]
fn a_sleep_is_one_request_and_one_that_was_too_short_goes_on() {
    let sandbox = sandbox(0);
    let _host = host(&sandbox, vec![(NEVER, vec![]), (600, vec![]), (NEVER, vec![])]);
    sandbox.store(DATA, [0u64, 1000].map(u64::to_le_bytes).as_flattened());
    let sleep = || {
        assert_eq!(sandbox.call(nr64::NANOSLEEP, [DATA, 0, 0, 0, 0, 0]), Ok(0));
        sandbox.machine.requests()
    };
    assert_eq!(sleep(), [Request::Wait { timeout_ns: 1000 }]);
    assert_eq!(sleep(), [1000, 400].map(|timeout_ns| Request::Wait { timeout_ns }));
    // A time that is over is none to wait for.
    const ABSTIME: u64 = 1;
    let until = [1, ABSTIME, DATA, 0, 0, 0];
    assert_eq!(sandbox.call(nr64::CLOCK_NANOSLEEP, until), Ok(0));
    assert_eq!(sandbox.machine.requests(), []);
}

#[test]
fn a_signal_ends_a_wait_and_an_ignored_one_does_not() {
    let sandbox = sandbox(1 << 1);
    let signals = [2, 17, 15].map(|number| (1, vec![Event::Signal { number }]));
    let _host = host(&sandbox, signals.into());
    assert_eq!(sandbox.last_call(nr64::PAUSE, NONE), Request::Killed { signal: 15 });
}

#[test]
fn a_blocked_signal_waits_until_it_is_unblocked() {
    let sandbox = sandbox(0);
    let _host = host(&sandbox, vec![(1, vec![Event::Signal { number: 15 }]), (NEVER, vec![])]);
    let mask = |how, set: u64| {
        sandbox.store(DATA, &set.to_le_bytes());
        [how, DATA, 0, 8, 0, 0]
    };
    assert_eq!(sandbox.call(nr64::RT_SIGPROCMASK, mask(0, 1 << 14)), Ok(0));
    assert_eq!(sandbox.call(nr64::POLL, [0, 0, 1, 0, 0, 0]), Ok(0));
    let unblock = mask(1, 1 << 14);
    assert_eq!(sandbox.last_call(nr64::RT_SIGPROCMASK, unblock), Request::Killed { signal: 15 });
}

#[test]
fn a_mask_holds_while_ppoll_and_pselect_wait_and_no_longer() {
    const BLOCK: u64 = 0;
    let block = |sandbox: &Sandbox, mask: u64| {
        sandbox.store(DATA, &mask.to_le_bytes());
        assert_eq!(sandbox.call(nr64::RT_SIGPROCMASK, [BLOCK, DATA, 0, 8, 0, 0]), Ok(0));
        // No time; nothing is blocked; where that is, and how long.
        let words = [0, 0, 0, DATA + 16, 8].map(u64::to_le_bytes);
        sandbox.store(DATA, words.as_flattened());
    };
    let (time, mask, pack) = (DATA, DATA + 16, DATA + 24);
    let calls =
        [(nr64::PPOLL, [0, 0, time, mask, 8, 0]), (nr64::PSELECT6, [0, 0, 0, 0, time, pack])];
    for (number, now) in calls {
        let mut for_ever = now;
        for_ever[if number == nr64::PPOLL { 2 } else { 4 }] = 0;
        // What comes while it waits acts, though it is blocked before and after.
        let sandbox = sandbox(0);
        let _host = host(&sandbox, vec![(1, vec![Event::Signal { number: 15 }])]);
        block(&sandbox, 1 << 14);
        assert_eq!(sandbox.last_call(number, for_ever), Request::Killed { signal: 15 });
        drop(sandbox);
        // The mask is what it was, after nothing has come.
        let sandbox = self::sandbox(0);
        let script = vec![(1, vec![Event::Signal { number: 15 }]), (1_000_000, vec![])];
        let _host = host(&sandbox, script);
        block(&sandbox, 1 << 14);
        assert_eq!(sandbox.call(number, now), Ok(0));
        assert_eq!(sandbox.call(nr64::POLL, [0, 0, 1, 0, 0, 0]), Ok(0), "blocked again");
        // What has come before acts, also if there is no time.
        assert_eq!(sandbox.last_call(number, now), Request::Killed { signal: 15 });
        drop(sandbox);
        // The same, if it is ignored: SIGCHLD.
        let sandbox = self::sandbox(0);
        let one = |number| [(1, vec![Event::Signal { number }]), (1_000_000, vec![])];
        let _host = host(&sandbox, [one(17), one(15)].concat());
        let poll = || sandbox.call(nr64::POLL, [0, 0, 1, 0, 0, 0]);
        block(&sandbox, 1 << 14 | 1 << 16);
        assert_eq!(poll(), Ok(0));
        let made_again = sandbox.call(number, now);
        assert_eq!(made_again, Ok(number.into()), "it was let through, and nobody handles it");
        assert_eq!(poll(), Ok(0), "and both are blocked again");
    }
    let sandbox = sandbox(0);
    assert_eq!(sandbox.call(nr64::PPOLL, [0, 0, DATA, DATA, 4, 0]), Err(Errno::EINVAL));
    sandbox.store(DATA + 32, &7u64.to_le_bytes());
    sandbox.store(DATA + 24, &DATA.to_le_bytes());
    assert_eq!(sandbox.call(nr64::PSELECT6, [0, 0, 0, 0, DATA, pack]), Err(Errno::EINVAL));
    assert_eq!(sandbox.call(nr64::PPOLL, [0, 0, DATA, 8, 8, 0]), Err(Errno::EFAULT));
}

#[test]
fn who_cannot_wake_anybody_is_no_clock_to_sleep_by() {
    let sandbox = sandbox(0);
    let sleeps = [0, 1, 2, 7, 11];
    for clock in (0..=7).chain([11]) {
        sandbox.store(DATA, [0u64, 0].map(u64::to_le_bytes).as_flattened());
        let slept = sandbox.call(nr64::CLOCK_NANOSLEEP, [clock, 0, DATA, 0, 0, 0]);
        let expected = if sleeps.contains(&clock) { Ok(0) } else { Err(Errno::EOPNOTSUPP) };
        assert_eq!(slept, expected, "{clock}");
    }
}

#[test]
fn the_interrupt_looks_at_what_has_happened() {
    let sandbox = sandbox(0);
    let _host = host(&sandbox, vec![(0, vec![Event::Signal { number: 2 }])]);
    let end = sandbox.end_of(|| {
        idle::look();
        sandbox.call(nr64::GETPID, NONE).unwrap();
    });
    assert_eq!(end, Request::Killed { signal: 2 });
}

#[test]
fn poll_answers_at_once_what_is_ready_and_else_waits_for_any_of_it() {
    let sandbox = sandbox(0);
    let host = host(&sandbox, vec![(NEVER, vec![]), (1, vec![ready(1, 3)])]);
    let entry = |fd: u32, events: u16| (u64::from(fd) | u64::from(events) << 32).to_le_bytes();
    sandbox.store(DATA, [entry(0, IN), entry(1, OUT), entry(0, OUT)].as_flattened());
    let poll = |timeout: u64| sandbox.call(nr64::POLL, [DATA, 3, timeout, 0, 0, 0]);
    // One request for each file, and none is watched for who does not wait.
    assert_eq!(poll(0), Ok(0));
    assert_eq!(sandbox.machine.requests(), [Request::Watch { arm: false }]);
    let asked = host.watched.take();
    assert_eq!(asked.iter().map(|entry| entry.mask).collect::<Vec<_>>(), [IN | OUT, OUT]);
    assert_eq!(poll(1), Ok(0), "the time is over");
    assert_eq!(poll(u64::MAX), Ok(3));
    host.ready.set(true);
    sandbox.machine.requests();
    assert_eq!(poll(u64::MAX), Ok(3));
    assert_eq!(sandbox.machine.requests(), [Request::Watch { arm: true }]);
}

/// What writes down when it was told, and wants to be told again so much later.
struct Told {
    timer: Timer,
    again_ns: u64,
    at: Mutex<Vec<u64>>,
}

impl Told {
    /// One whose time is this.
    fn at(time: u64, again_ns: u64) -> Arc<Told> {
        let timer = Timer::new().unwrap();
        let told = Arc::new(Told { timer, again_ns, at: Mutex::default() });
        told.set(time);
        told
    }

    fn set(self: &Arc<Told>, time: u64) {
        let weak: Weak<Told> = Arc::downgrade(self);
        self.timer.set(time, weak);
    }

    fn times(&self) -> Vec<u64> {
        core::mem::take(&mut *self.at.lock().unwrap())
    }
}

impl Expire for Told {
    fn expire(self: Arc<Self>, now: u64) {
        self.at.lock().unwrap().push(now);
        if self.again_ns > 0 {
            self.set(now + self.again_ns);
        }
    }
}

#[test]
fn a_timer_is_told_though_the_only_thread_does_nothing_but_compute() {
    let sandbox = sandbox(0);
    // What was due is told of once.
    let is_due = Rc::new(Cell::new(false));
    sandbox.machine.set_vmm({
        let is_due = is_due.clone();
        move |request, _, message| match request {
            Request::Wait { timeout_ns: 0 } if is_due.take() => Ok(put(message, &[Event::Tick])),
            _ => Ok(0),
        }
    });
    let goes_on = || {
        sandbox.call(nr64::GETPID, NONE).unwrap();
        sandbox.machine.requests()
    };
    let tick = |after_ns| [Request::Tick { after_ns, period_ns: 0 }];
    let told = Told::at(1000, 500);
    assert_eq!(goes_on(), tick(1000), "an interrupt is asked for, at its time");
    assert_eq!(goes_on(), [], "and once");
    let interrupt = |now| {
        sandbox.machine.tsc().set(now);
        is_due.set(now > 1000);
        idle::look();
        sandbox.machine.requests();
        told.times()
    };
    assert_eq!(interrupt(999), []);
    assert_eq!(goes_on(), []);
    // It was set again where it was told, and sets itself again.
    assert_eq!(interrupt(1001), [1001]);
    assert_eq!(goes_on(), tick(500));
    // What comes earlier is asked for instead.
    told.set(1101);
    assert_eq!(goes_on(), tick(100));
    told.timer.cancel();
    assert_eq!(interrupt(1600), []);
    assert_eq!(goes_on(), []);
}

#[test]
fn a_timer_is_told_while_a_thread_sleeps_and_not_when_it_is_off() {
    let sandbox = sandbox(0);
    let _host = host(&sandbox, vec![(NEVER, vec![]); 4]);
    let told = Told::at(600, 300);
    let cancelled = Told::at(50, 0);
    assert_eq!((cancelled.timer.time(), cancelled.timer.cancel()), (Some(50), Some(50)));
    assert_eq!((cancelled.timer.time(), cancelled.timer.cancel()), (None, None));
    let gone = Told::at(70, 0);
    drop(gone);
    sandbox.store(DATA, [0u64, 1000].map(u64::to_le_bytes).as_flattened());
    assert_eq!(sandbox.call(nr64::NANOSLEEP, [DATA, 0, 0, 0, 0, 0]), Ok(0));
    assert_eq!(told.times(), [600, 900]);
    assert_eq!(cancelled.times(), []);
    let waits = sandbox.machine.requests();
    let wait = |timeout_ns| Request::Wait { timeout_ns };
    assert_eq!(waits[waits.len() - 3..], [wait(600), wait(300), wait(100)]);
}

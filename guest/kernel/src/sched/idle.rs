//! The idle loop: the only place that waits for the host, and where what happens
//! there comes in.

use super::thread::{current, work};
use super::{cpu_time, preempt, queue, timers, watch};
use crate::clock::Clock;
use crate::host::Call;
use spin::Mutex;
use trapgate_abi::event::{Event, MAX_EVENTS};
use trapgate_abi::hypercall::{NEVER, Request};
use trapgate_uapi::Errno;

/// Who hears of a signal from outside: the room of processes, above.
type OnSignal = fn(u8);

static ON_SIGNAL: Mutex<OnSignal> = Mutex::new(|_| {});

/// Who gives memory back to the host, of so many frames at most: the room of memory,
/// above.
type Tidy = fn(u64) -> bool;

static TIDY: Mutex<Tidy> = Mutex::new(|_| false);

/// Frames given back at once: one request, after which there may be something to do.
const TIDY_AT_ONCE: u64 = 4096;

/// Begins: with these clocks, who hears of signals, and who tidies up.
pub fn init(clock: Clock, on_signal: OnSignal, tidy: Tidy) {
    timers::init(clock);
    cpu_time::init(&clock);
    watch::init();
    *ON_SIGNAL.lock() = on_signal;
    *TIDY.lock() = tidy;
}

/// Waits until something happens or is due, and sees to it.
///
/// # Errors
/// What the VMM answered, if it does not let the program wait.
pub fn wait() -> Result<(), Errno> {
    cpu_time::pause();
    let tidy = *TIDY.lock();
    tidy(TIDY_AT_ONCE);
    let seen = see(timers::left().unwrap_or(NEVER));
    cpu_time::resume();
    seen
}

/// Sees to what has happened or is due: also what the interrupt does that comes while
/// a program computes.
pub fn look() {
    // To look is never refused.
    let _ = see(0);
    // Who was woken may be before who computes.
    if !queue::is_empty() {
        current().raise(work::RESCHEDULE);
    }
}

fn see(timeout_ns: u64) -> Result<(), Errno> {
    let mut call = Call::new(Request::Wait { timeout_ns });
    let count = call.submit()? as usize;
    // The page is the next request's as soon as somebody makes one.
    let mut events = [None; MAX_EVENTS];
    for (index, event) in events.iter_mut().enumerate().take(count) {
        *event = Event::decode(call.event(index));
    }
    // Whoever is awake now may be what a tick is for.
    let is_tick = |event: &Event| matches!(event, Event::Tick);
    let ticks = events.iter().flatten().any(is_tick);
    events.into_iter().flatten().for_each(dispatch);
    timers::expire();
    if ticks {
        preempt::tick();
    }
    Ok(())
}

fn dispatch(event: Event) {
    match event {
        Event::Ready { file, generation, .. } => watch::ready(file, generation),
        Event::Signal { number } => {
            let on_signal = *ON_SIGNAL.lock();
            on_signal(number);
        }
        Event::Tick => {}
    }
}

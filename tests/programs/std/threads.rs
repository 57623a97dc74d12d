//! Threads as Rust's standard library has them.
//!
//! - `threads`: spawned and scoped threads, channels, locks, parking, barriers, a panic
//! - `threads many N`: so many at a time

use std::cell::Cell;
use std::env;
use std::panic;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel, sync_channel};
use std::sync::{Arc, Barrier, Condvar, Mutex, Once, OnceLock, RwLock};
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

thread_local! {
    static LOCAL: Cell<u64> = const { Cell::new(1) };
    static DROPPED: OnDrop = const { OnDrop };
}
static DROPS: AtomicU64 = AtomicU64::new(0);

struct OnDrop;
impl Drop for OnDrop {
    fn drop(&mut self) {
        DROPS.fetch_add(1, Ordering::Relaxed);
    }
}

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    if let [_, count] = &args[..] {
        return many(count.parse().expect("a number"));
    }
    spawned();
    channels();
    locks();
    parked();
    panicked();
}

fn spawned() {
    let numbers: Vec<u64> = (0..1000).collect();
    let sums: Vec<u64> = thread::scope(|scope| {
        let threads: Vec<_> =
            numbers.chunks(250).map(|part| scope.spawn(|| part.iter().sum())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    println!("scoped: {sums:?}");
    let threads: Vec<_> = (0..4)
        .map(|own| {
            let builder = Builder::new().name(format!("worker-{own}")).stack_size(128 << 10);
            let body = move || {
                LOCAL.set(LOCAL.get() + own);
                DROPPED.with(|_| {});
                (thread::current().name().map(str::to_owned), LOCAL.get())
            };
            builder.spawn(body).unwrap()
        })
        .collect();
    for thread in threads {
        println!("{:?}", thread.join().unwrap());
    }
    println!("local {}, dropped {}", LOCAL.get(), DROPS.load(Ordering::Relaxed));
}

fn channels() {
    let (sender, receiver) = channel();
    for own in 0..3u64 {
        let sender = sender.clone();
        thread::spawn(move || (0..500).for_each(|number| sender.send(own * number).unwrap()));
    }
    drop(sender);
    println!("received: {}", receiver.iter().sum::<u64>());
    let (sender, receiver) = sync_channel(1);
    let thread = thread::spawn(move || (0..200u64).for_each(|number| sender.send(number).unwrap()));
    println!("one by one: {}", receiver.iter().sum::<u64>());
    thread.join().unwrap();
    let (sender, receiver) = channel::<()>();
    let begin = Instant::now();
    let nothing = receiver.recv_timeout(Duration::from_millis(20));
    println!("{}", nothing == Err(RecvTimeoutError::Timeout) && begin.elapsed().as_millis() >= 20);
    drop(sender);
}

fn locks() {
    let (mutex, condvar) = (Mutex::new(0), Condvar::new());
    let rwlock = RwLock::new(0);
    let barrier = Barrier::new(4);
    let leaders = AtomicU64::new(0);
    static ONCE: Once = Once::new();
    static CELL: OnceLock<u64> = OnceLock::new();
    thread::scope(|scope| {
        for own in 0..4 {
            let (mutex, condvar, rwlock, barrier) = (&mutex, &condvar, &rwlock, &barrier);
            let leaders = &leaders;
            scope.spawn(move || {
                for turn in 0..100 {
                    let mut next = mutex.lock().unwrap();
                    while *next != turn * 4 + own {
                        next = condvar.wait(next).unwrap();
                    }
                    *next += 1;
                    condvar.notify_all();
                    drop(next);
                    *rwlock.write().unwrap() += own;
                    assert!(*rwlock.read().unwrap() > 0 || own == 0);
                }
                ONCE.call_once(|| println!("once"));
                CELL.get_or_init(|| 9);
                leaders.fetch_add(u64::from(barrier.wait().is_leader()), Ordering::Relaxed);
            });
        }
    });
    let (turns, sum) = (mutex.into_inner().unwrap(), rwlock.into_inner().unwrap());
    println!("turns {turns}, sum {sum}, {:?}, leaders {}", CELL.get(), leaders.into_inner());
}

fn parked() {
    let turns = Arc::new(AtomicU64::new(0));
    let first = thread::current();
    let other = thread::spawn({
        let turns = turns.clone();
        move || {
            for _ in 0..100 {
                while turns.load(Ordering::Acquire) % 2 == 0 {
                    thread::park();
                }
                turns.fetch_add(1, Ordering::Release);
                first.unpark();
            }
        }
    });
    for _ in 0..100 {
        turns.fetch_add(1, Ordering::Release);
        other.thread().unpark();
        while turns.load(Ordering::Acquire) % 2 == 1 {
            thread::park();
        }
    }
    other.join().unwrap();
    println!("parked: {}", turns.load(Ordering::Relaxed));
    thread::park_timeout(Duration::from_millis(5));
}

fn panicked() {
    panic::set_hook(Box::new(|_| {}));
    let mutex = Arc::new(Mutex::new(1));
    let thread = thread::spawn({
        let mutex = mutex.clone();
        move || {
            let _held = mutex.lock().unwrap();
            panic!("on purpose");
        }
    });
    let why = thread.join().unwrap_err();
    println!("{:?}, poisoned: {}", why.downcast_ref::<&str>(), mutex.is_poisoned());
}

fn many(count: usize) {
    let barrier = Arc::new(Barrier::new(count + 1));
    let threads: Vec<_> = (0..count)
        .map(|own| {
            let barrier = barrier.clone();
            let body = move || {
                barrier.wait();
                own
            };
            Builder::new().stack_size(64 << 10).spawn(body).unwrap()
        })
        .collect();
    barrier.wait();
    println!("{}", threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>());
}

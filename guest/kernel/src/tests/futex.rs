//! Futexes: who is woken, in which order, and what is left of them.

use super::{DATA, HEAP, Sandbox};
use crate::futex::key::{Key, Word};
use crate::futex::table::{Claim, TABLE, Table, Waiter, Woken};
use crate::futex::wait::wait;
use crate::futex::wake::wake;
use crate::process::task::{Task, current};
use crate::sched::queue::{self, push};
use crate::sched::switch::{kernel_thread, yield_now};
use crate::sched::thread::current_arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use trapgate_arch::percpu::{self, Owner};
use trapgate_arch::stack::KernelStack;
use trapgate_uapi::Errno;
use trapgate_uapi::futex::{
    FUTEX_BITSET_MATCH_ANY, FUTEX_OWNER_DIED, FUTEX_PRIVATE_FLAG, FUTEX_WAITERS, FUTEX_WAKE,
};
use trapgate_uapi::syscall::nr64;

fn word(address: u64) -> Word<'static> {
    Word { memory: &current().process.memory, address, shared: false }
}

fn thread(run: fn(usize), argument: usize) {
    let owner = Owner::new(percpu::current_arc::<Task>());
    let stack = KernelStack::new().expect("a stack");
    push(std::sync::Arc::new(kernel_thread(stack, owner, (run, argument))));
}

fn let_all_run() {
    while !queue::is_empty() {
        yield_now();
    }
}

fn waiter(key: Key) -> Waiter {
    let bitset = FUTEX_BITSET_MATCH_ANY;
    Waiter { key, mapped: None, bitset, claim: None, thread: current_arc() }
}

/// Numbers that are the same in every run (xorshift).
fn random(state: &mut u64, below: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state % below
}

#[test]
fn whoever_waits_is_woken_in_the_order_of_coming_as_a_plain_list_would_have_it() {
    let _sandbox = Sandbox::new();
    let (mut table, mut state) = (Table::new(), 0x1234_5678_9abc_def1);
    // Those that wait: number, key, bits.
    let mut model: Vec<(u32, Key, u32)> = Vec::new();
    let mut woken: Vec<u32> = Vec::new();
    for _ in 0..20_000 {
        let key = Key::of(1, 4 * random(&mut state, 40));
        let bits = 1 << random(&mut state, 3);
        match random(&mut state, 5) {
            0 | 1 => {
                let number = table.add(Waiter { bitset: bits, ..waiter(key) }).unwrap();
                model.push((number, key, bits));
            }
            2 => {
                let (count, mut left) = (random(&mut state, 4), 0);
                model.retain(|&(number, of, has)| {
                    let takes = of == key && has & bits != 0 && left < count;
                    if takes {
                        left += 1;
                        woken.push(number);
                    }
                    !takes
                });
                assert_eq!(table.wake(key, count, bits), Ok(left));
            }
            3 => {
                let to = Key::of(1, 4 * random(&mut state, 40));
                let counts = [random(&mut state, 2), random(&mut state, 4)];
                let mut moved = Vec::new();
                let mut done = 0;
                model.retain(|&(number, of, has)| {
                    if of != key || done == counts[0] + counts[1] {
                        return true;
                    }
                    done += 1;
                    if done <= counts[0] {
                        woken.push(number);
                        return false;
                    }
                    if key == to {
                        return true;
                    }
                    moved.push((number, to, has));
                    false
                });
                model.extend(moved);
                assert_eq!(table.requeue(key, (to, &None), counts), Ok(done));
            }
            _ => {
                if let Some(number) = woken.pop() {
                    assert_eq!(table.remove(number).0, Woken::Yes);
                } else if !model.is_empty() {
                    let at = random(&mut state, model.len() as u64) as usize;
                    assert_eq!(table.remove(model.remove(at).0).0, Woken::Not);
                }
            }
        }
        assert!(woken.iter().all(|&number| table.woken(number) == Woken::Yes));
        let first = model.iter().find(|(_, of, _)| *of == key).map(|(number, ..)| *number);
        assert_eq!(table.first(key).map(|(number, _)| number), first);
        assert_eq!(table.waiters(), model.len() + woken.len());
    }
}

#[test]
fn a_lock_goes_to_the_first_who_wants_it_and_others_wait_for_that_one() {
    let _sandbox = Sandbox::new();
    let mut table = Table::new();
    let (key, other) = (Key::of(1, 0), Key::of(1, 4));
    let claims = |table: &mut Table, key, tid, owner| {
        table.add(Waiter { claim: Some(Claim { tid, owner }), ..waiter(key) }).unwrap()
    };
    let [second, third] = [2, 3].map(|tid| claims(&mut table, key, tid, 1));
    let fourth = claims(&mut table, other, 4, 9);
    assert_eq!(table.wake(key, 1, 1), Err(Errno::EINVAL));
    assert_eq!(table.requeue(key, (other, &None), [0, 1]), Err(Errno::EINVAL));
    table.give(second, Woken::Yes);
    assert_eq!(
        [second, third, fourth].map(|number| table.woken(number)),
        [Woken::Yes, Woken::Not, Woken::Not]
    );
    assert_eq!(table.first(key), Some((third, Some(Claim { tid: 3, owner: 2 }))));
    // Who gets it by a death stays the first until it has run.
    table.owner_died(2);
    assert_eq!(table.woken(third), Woken::OwnerDied);
    assert_eq!(table.first(key), Some((third, Some(Claim { tid: 3, owner: 3 }))));
    assert_eq!(table.remove(third).0, Woken::OwnerDied);
    assert_eq!(table.first(key), None);
    table.owner_died(1);
    assert_eq!(table.woken(fourth), Woken::Not);
}

/// What came of the waits of a test's threads.
static CAME: Mutex<Vec<(usize, Result<(), Errno>)>> = Mutex::new(Vec::new());

fn waits(own: usize) {
    let came = wait(word(DATA), 0, FUTEX_BITSET_MATCH_ANY, None);
    CAME.lock().unwrap().push((own, came));
}

#[test]
fn a_wait_ends_by_a_wake_and_one_of_another_value_does_not_begin() {
    let sandbox = Sandbox::new();
    CAME.lock().unwrap().clear();
    sandbox.store(DATA, &[0; 4]);
    (0..4).for_each(|own| thread(waits, own));
    let_all_run();
    assert_eq!(TABLE.lock().waiters(), 4);
    assert_eq!(wake(word(DATA), 2, FUTEX_BITSET_MATCH_ANY), Ok(2));
    let_all_run();
    assert_eq!(*CAME.lock().unwrap(), [(0, Ok(())), (1, Ok(()))]);
    sandbox.store(DATA, &[1]);
    thread(waits, 4);
    let_all_run();
    assert_eq!(CAME.lock().unwrap().pop(), Some((4, Err(Errno::EAGAIN))));
    assert_eq!(wake(word(DATA), 9, FUTEX_BITSET_MATCH_ANY), Ok(2));
    let_all_run();
    assert_eq!((TABLE.lock().waiters(), CAME.lock().unwrap().len()), (0, 4));
    assert_eq!(wait(word(DATA + 2), 0, 1, None), Err(Errno::EINVAL));
    assert_eq!(wait(word(HEAP), 0, 1, None), Err(Errno::EFAULT));
    assert_eq!(TABLE.lock().waiters(), 0);
}

/// Words that threads hand tokens on by, and what was done.
const WORDS: u64 = 7;
static HANDED: AtomicU64 = AtomicU64::new(0);
static SEED: AtomicU64 = AtomicU64::new(0);
const HANDS: u64 = 5_000;

fn value(at: u64, change: i32) -> u32 {
    let word = word(at);
    loop {
        let value = word.read().unwrap();
        let new = value.wrapping_add_signed(change);
        if word.compare_exchange(value, new) == Ok(value) {
            return value;
        }
    }
}

fn chance(below: u64) -> u64 {
    let mut state = SEED.load(Ordering::Relaxed);
    let number = random(&mut state, below);
    SEED.store(state, Ordering::Relaxed);
    number
}

fn give(to: u64) {
    value(to, 1);
    if chance(3) == 0 {
        yield_now();
    }
    wake(word(to), 1, FUTEX_BITSET_MATCH_ANY).unwrap();
}

fn hands_on(own: usize) {
    let own = DATA + 4 * own as u64;
    loop {
        while word(own).read() == Ok(0) {
            if chance(4) == 0 {
                yield_now();
            }
            match wait(word(own), 0, FUTEX_BITSET_MATCH_ANY, None) {
                Ok(()) | Err(Errno::EAGAIN) => {}
                Err(error) => panic!("{error:?}: a wake-up was lost"),
            }
        }
        value(own, -1);
        if HANDED.fetch_add(1, Ordering::Relaxed) >= HANDS {
            return;
        }
        give(DATA + 4 * chance(WORDS));
    }
}

#[test]
fn no_wake_up_is_lost_whatever_the_order_of_looking_waiting_and_waking() {
    for seed in 1..=4 {
        let sandbox = Sandbox::new();
        sandbox.store(DATA, &[0; 4 * WORDS as usize]);
        SEED.store(0x9e37_79b9_7f4a_7c15 ^ seed, Ordering::Relaxed);
        HANDED.store(0, Ordering::Relaxed);
        (0..WORDS as usize).for_each(|own| thread(hands_on, own));
        (0..3).for_each(|word| give(DATA + 4 * word));
        while HANDED.load(Ordering::Relaxed) < HANDS {
            assert!(!queue::is_empty(), "everybody waits: a wake-up was lost");
            yield_now();
        }
        (0..WORDS).for_each(|word| give(DATA + 4 * word));
        let_all_run();
        assert_eq!(TABLE.lock().waiters(), 0);
    }
}

#[test]
fn a_thread_that_ends_says_so_in_the_words_of_its_list() {
    use crate::futex::robust::Ending;
    let sandbox = Sandbox::new();
    let tid = current().tid();
    // The head, two entries and a third that is about to be taken; words 16 behind each.
    let entries = [DATA + 64, DATA + 128, DATA + 192];
    let words = [entries[0], 16, entries[2]].map(u64::to_le_bytes);
    sandbox.store(DATA, words.as_flattened());
    sandbox.store(entries[0], &entries[1].to_le_bytes());
    sandbox.store(entries[1], &DATA.to_le_bytes());
    let put = |entry: u64, value: u32| sandbox.store(entry + 16, &value.to_le_bytes());
    put(entries[0], tid | FUTEX_WAITERS);
    put(entries[1], tid + 1);
    put(entries[2], tid);
    let ending = Ending { memory: &current().process.memory, tid };
    ending.walk(DATA);
    let told = entries.map(|entry| u32::from_le_bytes(sandbox.load(entry + 16)));
    assert_eq!(told, [FUTEX_OWNER_DIED | FUTEX_WAITERS, tid + 1, FUTEX_OWNER_DIED]);
    // Lists that lead anywhere, or nowhere.
    for first in [0, 8, u64::MAX, DATA + 1, entries[0]] {
        sandbox.store(DATA, &first.to_le_bytes());
        sandbox.store(entries[0], &entries[0].to_le_bytes());
        ending.walk(DATA);
        ending.walk_compat(DATA as u32);
    }
    ending.walk(u64::MAX);
    ending.walk_compat(u32::MAX);
    sandbox.store(DATA, &[7; 4]);
    ending.clear(DATA);
    assert_eq!(sandbox.load(DATA), [0; 4]);
    ending.clear(8);
}

#[test]
fn a_wake_of_nobody_asks_for_nothing() {
    let sandbox = Sandbox::new();
    let wake = |address| {
        let operation = FUTEX_WAKE | FUTEX_PRIVATE_FLAG;
        sandbox.call(nr64::FUTEX, [address, operation.into(), 1, 0, 0, 0])
    };
    assert_eq!([wake(DATA), wake(HEAP)], [Ok(0); 2]);
    assert_eq!([wake(DATA + 1), wake(u64::MAX - 3)], [Err(Errno::EINVAL), Err(Errno::EFAULT)]);
    assert_eq!(sandbox.machine.requests(), []);
}

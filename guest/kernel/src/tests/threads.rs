//! Threads on the fake, where each is one of the host's and exactly one runs.

use super::{Sandbox, boot_info};
use crate::process::prepare_return::prepare_return;
use crate::process::task::{Task, current};
use crate::sched::cpu_time::ran;
use crate::sched::queue::{push, wake};
use crate::sched::share::{NORMAL_WEIGHT, SLICE_NS};
use crate::sched::switch::{block, finish, kernel_thread, preempt, yield_now};
use crate::sched::thread::{State, Thread, current as running, current_arc, work};
use crate::sched::wait::wait;
use crate::sched::{idle, queue};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use trapgate_abi::PtRegs;
use trapgate_abi::boot_info::{BootInfo, ClockInfo};
use trapgate_abi::event::Event;
use trapgate_abi::hypercall::{Request, put_event};
use trapgate_arch::cpu;
use trapgate_arch::fake;
use trapgate_arch::percpu::{self, Owner};
use trapgate_arch::stack::{KernelStack, in_use};
use trapgate_arch::switch;
use trapgate_arch::user_state::UserState;
use trapgate_uapi::Errno;

fn task() -> Owner {
    Owner::new(percpu::current_arc::<Task>())
}

/// A thread of the kernel's, in no queue yet.
fn thread(run: fn(usize), argument: usize) -> Arc<Thread> {
    let stack = KernelStack::new().expect("a stack");
    Arc::new(kernel_thread(stack, task(), (run, argument)))
}

/// Lets the others run until none is ready.
fn let_all_run() {
    while !queue::is_empty() {
        yield_now();
    }
}

/// Waits for what must come without the host: there, whoever is idle asks the test's
/// VMM, and that knows no answer.
fn wait_for_others() {
    block().expect("everybody waits: a wake-up was lost");
}

/// What the threads of a test do: one test runs at a time.
static DONE: Mutex<Vec<usize>> = Mutex::new(Vec::new());

#[test]
fn threads_of_a_level_take_turns_in_the_order_of_their_coming() {
    fn turns(own: usize) {
        for _ in 0..50 {
            DONE.lock().unwrap().push(own);
            yield_now();
        }
    }
    let _sandbox = Sandbox::new();
    DONE.lock().unwrap().clear();
    (0..5).for_each(|own| push(thread(turns, own)));
    let_all_run();
    let done = std::mem::take(&mut *DONE.lock().unwrap());
    assert_eq!(done, (0..250).map(|turn| turn % 5).collect::<Vec<_>>());
}

/// One whose counter ticks once a nanosecond.
fn with_a_clock() -> Sandbox {
    let clock = ClockInfo { multiplier: 1 << 32, ..ClockInfo::ZERO };
    Sandbox::boot(BootInfo { clock, ..boot_info() })
}

/// Time goes on by as much.
fn goes_on(sandbox: &Sandbox, ns: u64) {
    let tsc = sandbox.machine.tsc();
    tsc.set(tsc.get() + ns);
}

#[test]
fn threads_share_the_cpu_by_their_weights() {
    fn turns(own: usize) {
        loop {
            DONE.lock().unwrap().push(own);
            // The turn is another's when this one has had a slice.
            fake_slice();
            preempt();
        }
    }
    fn fake_slice() {
        let now = cpu::tsc();
        fake::set_tsc(now + SLICE_NS);
    }
    let _sandbox = with_a_clock();
    DONE.lock().unwrap().clear();
    for (own, weight) in [(0, NORMAL_WEIGHT), (1, NORMAL_WEIGHT), (2, NORMAL_WEIGHT / 4)] {
        let thread = thread(turns, own);
        thread.share.set_weight(weight);
        push(thread);
    }
    // The first one gets hardly any.
    running().share.set_weight(1);
    let mut own = 0;
    while DONE.lock().unwrap().len() < 400 {
        own += 1;
        fake_slice();
        preempt();
    }
    let done = std::mem::take(&mut *DONE.lock().unwrap());
    let had = |who| done.iter().filter(|&&one| one == who).count();
    assert!(had(0).abs_diff(had(1)) <= 4, "{} {}", had(0), had(1));
    assert!((3 * had(2)..=5 * had(2)).contains(&had(0)), "{} {}", had(0), had(2));
    assert!(own < 12, "{own}");
    // Nobody waits long for a turn.
    let last = |who| done.iter().rposition(|&one| one == who).unwrap();
    assert!((0..2).all(|who| last(who) > 390));
}

#[test]
fn who_has_slept_runs_before_those_who_compute_and_gets_no_more_than_they() {
    fn sleeps(own: usize) {
        loop {
            DONE.lock().unwrap().push(own);
            // It needs a little itself.
            fake::set_tsc(cpu::tsc() + SLICE_NS / 1000);
            running().set_state(State::Blocked);
            wait_for_others();
        }
    }
    fn computes(own: usize) {
        loop {
            DONE.lock().unwrap().push(own);
            fake::set_tsc(cpu::tsc() + SLICE_NS);
            preempt();
        }
    }
    let sandbox = with_a_clock();
    DONE.lock().unwrap().clear();
    let sleeper = thread(sleeps, 9);
    push(sleeper.clone());
    yield_now();
    (1..=3).for_each(|own| push(thread(computes, own)));
    for _ in 0..3 {
        goes_on(&sandbox, SLICE_NS);
        preempt();
    }
    // Also again and again, while nobody else's time goes on.
    for _ in 0..20 {
        DONE.lock().unwrap().clear();
        assert!(wake(&sleeper));
        preempt();
        assert_eq!(DONE.lock().unwrap()[0], 9);
    }
}

#[test]
fn who_ran_alone_owes_nobody_what_nobody_wanted() {
    fn computes(_: usize) {
        loop {
            DONE.lock().unwrap().push(1);
            let now = cpu::tsc();
            fake::set_tsc(now + SLICE_NS);
            preempt();
        }
    }
    let sandbox = with_a_clock();
    DONE.lock().unwrap().clear();
    goes_on(&sandbox, 1000 * SLICE_NS);
    push(thread(computes, 1));
    goes_on(&sandbox, SLICE_NS);
    for _ in 0..10 {
        preempt();
        goes_on(&sandbox, SLICE_NS);
    }
    let others = DONE.lock().unwrap().len();
    assert!((9..=13).contains(&others), "{others}");
}

#[test]
fn cpu_time_is_each_threads_own_and_none_while_nobody_runs() {
    fn computes(_: usize) {
        let now = cpu::tsc();
        fake::set_tsc(now + 700);
    }
    let sandbox = with_a_clock();
    let other = thread(computes, 0);
    goes_on(&sandbox, 100);
    push(other.clone());
    yield_now();
    assert_eq!([ran(running()).all, ran(&other).all], [100, 700]);
    // It waits for the host, which takes long.
    let (this, tsc) = (current_arc(), sandbox.machine.tsc());
    sandbox.machine.set_vmm(move |_, _, _| {
        tsc.set(tsc.get() + 5000);
        wake(&this);
        Ok(0)
    });
    running().set_state(State::Blocked);
    assert_eq!(block(), Ok(()));
    goes_on(&sandbox, 11);
    let had = ran(running());
    assert_eq!((had.all, had.waited), (111, 1));
    // What the host was asked to do is told apart.
    crate::host::call(Request::Elapsed).unwrap();
    let had = ran(running());
    assert_eq!((had.all, had.in_host), (5111, 5000));
    let process = current().process.cpu_time();
    assert_eq!((process.all, process.system), (5111, 5000));
}

/// Threads that hand tokens on.
static RING: Mutex<Vec<Arc<Thread>>> = Mutex::new(Vec::new());
static TOKENS: Mutex<Vec<u64>> = Mutex::new(Vec::new());
static PASSED: AtomicU64 = AtomicU64::new(0);
static RANDOM: AtomicU64 = AtomicU64::new(0);
const PASSES: u64 = 20_000;

/// Numbers that are the same in every run (xorshift).
fn random(below: u64) -> u64 {
    let mut value = RANDOM.load(Ordering::Relaxed);
    value ^= value << 13;
    value ^= value >> 7;
    value ^= value << 17;
    RANDOM.store(value, Ordering::Relaxed);
    value % below
}

/// Takes a token that somebody has for this thread.
fn take_token(own: usize) {
    loop {
        // First it says that it waits, then it looks: what comes between wakes it.
        running().set_state(State::Blocked);
        if TOKENS.lock().unwrap()[own] > 0 {
            running().set_state(State::Running);
            TOKENS.lock().unwrap()[own] -= 1;
            return;
        }
        wait_for_others();
    }
}

fn give_token(to: usize) {
    TOKENS.lock().unwrap()[to] += 1;
    let thread = RING.lock().unwrap()[to].clone();
    wake(&thread);
}

fn hand_tokens_on(own: usize) {
    loop {
        take_token(own);
        if random(3) == 0 {
            yield_now();
        }
        if PASSED.fetch_add(1, Ordering::Relaxed) >= PASSES {
            return;
        }
        let others = RING.lock().unwrap().len() as u64;
        give_token(random(others) as usize);
        if random(4) == 0 {
            yield_now();
        }
    }
}

#[test]
fn no_wake_up_is_lost_whatever_the_order_of_waiting_waking_and_yielding() {
    for seed in 1..=4 {
        let _sandbox = Sandbox::new();
        let threads = 3 + 4 * seed as usize;
        RANDOM.store(0x9e37_79b9_7f4a_7c15 ^ seed, Ordering::Relaxed);
        PASSED.store(0, Ordering::Relaxed);
        *TOKENS.lock().unwrap() = vec![0; threads];
        *RING.lock().unwrap() = (0..threads).map(|own| thread(hand_tokens_on, own)).collect();
        let ring = RING.lock().unwrap().clone();
        ring.iter().for_each(|thread| push(thread.clone()));
        (0..1 + threads / 3).for_each(give_token);
        while PASSED.load(Ordering::Relaxed) < PASSES {
            assert!(!queue::is_empty(), "everybody waits: a wake-up was lost");
            yield_now();
        }
        // Those that wait still have one each, and end.
        (0..threads).for_each(give_token);
        let_all_run();
        assert!(ring.iter().all(|thread| thread.state() == State::Dead));
        RING.lock().unwrap().clear();
        drop(ring);
    }
}

#[test]
fn whoever_runs_next_gives_up_the_stack_of_a_thread_that_has_ended() {
    let _sandbox = Sandbox::new();
    let before = in_use();
    for _ in 0..20 {
        push(thread(|_| yield_now(), 0));
    }
    assert_eq!(in_use(), before + 20);
    let_all_run();
    yield_now();
    assert_eq!(in_use(), before);
}

#[test]
fn a_thread_that_is_woken_before_it_gives_the_cpu_up_goes_on() {
    let _sandbox = Sandbox::new();
    let this = current_arc();
    running().set_state(State::Blocked);
    assert!(wake(&this));
    wait_for_others();
    assert_eq!(this.state(), State::Running);
    assert!(!wake(&this), "it does not wait");
    assert!(queue::is_empty(), "whoever runs is in no queue");
}

#[test]
fn a_thread_that_nobody_else_can_run_for_is_idle_until_it_is_woken() {
    let sandbox = Sandbox::new();
    let (this, mut rounds) = (current_arc(), 0);
    let sleeper = this.clone();
    sandbox.machine.set_vmm(move |request, _, _| {
        assert!(matches!(request, Request::Wait { .. }), "{request:?}");
        rounds += 1;
        if rounds == 3 {
            wake(&sleeper);
        }
        Ok(0)
    });
    this.set_state(State::Blocked);
    assert_eq!((block(), this.state()), (Ok(()), State::Running));
    assert_eq!(sandbox.machine.requests().len(), 3);
    sandbox.machine.set_vmm(|_, _, _| Err(Errno::EPERM));
    this.set_state(State::Blocked);
    assert_eq!(block(), Err(Errno::EPERM));
    this.set_state(State::Running);
}

#[test]
fn ticks_come_while_somebody_else_is_ready_and_no_longer() {
    let sandbox = Sandbox::new();
    // Whatever has the kernel look, it is told of a tick.
    sandbox.machine.set_vmm(|request, _, message| match request {
        Request::Wait { timeout_ns: 0 } => Ok(put_event(message, 0, Event::Tick).into()),
        _ => Ok(0),
    });
    let ticks = |sandbox: &Sandbox| {
        let requests = sandbox.machine.requests();
        requests.iter().filter(|request| matches!(request, Request::Tick { .. })).count()
    };
    let mut regs = PtRegs::default();
    prepare_return(&mut regs);
    assert_eq!(ticks(&sandbox), 0, "nobody else is ready");
    push(thread(|_| (0..3).for_each(|_| yield_now()), 0));
    prepare_return(&mut regs);
    assert_eq!(ticks(&sandbox), 1);
    for _ in 0..4 {
        idle::look();
        assert_ne!(percpu::work() & work::RESCHEDULE, 0, "it has had its time");
        prepare_return(&mut regs);
        assert_eq!(ticks(&sandbox), 0, "they come already");
    }
    assert!(queue::is_empty(), "the other has had its turns");
    idle::look();
    prepare_return(&mut regs);
    assert_eq!(ticks(&sandbox), 1, "the last one finds nobody");
}

#[test]
fn while_others_only_sleep_one_tick_is_asked_for_when_the_first_of_them_is_due() {
    fn sleeps(until: usize) {
        assert_eq!(wait::<()>(&[], Some(until as u64), || Ok(None)), Ok(None));
        DONE.lock().unwrap().push(until);
    }
    // Its counter ticks once a nanosecond.
    let clock = ClockInfo { multiplier: 1 << 32, ..ClockInfo::ZERO };
    let sandbox = Sandbox::boot(BootInfo { clock, ..boot_info() });
    sandbox.machine.set_vmm(|request, _, message| match request {
        Request::Wait { timeout_ns: 0 } => Ok(put_event(message, 0, Event::Tick).into()),
        _ => Ok(0),
    });
    let ticks = |sandbox: &Sandbox| {
        let requests = sandbox.machine.requests().into_iter();
        requests.filter(|request| matches!(request, Request::Tick { .. })).collect::<Vec<_>>()
    };
    let at = |after_ns| Request::Tick { after_ns, period_ns: 0 };
    DONE.lock().unwrap().clear();
    let mut regs = PtRegs::default();
    for until in [3000, 1000] {
        push(thread(sleeps, until));
    }
    yield_now();
    prepare_return(&mut regs);
    assert_eq!(ticks(&sandbox), [at(1000)]);
    prepare_return(&mut regs);
    assert_eq!(ticks(&sandbox), [], "it is asked for already");
    // Whoever is due runs at once, and then the next one is the first.
    sandbox.machine.tsc().set(1000);
    idle::look();
    prepare_return(&mut regs);
    assert_eq!(*DONE.lock().unwrap(), [1000]);
    assert_eq!(ticks(&sandbox), [at(2000)]);
    sandbox.machine.tsc().set(3000);
    idle::look();
    prepare_return(&mut regs);
    assert_eq!((&DONE.lock().unwrap()[..], ticks(&sandbox)), (&[1000, 3000][..], vec![]));
}

#[test]
fn work_is_the_threads_own_wherever_it_is() {
    fn look(_: usize) {
        // Somebody else is ready besides.
        assert_eq!(percpu::work(), work::SIGNAL | work::TICK);
        percpu::set_work(0);
    }
    let _sandbox = Sandbox::new();
    let other = thread(look, 0);
    running().raise(work::LANDING_PAD);
    other.raise(work::SIGNAL);
    assert_eq!(percpu::work(), work::LANDING_PAD);
    push(other);
    yield_now();
    assert_eq!(percpu::work() & !work::TICK, work::LANDING_PAD);
}

/// How often the program in ring 3 was there.
static IN_RING_3: AtomicUsize = AtomicUsize::new(0);

#[test]
fn registers_of_ring_3_are_exchanged_when_another_thread_goes_there_and_else_never() {
    /// The second thread's program: 2 in XMM0 where the first has 1.
    fn ring_3(mut regs: PtRegs) -> ! {
        finish();
        loop {
            prepare_return(&mut regs);
            let turn = IN_RING_3.fetch_add(1, Ordering::Relaxed);
            assert_eq!(fake::xmm0(), if turn == 0 { 0 } else { 2 });
            fake::set_xmm0(2);
            yield_now();
        }
    }
    let sandbox = Sandbox::new();
    switch::init(ring_3);
    IN_RING_3.store(0, Ordering::Relaxed);
    let mut regs = PtRegs::default();
    fake::set_xmm0(1);
    // Threads of the kernel's leave them alone.
    push(thread(|_| yield_now(), 0));
    let_all_run();
    prepare_return(&mut regs);
    assert_eq!(sandbox.machine.fpu_moves(), [0, 0]);
    assert!(running().make_room());
    let state = UserState::beside_this_one().expect("memory");
    let stack = KernelStack::new().expect("a stack");
    let cr3 = current().process.memory.lock().cr3();
    let second = Arc::new(Thread::in_ring_3(stack, state, PtRegs::default(), cr3));
    second.belongs_to(task());
    push(second);
    for turn in 1..=10 {
        yield_now();
        prepare_return(&mut regs);
        assert_eq!(fake::xmm0(), 1);
        assert_eq!(IN_RING_3.load(Ordering::Relaxed), turn);
        assert_eq!(sandbox.machine.fpu_moves(), [2 * turn as u64; 2]);
    }
    // A reschedule before the return lets the other go there first.
    running().raise(work::RESCHEDULE);
    prepare_return(&mut regs);
    assert_eq!((fake::xmm0(), IN_RING_3.load(Ordering::Relaxed)), (1, 11));
    assert_eq!(current().pid, 1);
}

/// What CR3 is to hold where the second thread runs.
static SECOND_TABLES: AtomicU64 = AtomicU64::new(0);

#[test]
fn a_thread_runs_on_the_page_tables_of_its_address_space() {
    fn in_kernel(_: usize) {
        yield_now();
        assert_eq!(cpu::page_table(), SECOND_TABLES.load(Ordering::Relaxed));
    }
    fn ring_3(_: PtRegs) -> ! {
        finish();
        push(thread(in_kernel, 0));
        loop {
            assert_eq!(cpu::page_table(), SECOND_TABLES.load(Ordering::Relaxed));
            IN_RING_3.fetch_add(1, Ordering::Relaxed);
            yield_now();
        }
    }
    let _sandbox = Sandbox::new();
    switch::init(ring_3);
    IN_RING_3.store(0, Ordering::Relaxed);
    let own = cpu::page_table();
    let copy = current().process.memory.lock().fork().expect("memory");
    assert_ne!(copy.page_table(), own);
    SECOND_TABLES.store(copy.page_table(), Ordering::Relaxed);
    assert!(running().make_room());
    let state = UserState::beside_this_one().expect("memory");
    let stack = KernelStack::new().expect("a stack");
    let second = Arc::new(Thread::in_ring_3(stack, state, PtRegs::default(), copy.cr3()));
    second.belongs_to(task());
    push(second);
    for turn in 1..=5 {
        yield_now();
        assert_eq!((cpu::page_table(), IN_RING_3.load(Ordering::Relaxed)), (own, turn));
    }
}

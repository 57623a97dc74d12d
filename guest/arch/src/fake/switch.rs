//! A thread of the kernel's is a thread of the host's, and exactly one of them has the
//! baton: a switch hands it on and waits for it to come back.
//!
//! A thread that ends by a panic, or halts the CPU, hands what it unwinds with to the
//! test's own thread. One that is dropped while it waits is unwound where it stands.

use super::stack::KernelStack;
use super::{floor, heap};
use crate::paging::{AtomicCr3, Cr3};
use core::any::Any;
use core::convert::Infallible;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use trapgate_abi::PtRegs;

/// What a thread begins with.
pub enum Start {
    /// A function of the kernel's.
    Kernel(fn() -> !),
    /// Ring 3, with these registers: a test plays the program.
    User(PtRegs),
}

/// What stands in for ring 3 in a new thread.
pub type FirstReturn = fn(PtRegs) -> !;

static FIRST_RETURN: Mutex<Option<FirstReturn>> = Mutex::new(None);

/// Says what new threads of ring 3 do.
pub fn init(first_return: FirstReturn) {
    *lock(&FIRST_RETURN) = Some(first_return);
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whose turn it is.
enum Turn {
    Others,
    Own,
    /// It is to unwind and end.
    End,
    /// It is to unwind with what another thread has unwound with.
    Failed(Box<dyn Any + Send>),
}

/// What a thread unwinds with that is dropped while it waits.
struct Ended;

pub(super) struct Baton {
    turn: Mutex<Turn>,
    passed: Condvar,
}

impl Baton {
    fn new(turn: Turn) -> Arc<Baton> {
        Arc::new(Baton { turn: Mutex::new(turn), passed: Condvar::new() })
    }

    fn pass(&self, turn: Turn) {
        *lock(&self.turn) = turn;
        self.passed.notify_all();
    }

    /// Waits for the own turn.
    fn wait(&self) {
        let mut turn = lock(&self.turn);
        loop {
            match core::mem::replace(&mut *turn, Turn::Own) {
                Turn::Own => return,
                Turn::End => {
                    drop(turn);
                    panic::resume_unwind(Box::new(Ended))
                }
                Turn::Failed(reason) => {
                    drop(turn);
                    panic::resume_unwind(reason)
                }
                Turn::Others => {
                    *turn = Turn::Others;
                    turn = self.passed.wait(turn).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

/// A thread's place in the kernel.
pub struct Context {
    baton: Arc<Baton>,
    runs: AtomicBool,
    cr3: AtomicCr3,
    thread: Option<JoinHandle<()>>,
    _stack: Option<KernelStack>,
}

impl Context {
    /// That of the test's own thread, on page tables that are loaded.
    pub fn first(cr3: Cr3) -> Context {
        let baton = Baton::new(Turn::Own);
        *lock(&floor().first) = Some(baton.clone());
        Context {
            baton,
            runs: AtomicBool::new(true),
            cr3: AtomicCr3::new(cr3),
            thread: None,
            _stack: None,
        }
    }

    /// One that has not run yet. A thread of the host's is none of the kernel's memory.
    pub fn new(stack: KernelStack, start: Start, cr3: Cr3) -> Context {
        heap::aside(|| Context::with_thread(stack, start, cr3))
    }

    fn with_thread(stack: KernelStack, start: Start, cr3: Cr3) -> Context {
        let baton = Baton::new(Turn::Others);
        let own = baton.clone();
        let thread = thread::spawn(move || {
            let run = || -> Infallible {
                own.wait();
                match start {
                    Start::Kernel(function) => function(),
                    Start::User(regs) => {
                        let go_on = lock(&FIRST_RETURN).expect("nobody plays ring 3");
                        go_on(regs)
                    }
                }
            };
            let Err(reason) = panic::catch_unwind(AssertUnwindSafe(|| -> Infallible { run() }));
            if !reason.is::<Ended>() {
                let first = lock(&floor().first).clone().expect("there is a first thread");
                first.pass(Turn::Failed(reason));
            }
        });
        let thread = Some(thread);
        Context {
            baton,
            runs: AtomicBool::new(false),
            cr3: AtomicCr3::new(cr3),
            thread,
            _stack: Some(stack),
        }
    }

    /// The page tables that it runs on.
    pub fn cr3(&self) -> Cr3 {
        self.cr3.get()
    }

    /// This one runs, and goes on on other page tables.
    ///
    /// # Panics
    /// If it does not run.
    pub fn change_tables(&self, cr3: Cr3) {
        assert!(self.runs.load(Ordering::Relaxed), "other tables for who does not run");
        self.cr3.set(cr3);
        cr3.load();
    }

    /// Goes on there, until somebody switches back.
    ///
    /// # Panics
    /// If this one does not run, or the other one does.
    pub fn switch(&self, to: &Context) {
        assert!(!to.runs.swap(true, Ordering::Relaxed), "a switch to who runs");
        assert!(self.runs.swap(false, Ordering::Relaxed), "a switch from who does not run");
        if to.cr3() != self.cr3() {
            to.cr3().load();
        }
        *lock(&self.baton.turn) = Turn::Others;
        to.baton.pass(Turn::Own);
        // Nothing of `self` may be needed behind this: the thread may be at its end.
        let baton = self.baton.clone();
        baton.wait();
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.baton.pass(Turn::End);
            let _ = thread.join();
        }
    }
}

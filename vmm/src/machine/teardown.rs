//! Taking a VM down behind its outcome.
//!
//! Closing a VM costs little, but takes Linux some 10 ms: it waits until no CPU
//! can still be using what it frees (RCU's grace periods). Nobody who wants to
//! know what came of a program needs to wait for that. So a vCPU's thread hands
//! its result over first and takes its VM down afterwards (`vcpu_thread`);
//! [`Teardown`] is for whoever wants to know when that is over.
//!
//! No more than `MOST` of a process's VMs are taken down behind their outcomes
//! at a time: what ends beyond that is taken down before its outcome. What is
//! pending holds descriptors and what KVM has for a VM; its RAM was given back
//! before ([`super::memory::GuestRam::give_back`]). When the process ends
//! meanwhile, however it does, Linux takes down what is left.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So many may be pending.
const MOST: usize = 16;

/// How many of this process's are.
static PENDING: Watched<usize> = Watched::new(0);

/// Something to wait for.
#[derive(Debug, Default)]
struct Watched<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> Watched<T> {
    const fn new(value: T) -> Watched<T> {
        Watched { value: Mutex::new(value), changed: Condvar::new() }
    }

    /// Whoever panicked with it left it whole: every change is one assignment.
    fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits until `found` finds something.
    fn wait<U>(&self, found: impl Fn(&T) -> Option<U>) -> U {
        let mut value = self.lock();
        loop {
            if let Some(found) = found(&value) {
                return found;
            }
            value = self.changed.wait(value).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default)]
enum Progress {
    /// It is still to come, or on its way.
    #[default]
    Pending,
    /// It is over and took so long.
    Over(Duration),
    /// The process's end does it.
    Left,
}

impl Progress {
    fn took(self) -> Option<Duration> {
        match self {
            Progress::Over(took) => Some(took),
            Progress::Pending | Progress::Left => None,
        }
    }
}

/// The taking down of a VM, which goes on behind its [`crate::Outcome`].
///
/// ```no_run
/// use trapgate::{Sandbox, Teardown};
///
/// let outcome = Sandbox::builder().program("./prog").build()?.run()?;
/// println!("{}, taken down in {:?}", outcome.end, outcome.teardown.wait());
/// // Or, of all sandboxes that this process has had:
/// Teardown::wait_for_all();
/// # Ok::<(), trapgate::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Teardown(Arc<Watched<Progress>>);

impl Teardown {
    /// What it took, if it is over.
    pub fn took(&self) -> Option<Duration> {
        self.0.lock().took()
    }

    /// Waits until it is over: the VM is gone, with its descriptors and memory.
    /// What it took; `None`, at once, if that is left to the process's end
    /// ([`crate::Sandbox::run_and_leave`]).
    pub fn wait(&self) -> Option<Duration> {
        self.0.wait(|progress| match progress {
            Progress::Pending => None,
            over => Some(over.took()),
        })
    }

    /// Waits until no VM of this process is being taken down.
    pub fn wait_for_all() {
        PENDING.wait(|pending| (*pending == 0).then_some(()));
    }

    /// That there will be none.
    pub(crate) fn leave(&self) {
        self.0.change(|progress| *progress = Progress::Left);
    }

    /// Does `hand_over`, and drops `rest`, of which a VM is made: behind it, if
    /// not too many are pending, else before.
    pub(super) fn behind<T>(&self, hand_over: impl FnOnce(), rest: T) {
        self.behind_in(&PENDING, hand_over, rest);
    }

    fn behind_in<T>(&self, pending: &Watched<usize>, hand_over: impl FnOnce(), rest: T) {
        match Place::take(pending) {
            Some(place) => {
                hand_over();
                self.drop_timed(rest);
                drop(place);
            }
            None => {
                self.drop_timed(rest);
                hand_over();
            }
        }
    }

    fn drop_timed<T>(&self, rest: T) {
        let start = Instant::now();
        drop(rest);
        self.0.change(|progress| *progress = Progress::Over(start.elapsed()));
    }
}

/// One of the `MOST` that may be pending.
struct Place<'a>(&'a Watched<usize>);

impl Place<'_> {
    fn take(pending: &Watched<usize>) -> Option<Place<'_>> {
        let mut count = pending.lock();
        let room = *count < MOST;
        *count += usize::from(room);
        room.then(|| Place(pending))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.change(|pending| *pending -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::thread;

    /// Dropped, it waits for the other end.
    struct Slow(std::sync::mpsc::Receiver<()>);

    impl Drop for Slow {
        fn drop(&mut self) {
            let _ = self.0.recv();
        }
    }

    #[test]
    fn so_many_are_pending_and_one_more_comes_before_its_outcome() {
        // Not the process's, in which other tests count.
        static PENDING: Watched<usize> = Watched::new(0);
        let (told, tells) = channel();
        let begin = |name: usize| {
            let (ends, slow) = channel::<()>();
            let (told, teardown) = (told.clone(), Teardown::default());
            let pending = teardown.clone();
            let thread = thread::spawn(move || {
                teardown.behind_in(
                    &PENDING,
                    || told.send(name).expect("the test listens"),
                    Slow(slow),
                );
            });
            (thread, ends, pending)
        };
        let pending: Vec<_> = (0..MOST).map(begin).collect();
        let mut names: Vec<_> = (0..MOST).map(|_| tells.recv().expect("handed over")).collect();
        names.sort_unstable();
        assert!(names.into_iter().eq(0..MOST));
        assert!(pending.iter().all(|(_, _, teardown)| teardown.took().is_none()));

        let (last, ends, teardown) = begin(MOST);
        assert!(tells.recv_timeout(Duration::from_millis(50)).is_err());
        drop(ends);
        assert_eq!(tells.recv(), Ok(MOST));
        assert!(teardown.took().is_some());
        last.join().expect("no panic");

        for (thread, ends, teardown) in pending {
            drop(ends);
            assert!(teardown.wait().is_some());
            thread.join().expect("no panic");
        }
        assert_eq!(*PENDING.lock(), 0);
    }

    #[test]
    fn what_is_left_to_the_process_is_not_waited_for() {
        let teardown = Teardown::default();
        teardown.leave();
        assert_eq!((teardown.wait(), teardown.took()), (None, None));
    }
}

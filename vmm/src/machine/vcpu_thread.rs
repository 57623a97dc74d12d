//! The thread that runs a vCPU: waiting for it, and ending it.
//!
//! It looks at `stop` whenever it leaves the guest, and between two services of
//! the host. A signal makes it leave, or ends the system call that it blocks in
//! (`kvm::kick`). A signal that comes just before a blocking call is lost, so
//! somebody repeats it until the thread is done: whoever waits for it, or a
//! thread that was begun for that.
//!
//! The thread is done when its result is there. What it ran in it takes down
//! behind that ([`super::teardown`]), and nobody waits for its own end.

use super::kvm::kick;
use super::teardown::Teardown;
use crate::error::Error;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often a thread that shall stop is kicked.
const KICK_INTERVAL: Duration = Duration::from_millis(1);

/// Stops a running sandbox, from any thread.
#[derive(Clone, Debug)]
pub struct KillHandle(Arc<Shared>);

impl KillHandle {
    /// Stops it: at once, also while it waits for a service of the host, and
    /// whether or not somebody waits for its end. Does not wait for that end
    /// itself; one that has ended stays as it is.
    pub fn kill(&self) {
        let is_first = !self.0.stop.swap(true, Ordering::AcqRel);
        let state = self.0.state();
        state.kick();
        self.0.changed.notify_all();
        if is_first && state.kickers == 0 && !state.ended {
            // Where there is no thread left, this one signal is mostly enough;
            // whoever waits sends more.
            let _ = Shared::begin_kicker(&self.0);
        }
    }
}

/// What the vCPU's thread shares with those who wait for it and end it.
#[derive(Debug)]
struct Shared {
    /// Set when it shall end.
    stop: Arc<AtomicBool>,
    /// When it ends by itself.
    deadline: Option<Instant>,
    state: Mutex<State>,
    /// It ended, or shall end.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The thread's number, gettid(2), from its start until it ended.
    id: Option<i32>,
    /// It is done.
    ended: bool,
    /// It was stopped because its time was up.
    timed_out: bool,
    /// How many see to it that it ends when it shall, however long that takes.
    kickers: usize,
}

impl State {
    /// The thread cannot end meanwhile: it needs this state for that.
    fn kick(&self) {
        if let Some(id) = self.id {
            kick::kick(id);
        }
    }
}

impl Shared {
    fn new(stop: Arc<AtomicBool>, timeout: Option<Duration>) -> Shared {
        // A time beyond the clock's end is no limit.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Shared { stop, deadline, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Says that the thread is done.
    fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        state.id = None;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whoever panicked with it left it whole: every change is one word.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the thread is done, at most until `limit`, and makes it end
    /// when it shall. Whether it is done.
    fn wait_until(&self, limit: Option<Instant>) -> bool {
        let mut state = self.state();
        let patient = usize::from(limit.is_none());
        state.kickers += patient;
        while !state.ended {
            let now = Instant::now();
            if self.deadline.is_some_and(|end| end <= now)
                && !self.stop.swap(true, Ordering::AcqRel)
            {
                state.timed_out = true;
            }
            let wake = if self.stop.load(Ordering::Acquire) {
                state.kick();
                Some(now + KICK_INTERVAL)
            } else {
                self.deadline
            };
            if limit.is_some_and(|limit| limit <= now) {
                break;
            }
            let wake = [wake, limit].into_iter().flatten().min();
            state = match wake {
                Some(wake) => {
                    let waited = self.changed.wait_timeout(state, wake - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        state.kickers -= patient;
        state.ended
    }

    /// Begins a thread that sees to the end, for as long as it takes.
    fn begin_kicker(this: &Arc<Shared>) -> Result<JoinHandle<()>, Error> {
        let shared = this.clone();
        let builder = thread::Builder::new().name("vcpu0-end".to_owned());
        let begun = builder.spawn(move || _ = shared.wait_until(None));
        begun.map_err(Error::host("creating a thread"))
    }
}

/// Where the thread leaves its result.
type Slot<T> = Arc<Mutex<Option<Result<T, Error>>>>;

/// Says that the thread is done, whatever way it ends: with a result, or by a
/// panic without one.
struct TellEnd<T> {
    shared: Arc<Shared>,
    result: Slot<T>,
}

impl<T> TellEnd<T> {
    fn with(self, result: Result<T, Error>) {
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    }
}

impl<T> Drop for TellEnd<T> {
    fn drop(&mut self) {
        self.shared.end();
    }
}

/// A vCPU's thread. Dropped, it is stopped.
#[derive(Debug)]
pub struct VcpuThread<T: Send + 'static> {
    /// Until somebody has it.
    result: Option<Slot<T>>,
    /// Ends it in time although nobody waits.
    watchdog: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
    teardown: Teardown,
}

impl<T: Send + 'static> VcpuThread<T> {
    /// Does `run`, which enters a vCPU until `stop` is set, on a thread of its
    /// own. When `timeout` is over, whoever waits for it sets `stop`. The thread
    /// drops what `run` leaves, a VM, behind its result.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn spawn<R>(
        stop: Arc<AtomicBool>,
        timeout: Option<Duration>,
        run: impl FnOnce() -> (Result<T, Error>, R) + Send + 'static,
    ) -> Result<VcpuThread<T>, Error> {
        // Before there is a thread that could be kicked.
        kick::install()?;
        let shared = Arc::new(Shared::new(stop, timeout));
        let result = Slot::<T>::default();
        let tell_end = TellEnd { shared: shared.clone(), result: result.clone() };
        let teardown = Teardown::default();
        let behind = teardown.clone();
        thread::Builder::new()
            .name("vcpu0".to_owned())
            .spawn(move || {
                let tell_end = tell_end;
                tell_end.shared.state().id = Some(kick::this_thread());
                let (result, rest) = run();
                behind.behind(|| tell_end.with(result), rest);
            })
            .map_err(Error::host("creating the vCPU's thread"))?;
        Ok(VcpuThread { result: Some(result), watchdog: None, shared, teardown })
    }

    /// Has its timeout act although nobody waits.
    ///
    /// # Errors
    /// If there can be no further thread.
    pub(crate) fn watch(&mut self) -> Result<(), Error> {
        if self.shared.deadline.is_some() {
            self.watchdog = Some(Shared::begin_kicker(&self.shared)?);
        }
        Ok(())
    }

    /// A handle to stop it with.
    pub fn kill_handle(&self) -> KillHandle {
        KillHandle(self.shared.clone())
    }

    /// Whether it sleeps: in a system call that the program waits for. In the
    /// guest, a thread runs.
    pub(crate) fn sleeps(&self) -> bool {
        let Some(id) = self.shared.state().id else { return false };
        let stat = fs::read_to_string(format!("/proc/self/task/{id}/stat")).unwrap_or_default();
        // proc_pid_stat(5): number, name in parentheses, state.
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'))
    }

    /// Waits for its end, but no longer than `limit`. Whether it ended.
    pub(crate) fn ends_within(&self, limit: Duration) -> bool {
        self.shared.wait_until(Instant::now().checked_add(limit))
    }

    /// Waits for its end. True if its time was up.
    pub fn join(mut self) -> (Result<T, Error>, bool) {
        let result = self.end().unwrap_or(Err(Error::Defect));
        (result, self.shared.state().timed_out)
    }

    /// What goes on behind its end.
    pub fn teardown(&self) -> Teardown {
        self.teardown.clone()
    }

    /// Stops it because its time is up.
    pub(crate) fn time_out(&self) {
        if !self.shared.stop.swap(true, Ordering::AcqRel) {
            self.shared.state().timed_out = true;
        }
    }

    /// Waits for its end, and for its watchdog's.
    fn end(&mut self) -> Option<Result<T, Error>> {
        let result = self.result.take()?;
        self.shared.wait_until(None);
        if let Some(watchdog) = self.watchdog.take() {
            let _ = watchdog.join();
        }
        result.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<T: Send + 'static> Drop for VcpuThread<T> {
    fn drop(&mut self) {
        if self.result.is_some() {
            self.shared.stop.store(true, Ordering::Release);
            // What it came to, nobody wants to know.
            let _ = self.end();
        }
    }
}

/// Does `run`, which enters a vCPU until `stop` is set, on this thread. True if it
/// was stopped because its time was up, to which a thread looks.
///
/// # Errors
/// Those of `run`; and if there can be no thread.
pub(super) fn on_this_thread<T>(
    stop: Arc<AtomicBool>,
    timeout: Option<Duration>,
    run: impl FnOnce() -> Result<T, Error>,
) -> Result<(T, bool), Error> {
    kick::install()?;
    let shared = Arc::new(Shared::new(stop, timeout));
    shared.state().id = Some(kick::this_thread());
    let watchdog = shared.deadline.map(|_| Shared::begin_kicker(&shared)).transpose()?;
    let result = catch_unwind(AssertUnwindSafe(run));
    shared.end();
    if let Some(watchdog) = watchdog {
        let _ = watchdog.join();
    }
    let timed_out = shared.state().timed_out;
    result.unwrap_or(Err(Error::Defect)).map(|value| (value, timed_out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read, pipe};

    /// A "vCPU" that needs no KVM: it looks at the flag.
    fn looping(timeout: Option<Duration>) -> VcpuThread<u32> {
        let stop = Arc::<AtomicBool>::default();
        let seen = stop.clone();
        let run = move || {
            while !seen.load(Ordering::Acquire) {
                thread::sleep(KICK_INTERVAL);
            }
            (Ok(1), ())
        };
        VcpuThread::spawn(stop, timeout, run).unwrap()
    }

    #[test]
    fn a_watched_thread_times_out_although_nobody_waits() {
        let mut thread = looping(Some(Duration::from_millis(10)));
        thread.watch().unwrap();
        let start = Instant::now();
        while !thread.shared.state().ended && start.elapsed() < Duration::from_secs(10) {
            thread::sleep(KICK_INTERVAL);
        }
        assert!(thread.shared.state().ended);
        assert!(matches!(thread.join(), (Ok(1), true)));
    }

    #[test]
    fn a_kill_before_the_timeout_is_none() {
        let mut thread = looping(Some(Duration::from_secs(3600)));
        thread.watch().unwrap();
        assert!(!thread.ends_within(KICK_INTERVAL));
        thread.kill_handle().kill();
        assert!(matches!(thread.join(), (Ok(1), false)));
    }

    #[test]
    fn a_kill_ends_what_blocks_although_nobody_waits() {
        let (mut reader, _writer) = pipe().unwrap();
        let run = move || (Ok(reader.read(&mut [0]).unwrap_err().kind()), ());
        let thread = VcpuThread::spawn(Arc::default(), None, run).unwrap();
        let handle = thread.kill_handle();
        thread::sleep(Duration::from_millis(20));
        handle.kill();
        let start = Instant::now();
        while !handle.0.state().ended && start.elapsed() < Duration::from_secs(10) {
            thread::sleep(KICK_INTERVAL);
        }
        assert!(handle.0.state().ended);
        assert!(matches!(thread.join(), (Ok(ErrorKind::Interrupted), false)));
        // One that has ended is let alone.
        handle.kill();
    }

    #[test]
    fn on_this_thread_time_runs_out_too() {
        let stop = Arc::<AtomicBool>::default();
        let seen = stop.clone();
        let run = || {
            while !seen.load(Ordering::Acquire) {
                thread::sleep(KICK_INTERVAL);
            }
            Ok(1)
        };
        let ran = on_this_thread(stop, Some(Duration::from_millis(10)), run);
        assert!(matches!(ran, Ok((1, true))));
        let ran = on_this_thread(Arc::default(), Some(Duration::MAX), || Ok(2));
        assert!(matches!(ran, Ok((2, false))));
        let ran = on_this_thread(Arc::default(), None, || -> Result<(), _> { panic!("a test's") });
        assert!(matches!(ran, Err(Error::Defect)));
    }

    #[test]
    fn what_is_left_is_dropped_behind_the_result() {
        let (ends, end) = std::sync::mpsc::channel::<()>();
        /// Dropped, it waits.
        struct Slow(std::sync::mpsc::Receiver<()>);
        impl Drop for Slow {
            fn drop(&mut self) {
                let _ = self.0.recv();
            }
        }
        let thread = VcpuThread::spawn(Arc::default(), None, || (Ok(1), Slow(end))).unwrap();
        let teardown = thread.teardown();
        assert!(matches!(thread.join(), (Ok(1), false)));
        assert_eq!(teardown.took(), None);
        drop(ends);
        assert!(teardown.wait().is_some());
    }

    #[test]
    fn a_panic_is_a_defect_and_no_hang() {
        let stop = Arc::<AtomicBool>::default();
        let thread =
            VcpuThread::spawn(stop, None, || -> (Result<(), Error>, ()) { panic!("a test's") });
        assert!(matches!(thread.unwrap().join().0, Err(Error::Defect)));
    }
}

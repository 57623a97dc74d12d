//! The thread that runs a vCPU: waiting for it, and ending it.
//!
//! It looks at what it is told ([`super::control`]) whenever it leaves the guest,
//! and when it waits. A signal makes it leave, or ends the system call that it
//! blocks in (`kvm::kick`). A signal that comes just before a blocking call is
//! lost, so the watcher repeats it until the thread is done.
//!
//! The thread is done when its result is there. What it ran in it takes down
//! behind that ([`super::teardown`]), and nobody waits for its own end.

use super::control::Control;
use super::forward::Forwarding;
use super::kvm::kick;
use super::teardown::Teardown;
use super::watcher;
use crate::error::Error;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often a thread that shall stop is kicked where there can be no watcher.
const KICK_INTERVAL: Duration = Duration::from_millis(1);

/// Stops a running sandbox, or sends its program a signal, from any thread.
#[derive(Clone, Debug)]
pub struct KillHandle(Arc<Control>);

impl KillHandle {
    /// Stops it: at once, also while it waits for something of the host's, and
    /// whether or not somebody waits for its end. Does not wait for that end
    /// itself; one that has ended stays as it is.
    pub fn kill(&self) {
        stop(&self.0);
    }

    /// Sends its program a signal: kill(2) from outside. Without an action of the
    /// program's own it does what it does by default, mostly end it
    /// ([`crate::End::Killed`]). To a sandbox that has ended, nothing.
    ///
    /// ```no_run
    /// use trapgate::{End, Sandbox};
    ///
    /// let running = Sandbox::builder().program("./prog").build()?.start()?;
    /// assert!(running.kill_handle().signal(15));
    /// let outcome = running.wait()?;
    /// assert_eq!(outcome.end.signal(), Some(15));
    /// println!("{}", outcome.place.expect("it was ended from outside"));
    /// # Ok::<(), trapgate::Error>(())
    /// ```
    ///
    /// False, if `signal` is no signal's number: those are 1 to 64.
    pub fn signal(&self, signal: u8) -> bool {
        let is_one = (1..=64).contains(&signal);
        if is_one {
            self.0.send(signal);
        }
        is_one
    }
}

/// Has a machine stop, and sees to it that it does, whoever waits for that.
fn stop(control: &Arc<Control>) {
    if control.stop() && !control.has_ended() {
        // Where there can be no thread, whoever waits kicks.
        let _ = watcher::see_to_the_end(control);
    }
    if control.has_ended() {
        // It ended meanwhile, and is not to be kicked any more.
        watcher::forget(control);
    }
}

/// Waits until a machine is done, at most until `limit`. Whether it is.
fn wait_until(control: &Arc<Control>, limit: Option<Instant>) -> bool {
    while control.is_stopped() {
        // The watcher kicks as well; so does this, where there can be none.
        let soon = Instant::now() + KICK_INTERVAL;
        let until = limit.map_or(soon, |limit| limit.min(soon));
        if control.wait_until(Some(until), false) || limit.is_some_and(|limit| limit <= until) {
            return control.has_ended();
        }
        control.kick();
    }
    control.wait_until(limit, true) || control.is_stopped() && wait_until(control, limit)
}

/// Where the thread leaves its result.
type Slot<T> = Arc<Mutex<Option<Result<T, Error>>>>;

/// Says that the thread is done, whatever way it ends: with a result, or by a
/// panic without one.
struct TellEnd<T> {
    control: Arc<Control>,
    result: Slot<T>,
}

impl<T> TellEnd<T> {
    fn with(self, result: Result<T, Error>) {
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    }
}

impl<T> Drop for TellEnd<T> {
    fn drop(&mut self) {
        self.control.end();
        watcher::forget(&self.control);
    }
}

/// A vCPU's thread. Dropped, it is stopped.
#[derive(Debug)]
pub struct VcpuThread<T: Send + 'static> {
    /// Until somebody has it.
    result: Option<Slot<T>>,
    control: Arc<Control>,
    teardown: Teardown,
}

impl<T: Send + 'static> VcpuThread<T> {
    /// Does `run`, which enters a vCPU until `control` says to stop, on a thread of
    /// its own; `timeout` after now that is said. The thread drops what `run`
    /// leaves, a VM, behind its result.
    ///
    /// # Errors
    /// If there can be no thread.
    pub(super) fn spawn<R>(
        control: Arc<Control>,
        timeout: Option<Duration>,
        run: impl FnOnce() -> (Result<T, Error>, R) + Send + 'static,
    ) -> Result<VcpuThread<T>, Error> {
        // Before there is a thread that could be kicked.
        kick::install()?;
        if let Some(timeout) = timeout {
            let watched = watcher::time_out_after(&control, timeout);
            watched.map_err(Error::host("creating a thread"))?;
        }
        let result = Slot::<T>::default();
        // From here on, also if there can be no thread: the watcher forgets it.
        let tell_end = TellEnd { control: control.clone(), result: result.clone() };
        let teardown = Teardown::default();
        let behind = teardown.clone();
        thread::Builder::new()
            .name("vcpu0".to_owned())
            .spawn(move || {
                let tell_end = tell_end;
                tell_end.control.begin();
                let (result, rest) = run();
                behind.behind(|| tell_end.with(result), rest);
            })
            .map_err(Error::host("creating the vCPU's thread"))?;
        Ok(VcpuThread { result: Some(result), control, teardown })
    }

    /// A handle to stop it with.
    pub fn kill_handle(&self) -> KillHandle {
        KillHandle(self.control.clone())
    }

    /// Whether it sleeps: in a system call that the program waits for. In the
    /// guest, a thread runs.
    pub(crate) fn sleeps(&self) -> bool {
        let Some(id) = self.control.thread() else { return false };
        let stat = fs::read_to_string(format!("/proc/self/task/{id}/stat")).unwrap_or_default();
        // proc_pid_stat(5): number, name in parentheses, state.
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'))
    }

    /// Waits for its end, but no longer than `limit`. Whether it ended.
    pub(crate) fn ends_within(&self, limit: Duration) -> bool {
        wait_until(&self.control, Instant::now().checked_add(limit))
    }

    /// Waits for its end. True if its time was up.
    pub fn join(mut self) -> (Result<T, Error>, bool) {
        let result = self.end().unwrap_or(Err(Error::Defect));
        (result, self.control.has_timed_out())
    }

    /// What goes on behind its end.
    pub fn teardown(&self) -> Teardown {
        self.teardown.clone()
    }

    /// Stops it because its time is up.
    ///
    /// # Errors
    /// If there can be no thread that sees to it.
    pub(crate) fn time_out(&self) -> Result<(), Error> {
        let watched = watcher::time_out_after(&self.control, Duration::ZERO);
        watched.map_err(Error::host("creating a thread"))
    }

    /// Waits for its end.
    fn end(&mut self) -> Option<Result<T, Error>> {
        let result = self.result.take()?;
        wait_until(&self.control, None);
        result.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<T: Send + 'static> Drop for VcpuThread<T> {
    fn drop(&mut self) {
        if self.result.is_some() {
            self.control.stop();
            // What it came to, nobody wants to know.
            let _ = self.end();
        }
    }
}

/// Does `run`, which enters a vCPU until `control` says to stop, on this thread.
/// The signals of `forwarded`, bit `n - 1` for signal `n`, are passed on to its
/// program. True if it was stopped because its time was up.
///
/// # Errors
/// Those of `run`; and if there can be no thread that looks to the time, or no
/// handler.
pub(super) fn on_this_thread<T>(
    control: &Arc<Control>,
    timeout: Option<Duration>,
    forwarded: u64,
    run: impl FnOnce() -> Result<T, Error>,
) -> Result<(T, bool), Error> {
    kick::install()?;
    control.begin();
    // Whatever way it ends, also if it does not begin.
    let over = TellEnd { control: control.clone(), result: Slot::<T>::default() };
    if let Some(timeout) = timeout {
        let watched = watcher::time_out_after(control, timeout);
        watched.map_err(Error::host("creating a thread"))?;
    }
    let forwarding = Forwarding::begin(control, forwarded)?;
    let result = catch_unwind(AssertUnwindSafe(run));
    // From here on it is this process that a signal is for.
    drop(forwarding);
    drop(over);
    let timed_out = control.has_timed_out();
    result.unwrap_or(Err(Error::Defect)).map(|value| (value, timed_out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read, pipe};

    /// A "vCPU" that needs no KVM: it looks.
    fn looping(timeout: Option<Duration>) -> VcpuThread<u32> {
        let control = Arc::<Control>::default();
        let seen = control.clone();
        let run = move || {
            while !seen.is_stopped() {
                thread::sleep(KICK_INTERVAL);
            }
            (Ok(1), ())
        };
        VcpuThread::spawn(control, timeout, run).unwrap()
    }

    /// Waits, without waiting for the thread, until it has ended.
    #[track_caller]
    fn ends(control: &Control) {
        let start = Instant::now();
        while !control.has_ended() {
            assert!(start.elapsed() < Duration::from_secs(10), "it does not end");
            thread::sleep(KICK_INTERVAL);
        }
    }

    #[test]
    fn a_thread_times_out_although_nobody_waits() {
        let thread = looping(Some(Duration::from_millis(10)));
        ends(&thread.control);
        assert!(matches!(thread.join(), (Ok(1), true)));
    }

    #[test]
    fn a_kill_before_the_timeout_is_none() {
        let thread = looping(Some(Duration::from_secs(3600)));
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
        ends(&handle.0);
        assert!(matches!(thread.join(), (Ok(ErrorKind::Interrupted), false)));
        // One that has ended is let alone.
        handle.kill();
        assert!(handle.signal(15) && !handle.signal(0) && !handle.signal(65));
    }

    #[test]
    fn on_this_thread_time_runs_out_too() {
        let control = Arc::<Control>::default();
        let run = || {
            while !control.is_stopped() {
                thread::sleep(KICK_INTERVAL);
            }
            Ok(1)
        };
        let ran = on_this_thread(&control, Some(Duration::from_millis(10)), 0, run);
        assert!(matches!(ran, Ok((1, true))));
        let ran = on_this_thread(&Arc::default(), Some(Duration::MAX), 0, || Ok(2));
        assert!(matches!(ran, Ok((2, false))));
        let panics = || -> Result<(), _> { panic!("a test's") };
        let ran = on_this_thread(&Arc::default(), None, 0, panics);
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
        let panics = || -> (Result<(), Error>, ()) { panic!("a test's") };
        let thread = VcpuThread::spawn(Arc::default(), None, panics);
        assert!(matches!(thread.unwrap().join().0, Err(Error::Defect)));
    }
}

//! A program that runs on a thread of its own: waiting for it, and ending it.
//!
//! A vCPU's thread looks at `stop` whenever it leaves the guest, and between two
//! services of the host. A signal makes it leave, or ends the system call that
//! it blocks in (`kvm::kick`).

use crate::error::Error;
use crate::kvm::kick;
use crate::sandbox::{End, Outcome};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What the thread that waits for a sandbox is told.
enum Event {
    /// The vCPU's thread is done.
    Ended,
    /// Somebody wants it to end.
    Kill,
}

/// Stops a running sandbox from any thread.
#[derive(Clone, Debug)]
pub struct KillHandle {
    stop: Arc<AtomicBool>,
    events: mpsc::Sender<Event>,
}

impl KillHandle {
    /// Stops it: at once, also while it waits for a service of the host.
    /// [`Running::wait`], or dropping the [`Running`], sees to its end.
    pub fn kill(&self) {
        self.stop.store(true, Ordering::Release);
        // Nobody listens to one that has ended.
        let _ = self.events.send(Event::Kill);
    }
}

/// Tells the waiting thread, whatever way the vCPU's thread ends.
struct TellEnd(mpsc::Sender<Event>);

impl Drop for TellEnd {
    fn drop(&mut self) {
        let _ = self.0.send(Event::Ended);
    }
}

/// A program that runs. Dropped without a wait, it is stopped.
pub struct Running<T: Send + 'static = Outcome> {
    /// Until it is joined.
    thread: Option<JoinHandle<Result<T, Error>>>,
    /// The thread's number, gettid(2); 0 until it runs.
    id: Arc<AtomicI32>,
    events: mpsc::Receiver<Event>,
    kill: KillHandle,
    deadline: Option<Instant>,
}

/// How often a thread that shall stop is kicked: a kick that comes just before
/// a blocking call is lost.
const KICK_INTERVAL: Duration = Duration::from_millis(1);

impl Running {
    /// Waits for its end.
    ///
    /// # Errors
    /// [`Error`], if the VM fails.
    pub fn wait(self) -> Result<Outcome, Error> {
        let (result, timed_out) = self.join();
        result.map(|mut outcome| {
            if timed_out && outcome.end == End::Stopped {
                outcome.end = End::TimedOut;
            }
            outcome
        })
    }

    /// The same, but no longer than `limit` from now on.
    ///
    /// # Errors
    /// As [`Running::wait`].
    pub(crate) fn wait_at_most(mut self, limit: Duration) -> Result<Outcome, Error> {
        self.deadline = Instant::now().checked_add(limit);
        self.wait()
    }
}

impl<T: Send + 'static> Running<T> {
    /// Does `run`, which enters a vCPU until `stop` is set, on a thread of its
    /// own.
    ///
    /// # Errors
    /// If there can be no thread.
    pub(crate) fn spawn(
        stop: Arc<AtomicBool>,
        timeout: Option<Duration>,
        run: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<Running<T>, Error> {
        // Before there is a thread that could be kicked.
        kick::install()?;
        let (sender, events) = mpsc::channel();
        let tell_end = TellEnd(sender.clone());
        let id = Arc::<AtomicI32>::default();
        let tell_id = id.clone();
        let thread = thread::Builder::new()
            .name("vcpu0".to_owned())
            .spawn(move || {
                let _tell_end = tell_end;
                tell_id.store(kick::this_thread(), Ordering::Release);
                run()
            })
            .map_err(Error::host("creating the vCPU's thread"))?;
        // A time beyond the clock's end is no limit.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let kill = KillHandle { stop, events: sender };
        Ok(Running { thread: Some(thread), id, events, kill, deadline })
    }

    /// A handle to stop it with.
    pub fn kill_handle(&self) -> KillHandle {
        self.kill.clone()
    }

    /// Whether its thread sleeps: in a system call that the program waits for.
    /// In the guest, a thread runs.
    pub(crate) fn sleeps(&self) -> bool {
        let id = self.id.load(Ordering::Acquire);
        let stat = fs::read_to_string(format!("/proc/self/task/{id}/stat")).unwrap_or_default();
        // proc_pid_stat(5): number, name in parentheses, state.
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'))
    }

    /// Waits for its end; true if its time was up.
    pub(crate) fn join(mut self) -> (Result<T, Error>, bool) {
        let timed_out = self.wait_for_end();
        let Some(thread) = self.thread.take() else { unreachable!("joined here and nowhere else") };
        (thread.join().unwrap_or(Err(Error::Defect)), timed_out)
    }

    /// Waits until the vCPU's thread is done, and makes it end when it shall.
    /// True if its time was up.
    fn wait_for_end(&mut self) -> bool {
        let mut timed_out = false;
        loop {
            let stopping = self.kill.stop.load(Ordering::Acquire);
            let left = self.deadline.map(|end| end.saturating_duration_since(Instant::now()));
            let event = match (stopping, left) {
                (true, _) => self.events.recv_timeout(KICK_INTERVAL),
                (false, Some(left)) => self.events.recv_timeout(left),
                (false, None) => self.events.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match event {
                Ok(Event::Kill) => {}
                Ok(Event::Ended) | Err(RecvTimeoutError::Disconnected) => return timed_out,
                Err(RecvTimeoutError::Timeout) if !stopping => {
                    timed_out = true;
                    self.kill.stop.store(true, Ordering::Release);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Some(thread) = &self.thread {
                kick::kick(thread);
            }
        }
    }
}

impl<T: Send + 'static> Drop for Running<T> {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.kill.kill();
            self.wait_for_end();
            // What it came to, nobody wants to know.
            let _ = self.thread.take().map(JoinHandle::join);
        }
    }
}

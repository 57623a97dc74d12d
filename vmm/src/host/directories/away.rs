//! A thread that waits for a file system which may not answer, so that a sandbox can be
//! stopped whatever that does: the server goes there with the request and comes back with
//! the answer. If the sandbox ends before, it does not come back.

use super::server::Server;
use super::{Done, Job, Trouble, Waits};
use crate::machine::Control;
use crate::machine::kvm::kick;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use trapgate_uapi::Errno;

/// How often whoever waits looks whether the sandbox is to end.
const LOOK: Duration = Duration::from_millis(10);
/// How often the thread is kicked at the end, and how long it has.
const KICK_INTERVAL: Duration = Duration::from_millis(1);
const END: Duration = Duration::from_secs(1);

type Answer = (Box<Server>, Result<Done, Trouble>);

/// The thread.
pub(super) struct Away {
    give: Option<Sender<(Box<Server>, Job)>>,
    take: Receiver<Answer>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    thread: Mutex<Option<kick::Target>>,
    /// Nobody waits any more.
    end: AtomicBool,
}

/// What became of a request.
pub(super) enum Came {
    /// It was carried out.
    Back(Answer),
    /// The sandbox was told to stop: the server is not here.
    Stopped,
    /// The thread is gone, and the server with it.
    Lost,
}

impl Away {
    /// # Errors
    /// ENOMEM, if there can be no thread.
    pub(super) fn begin() -> Result<Away, Errno> {
        kick::install().map_err(|_| Errno::ENOMEM)?;
        let (give, jobs) = channel::<(Box<Server>, Job)>();
        let (answers, take) = channel();
        let shared = Arc::new(Shared::default());
        let its = shared.clone();
        let work = move || {
            kick::take_kicks();
            its.set_thread(Some(kick::Target::this_thread()));
            for (mut server, job) in jobs {
                let result = loop {
                    match server.carry_out(&job, Waits::Yes) {
                        Err(Trouble::Errno(Errno::EINTR)) if !its.end.load(Ordering::SeqCst) => {}
                        result => break result,
                    }
                };
                if answers.send((server, result)).is_err() {
                    break;
                }
            }
            its.set_thread(None);
        };
        let thread = thread::Builder::new().name("directories".to_owned());
        thread.spawn(work).map_err(|_| Errno::ENOMEM)?;
        Ok(Away { give: Some(give), take, shared })
    }

    /// Has a request carried out there.
    pub(super) fn carry_out(&self, server: Box<Server>, job: Job, control: &Control) -> Came {
        if self.give.as_ref().is_none_or(|give| give.send((server, job)).is_err()) {
            return Came::Lost;
        }
        loop {
            match self.take.recv_timeout(LOOK) {
                Ok(answer) => return Came::Back(answer),
                Err(RecvTimeoutError::Disconnected) => return Came::Lost,
                Err(RecvTimeoutError::Timeout) if control.is_stopped() => return Came::Stopped,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Drop for Away {
    /// Ends the thread, whatever it waits for. One that Linux does not let go of is left
    /// to itself: what it has is nobody else's.
    fn drop(&mut self) {
        self.shared.end.store(true, Ordering::SeqCst);
        self.give = None;
        let start = Instant::now();
        while start.elapsed() < END {
            self.shared.kick();
            match self.take.recv_timeout(KICK_INTERVAL) {
                Err(RecvTimeoutError::Disconnected) => return,
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Shared {
    fn set_thread(&self, thread: Option<kick::Target>) {
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = thread;
    }

    fn kick(&self) {
        // It takes itself out under the lock, so what is there has not ended.
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = &*thread {
            thread.kick();
        }
    }
}

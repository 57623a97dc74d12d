//! Signals that were sent and have not acted: those of one task, or those that any task of
//! a process may take.
//!
//! A signal below `SIGRTMIN` is there once; of those above, each that was sent is, in
//! order (signal(7), "Real-time signals"). That one is there is told even where there is no
//! room for what it tells of itself.

use super::info::Info;
use super::number::{SYNCHRONOUS, bit, is_real_time};
use crate::memory::try_insert;
use alloc::collections::BTreeMap;
use core::sync::atomic::{AtomicU64, Ordering};
use spin::Mutex;
use trapgate_uapi::Errno;
use trapgate_uapi::siginfo::{SI_KERNEL, SI_USER};

/// How many signals of a user's are queued, and how many may be: `RLIMIT_SIGPENDING`.
#[derive(Default)]
pub struct Queued(AtomicU64);

impl Queued {
    /// How many are.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Signals that were sent and have not acted.
#[derive(Default)]
pub struct Pending {
    /// Which, bit `n - 1` for signal `n`.
    set: AtomicU64,
    queue: Mutex<Queue>,
}

/// What they tell.
#[derive(Default)]
struct Queue {
    /// The one that came while there was no other: it costs no node.
    first: Option<Info>,
    /// All others, by signal and in the order in which they came.
    others: BTreeMap<(u8, u64), Info>,
    next: u64,
}

impl Pending {
    /// Which there are.
    pub fn set(&self) -> u64 {
        self.set.load(Ordering::Relaxed)
    }

    /// One was sent. It is one of at most `limit` that are queued; beyond that, and
    /// without memory, it is known to have come, and no more.
    ///
    /// # Errors
    /// EAGAIN for a real-time signal whose sender is to know that.
    pub fn add(&self, info: Info, queued: &Queued, limit: u64) -> Result<(), Errno> {
        let signal = info.signal;
        // Each timer sends its own, one at a time.
        let is_once = !is_real_time(signal) && info.timer().is_none();
        if is_once && self.set() & bit(signal) != 0 {
            return Ok(());
        }
        // What nobody can make up is not counted against anybody's limit.
        let is_within = !is_real_time(signal) && info.code >= 0 || queued.count() < limit;
        if is_within && self.queue.lock().add(info).is_ok() {
            queued.0.fetch_add(1, Ordering::Relaxed);
        } else if is_real_time(signal) && !matches!(info.code, SI_USER | SI_KERNEL) {
            return Err(Errno::EAGAIN);
        }
        self.set.fetch_or(bit(signal), Ordering::Relaxed);
        Ok(())
    }

    /// Takes the next one of those in `among`: first what an instruction has caused, then
    /// by number.
    pub fn take(&self, among: u64, queued: &Queued) -> Option<Info> {
        let ready = self.set() & among;
        let first = if ready & SYNCHRONOUS != 0 { ready & SYNCHRONOUS } else { ready };
        if first == 0 {
            return None;
        }
        let signal = first.trailing_zeros() as u8 + 1;
        let (info, is_last) = self.queue.lock().take(signal);
        if is_last {
            self.set.fetch_and(!bit(signal), Ordering::Relaxed);
        }
        if info.is_some() {
            queued.0.fetch_sub(1, Ordering::Relaxed);
        }
        Some(info.unwrap_or(Info::unknown(signal)))
    }

    /// Forgets these.
    pub fn forget(&self, signals: u64, queued: &Queued) {
        while self.take(signals, queued).is_some() {}
    }
}

impl Queue {
    fn add(&mut self, info: Info) -> Result<(), Errno> {
        if self.first.is_none() && self.others.is_empty() {
            self.first = Some(info);
            return Ok(());
        }
        try_insert(&mut self.others, (info.signal, self.next), info)?;
        self.next += 1;
        Ok(())
    }

    /// Takes the oldest of a signal, if what it tells is here, and says whether no other
    /// is left.
    fn take(&mut self, signal: u8) -> (Option<Info>, bool) {
        let all = (signal, 0)..=(signal, u64::MAX);
        // What is apart came before all others.
        let info = match self.first.take_if(|info| info.signal == signal) {
            None => {
                let oldest = self.others.range(all.clone()).next().map(|(&key, _)| key);
                oldest.and_then(|key| self.others.remove(&key))
            }
            first => first,
        };
        (info, self.others.range(all).next().is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trapgate_uapi::siginfo::{SI_QUEUE, SI_TKILL};
    use trapgate_uapi::signal::{SIGHUP, SIGSEGV, SIGUSR1};

    const REAL_TIME: u8 = 40;

    fn queue_of(signal: u8, value: u32) -> Info {
        Info::of_process(signal, SI_QUEUE, value, 0)
    }

    fn taken(pending: &Pending, queued: &Queued) -> Vec<(u8, u32)> {
        std::iter::from_fn(|| pending.take(u64::MAX, queued))
            .map(|info| (info.signal, info.pid()))
            .collect()
    }

    #[test]
    fn a_standard_signal_is_there_once_and_a_real_time_one_each_time() {
        let (pending, queued) = (Pending::default(), Queued::default());
        for value in 1..=3 {
            for signal in [REAL_TIME, SIGUSR1, SIGHUP] {
                pending.add(queue_of(signal, value), &queued, 100).unwrap();
            }
        }
        assert_eq!(queued.count(), 5);
        let expected = [(SIGHUP, 1), (SIGUSR1, 1), (REAL_TIME, 1), (REAL_TIME, 2), (REAL_TIME, 3)];
        assert_eq!(taken(&pending, &queued), expected);
        assert_eq!((queued.count(), pending.set()), (0, 0));
    }

    #[test]
    fn what_an_instruction_has_caused_comes_first() {
        let (pending, queued) = (Pending::default(), Queued::default());
        for signal in [SIGHUP, SIGSEGV] {
            pending.add(Info::of_kernel(signal), &queued, 0).unwrap();
        }
        assert_eq!(taken(&pending, &queued), [(SIGSEGV, 0), (SIGHUP, 0)]);
    }

    #[test]
    fn beyond_the_limit_a_signal_is_known_to_have_come_or_its_sender_is_told() {
        let (pending, queued) = (Pending::default(), Queued::default());
        assert_eq!(pending.add(queue_of(REAL_TIME, 1), &queued, 1), Ok(()));
        assert_eq!(pending.add(queue_of(REAL_TIME, 2), &queued, 1), Err(Errno::EAGAIN));
        // By kill(2) it comes, but without what it tells.
        let by_kill = |signal| Info::of_process(signal, SI_USER, 9, 9);
        assert_eq!(pending.add(by_kill(REAL_TIME + 1), &queued, 1), Ok(()));
        // A standard one of kill(2)'s is not counted, one that was made up is.
        assert_eq!(pending.add(by_kill(SIGHUP), &queued, 1), Ok(()));
        let made_up = Info::of_process(SIGUSR1, SI_TKILL, 9, 9);
        assert_eq!(pending.add(made_up, &queued, 1), Ok(()));
        let expected = [(SIGHUP, 9), (SIGUSR1, 0), (REAL_TIME, 1), (REAL_TIME + 1, 0)];
        assert_eq!(taken(&pending, &queued), expected);
    }

    #[test]
    fn a_set_can_be_forgotten() {
        let (pending, queued) = (Pending::default(), Queued::default());
        for signal in [SIGHUP, REAL_TIME, REAL_TIME, SIGUSR1] {
            pending.add(queue_of(signal, 1), &queued, 9).unwrap();
        }
        pending.forget(bit(SIGHUP) | bit(REAL_TIME), &queued);
        assert_eq!(taken(&pending, &queued), [(SIGUSR1, 1)]);
    }
}

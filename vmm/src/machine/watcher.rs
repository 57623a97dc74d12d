//! The watcher: one thread a process that does what is due at a time to machines
//! that run: ends those whose time is up, interrupts for ticks, and makes a thread
//! that shall stop look again until it has.
//!
//! It is begun when something is to be done at a time, and ends when there is
//! nothing any more: a plain run has none. It waits for nobody and holds no lock
//! while it acts.

use super::control::Control;
use super::kvm::kick;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often a thread that shall stop is kicked: a signal that comes just before a
/// system call that waits is lost, so one may not be enough.
const KICK_INTERVAL: Duration = Duration::from_millis(1);
/// How long a kernel whose program's time is up has to say where that is.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Ticks of one machine come no faster.
pub(crate) const LEAST_PERIOD: Duration = Duration::from_millis(1);

/// Kinds of what is due.
const KINDS: u8 = 4;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    /// The program's time is up.
    TimeOut,
    /// It had time for its last words.
    Stop,
    /// It shall stop: kick it, again and again.
    Kick,
    /// An interrupt, and others after it, with so much time between them.
    Tick(Option<Duration>),
}

impl Action {
    /// Of each there is one a machine.
    fn kind(self) -> u8 {
        match self {
            Action::TimeOut => 0,
            Action::Stop => 1,
            Action::Kick => 2,
            Action::Tick(_) => 3,
        }
    }
}

/// When, for which machine (the address of its [`Control`]), what.
type Key = (Instant, usize, u8);

#[derive(Default)]
struct Due {
    list: BTreeMap<Key, (Arc<Control>, Action)>,
    /// When each machine's action of each kind is due: what a guest asks for again and
    /// again costs no look through what others have.
    times: BTreeMap<(usize, u8), Instant>,
    /// When the last tick of each machine that has one is or was due.
    ticks: BTreeMap<usize, Instant>,
    has_thread: bool,
}

static DUE: Mutex<Option<Due>> = Mutex::new(None);
static CHANGED: Condvar = Condvar::new();

fn due() -> MutexGuard<'static, Option<Due>> {
    // Whoever panicked with it left it whole: every change is one call of a map's.
    DUE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn name(control: &Arc<Control>) -> usize {
    Arc::as_ptr(control).addr()
}

impl Due {
    /// Takes what is due first, if it is due now; else says when.
    fn take(&mut self, now: Instant) -> Result<(Arc<Control>, Action), Option<Instant>> {
        match self.first() {
            Some(at) if at <= now => {
                let (key, what) = self.list.pop_first().ok_or(None)?;
                self.times.remove(&(key.1, key.2));
                Ok(what)
            }
            later => Err(later),
        }
    }

    /// When something is due first.
    fn first(&self) -> Option<Instant> {
        self.list.first_key_value().map(|(key, _)| key.0)
    }

    /// Forgets what a machine has of this kind.
    fn forget(&mut self, machine: usize, kind: u8) {
        if let Some(at) = self.times.remove(&(machine, kind)) {
            self.list.remove(&(at, machine, kind));
        }
    }

    /// Forgets a machine.
    fn forget_all(&mut self, machine: usize) {
        self.ticks.remove(&machine);
        for kind in 0..KINDS {
            self.forget(machine, kind);
        }
    }

    /// Nothing is due to a machine that has ended: whoever it is that ends it says so
    /// before it has it forgotten.
    fn add(&mut self, at: Instant, control: &Arc<Control>, action: Action) {
        let (machine, kind) = (name(control), action.kind());
        self.forget(machine, kind);
        if !control.has_ended() {
            self.times.insert((machine, kind), at);
            self.list.insert((at, machine, kind), (control.clone(), action));
        }
    }
}

/// Has something done at a time.
///
/// # Errors
/// If there can be no thread for it.
fn add(at: Instant, control: &Arc<Control>, action: Action) -> io::Result<()> {
    let mut due = due();
    let due = due.get_or_insert_default();
    due.add(at, control, action);
    begin(due, at).inspect_err(|_| due.forget(name(control), action.kind()))
}

/// Begins the thread, if there is none; else wakes it, if what is new is due first.
fn begin(due: &mut Due, at: Instant) -> io::Result<()> {
    if !due.has_thread {
        thread::Builder::new().name("watcher".to_owned()).spawn(watch)?;
        due.has_thread = true;
    } else if due.first() == Some(at) {
        CHANGED.notify_one();
    }
    Ok(())
}

/// Ends a machine's program when this is over.
///
/// # Errors
/// If there can be no thread for it.
pub(super) fn time_out_after(control: &Arc<Control>, timeout: Duration) -> io::Result<()> {
    match Instant::now().checked_add(timeout) {
        Some(at) => add(at, control, Action::TimeOut),
        // A time beyond the clock's end is no limit.
        None => Ok(()),
    }
}

/// Kicks the thread of a machine that was told to stop, until it has.
///
/// # Errors
/// If there can be no thread for it.
pub(super) fn see_to_the_end(control: &Arc<Control>) -> io::Result<()> {
    keep_kicking(control)
}

/// Kicks the thread of a machine until it has ended, or somebody says that it is enough.
///
/// # Errors
/// If there can be no thread for it.
pub(crate) fn keep_kicking(control: &Arc<Control>) -> io::Result<()> {
    add(Instant::now() + KICK_INTERVAL, control, Action::Kick)
}

/// It is enough, unless the machine shall stop.
pub(crate) fn stop_kicking(control: &Arc<Control>) {
    if let Some(due) = due().as_mut()
        && !control.is_stopped()
    {
        due.forget(name(control), Action::Kick.kind());
    }
}

/// Interrupts a machine after `after`, if that is not `None`, and every `period`
/// from then on; instead of what it was to be interrupted for before, of which one may
/// still come. Not faster than every [`LEAST_PERIOD`].
///
/// # Errors
/// If there can be no thread for it.
pub(crate) fn tick(
    control: &Arc<Control>,
    after: Option<Duration>,
    period: Option<Duration>,
) -> io::Result<()> {
    let machine = name(control);
    let mut due = due();
    let due = due.get_or_insert_default();
    let now = Instant::now();
    let Some(at) = after.and_then(|after| now.checked_add(after)) else {
        due.forget(machine, Action::Tick(None).kind());
        return Ok(());
    };
    let earliest = due.ticks.get(&machine).map(|last| *last + LEAST_PERIOD);
    let at = earliest.map_or(at, |earliest| at.max(earliest));
    let action = Action::Tick(period.map(|period| period.max(LEAST_PERIOD)));
    due.add(at, control, action);
    begin(due, at).inspect_err(|_| due.forget(machine, action.kind()))
}

/// Forgets a machine: it has ended.
pub(super) fn forget(control: &Arc<Control>) {
    if let Some(due) = due().as_mut() {
        due.forget_all(name(control));
        if due.list.is_empty() {
            // It ends.
            CHANGED.notify_one();
        }
    }
}

/// What the thread does.
fn watch() {
    kick::block_all();
    let mut guard = due();
    while let Some(due) = guard.as_mut() {
        let now = Instant::now();
        match due.take(now) {
            Ok((control, action)) => {
                if let Some((at, action)) = next(now, due, &control, action) {
                    due.add(at, &control, action);
                }
                drop(guard);
                act(&control, action);
                guard = self::due();
            }
            Err(Some(at)) => {
                let waited = CHANGED.wait_timeout(guard, at - now);
                guard = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            Err(None) => {
                due.has_thread = false;
                break;
            }
        }
    }
}

/// What comes after that.
fn next(
    now: Instant,
    due: &mut Due,
    control: &Arc<Control>,
    action: Action,
) -> Option<(Instant, Action)> {
    match action {
        Action::TimeOut if control.takes_events() => Some((now + LAST_WORDS, Action::Stop)),
        Action::TimeOut => Some((now + KICK_INTERVAL, Action::Stop)),
        Action::Stop | Action::Kick => Some((now + KICK_INTERVAL, Action::Kick)),
        Action::Tick(period) => {
            if !control.has_ended() {
                due.ticks.insert(name(control), now);
            }
            period.map(|period| (now + period, action))
        }
    }
}

fn act(control: &Control, action: Action) {
    match action {
        Action::TimeOut => control.time_out(),
        Action::Stop => _ = control.stop(),
        Action::Kick => control.kick(),
        Action::Tick(_) => control.tick(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits until it is so.
    #[track_caller]
    fn becomes(so: impl Fn() -> bool) {
        let start = Instant::now();
        while !so() {
            assert!(start.elapsed() < Duration::from_secs(10), "it never is");
            thread::sleep(KICK_INTERVAL);
        }
    }

    #[test]
    fn who_says_nothing_at_its_time_is_stopped_a_little_later() {
        let control = Arc::new(Control::default());
        control.take_events();
        time_out_after(&control, Duration::from_millis(5)).unwrap();
        becomes(|| control.has_timed_out() && control.has_signals());
        becomes(|| control.is_stopped());
        forget(&control);
    }

    #[test]
    fn ticks_come_until_there_are_others_and_not_too_fast() {
        let control = Arc::new(Control::default());
        let start = Instant::now();
        tick(&control, Some(Duration::ZERO), Some(Duration::ZERO)).unwrap();
        for _ in 0..10 {
            becomes(|| control.take_interrupt());
        }
        assert!(start.elapsed() >= 9 * LEAST_PERIOD, "{:?}", start.elapsed());
        tick(&control, None, None).unwrap();
        // One that was under way may still come.
        becomes(|| {
            control.take_interrupt();
            thread::sleep(10 * LEAST_PERIOD);
            !control.is_interrupted()
        });
        // Asking anew is no way around the limit.
        let start = Instant::now();
        for _ in 0..10 {
            tick(&control, Some(Duration::ZERO), None).unwrap();
            becomes(|| control.take_interrupt());
        }
        assert!(start.elapsed() >= 9 * LEAST_PERIOD, "{:?}", start.elapsed());
        forget(&control);
    }

    #[test]
    fn many_requests_of_a_machine_are_one_thing_to_do() {
        let mut due = Due::default();
        let control = Arc::new(Control::default());
        let now = Instant::now();
        for after in 1..1000 {
            due.add(now + Duration::from_secs(after), &control, Action::Tick(None));
        }
        assert_eq!((due.list.len(), due.times.len()), (1, 1));
        assert!(due.take(now).is_err());
        let end = now + Duration::from_secs(1000);
        assert!(due.take(end).is_ok_and(|(_, action)| action == Action::Tick(None)));
        assert!(due.list.is_empty() && due.times.is_empty());
        due.add(now, &control, Action::Tick(None));
        due.add(now, &control, Action::TimeOut);
        due.forget_all(name(&control));
        assert!(due.list.is_empty() && due.times.is_empty());
    }

    #[test]
    fn a_machine_that_has_ended_is_let_alone() {
        let control = Arc::new(Control::default());
        let is_known = || {
            due().as_ref().is_some_and(|due| {
                let machine = name(&control);
                (0..KINDS).any(|kind| due.times.contains_key(&(machine, kind)))
                    || due.ticks.contains_key(&machine)
            })
        };
        see_to_the_end(&control).unwrap();
        assert!(is_known());
        control.end();
        forget(&control);
        assert!(!is_known());
        time_out_after(&control, Duration::from_secs(3600)).unwrap();
        see_to_the_end(&control).unwrap();
        tick(&control, Some(Duration::ZERO), Some(Duration::ZERO)).unwrap();
        assert!(!is_known());
    }
}

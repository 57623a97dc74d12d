//! Lines for the `log` crate, from threads that nobody may hold up.
//!
//! Where they go is the embedder's business, and may block: standard error, a full pipe
//! that nobody reads. A vCPU's thread that waited there could not be stopped. So a
//! thread of its own has the lines, at most [`MOST`]; what finds no room is lost, and
//! said to be, as soon as there is somebody to hear it. The thread is begun by the first
//! line, and ends when there have been none for a while.

use super::kvm::kick;
use log::Level;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// So many lines wait.
const MOST: usize = 1024;
/// So long the thread waits for another line.
const LINGERS: Duration = Duration::from_millis(500);
/// So long the end of a run waits for lines.
pub(crate) const AT_THE_END: Duration = Duration::from_millis(100);

/// One line.
struct Line {
    level: Level,
    target: &'static str,
    text: String,
}

/// What takes lines, and may block.
type Sink = fn(&Line);

struct Lines {
    sink: Sink,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Line>,
    /// So many found no room since it was last said.
    lost: u64,
    /// One is on its way.
    busy: bool,
    has_thread: bool,
}

/// This process's.
fn lines() -> &'static Arc<Lines> {
    static LINES: OnceLock<Arc<Lines>> = OnceLock::new();
    LINES.get_or_init(|| {
        Lines::new(|line| log::log!(target: line.target, line.level, "{}", line.text))
    })
}

/// Logs a line, if somebody wants it. Waits for nobody.
pub(crate) fn log(level: Level, target: &'static str, text: impl FnOnce() -> String) {
    if log::log_enabled!(target: target, level) {
        lines().add(Line { level, target, text: text() });
    }
}

/// Waits until all lines are where they go, but not long.
pub(crate) fn finish() {
    lines().finish(AT_THE_END);
}

impl Lines {
    fn new(sink: Sink) -> Arc<Lines> {
        Arc::new(Lines { sink, state: Mutex::default(), changed: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whoever panicked with it left it whole: every change is one word.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(self: &Arc<Self>, line: Line) {
        let mut state = self.lock();
        if state.waiting.len() == MOST {
            state.lost += 1;
            return;
        }
        state.waiting.push_back(line);
        if !state.has_thread {
            let works = self.clone();
            let thread = thread::Builder::new().name("log".to_owned());
            state.has_thread = thread.spawn(move || works.work()).is_ok();
            if !state.has_thread {
                // It waits for one that can be begun.
                return;
            }
        }
        self.changed.notify_all();
    }

    /// Waits until nothing is left of them, but not longer than that.
    fn finish(&self, limit: Duration) {
        let until = Instant::now() + limit;
        let mut state = self.lock();
        while state.has_thread && (state.busy || !state.waiting.is_empty() || state.lost > 0) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What the thread does.
    fn work(&self) {
        /// Whoever takes the lines has panicked: another thread has the next.
        struct Over<'a>(&'a Lines);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                if thread::panicking() {
                    let mut state = self.0.lock();
                    (state.has_thread, state.busy) = (false, false);
                    self.0.changed.notify_all();
                }
            }
        }
        kick::block_all();
        let _over = Over(self);
        let mut state = self.lock();
        loop {
            let Some(line) = state.next() else {
                let waited = self.changed.wait_timeout(state, LINGERS);
                let (now, timed_out) = waited.unwrap_or_else(PoisonError::into_inner);
                state = now;
                if timed_out.timed_out() && state.waiting.is_empty() {
                    // While it is held: the next line begins another.
                    state.has_thread = false;
                    return;
                }
                continue;
            };
            state.busy = true;
            drop(state);
            (self.sink)(&line);
            state = self.lock();
            state.busy = false;
            self.changed.notify_all();
        }
    }
}

impl State {
    /// What is to be logged next: the lines, and behind them that others are lost.
    fn next(&mut self) -> Option<Line> {
        self.waiting.pop_front().or_else(|| {
            let lost = std::mem::take(&mut self.lost);
            (lost > 0).then(|| Line {
                level: Level::Warn,
                target: "trapgate",
                text: format!("{lost} lines of the log are lost: nobody took them in time"),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    fn line(number: usize) -> Line {
        Line { level: Level::Info, target: "test", text: number.to_string() }
    }

    #[test]
    fn nobody_waits_for_who_takes_no_lines_and_what_is_lost_is_said() {
        type Pipe = (SyncSender<String>, Mutex<Receiver<String>>);
        // A pipe without room.
        static PIPE: OnceLock<Pipe> = OnceLock::new();
        let (_, reader) = PIPE.get_or_init(|| {
            let (writer, reader) = sync_channel(0);
            (writer, Mutex::new(reader))
        });
        let lines = Lines::new(|line| {
            PIPE.get().unwrap().0.send(line.text.clone()).unwrap();
        });
        let start = Instant::now();
        // One is on its way, if the thread has been there; the others wait, or are lost.
        (0..2 * MOST).for_each(|number| lines.add(line(number)));
        lines.finish(Duration::from_millis(20));
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        let reader = reader.lock().unwrap();
        let taken: Vec<String> = (0..=MOST).map(|_| reader.recv().unwrap()).collect();
        let kept = taken.iter().position(|text| text.contains("lost"));
        let (kept, said) = match kept {
            Some(kept) => (kept, taken[kept].clone()),
            None => (MOST + 1, reader.recv().unwrap()),
        };
        assert!(taken[..kept].iter().enumerate().all(|(number, text)| *text == number.to_string()));
        assert_eq!(
            said,
            format!("{} lines of the log are lost: nobody took them in time", 2 * MOST - kept)
        );
        // All is out, and the next one is heard again, also once the thread has ended.
        lines.finish(Duration::from_secs(10));
        for number in [7, 8] {
            lines.add(line(number));
            assert_eq!(reader.recv().unwrap(), number.to_string());
            while number == 7 && lines.lock().has_thread {
                thread::sleep(LINGERS / 10);
            }
        }
    }
}

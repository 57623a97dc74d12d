//! Where lines go. A writer may block, and the sandbox must end nevertheless when
//! it is told to: then a signal interrupts the write (`machine::vcpu_thread`). So it
//! does when the program is to hear of something, a signal or that its time is up; a
//! writer that is only slow has a moment then.

use crate::machine::{Control, watcher};
use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait for a writer that has no room and does not block.
const PAUSE: Duration = Duration::from_millis(1);
/// How long a program that is to hear of something waits for the writer.
const MOMENT: Duration = Duration::from_millis(200);

pub(super) struct Sink {
    /// `None` from its first error on.
    to: Option<Box<dyn Write + Send>>,
    control: Arc<Control>,
    error: Option<String>,
    /// Lines that were not written, whole.
    lost: u64,
}

impl Sink {
    pub(super) fn new(to: Box<dyn Write + Send>, control: Arc<Control>) -> Sink {
        Sink { to: Some(to), control, error: None, lost: 0 }
    }

    /// Writes all of it, unless that fails, or failed before.
    pub(super) fn write(&mut self, mut bytes: &[u8]) {
        // What came before the write does not interrupt it.
        let mut moment = Moment::default();
        if self.to.is_some() {
            moment.is_over(&self.control);
        }
        while let Some(to) = &mut self.to
            && !bytes.is_empty()
        {
            let error = match to.write(bytes) {
                Ok(0) => "it takes no more".to_owned(),
                Ok(written) => {
                    bytes = &bytes[written..];
                    continue;
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted | ErrorKind::WouldBlock
                        if moment.is_over(&self.control) =>
                    {
                        "it took no more when the sandbox was to end".to_owned()
                    }
                    ErrorKind::Interrupted => continue,
                    ErrorKind::WouldBlock => {
                        thread::sleep(PAUSE);
                        continue;
                    }
                    _ => error.to_string(),
                },
            };
            self.error = Some(error);
            self.to = None;
        }
        moment.end(&self.control);
        self.lost += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    }

    /// How many lines were not written.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// What kept it from being written, if something did.
    pub(super) fn error(mut self) -> Option<String> {
        if let Some(mut to) = self.to.take()
            && let Err(error) = to.flush()
        {
            return Some(error.to_string());
        }
        self.error
    }
}

/// How long a writer may keep a program that is to hear of something: from when that was
/// first seen.
#[derive(Default)]
struct Moment(Option<Instant>);

impl Moment {
    /// Whether nobody waits for the writer any more.
    fn is_over(&mut self, control: &Arc<Control>) -> bool {
        if control.is_stopped() {
            return true;
        }
        if !control.has_signals() {
            return false;
        }
        match self.0 {
            Some(began) => began.elapsed() >= MOMENT,
            // A write that blocks is interrupted until then. If there can be no thread
            // for that, there is no moment.
            None => {
                self.0 = Some(Instant::now());
                watcher::keep_kicking(control).is_err()
            }
        }
    }

    fn end(self, control: &Arc<Control>) {
        if self.0.is_some() {
            watcher::stop_kicking(control);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::Mutex;

    /// A writer with a script: how many bytes it takes each time, or why none.
    struct Scripted(Vec<Result<usize, ErrorKind>>, Arc<Mutex<Vec<u8>>>);

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = self.0.remove(0)?.min(bytes.len());
            self.1.lock().unwrap().extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written of "abcdef", and what is wrong.
    fn written(script: &[Result<usize, ErrorKind>], stop: bool) -> (String, Option<String>) {
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let writer = Scripted(script.to_vec(), bytes.clone());
        let control = Arc::<Control>::default();
        if stop {
            control.stop();
        }
        let mut sink = Sink::new(Box::new(writer), control);
        sink.write(b"abc");
        sink.write(b"def");
        let error = sink.error();
        let bytes = bytes.lock().unwrap().clone();
        (String::from_utf8(bytes).unwrap(), error)
    }

    #[test]
    fn pieces_interruptions_and_a_writer_without_room_are_gone_on_after() {
        use ErrorKind::{Interrupted, WouldBlock};
        let script = [Ok(1), Err(Interrupted), Ok(9), Err(WouldBlock), Ok(2), Ok(1)];
        assert_eq!(written(&script, false), ("abcdef".to_owned(), None));
    }

    #[test]
    fn an_error_is_the_end_of_it_and_is_told() {
        let (text, error) = written(&[Ok(2), Err(ErrorKind::BrokenPipe)], false);
        assert_eq!(text, "ab");
        assert_eq!(error.as_deref(), Some("broken pipe"));
        assert_eq!(written(&[Ok(0)], false), (String::new(), Some("it takes no more".to_owned())));
    }

    #[test]
    fn a_program_that_is_to_hear_of_something_waits_for_the_writer_for_a_moment() {
        let control = Arc::<Control>::default();
        control.post(15);
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let slow = Scripted(vec![Err(ErrorKind::Interrupted), Ok(8)], bytes.clone());
        let mut sink = Sink::new(Box::new(slow), control.clone());
        sink.write(b"a line\n\n");
        assert_eq!((sink.lost(), sink.error()), (0, None));
        let stuck = Scripted(vec![Err(ErrorKind::WouldBlock); 10_000], bytes);
        let mut sink = Sink::new(Box::new(stuck), control.clone());
        let start = Instant::now();
        sink.write(b"one\ntwo\n");
        assert!(start.elapsed() >= MOMENT && start.elapsed() < 50 * MOMENT);
        sink.write(b"three\n");
        assert_eq!(sink.lost(), 3);
        assert!(sink.error().is_some());
    }

    #[test]
    fn a_sandbox_that_shall_stop_does_not_wait_for_the_writer() {
        for kind in [ErrorKind::Interrupted, ErrorKind::WouldBlock] {
            let (text, error) = written(&[Ok(1), Err(kind)], true);
            assert_eq!(text, "a");
            assert!(error.is_some_and(|error| error.contains("was to end")));
        }
        // One that takes it gets it.
        assert_eq!(written(&[Ok(3), Ok(3)], true), ("abcdef".to_owned(), None));
    }
}

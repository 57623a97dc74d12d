//! How far the making of a root is.

use std::io::{self, BufRead, Read};

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The source is read, to know whether there is an image of it.
    Reading,
    /// It is unpacked.
    Unpacking,
    /// Its image is written.
    Writing,
    /// Another process is making it.
    Waiting,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub step: Step,
    /// Bytes that have been done of it.
    pub done: u64,
    /// Bytes that there are; 0 if that is not known.
    pub total: u64,
}

/// Bytes between two reports.
const BETWEEN: u64 = 4 << 20;

/// Counts bytes of a step, and reports them.
pub(super) struct Meter<'a> {
    report: &'a mut dyn FnMut(Progress),
    progress: Progress,
    reported: u64,
}

impl<'a> Meter<'a> {
    /// Nothing is done yet.
    pub(super) fn new(report: &'a mut dyn FnMut(Progress), step: Step, total: u64) -> Meter<'a> {
        let progress = Progress { step, done: 0, total };
        report(progress);
        Meter { report, progress, reported: 0 }
    }

    pub(super) fn add(&mut self, count: usize) {
        self.progress.done += count as u64;
        if self.progress.done >= self.reported + BETWEEN {
            self.reported = self.progress.done;
            (self.report)(self.progress);
        }
    }

    /// Counts what is read of these.
    pub(super) fn of<'m, R>(&'m mut self, inner: R) -> Metered<'m, 'a, R> {
        Metered { meter: self, inner }
    }
}

/// Bytes that are counted when they are read.
pub(super) struct Metered<'m, 'a, R> {
    meter: &'m mut Meter<'a>,
    inner: R,
}

impl<R: Read> Read for Metered<'_, '_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(bytes)?;
        self.meter.add(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Metered<'_, '_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.inner.consume(count);
        self.meter.add(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_reported_now_and_then() {
        let mut reports = Vec::new();
        let mut report = |progress: Progress| reports.push(progress.done);
        let mut meter = Meter::new(&mut report, Step::Reading, 10 << 20);
        for _ in 0..2 {
            io::copy(&mut meter.of(io::repeat(0).take(5 << 20)), &mut io::sink()).unwrap();
        }
        assert_eq!(reports.len(), 3);
        assert!(reports[0] == 0 && reports[1] >= BETWEEN && reports[2] >= 2 * BETWEEN);
    }
}

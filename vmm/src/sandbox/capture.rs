//! Reading what a program writes into pipes while it runs: a pipe that nobody
//! reads takes 64 KiB, and then the program waits for ever.
//!
//! Called by `running`, which waits for the end meanwhile.

use crate::error::Error;
use crate::machine::vcpu_thread::KillHandle;
use std::io::{self, PipeReader, Read};
use std::thread::{self, Scope, ScopedJoinHandle};

/// What was read of a file.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// No more than the limit.
    pub(crate) bytes: Vec<u8>,
    /// There was more than that.
    pub(crate) is_cut: bool,
}

/// Does `wait`, which comes to an end with the program, and reads these pipes
/// meanwhile. The program is stopped if one brings more than `limit` bytes;
/// without a limit nothing is kept.
///
/// # Errors
/// Those of `wait`; [`Error::Host`].
pub(crate) fn meanwhile<T>(
    pipes: [Option<PipeReader>; 2],
    limit: Option<u64>,
    kill: &KillHandle,
    wait: impl FnOnce() -> Result<T, Error>,
) -> Result<(T, [Kept; 2]), Error> {
    thread::scope(|scope| {
        let [stdout, stderr] = pipes.map(|pipe| {
            let reader = pipe.map(|pipe| begin(scope, move || read(pipe, limit, kill)));
            reader.transpose()
        });
        if stdout.is_err() || stderr.is_err() {
            // Or the reader that there is would wait for the program's end.
            kill.kill();
        }
        let result = wait();
        let kept = [stdout, stderr].map(|reader| match reader? {
            Some(reader) => match reader.join() {
                Ok(kept) => kept.map_err(Error::host("reading the program's output")),
                Err(_) => Err(Error::Defect),
            },
            None => Ok(Kept::default()),
        });
        let [stdout, stderr] = kept;
        Ok((result?, [stdout?, stderr?]))
    })
}

/// A thread that ends before the scope does.
fn begin<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, Error> {
    let builder = thread::Builder::new().name("output".to_owned());
    builder.spawn_scoped(scope, work).map_err(Error::host("creating a thread"))
}

/// Reads a pipe to its end, or to the limit.
fn read(mut pipe: PipeReader, limit: Option<u64>, kill: &KillHandle) -> io::Result<Kept> {
    let mut kept = Kept::default();
    let Some(limit) = limit else {
        io::copy(&mut pipe, &mut io::sink())?;
        return Ok(kept);
    };
    let read = pipe.by_ref().take(limit.saturating_add(1)).read_to_end(&mut kept.bytes);
    if read.is_err() || kept.bytes.len() as u64 > limit {
        // Before the pipe is closed: SIGPIPE is not what ends it.
        kill.kill();
        kept.is_cut = true;
        kept.bytes.truncate(limit as usize);
    }
    read.map(|_| kept)
}

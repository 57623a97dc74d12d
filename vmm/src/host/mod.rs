//! The services: what the kernel asks for, carried out on the host.
//!
//! The machine's loop calls [`Services::serve`] with a message that was copied out
//! of guest memory once. Here it is decoded and put before the policy; after that each
//! request is one function: in `transfer` what moves bytes of files, in `files`
//! what else is done to them, in `wait` what waits, the rest below; `raw` has the
//! system calls that need unsafe. Everything a guest can make the VMM do is bounded,
//! and but for `wait` is answered at once.
//!
//! Uses `machine` for its RAM, and no room above; `machine` knows it as [`Serve`].

pub(crate) mod directories;
mod files;
pub(crate) mod filesystem;
pub mod policy;
mod raw;
mod stats;
mod transfer;
mod wait;
mod worker;

pub use directories::raise_descriptor_limit;
pub use stats::HostCallStats;

use crate::host::policy::{Grant, Policy};
use crate::machine::image::MappedImage;
use crate::machine::kvm::clock::monotonic_ns;
use crate::machine::memory::{GuestRam, OutOfRam};
use crate::machine::{Control, Serve, Served};
use directories::Directories;
use rustix::io;
use rustix::rand::{GetRandomFlags, getrandom};
use rustix::time::Timespec;
use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};
use transfer::HostFile;
use trapgate_abi::boot_info::StandardFile;
use trapgate_abi::hypercall::{
    self, MAX_RANDOM, MESSAGE_WORDS, Malformed, Message, Request, Segment,
};
use trapgate_uapi::Errno;
use trapgate_uapi::errno::to_return;
use wait::Watched;

/// What the services need of a sandbox.
pub struct Services {
    ram: Arc<GuestRam>,
    /// What the program can write out besides.
    image: Option<Arc<MappedImage>>,
    policy: Policy,
    files: [Option<HostFile>; 3],
    directories: Directories,
    watched: Watched,
    /// What the sandbox is told from outside.
    control: Arc<Control>,
    /// When the guest's clocks were read, by CLOCK_MONOTONIC.
    began_ns: u64,
    /// Whether to time services.
    timed: bool,
    /// What was asked for.
    pub stats: HostCallStats,
}

/// The result of a service: the reply's first word, and data in the message.
type Reply = Result<u64, Failure>;

/// Why there is no result.
enum Failure {
    /// An error for the guest.
    Errno(Errno),
    /// The same, because it is not granted.
    Refused(Errno),
    /// The sandbox was told to stop.
    Stopped,
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Failure::Errno(errno)
    }
}

impl From<OutOfRam> for Failure {
    fn from(_: OutOfRam) -> Self {
        Errno::EFAULT.into()
    }
}

impl From<io::Errno> for Failure {
    fn from(errno: io::Errno) -> Self {
        let number = u16::try_from(errno.raw_os_error()).ok();
        number.and_then(Errno::new).unwrap_or(Errno::EIO).into()
    }
}

impl Serve for Services {
    fn release(&mut self, handles: &[u64]) -> bool {
        self.directories.release(handles, &self.control)
    }

    fn serve(&mut self, message: &Message) -> Result<Served, Malformed> {
        let request = Request::decode(message)?;
        self.stats.count(&request);
        if let Request::Exit { .. }
        | Request::Killed { .. }
        | Request::Failed { .. }
        | Request::NotStarted { .. } = request
        {
            self.control.conclude();
            self.finish_writing();
            return Ok(Served::End(request));
        }
        if let Request::SwapFpu { from, to } = request {
            // Its own registers, which are the machine's to exchange.
            return Ok(Served::SwapFpu([from, to]));
        }
        let began = self.timed.then(Instant::now);
        let mut reply = Box::new([0; MESSAGE_WORDS]);
        let result = match self.policy.check(&request) {
            Ok(()) => self.carry_out(&request, message, &mut reply)?,
            Err(errno) => Err(Failure::Refused(errno)),
        };
        if let Some(began) = began {
            self.stats.took(&request, began.elapsed());
        }
        reply[0] = to_return(match result {
            Ok(value) => Ok(value),
            Err(Failure::Errno(errno)) => Err(errno),
            Err(Failure::Refused(errno)) => {
                self.stats.refused += 1;
                Err(errno)
            }
            Err(Failure::Stopped) => return Ok(Served::Stopped),
        });
        Ok(Served::Reply(reply))
    }
}

impl Services {
    /// Services on these files.
    pub fn new(
        ram: Arc<GuestRam>,
        policy: Policy,
        files: [Option<File>; 3],
        control: Arc<Control>,
    ) -> Self {
        let stats = HostCallStats::default();
        let files = files.map(|file| file.map(HostFile::new));
        let (watched, began_ns) = (Watched::default(), monotonic_ns());
        let (image, timed, directories) = (None, false, Directories::default());
        Services {
            ram,
            image,
            policy,
            files,
            directories,
            watched,
            control,
            began_ns,
            timed,
            stats,
        }
    }

    /// Serves programs that have directories of the host's.
    pub(crate) fn with_directories(self, directories: Directories) -> Self {
        Services { directories, ..self }
    }

    /// Serves programs whose memory has parts of this image.
    pub(crate) fn with_image(self, image: Option<Arc<MappedImage>>) -> Self {
        Services { image, ..self }
    }

    /// Has services timed: [`HostCallStats::longest_us`].
    pub fn time_services(&mut self) {
        self.timed = true;
    }

    /// [`Request::Elapsed`] counts from this CLOCK_MONOTONIC on.
    pub fn begin(&mut self, monotonic_ns: u64) {
        self.began_ns = monotonic_ns;
    }

    /// What the kernel is told of the standard files at the start.
    pub fn describe_files(&self) -> [StandardFile; 3] {
        let granted = |number: usize| {
            let granted = Grant::of_file(number as u32).is_some_and(|g| self.policy.allows(g));
            self.files[number].as_ref().filter(|_| granted)
        };
        let files = [0, 1, 2].map(granted);
        [0, 1, 2].map(|number| match files[number] {
            Some(file) => files::describe(number, file, &files[..number]),
            None => StandardFile::default(),
        })
    }

    /// Carries a permitted request out. The outer error is a malformed
    /// attachment, the inner one an answer.
    fn carry_out(
        &mut self,
        request: &Request,
        message: &Message,
        reply: &mut Message,
    ) -> Result<Reply, Malformed> {
        if let Request::Wait { timeout_ns } = *request {
            return Ok(self.wait(timeout_ns, reply));
        }
        let data = &mut reply[1..];
        Ok(match *request {
            Request::Write { file, flags } => {
                self.write(file, flags, hypercall::segments(message)?)
            }
            // That it shall not wait goes without saying, and nothing is appended.
            Request::Read { file, flags: _ } => self.read(file, hypercall::segments(message)?),
            Request::ReadAt { file, offset } => {
                self.read_at(file, offset, hypercall::segments(message)?)
            }
            Request::Seek { file, offset, whence } => self.seek(file, offset, whence),
            Request::Status { file } => self.status(file, data),
            Request::TerminalAttributes { file } => self.terminal_attributes(file, data),
            Request::WindowSize { file } => self.window_size(file, data),
            Request::Watch { arm } => {
                let entries: Vec<_> = hypercall::watch_entries(message)?.collect();
                self.watch(arm, &entries, data)
            }
            Request::Tick { after_ns, period_ns } => self.tick(after_ns, period_ns),
            Request::Random => self.random(hypercall::segments(message)?),
            Request::Discard => self.discard(hypercall::segments(message)?),
            Request::Elapsed => Ok(monotonic_ns().saturating_sub(self.began_ns)),
            // The machine's loop has done it, as at each exit.
            Request::Drain => Ok(0),
            Request::File(request) => self.file_request(request, message, data)?,
            Request::Wait { .. }
            | Request::SwapFpu { .. }
            | Request::Exit { .. }
            | Request::Killed { .. }
            | Request::Failed { .. }
            | Request::NotStarted { .. } => unreachable!("these do not get here"),
        })
    }

    /// Repeats `call` while signals interrupt it, until it answers or the
    /// sandbox is told to stop.
    fn interruptible(&self, call: impl FnMut() -> io::Result<usize>) -> Reply {
        interruptible(&self.control, call)
    }

    /// A standard file.
    fn file(&self, number: u32) -> Result<&HostFile, Errno> {
        self.files.get(number as usize).and_then(Option::as_ref).ok_or(Errno::EBADF)
    }

    /// Checks all segments before any is touched.
    fn check(&self, mut segments: impl Iterator<Item = Segment>) -> Result<(), OutOfRam> {
        segments.try_for_each(|segment| self.ram.check(segment))
    }

    fn random(&self, segments: impl Iterator<Item = Segment> + Clone) -> Reply {
        self.check(segments.clone())?;
        let mut done = 0;
        let mut bytes = [0u8; 256];
        for Segment { address, length } in segments {
            let mut offset = 0;
            while offset < length && done < MAX_RANDOM {
                let room = (length - offset).min(MAX_RANDOM - done);
                let piece = &mut bytes[..room.min(256) as usize];
                // So few bytes come at once and whole (getrandom(2)).
                getrandom(&mut *piece, GetRandomFlags::empty()).map_err(|_| Errno::EIO)?;
                let at = address.checked_add(offset).ok_or(Errno::EFAULT)?;
                self.ram.write(at, piece)?;
                offset += piece.len() as u64;
                done += piece.len() as u64;
            }
        }
        Ok(done)
    }

    fn discard(&self, segments: impl Iterator<Item = Segment> + Clone) -> Reply {
        self.check(segments.clone())?;
        for segment in segments {
            self.ram.discard(segment)?;
        }
        Ok(0)
    }
}

/// Repeats `call` while signals interrupt it, until it answers or the sandbox is told to
/// stop.
fn interruptible(control: &Control, mut call: impl FnMut() -> io::Result<usize>) -> Reply {
    loop {
        if control.is_stopped() {
            return Err(Failure::Stopped);
        }
        match call() {
            Err(io::Errno::INTR) => {}
            result => return Ok(result? as u64),
        }
    }
}

/// A time as the host's kernel wants it.
fn timespec(time: Duration) -> Timespec {
    Timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: time.subsec_nanos().into() }
}

#[cfg(test)]
mod tests;

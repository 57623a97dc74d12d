//! Requests as words: [`Request::encode`], [`Request::decode`].

use super::{COUNT, FailureKind, FileRequest, Malformed, Message, Request, Segment};
use crate::file::TRANSFER_FLAGS;
use trapgate_uapi::Errno;

/// The operations' numbers.
mod operation {
    pub(super) const EXIT: u64 = 1;
    pub(super) const KILLED: u64 = 2;
    pub(super) const FAILED: u64 = 3;
    pub(super) const WRITE: u64 = 4;
    pub(super) const READ: u64 = 5;
    pub(super) const READ_AT: u64 = 6;
    pub(super) const SEEK: u64 = 7;
    pub(super) const STATUS: u64 = 8;
    pub(super) const TERMINAL_ATTRIBUTES: u64 = 9;
    pub(super) const WINDOW_SIZE: u64 = 10;
    pub(super) const WATCH: u64 = 11;
    pub(super) const WAIT: u64 = 12;
    pub(super) const RANDOM: u64 = 13;
    pub(super) const DISCARD: u64 = 14;
    pub(super) const ELAPSED: u64 = 15;
    pub(super) const DRAIN: u64 = 16;
    pub(super) const TICK: u64 = 17;
    pub(super) const SWAP_FPU: u64 = 18;
    pub(super) const NOT_STARTED: u64 = 19;
}

impl Request {
    /// The operation's name, for statistics and refusals.
    pub const fn name(&self) -> &'static str {
        match self {
            Request::Exit { .. } => "exit",
            Request::Killed { .. } => "killed",
            Request::Failed { .. } => "failed",
            Request::Write { .. } => "write",
            Request::Read { .. } => "read",
            Request::ReadAt { .. } => "read_at",
            Request::Seek { .. } => "seek",
            Request::Status { .. } => "status",
            Request::TerminalAttributes { .. } => "terminal_attributes",
            Request::WindowSize { .. } => "window_size",
            Request::Watch { .. } => "watch",
            Request::Wait { .. } => "wait",
            Request::Tick { .. } => "tick",
            Request::Random => "random",
            Request::Discard => "discard",
            Request::Elapsed => "elapsed",
            Request::Drain => "drain",
            Request::SwapFpu { .. } => "swap_fpu",
            Request::NotStarted { .. } => "not_started",
            Request::File(request) => request.name(),
        }
    }

    /// Writes the request's head into a message, with no attachments yet.
    #[inline]
    pub fn encode(&self, message: &mut Message) {
        use operation::*;
        let (number, [a, b, c]) = match *self {
            Request::Exit { status } => (EXIT, [status.into(), 0, 0]),
            Request::Killed { signal } => (KILLED, [signal.into(), 0, 0]),
            Request::Failed { kind, words } => {
                let kind = match kind {
                    FailureKind::Fault => 0,
                    FailureKind::Panic => 1,
                };
                (FAILED, [kind, words.address, words.length])
            }
            Request::Write { file, flags } => (WRITE, [file.into(), flags.into(), 0]),
            Request::Read { file, flags } => (READ, [file.into(), flags.into(), 0]),
            Request::ReadAt { file, offset } => (READ_AT, [file.into(), offset, 0]),
            Request::Seek { file, offset, whence } => {
                (SEEK, [file.into(), offset as u64, whence.into()])
            }
            Request::Status { file } => (STATUS, [file.into(), 0, 0]),
            Request::TerminalAttributes { file } => (TERMINAL_ATTRIBUTES, [file.into(), 0, 0]),
            Request::WindowSize { file } => (WINDOW_SIZE, [file.into(), 0, 0]),
            Request::Watch { arm } => (WATCH, [arm.into(), 0, 0]),
            Request::Wait { timeout_ns } => (WAIT, [timeout_ns, 0, 0]),
            Request::Tick { after_ns, period_ns } => (TICK, [after_ns, period_ns, 0]),
            Request::Random => (RANDOM, [0; 3]),
            Request::Discard => (DISCARD, [0; 3]),
            Request::Elapsed => (ELAPSED, [0; 3]),
            Request::Drain => (DRAIN, [0; 3]),
            Request::SwapFpu { from, to } => (SWAP_FPU, [from, to, 0]),
            Request::NotStarted { errno } => (NOT_STARTED, [errno.number(), 0, 0]),
            Request::File(request) => return request.encode(message),
        };
        message[0] = number;
        message[1] = a;
        message[2] = b;
        message[3] = c;
        message[COUNT] = 0;
    }

    /// Reads a request out of a message, which may hold anything.
    ///
    /// # Errors
    /// [`Malformed`], if it is no request. Addresses and lengths are still
    /// claims afterwards: whoever uses them checks them against RAM.
    pub fn decode(message: &Message) -> Result<Request, Malformed> {
        let operation = message[0];
        let out_of_range =
            |index: usize| Malformed::Argument { operation, index, value: message[1 + index] };
        let narrow =
            |index: usize| u32::try_from(message[1 + index]).map_err(|_| out_of_range(index));
        let file = || narrow(0);
        let flags = || match narrow(1)? {
            flags if flags & !TRANSFER_FLAGS == 0 => Ok(flags),
            _ => Err(out_of_range(1)),
        };
        Ok(match operation {
            operation::EXIT => {
                Request::Exit { status: u8::try_from(message[1]).map_err(|_| out_of_range(0))? }
            }
            operation::KILLED => match message[1] {
                number @ 1..=64 => Request::Killed { signal: number as u8 },
                _ => return Err(out_of_range(0)),
            },
            operation::FAILED => {
                let kind = match message[1] {
                    0 => FailureKind::Fault,
                    1 => FailureKind::Panic,
                    _ => return Err(out_of_range(0)),
                };
                Request::Failed { kind, words: Segment { address: message[2], length: message[3] } }
            }
            operation::WRITE => Request::Write { file: file()?, flags: flags()? },
            operation::READ => Request::Read { file: file()?, flags: flags()? },
            operation::READ_AT => Request::ReadAt { file: file()?, offset: message[2] },
            operation::SEEK => {
                Request::Seek { file: file()?, offset: message[2] as i64, whence: narrow(2)? }
            }
            operation::STATUS => Request::Status { file: file()? },
            operation::TERMINAL_ATTRIBUTES => Request::TerminalAttributes { file: file()? },
            operation::WINDOW_SIZE => Request::WindowSize { file: file()? },
            operation::WATCH => match message[1] {
                arm @ 0..=1 => Request::Watch { arm: arm == 1 },
                _ => return Err(out_of_range(0)),
            },
            operation::WAIT => Request::Wait { timeout_ns: message[1] },
            operation::TICK => Request::Tick { after_ns: message[1], period_ns: message[2] },
            operation::RANDOM => Request::Random,
            operation::DISCARD => Request::Discard,
            operation::ELAPSED => Request::Elapsed,
            operation::DRAIN => Request::Drain,
            operation::NOT_STARTED => {
                let errno = u16::try_from(message[1]).ok().and_then(Errno::new);
                Request::NotStarted { errno: errno.ok_or_else(|| out_of_range(0))? }
            }
            operation::SWAP_FPU => Request::SwapFpu { from: message[1], to: message[2] },
            _ => Request::File(FileRequest::decode(message)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::{MESSAGE_WORDS, NEVER, segments};
    use trapgate_uapi::fcntl::{O_APPEND, O_NONBLOCK};

    const REQUESTS: [Request; 19] = [
        Request::Exit { status: 7 },
        Request::Killed { signal: 11 },
        Request::Failed { kind: FailureKind::Panic, words: Segment { address: 1, length: 2 } },
        Request::Write { file: 1, flags: O_APPEND },
        Request::Read { file: 0, flags: O_NONBLOCK },
        Request::ReadAt { file: 0, offset: u64::MAX },
        Request::Seek { file: 0, offset: -1, whence: 2 },
        Request::Status { file: 2 },
        Request::TerminalAttributes { file: 1 },
        Request::WindowSize { file: 1 },
        Request::Watch { arm: true },
        Request::Wait { timeout_ns: NEVER },
        Request::Tick { after_ns: 5, period_ns: NEVER },
        Request::Random,
        Request::Discard,
        Request::Elapsed,
        Request::Drain,
        Request::SwapFpu { from: 0x1000, to: u64::MAX },
        Request::NotStarted { errno: Errno::ENOENT },
    ];

    #[test]
    fn every_request_survives_the_crossing() {
        for request in REQUESTS {
            let mut message = [0xdead_beef; MESSAGE_WORDS];
            request.encode(&mut message);
            assert_eq!(Request::decode(&message), Ok(request));
            assert_eq!(segments(&message).unwrap().count(), 0);
        }
    }

    #[test]
    fn unknown_operations_are_malformed() {
        for number in [0, 20, u64::MAX] {
            let mut message = [0; MESSAGE_WORDS];
            message[0] = number;
            assert_eq!(Request::decode(&message), Err(Malformed::Operation(number)));
        }
    }

    #[test]
    fn arguments_wider_than_their_type_are_malformed_and_not_cut() {
        for request in REQUESTS {
            let mut message = [0; MESSAGE_WORDS];
            request.encode(&mut message);
            let narrow = message[0] <= operation::WATCH || message[0] == operation::NOT_STARTED;
            message[1] = u64::MAX;
            assert_eq!(Request::decode(&message).is_err(), narrow, "{}", request.name());
        }
    }

    #[test]
    fn flags_that_no_transfer_has_are_malformed() {
        for number in [operation::WRITE, operation::READ] {
            for flags in [1, u64::from(TRANSFER_FLAGS) + 1, 1 << 32] {
                let mut message = [0; MESSAGE_WORDS];
                (message[0], message[2]) = (number, flags);
                let malformed = Malformed::Argument { operation: number, index: 1, value: flags };
                assert_eq!(Request::decode(&message), Err(malformed));
            }
        }
    }
}

//! The probe of `trapgate bench`: reads commands ([`trapgate_abi::bench`]) from
//! standard input, answers each with its samples on standard output, and ends
//! with its input.
//!
//! The same file runs in a sandbox and as a process of the host's, so that the
//! loops are the same in both. It exists for 64 and for 32 bits.
#![no_std]
#![no_main]

use trapgate_abi::bench::{Command, MAX_SAMPLES, Operation, Reply, USE_RDTSCP};
use trapgate_images::bench::{Samples, carry_out};
use trapgate_rt::{Args, STDIN, STDOUT, read, write_all};

trapgate_rt::entry!(main);

fn main(args: Args) -> i32 {
    let mut samples = Samples::default();
    let mut bytes = [0; Command::WORDS * 8];
    while let Some(true) = read_all(&mut bytes) {
        let (words, _) = bytes.as_chunks::<8>();
        let mut command = [0; Command::WORDS];
        for (word, bytes) in command.iter_mut().zip(words) {
            *word = u64::from_le_bytes(*bytes);
        }
        let command = Command::from_words(&command);
        let reply = match Operation::from_number(command.operation) {
            Some(operation) if command.samples <= MAX_SAMPLES => {
                let rdtscp = command.flags & USE_RDTSCP != 0;
                carry_out(operation, &command, rdtscp, args, &mut samples)
            }
            _ => Reply::default(),
        };
        if answer(&reply, &samples).is_none() {
            return 1;
        }
    }
    0
}

/// Fills the buffer; `None` for an error, false at the end of the input.
fn read_all(buffer: &mut [u8]) -> Option<bool> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match read(STDIN, rest).ok()? {
            0 => return Some(false),
            count => filled += count as usize,
        }
    }
    Some(true)
}

fn answer(reply: &Reply, samples: &Samples) -> Option<()> {
    for word in reply.to_words() {
        write_all(STDOUT, &word.to_le_bytes()).ok()?;
    }
    let count = reply.samples as usize;
    for list in [&samples.with[..count], &samples.without[..count]] {
        write_all(STDOUT, trapgate_images::bench::bytes_of(list)).ok()?;
    }
    Some(())
}

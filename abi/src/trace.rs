//! Trace records: what each system call was asked, and what it answered.
//!
//! The instrumented kernel writes them into a ring a CPU in guest memory, if the
//! VMM reserved one (`trapgate run --strace`); without, no run has any of it. A
//! call leaves a record when it begins, so that one that waits or does not come
//! back is seen, and one when it ends, which names the first. The VMM takes what
//! is there whenever the guest leaves for it, and the kernel leaves
//! ([`crate::hypercall::Request::Drain`]) when half of the ring is full. What finds
//! no room is counted and lost: nobody waits.
//!
//! ```text
//! Tracing   in the CPU's area, beside the counters: where the ring is, and how far
//! ring      CAPACITY records of RECORD_WORDS words; record n is in slot n % CAPACITY
//!
//! word 0    kind, door, delivery, ABI: a byte each
//! word 1    thread in the low half, process in the high one
//! word 2    the record's own number
//! word 3    the time-stamp counter
//! word 4…   by kind: Entry, Exit, Payload
//! ```
//!
//! What a pointer points to is not read later, when it may have changed: the kernel
//! writes it down when it copies it, as a chain of [`Payload`] records in the same
//! ring, each of which names the entry or exit that it belongs to. The format has
//! them; no kernel writes them yet.
//!
//! To the VMM all of this is the guest's claim. [`Record::from_words`] is total, and
//! what it yields is bounded: six arguments, 72 bytes.

use crate::layout::PAGE_SIZE;
use crate::wire::wire_struct;
use trapgate_uapi::syscall::Abi;

/// Words of a record.
pub const RECORD_WORDS: usize = 16;
/// Bytes of a record.
pub const RECORD_SIZE: u64 = RECORD_WORDS as u64 * 8;
/// Records that a ring holds, a power of two.
pub const CAPACITY: u64 = 2048;
/// Bytes of a ring.
pub const RING_SIZE: u64 = CAPACITY * RECORD_SIZE;
/// So many records that the VMM has not taken make the kernel leave for it.
pub const HALF: u64 = CAPACITY / 2;
/// Arguments that a call has at most.
pub const MAX_ARGUMENTS: usize = 6;
/// Bytes of a program's memory in one [`Payload`].
pub const PAYLOAD_BYTES: usize = 72;

/// Where a record's number has its CPU's: the byte above this bit.
const CPU_SHIFT: u32 = 56;

const _: () = assert!(CAPACITY.is_power_of_two() && RING_SIZE.is_multiple_of(PAGE_SIZE));
const _: () = assert!(PAYLOAD + PAYLOAD_BYTES / 8 == RECORD_WORDS);
const _: () = assert!(ENTRY_WORDS <= RECORD_WORDS && EXIT_WORDS <= RECORD_WORDS);

wire_struct! {
    /// What a CPU knows of its ring, at [`crate::layout::percpu::TRACING`]. The VMM
    /// writes all of it before the first instruction, and [`Tracing::taken`] later.
    pub struct Tracing {
        /// Virtual address of the ring's first record.
        pub ring: u64,
        /// The number that the next record gets: the kernel's.
        pub next: u64,
        /// The number of the first record that the VMM has not taken: the VMM's.
        pub taken: u64,
        /// The kernel looks whether half of the ring is full when the next record
        /// would have this number: the kernel's.
        pub due: u64,
        /// Records that found no room: the kernel's.
        pub lost: u64,
    }
}

impl Tracing {
    /// Of a CPU with this number, whose ring is empty.
    pub const fn new(cpu: u64, ring: u64) -> Tracing {
        let first = RecordId::first(cpu).0;
        Tracing { ring, next: first, taken: first, due: first + HALF, lost: 0 }
    }
}

/// A record's number, of which no other in its VM has the same: its CPU's in the
/// top byte, and below how many there were before it on that CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordId(pub u64);

impl RecordId {
    /// No record's: of one that found no room.
    pub const LOST: RecordId = RecordId(u64::MAX);

    /// The first of a CPU.
    pub const fn first(cpu: u64) -> RecordId {
        RecordId(cpu << CPU_SHIFT)
    }

    /// The CPU that wrote it.
    pub const fn cpu(self) -> u64 {
        self.0 >> CPU_SHIFT
    }

    /// Its slot in the ring.
    pub const fn slot(self) -> u64 {
        self.0 % CAPACITY
    }
}

/// The instruction by which a call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Door {
    /// SYSCALL from 64-bit code.
    Syscall64 = 1,
    /// INT 0x80.
    Int80 = 2,
    /// SYSCALL from compatibility mode.
    Syscall32 = 3,
    /// SYSENTER.
    Sysenter = 4,
}

/// By which way a call came: its door, and how that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// The door.
    pub door: Door,
    /// Whether an exception came in the place of the door ("trapped").
    pub trapped: bool,
}

impl Way {
    /// The CPU itself came to this door.
    pub const fn native(door: Door) -> Way {
        Way { door, trapped: false }
    }

    /// An exception came, out of which the call was carried out.
    pub const fn trapped(door: Door) -> Way {
        Way { door, trapped: true }
    }

    /// As a number: what the entry code hands to the dispatch.
    pub const fn bits(self) -> u64 {
        self.door as u64 | (self.trapped as u64) << 8
    }

    /// The inverse, for 16 bits that may hold anything.
    pub const fn from_bits(bits: u64) -> Option<Way> {
        let door = match bits & 0xff {
            1 => Door::Syscall64,
            2 => Door::Int80,
            3 => Door::Syscall32,
            4 => Door::Sysenter,
            _ => return None,
        };
        match bits >> 8 & 0xff {
            0 => Some(Way { door, trapped: false }),
            1 => Some(Way { door, trapped: true }),
            _ => None,
        }
    }
}

const fn abi_number(abi: Abi) -> u64 {
    match abi {
        Abi::X86_64 => 1,
        Abi::X32 => 2,
        Abi::I386 => 3,
    }
}

const fn abi_of(number: u64) -> Option<Abi> {
    match number {
        1 => Some(Abi::X86_64),
        2 => Some(Abi::X32),
        3 => Some(Abi::I386),
        _ => None,
    }
}

const ENTRY: u64 = 1;
const EXIT: u64 = 2;
const PAYLOAD_KIND: u64 = 3;

const WAY: u32 = 8;
const ABI: u32 = 24;

const HEAD: usize = 4;
const ENTRY_WORDS: usize = HEAD + 3 + MAX_ARGUMENTS;
const EXIT_WORDS: usize = HEAD + 3;
/// The word in which a payload's bytes begin.
const PAYLOAD: usize = HEAD + 3;

/// Who made a record, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The thread, by its number: gettid(2).
    pub thread: u32,
    /// Its process: getpid(2).
    pub process: u32,
    /// The record's number. The ring gives it.
    pub id: RecordId,
    /// The time-stamp counter.
    pub tsc: u64,
}

impl Head {
    const fn words(&self, first: u64) -> [u64; HEAD] {
        let who = self.thread as u64 | (self.process as u64) << 32;
        [first, who, self.id.0, self.tsc]
    }
}

/// A call begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// By which way it came.
    pub way: Way,
    /// Which table its number is of.
    pub abi: Abi,
    /// Its number, as it came in RAX; of x32 with that table's bit.
    pub number: u64,
    /// The argument registers, whole, whether or not the call has so many; of i386
    /// their low halves.
    pub arguments: [u64; MAX_ARGUMENTS],
    /// RIP to return to.
    pub ip: u64,
    /// The program's stack pointer.
    pub sp: u64,
}

impl Entry {
    /// The record as it lies in the ring; the words behind these mean nothing.
    #[inline(always)]
    pub const fn to_words(&self, head: &Head) -> [u64; ENTRY_WORDS] {
        let [a, b, c, d] = head.words(ENTRY | self.way.bits() << WAY | abi_number(self.abi) << ABI);
        let [r, s, t, u, v, w] = self.arguments;
        [a, b, c, d, self.number, self.ip, self.sp, r, s, t, u, v, w]
    }
}

/// A call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its beginning; [`RecordId::LOST`], if that is lost.
    pub entry: RecordId,
    /// As [`Entry::abi`].
    pub abi: Abi,
    /// As [`Entry::number`].
    pub number: u64,
    /// What the program finds in RAX.
    pub result: u64,
}

impl Exit {
    /// The record as it lies in the ring; the words behind these mean nothing.
    #[inline(always)]
    pub const fn to_words(&self, head: &Head) -> [u64; EXIT_WORDS] {
        let [a, b, c, d] = head.words(EXIT | abi_number(self.abi) << ABI);
        [a, b, c, d, self.entry.0, self.number, self.result]
    }
}

/// What a [`Payload`]'s bytes are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Content {
    /// Bytes that mean what the call says: a structure, a buffer.
    Bytes = 1,
    /// A string; its NUL is not among the bytes.
    String = 2,
    /// Words or structures, of which each points to more.
    Vector = 3,
}

/// A piece of what an argument pointed to when the kernel copied it. Pieces of one
/// argument follow each other in the ring, by ascending offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The record that it belongs to: an [`Entry`] for what the kernel read, an
    /// [`Exit`] for what it wrote.
    pub of: RecordId,
    /// Which argument it is of, from 0.
    pub argument: u8,
    /// What it is.
    pub content: Content,
    /// Whether further pieces of this argument follow.
    pub more: bool,
    /// Where its bytes begin in the whole.
    pub offset: u32,
    /// Bytes of the whole, which need not all be in the ring.
    pub total: u64,
    /// How many of `bytes` count.
    pub length: u8,
    /// The bytes.
    pub bytes: [u8; PAYLOAD_BYTES],
}

impl Payload {
    /// The record as it lies in the ring.
    pub const fn to_words(&self, head: &Head) -> [u64; RECORD_WORDS] {
        let [a, b, c, d] = head.words(PAYLOAD_KIND);
        let what = self.argument as u64
            | (self.content as u64) << 8
            | (self.length as u64) << 16
            | (self.more as u64) << 24
            | (self.offset as u64) << 32;
        let mut words = [a, b, c, d, self.of.0, what, self.total, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let mut index = 0;
        while index < PAYLOAD_BYTES {
            words[PAYLOAD + index / 8] |= (self.bytes[index] as u64) << (index % 8 * 8);
            index += 1;
        }
        words
    }

    fn from_words(words: &[u64; RECORD_WORDS]) -> Option<Payload> {
        let [_, _, _, _, of, what, total, ..] = *words;
        let [argument, content, length, more, ..] = what.to_le_bytes();
        let content = match content {
            1 => Content::Bytes,
            2 => Content::String,
            3 => Content::Vector,
            _ => return None,
        };
        if usize::from(argument) >= MAX_ARGUMENTS || usize::from(length) > PAYLOAD_BYTES || more > 1
        {
            return None;
        }
        let bytes =
            core::array::from_fn(|index| words[PAYLOAD + index / 8].to_le_bytes()[index % 8]);
        let offset = (what >> 32) as u32;
        let of = RecordId(of);
        Some(Payload { of, argument, content, more: more == 1, offset, total, length, bytes })
    }
}

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A call begins.
    Entry(Entry),
    /// A call ends.
    Exit(Exit),
    /// What an argument pointed to.
    Payload(Payload),
}

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who and when.
    pub head: Head,
    /// What.
    pub event: Event,
}

impl Record {
    /// What lies in a slot of a ring; `None` for what is no record.
    pub fn from_words(words: &[u64; RECORD_WORDS]) -> Option<Record> {
        let [first, who, id, tsc, ..] = *words;
        let head = Head { thread: who as u32, process: (who >> 32) as u32, id: RecordId(id), tsc };
        let abi = || abi_of(first >> ABI & 0xff);
        let event = match first & 0xff {
            ENTRY => {
                let [_, _, _, _, number, ip, sp, r, s, t, u, v, w, ..] = *words;
                Event::Entry(Entry {
                    way: Way::from_bits(first >> WAY & 0xffff)?,
                    abi: abi()?,
                    number,
                    arguments: [r, s, t, u, v, w],
                    ip,
                    sp,
                })
            }
            EXIT => {
                let [_, _, _, _, entry, number, result, ..] = *words;
                Event::Exit(Exit { entry: RecordId(entry), abi: abi()?, number, result })
            }
            PAYLOAD_KIND => Event::Payload(Payload::from_words(words)?),
            _ => return None,
        };
        Some(Record { head, event })
    }
}

#[cfg(test)]
mod tests;

//! Records as they lie in a ring's slots.

use super::*;

const HEAD: Head = Head { thread: 7, process: 3, id: RecordId(1 << 56 | 2049), tsc: 99 };

/// The words of a record in a slot in which another was before.
fn slot<const N: usize>(words: [u64; N]) -> [u64; RECORD_WORDS] {
    core::array::from_fn(|index| words.get(index).copied().unwrap_or(u64::MAX))
}

fn decoded<const N: usize>(words: [u64; N]) -> Option<Event> {
    let record = Record::from_words(&slot(words))?;
    assert_eq!(record.head, HEAD);
    Some(record.event)
}

fn entry() -> Entry {
    Entry {
        way: Way::trapped(Door::Int80),
        abi: Abi::I386,
        number: 4,
        arguments: [1, 0x8000, 5, 6, 7, u64::MAX],
        ip: 0x40_1000,
        sp: 0x7fff_0000,
    }
}

fn payload() -> Payload {
    Payload {
        of: HEAD.id,
        argument: 5,
        content: Content::String,
        more: true,
        offset: u32::MAX,
        total: 1 << 40,
        length: PAYLOAD_BYTES as u8,
        bytes: core::array::from_fn(|index| index as u8 + 1),
    }
}

#[test]
fn every_record_survives_the_crossing() {
    for door in [Door::Syscall64, Door::Int80, Door::Syscall32, Door::Sysenter] {
        for way in [Way::native(door), Way::trapped(door)] {
            for abi in [Abi::X86_64, Abi::X32, Abi::I386] {
                let entry = Entry { way, abi, ..entry() };
                assert_eq!(decoded(entry.to_words(&HEAD)), Some(Event::Entry(entry)));
            }
        }
    }
    for entry in [RecordId::LOST, RecordId(5)] {
        let exit = Exit { entry, abi: Abi::X32, number: 1 << 30, result: -2_i64 as u64 };
        assert_eq!(decoded(exit.to_words(&HEAD)), Some(Event::Exit(exit)));
    }
    for content in [Content::Bytes, Content::String, Content::Vector] {
        let payload = Payload { content, ..payload() };
        assert_eq!(decoded(payload.to_words(&HEAD)), Some(Event::Payload(payload)));
    }
}

#[test]
fn what_no_kernel_writes_is_no_record() {
    let entry = entry().to_words(&HEAD);
    let with_first = |change: fn(u64) -> u64| {
        let mut words = entry;
        words[0] = change(words[0]);
        Record::from_words(&slot(words))
    };
    assert!(with_first(|first| first).is_some());
    assert_eq!(with_first(|first| first & !0xff), None, "no kind");
    assert_eq!(with_first(|first| first & !0xff | 4), None, "an unknown kind");
    assert_eq!(with_first(|first| first & !(0xff << 8)), None, "no door");
    assert_eq!(with_first(|first| first | 2 << 16), None, "an unknown delivery");
    assert_eq!(with_first(|first| first & !(0xff << 24)), None, "no ABI");
    for byte in [6, 4 << 8, (PAYLOAD_BYTES as u64 + 1) << 16, 2 << 24] {
        let mut words = payload().to_words(&HEAD);
        words[5] = 2 << 8 | byte;
        assert_eq!(Record::from_words(&words), None, "{byte:#x}");
    }
}

#[test]
fn any_words_are_a_record_or_none_and_nothing_in_it_is_beyond_its_bounds() {
    // Numbers of a generator that needs no state but the last (Steele, "SplitMix").
    let mut seed = 1_u64;
    let mut random = || {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (seed ^ seed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    };
    let mut found = [0; 3];
    for _ in 0..200_000 {
        let mut words: [u64; RECORD_WORDS] = core::array::from_fn(|_| random());
        // Nearly right ones are found more often.
        words[0] &= 0xffff_ffff_0303_0703;
        words[5] &= 0xffff_ffff_037f_0307;
        match Record::from_words(&words).map(|record| record.event) {
            Some(Event::Entry(_)) => found[0] += 1,
            Some(Event::Exit(_)) => found[1] += 1,
            Some(Event::Payload(payload)) => {
                assert!(usize::from(payload.length) <= PAYLOAD_BYTES);
                assert!(usize::from(payload.argument) < MAX_ARGUMENTS);
                found[2] += 1;
            }
            None => {}
        }
    }
    assert!(found.into_iter().all(|count| count > 100), "{found:?}");
}

#[test]
fn a_records_number_says_its_cpu_and_its_slot() {
    let Tracing { next, taken, due, .. } = Tracing::new(3, 0x1000);
    assert_eq!((next, due - next), (taken, HALF));
    let id = RecordId(next + CAPACITY + 5);
    assert_eq!((id.cpu(), id.slot()), (3, 5));
    assert_ne!(RecordId::LOST.cpu(), 7);
}

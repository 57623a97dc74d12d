//! What the VMM tells a kernel that waits ([`crate::hypercall::Request::Wait`]),
//! and what the kernel wants to be told of ([`WatchEntry`]).

/// Words of an event in a reply.
pub const EVENT_WORDS: usize = 2;
/// The most events in a reply; the others come with the next one.
pub const MAX_EVENTS: usize = 16;
/// The most files in one [`crate::hypercall::Request::Watch`].
pub const MAX_WATCH: usize = 8;

/// One file of a [`crate::hypercall::Request::Watch`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatchEntry {
    /// Which standard file.
    pub file: u32,
    /// `POLL*` bits wanted (poll(2)). An error and a hang-up are told of without
    /// being asked for.
    pub mask: u16,
    /// What the event shall say it is of: the kernel's own count, by which it
    /// knows an event that is out of date.
    pub generation: u32,
}

impl WatchEntry {
    pub(crate) const fn to_words(self) -> [u64; EVENT_WORDS] {
        [self.file as u64 | (self.mask as u64) << 32, self.generation as u64]
    }

    /// Bits that mean nothing are not looked at.
    pub(crate) const fn from_words(words: [u64; EVENT_WORDS]) -> WatchEntry {
        let [first, second] = words;
        WatchEntry { file: first as u32, mask: (first >> 32) as u16, generation: second as u32 }
    }
}

/// Something that happened on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A watched file is ready. It is not watched any more.
    Ready {
        /// Which standard file.
        file: u32,
        /// `POLL*` bits that it has of those that were wanted.
        mask: u16,
        /// That of the [`WatchEntry`].
        generation: u32,
    },
    /// Somebody on the host sent the program a signal.
    Signal {
        /// Its number, signal(7): 1 to 64.
        number: u8,
    },
    /// A [`crate::hypercall::Request::Tick`] has fallen due: at least once since the
    /// last of these.
    Tick,
}

/// The kinds' numbers.
mod kind {
    pub(super) const READY: u64 = 1;
    pub(super) const SIGNAL: u64 = 2;
    pub(super) const TICK: u64 = 3;
}

/// Where the file's number begins in an event's first word.
const FILE: u32 = 32;
/// Where the mask begins in its second one.
const MASK: u32 = 32;

impl Event {
    /// As it lies in a reply.
    pub const fn to_words(self) -> [u64; EVENT_WORDS] {
        match self {
            Event::Ready { file, mask, generation } => {
                let second = generation as u64 | (mask as u64) << MASK;
                [kind::READY | (file as u64) << FILE, second]
            }
            Event::Signal { number } => [kind::SIGNAL, number as u64],
            Event::Tick => [kind::TICK, 0],
        }
    }

    /// The event in two words; `None`, if there is none in them.
    pub const fn decode(words: [u64; EVENT_WORDS]) -> Option<Event> {
        let [first, second] = words;
        match first & !(!0 << FILE) {
            kind::READY if second >> (MASK + 16) == 0 => Some(Event::Ready {
                file: (first >> FILE) as u32,
                mask: (second >> MASK) as u16,
                generation: second as u32,
            }),
            kind::SIGNAL if first == kind::SIGNAL && second >= 1 && second <= 64 => {
                Some(Event::Signal { number: second as u8 })
            }
            kind::TICK if first == kind::TICK && second == 0 => Some(Event::Tick),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_ready_file_survives_the_crossing(file: u32, mask: u16, generation: u32) {
            let event = Event::Ready { file, mask, generation };
            prop_assert_eq!(Event::decode(event.to_words()), Some(event));
            let entry = WatchEntry { file, mask, generation };
            prop_assert_eq!(WatchEntry::from_words(entry.to_words()), entry);
        }

        #[test]
        fn every_signal_survives_the_crossing(number in 1..=64u8) {
            let event = Event::Signal { number };
            prop_assert_eq!(Event::decode(event.to_words()), Some(event));
        }

        #[test]
        fn any_words_are_an_event_that_has_just_these_words_or_none(
            first in prop_oneof![0..4u64, any::<u64>()],
            second in prop_oneof![0..70u64, any::<u64>()],
        ) {
            if let Some(event) = Event::decode([first, second]) {
                prop_assert_eq!(event.to_words(), [first, second]);
            }
        }
    }

    #[test]
    fn a_tick_survives_the_crossing() {
        assert_eq!(Event::decode(Event::Tick.to_words()), Some(Event::Tick));
    }

    #[test]
    fn what_is_no_signals_number_is_no_event() {
        for number in [0, 65, u64::MAX] {
            assert_eq!(Event::decode([kind::SIGNAL, number]), None);
        }
        assert_eq!(Event::decode([0, 0]), None);
    }
}

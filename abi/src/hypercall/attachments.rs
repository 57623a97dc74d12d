//! What is attached to a request, and events in a reply.

use super::{
    ATTACHMENTS, BACKTRACE, CODE_FILE, CODE_PATH, COUNT, MAX_SEGMENTS, MESSAGE_WORDS, Malformed,
    Message, Segment,
};
use crate::crash::{BACKTRACE_DEPTH, Fault};
use crate::event::{EVENT_WORDS, Event, MAX_EVENTS, MAX_WATCH, WatchEntry};
use crate::pt_regs::PtRegs;

/// Attaches a segment; one that continues the last one makes that longer.
/// False if there is no room.
#[inline]
pub fn push_segment(message: &mut Message, segment: Segment) -> bool {
    let count = message[COUNT] as usize;
    let next = ATTACHMENTS + 2 * count;
    if count > 0 && message[next - 2] + message[next - 1] == segment.address {
        message[next - 1] += segment.length;
        return true;
    }
    if count >= MAX_SEGMENTS {
        return false;
    }
    message[next] = segment.address;
    message[next + 1] = segment.length;
    message[COUNT] += 1;
    true
}

/// The attached segments.
///
/// # Errors
/// [`Malformed::Count`], if there are more than fit.
pub fn segments(message: &Message) -> Result<impl Iterator<Item = Segment> + Clone, Malformed> {
    let count = attachments(message, MAX_SEGMENTS)?;
    let words = message[ATTACHMENTS..].chunks_exact(2).take(count);
    Ok(words.map(|pair| Segment { address: pair[0], length: pair[1] }))
}

/// Attaches a file to watch. False if there is no room.
pub fn push_watch(message: &mut Message, entry: WatchEntry) -> bool {
    let count = message[COUNT] as usize;
    if count >= MAX_WATCH {
        return false;
    }
    let at = ATTACHMENTS + EVENT_WORDS * count;
    message[at..at + EVENT_WORDS].copy_from_slice(&entry.to_words());
    message[COUNT] += 1;
    true
}

/// The attached files to watch.
///
/// # Errors
/// [`Malformed::Count`], if there are more than fit.
pub fn watch_entries(
    message: &Message,
) -> Result<impl ExactSizeIterator<Item = WatchEntry>, Malformed> {
    let count = attachments(message, MAX_WATCH)?;
    let (words, _) = message[ATTACHMENTS..].as_chunks::<EVENT_WORDS>();
    Ok(words[..count].iter().map(|&words| WatchEntry::from_words(words)))
}

/// Writes an event into a reply, which has `index` already. False if there is no
/// room.
pub fn put_event(reply: &mut Message, index: usize, event: Event) -> bool {
    let at = 1 + EVENT_WORDS * index;
    if index < MAX_EVENTS {
        reply[at..at + EVENT_WORDS].copy_from_slice(&event.to_words());
    }
    index < MAX_EVENTS
}

fn attachments(message: &Message, most: usize) -> Result<usize, Malformed> {
    match message[COUNT] {
        count if count <= most as u64 => Ok(count as usize),
        count => Err(Malformed::Count(count)),
    }
}

/// Attaches a crash record.
pub fn put_crash(message: &mut Message, fault: &Fault, regs: &PtRegs) {
    let (head, tail) = message[ATTACHMENTS..BACKTRACE].split_at_mut(Fault::WORDS);
    head.copy_from_slice(&fault.to_words());
    tail.copy_from_slice(&regs.to_words());
}

/// The attached crash record: the fault, and the registers at it.
pub fn crash(message: &Message) -> (Fault, PtRegs) {
    let mut fault = [0; Fault::WORDS];
    let mut regs = [0; PtRegs::WORDS];
    let (head, tail) = message[ATTACHMENTS..BACKTRACE].split_at(Fault::WORDS);
    fault.copy_from_slice(head);
    regs.copy_from_slice(tail);
    (Fault::from_words(&fault), PtRegs::from_words(&regs))
}

/// Where in a file the instruction of a crash record is: what is behind that record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeFile {
    /// How far behind the file's beginning, in bytes.
    pub offset: u64,
    path: [u64; CODE_PATH_WORDS],
    length: usize,
}

/// Words that a path has room in.
const CODE_PATH_WORDS: usize = MESSAGE_WORDS - CODE_PATH;

impl CodeFile {
    /// The file's path, at least a byte. It may be anything.
    pub fn path(&self) -> impl Iterator<Item = u8> + '_ {
        self.path.iter().flat_map(|word| word.to_le_bytes()).take(self.length)
    }
}

/// Attaches where in a file the instruction is; none, if the path is empty or too long.
pub fn put_code_file(message: &mut Message, offset: u64, path: &[u8]) {
    let path = if path.len() <= 8 * CODE_PATH_WORDS { path } else { &[] };
    message[CODE_FILE] = offset;
    message[CODE_FILE + 1] = path.len() as u64;
    for (to, bytes) in message[CODE_PATH..].iter_mut().zip(path.chunks(8)) {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        *to = u64::from_le_bytes(word);
    }
}

/// What [`put_code_file`] has attached.
pub fn code_file(message: &Message) -> Option<CodeFile> {
    let length = usize::try_from(message[CODE_FILE + 1]).ok();
    let length = length.filter(|length| (1..=8 * CODE_PATH_WORDS).contains(length))?;
    let path = core::array::from_fn(|index| message[CODE_PATH + index]);
    Some(CodeFile { offset: message[CODE_FILE], path, length })
}

/// Attaches return addresses, innermost first, 0 after the last.
pub fn put_backtrace(message: &mut Message, backtrace: &[u64; BACKTRACE_DEPTH]) {
    message[BACKTRACE..BACKTRACE + BACKTRACE_DEPTH].copy_from_slice(backtrace);
}

/// The attached return addresses.
pub fn backtrace(message: &Message) -> [u64; BACKTRACE_DEPTH] {
    core::array::from_fn(|index| message[BACKTRACE + index])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::Request;

    #[test]
    fn counts_beyond_the_message_are_malformed() {
        let mut message = [0; MESSAGE_WORDS];
        message[COUNT] = MAX_SEGMENTS as u64 + 1;
        assert!(matches!(segments(&message), Err(Malformed::Count(_))));
        message[COUNT] = MAX_WATCH as u64 + 1;
        assert!(matches!(watch_entries(&message), Err(Malformed::Count(_))));
        message[COUNT] = u64::MAX;
        assert!(segments(&message).is_err() && watch_entries(&message).is_err());
    }

    #[test]
    fn neighbouring_segments_become_one_and_the_list_is_bounded() {
        let mut message = [0; MESSAGE_WORDS];
        Request::Discard.encode(&mut message);
        for address in [0x1000, 0x2000] {
            assert!(push_segment(&mut message, Segment { address, length: 0x1000 }));
        }
        let list: std::vec::Vec<_> = segments(&message).unwrap().collect();
        assert_eq!(list, [Segment { address: 0x1000, length: 0x2000 }]);
        for index in 1..MAX_SEGMENTS as u64 {
            let segment = Segment { address: 0x10_0000 * index, length: 1 };
            assert!(push_segment(&mut message, segment));
        }
        assert!(!push_segment(&mut message, Segment { address: 1, length: 1 }));
        assert_eq!(segments(&message).unwrap().count(), MAX_SEGMENTS);
    }

    #[test]
    fn files_to_watch_survive_the_crossing_and_the_list_is_bounded() {
        let mut message = [0xdead_beef; MESSAGE_WORDS];
        Request::Watch { arm: false }.encode(&mut message);
        let entry = |index: usize| WatchEntry {
            file: index as u32,
            mask: u16::MAX - index as u16,
            generation: u32::MAX,
        };
        for index in 0..MAX_WATCH {
            assert!(push_watch(&mut message, entry(index)));
        }
        assert!(!push_watch(&mut message, entry(0)));
        assert!(watch_entries(&message).unwrap().eq((0..MAX_WATCH).map(entry)));
    }

    #[test]
    fn a_reply_holds_so_many_events_and_no_more() {
        let mut reply = [0; MESSAGE_WORDS];
        let event = Event::Signal { number: 2 };
        assert!((0..MAX_EVENTS).all(|index| put_event(&mut reply, index, event)));
        let full = reply;
        assert!(!put_event(&mut reply, MAX_EVENTS, event));
        assert_eq!(reply, full);
        let (words, _) = reply[1..].as_chunks::<EVENT_WORDS>();
        assert_eq!(words[MAX_EVENTS - 1], event.to_words());
    }

    #[test]
    fn crash_records_and_backtraces_survive_the_crossing() {
        let mut message = [0; MESSAGE_WORDS];
        let fault = Fault { vector: 14, error_code: 6, address: 0x10, ..Fault::default() };
        let regs = PtRegs { r15: 1, ss: 0x2b, ..PtRegs::default() };
        let addresses = core::array::from_fn(|index| index as u64);
        put_crash(&mut message, &fault, &regs);
        put_backtrace(&mut message, &addresses);
        assert_eq!(crash(&message), (fault, regs));
        assert_eq!(backtrace(&message), addresses);
    }

    #[test]
    fn a_path_behind_a_crash_record_is_as_it_was_or_none() {
        let mut message = [u64::MAX; MESSAGE_WORDS];
        assert_eq!(code_file(&message), None, "a length that is a lie");
        for length in [1, 7, 8, 9, 8 * CODE_PATH_WORDS] {
            let path: [u8; 8 * CODE_PATH_WORDS] = core::array::from_fn(|index| index as u8 | 1);
            put_code_file(&mut message, 0x1234, &path[..length]);
            let found = code_file(&message).unwrap();
            assert_eq!(found.offset, 0x1234);
            assert!(found.path().eq(path[..length].iter().copied()));
        }
        for path in [&[][..], &[1; 8 * CODE_PATH_WORDS + 1]] {
            put_code_file(&mut message, 0, path);
            assert_eq!(code_file(&message), None);
        }
    }
}

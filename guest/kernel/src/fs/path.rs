//! A path's bytes, looked at a word at a time.
//!
//! A word shows where a name ends, and is what its key is made of: so a name is looked at
//! once, whatever comes of it.

use crate::fs::names::{Key, Maker, WORD, padded};

/// A path.
#[derive(Clone, Copy)]
pub struct PathName<'a> {
    /// The path, and perhaps what is behind it in a buffer.
    bytes: &'a [u8],
    length: usize,
}

impl<'a> From<&'a [u8]> for PathName<'a> {
    fn from(bytes: &'a [u8]) -> PathName<'a> {
        PathName { bytes, length: bytes.len() }
    }
}

/// A component of a path: where its name ends, what it is found by, and where the next
/// begins: behind slashes, if some follow.
pub struct Part {
    /// Where its name ends.
    pub end: usize,
    /// What its name is found by.
    pub key: Key,
    /// Where the next one begins, or the path ends.
    pub next: usize,
}

impl<'a> PathName<'a> {
    /// The first bytes of a buffer. What is behind them is not looked at, but lets words
    /// be loaded at once.
    #[inline]
    pub fn in_buffer(bytes: &'a [u8], length: usize) -> PathName<'a> {
        PathName { bytes, length: length.min(bytes.len()) }
    }

    /// How many bytes it has.
    #[inline(always)]
    pub const fn len(self) -> usize {
        self.length
    }

    /// Whether it has none.
    #[inline(always)]
    pub const fn is_empty(self) -> bool {
        self.length == 0
    }

    /// Its bytes.
    #[inline]
    pub fn bytes(self) -> &'a [u8] {
        &self.bytes[..self.length]
    }

    /// A component's name, and what comes behind it.
    pub fn split(self, start: usize, end: usize) -> (&'a [u8], &'a [u8]) {
        let (name, rest) = self.bytes()[start..].split_at(end - start);
        (name, rest)
    }

    /// Whether there is a slash here.
    #[inline(always)]
    pub fn is_slash(self, at: usize) -> bool {
        at < self.length && self.bytes.get(at) == Some(&b'/')
    }

    /// Where the next component begins, or the path ends.
    #[inline(always)]
    pub fn past_slashes(self, mut at: usize) -> usize {
        while self.is_slash(at) {
            at += 1;
        }
        at
    }

    /// The component that begins here, where no slash is.
    #[inline(always)]
    pub fn part(self, start: usize) -> Part {
        let (head, mut count) = self.word(start);
        let mut key = Maker::new(head);
        let mut end = start + count;
        while count == WORD && end < self.length && !self.is_slash(end) {
            let word;
            (word, count) = self.word(end);
            key.add(word);
            end += count;
        }
        let next = if end < self.length { self.past_slashes(end + 1) } else { end };
        Part { end, key: key.end(), next }
    }

    /// The component that begins here, if its name fits in a word, and one slash and a
    /// further name follow: as nearly all have it that are not the last.
    #[inline(always)]
    pub fn short_part(self, start: usize) -> Option<Part> {
        let word = u64::from_le_bytes(*self.bytes.get(start..)?.first_chunk()?);
        let slashes = slashes_in(word);
        let end = start + slashes.trailing_zeros() as usize / 8;
        let next = end + 1;
        if slashes == 0 || next >= self.length || self.is_slash(next) {
            return None;
        }
        // What is below the lowest one.
        let head = word & (slashes ^ (slashes - 1)) >> 8;
        Some(Part { end, key: Maker::new(head).end(), next })
    }

    /// The last component's key, if it is all of what is left of the path and shorter
    /// than a word: as most are.
    #[inline(always)]
    pub fn short_end(self, start: usize) -> Option<Key> {
        let word = u64::from_le_bytes(*self.bytes.get(start..)?.first_chunk()?);
        let count = self.length.wrapping_sub(start);
        // One at least; and all of eight is not all of what may be.
        if count.wrapping_sub(1) >= WORD - 1 {
            return None;
        }
        let name = word & !(u64::MAX << (8 * count));
        (slashes_in(name) == 0).then(|| Maker::new(name).end())
    }

    /// Up to eight bytes of a name and zeroes behind them; how many there are.
    #[inline(always)]
    fn word(self, at: usize) -> (u64, usize) {
        let word = match self.bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            Some(word) => u64::from_le_bytes(*word),
            None => padded(&self.bytes[at..]),
        };
        let to_slash = slashes_in(word).trailing_zeros() as usize / 8;
        let count = to_slash.min(self.length - at);
        let above = 1u64.checked_shl(8 * count as u32).unwrap_or(0);
        (word & above.wrapping_sub(1), count)
    }
}

/// The highest bit of the lowest byte that is a slash, and perhaps bits above it.
#[inline(always)]
const fn slashes_in(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    let zeroes = word ^ (ONES * b'/' as u64);
    zeroes.wrapping_sub(ONES) & !zeroes & (ONES << 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The components of a path: their names, and where they are.
    fn parts(path: PathName) -> Vec<(usize, usize, Key)> {
        let mut parts = Vec::new();
        let mut at = path.past_slashes(0);
        while at < path.len() {
            let part = path.part(at);
            if let Some(short) = path.short_part(at) {
                assert_eq!((short.end, short.key, short.next), (part.end, part.key, part.next));
                assert!(short.next < path.len());
            }
            parts.push((at, part.end, part.key));
            at = part.next;
        }
        parts
    }

    #[test]
    fn components_are_between_slashes_wherever_the_buffer_ends() {
        let names = ["a", "bc", "1234567", "12345678", "123456789", "0123456789abcdef", "x", "y"];
        for slashes in 1..10 {
            for count in 1..=names.len() {
                let path = names[..count].join(&"/".repeat(slashes));
                let mut buffer = path.clone().into_bytes();
                for _ in 0..12 {
                    let parts = parts(PathName::in_buffer(&buffer, path.len()));
                    assert_eq!(parts.len(), count);
                    for ((start, end, key), name) in parts.into_iter().zip(names) {
                        assert_eq!(&path[start..end], name);
                        assert_eq!(key, Key::of(name.as_bytes()));
                    }
                    buffer.push(b"/z"[buffer.len() % 2]);
                }
            }
        }
    }

    #[test]
    fn short_components_are_those_in_front_of_one_slash_and_a_name() {
        let ends = |path: &'static str, length: usize| {
            PathName::in_buffer(path.as_bytes(), length).short_part(0).map(|part| part.end)
        };
        for (path, end) in [("a/b", 1), ("1234567/x", 7), ("../x", 2)] {
            let buffer = format!("{path}--------").leak();
            assert_eq!(ends(buffer, path.len()), Some(end), "{path}");
        }
        for path in ["a", "a/", "a//", "a//b", "1234567/", "1234567//x", "12345678/x"] {
            let buffer = format!("{path}/-------").leak();
            assert_eq!(ends(buffer, path.len()), None, "{path}");
        }
        assert_eq!(ends("a/b", 3), None, "there is no whole word");
    }

    #[test]
    fn short_ends_are_names_that_nothing_follows() {
        let key = |path: &'static str, length: usize, start: usize| {
            PathName::in_buffer(path.as_bytes(), length).short_end(start)
        };
        for end in ["a", "1234567", "..", "\u{80}/"] {
            let name = end.trim_end_matches('/');
            let buffer = format!("/x/{end}-------/").leak();
            let length = 3 + name.len();
            assert_eq!(key(buffer, length, 3), Some(Key::of(name.as_bytes())), "{end}");
        }
        for path in ["", "a/", "a//", "a/b", "/", "1234567/", "12345678", "123456789"] {
            let buffer = format!("{path}--------").leak();
            assert_eq!(key(buffer, path.len(), 0), None, "{path}");
        }
        assert_eq!(key("a--------", 1, 2), None, "it is behind the end");
        assert_eq!(key("abc", 3, 0), None, "there is no whole word");
    }

    #[test]
    fn slashes_may_begin_and_end_a_path() {
        for (path, count) in [("/", 0), ("//", 0), ("/a", 1), ("a/", 1), ("//a//", 1)] {
            assert_eq!(parts(path.as_bytes().into()).len(), count, "{path}");
        }
    }
}

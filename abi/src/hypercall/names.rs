//! Names in a request: in the message itself, so that the copy that the VMM has made of it
//! is the one that is looked at and the one that is used.

use super::{MAX_NAME_BYTES, MESSAGE_WORDS, Malformed, Message, NAME_MAX, NAMES};

/// Attaches names, each with a NUL behind it; behind [`super::Request::encode`]. False if
/// there is no room, or if one has none.
#[must_use]
pub fn put_names(message: &mut Message, names: &[&[u8]]) -> bool {
    let (mut at, mut word) = (0, 0);
    for name in names {
        if name.len() > NAME_MAX || at + name.len() >= MAX_NAME_BYTES {
            return false;
        }
        for &byte in name.iter().chain(&[0]) {
            word |= u64::from(byte) << (8 * (at % 8));
            at += 1;
            if at % 8 == 0 {
                message[NAMES + at / 8] = word;
                word = 0;
            }
        }
    }
    if at % 8 != 0 {
        message[NAMES + 1 + at / 8] = word;
    }
    message[NAMES] = at as u64;
    true
}

/// The attached names.
///
/// # Errors
/// [`Malformed::Names`], if there is none, or one that no file of a directory has: it is
/// empty, `.` or `..`, longer than [`NAME_MAX`], or has a slash in it.
pub fn names(message: &Message) -> Result<Names, Malformed> {
    let length = message[NAMES];
    if length == 0 || length > MAX_NAME_BYTES as u64 {
        return Err(Malformed::Names);
    }
    let mut bytes = [0; MAX_NAME_BYTES];
    for (piece, word) in bytes.chunks_exact_mut(8).zip(&message[NAMES + 1..MESSAGE_WORDS]) {
        piece.copy_from_slice(&word.to_le_bytes());
    }
    let names = Names { bytes, length: length as usize };
    let ends = names.bytes[names.length - 1] == 0;
    if ends && names.iter().all(is_name) { Ok(names) } else { Err(Malformed::Names) }
}

fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && name.len() <= NAME_MAX && !name.contains(&b'/')
}

/// Names: a copy of what a message has.
#[derive(Clone, Debug)]
pub struct Names {
    bytes: [u8; MAX_NAME_BYTES],
    /// With the NUL behind each.
    length: usize,
}

impl Names {
    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.bytes[..self.length - 1].split(|byte| *byte == 0)
    }

    /// So many, and no more.
    ///
    /// # Errors
    /// [`Malformed::Names`], if there are others.
    pub fn exactly<const N: usize>(&self) -> Result<[&[u8]; N], Malformed> {
        let mut names = [&[][..]; N];
        let mut given = self.iter();
        for name in &mut names {
            *name = given.next().ok_or(Malformed::Names)?;
        }
        if given.next().is_none() { Ok(names) } else { Err(Malformed::Names) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn message(given: &[&[u8]]) -> Message {
        let mut message = [0xdead_beef; MESSAGE_WORDS];
        assert!(put_names(&mut message, given));
        message
    }

    #[test]
    fn names_survive_the_crossing_whatever_their_lengths() {
        let long = [b'x'; NAME_MAX];
        for lengths in [&[1][..], &[7], &[8], &[3, 4], &[7, 8, 1], &[255], &[255, 255]] {
            let given: Vec<_> = lengths.iter().map(|&length| &long[..length]).collect();
            let names = names(&message(&given)).unwrap();
            assert_eq!(names.iter().collect::<Vec<_>>(), given);
        }
    }

    #[test]
    fn what_no_file_of_a_directory_is_called_is_malformed() {
        for name in [&b""[..], b".", b"..", b"/", b"a/b", b"a/", b"/a"] {
            for given in [&[name][..], &[b"a", name], &[name, b"a"]] {
                assert!(matches!(names(&message(given)), Err(Malformed::Names)), "{given:?}");
            }
        }
        for name in [&b"..."[..], b".a", b"..a", b" ", b"\n", b"\xff"] {
            assert!(names(&message(&[name])).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn names_that_do_not_end_are_malformed_and_so_are_none() {
        for length in [0, 2, MAX_NAME_BYTES as u64 + 1, u64::MAX] {
            let mut message = message(&[b"abc"]);
            message[NAMES] = length;
            assert!(matches!(names(&message), Err(Malformed::Names)), "{length}");
        }
        let mut endless = [u64::MAX; MESSAGE_WORDS];
        endless[NAMES] = MAX_NAME_BYTES as u64;
        assert!(matches!(names(&endless), Err(Malformed::Names)));
        // One byte more than a name has.
        let mut long = message(&[&[b'x'; NAME_MAX], b"y"]);
        long[NAMES + 1 + NAME_MAX / 8] |= u64::from(b'x') << (8 * (NAME_MAX % 8));
        assert!(matches!(names(&long), Err(Malformed::Names)));
    }

    #[test]
    fn what_does_not_fit_is_not_attached() {
        let mut message = [7; MESSAGE_WORDS];
        let before = message;
        assert!(!put_names(&mut message, &[&[b'x'; NAME_MAX + 1]]));
        assert_eq!(message, before);
        assert!(!put_names(&mut message, &[&[b'x'; NAME_MAX], &[b'x'; NAME_MAX], b""]));
    }

    #[test]
    fn there_are_as_many_names_as_an_operation_has_or_it_is_malformed() {
        let two = names(&message(&[b"a", b"b"])).unwrap();
        assert_eq!(two.exactly(), Ok([&b"a"[..], b"b"]));
        assert_eq!(two.exactly::<1>(), Err(Malformed::Names));
        assert_eq!(two.exactly::<3>(), Err(Malformed::Names));
    }
}

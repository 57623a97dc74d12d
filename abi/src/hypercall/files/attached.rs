//! What requests for files carry besides names and segments.

use super::Handle;
use crate::file::FileStatus;
use crate::hypercall::{ATTACHMENTS, COUNT, MESSAGE_WORDS, Malformed, Message};
use crate::layout::PAGE_SIZE;
use crate::wire::wire_struct;

/// The word of the host call page, behind the message, that says how many words behind it
/// are handles that are given back: before the request that comes next, whatever that is,
/// they are released, as [`super::FileRequest::Release`] does it, and the word is 0 again.
pub const GIVEN_BACK: usize = MESSAGE_WORDS;
/// How many these are at most.
pub const MAX_GIVEN_BACK: usize = PAGE_SIZE as usize / size_of::<u64>() - MESSAGE_WORDS - 1;

/// Handles of one [`super::FileRequest::Release`] at most.
pub const MAX_RELEASED: usize = MESSAGE_WORDS - ATTACHMENTS;

/// A file that was found or made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// What stands for it from now on, until it is released.
    pub handle: Handle,
    /// What it is.
    pub status: FileStatus,
}

impl Found {
    /// Its length in words.
    pub const WORDS: usize = 1 + FileStatus::WORDS;

    /// As words.
    pub fn to_words(&self) -> [u64; Found::WORDS] {
        let mut words = [self.handle.0; Found::WORDS];
        words[1..].copy_from_slice(&self.status.to_words());
        words
    }

    /// The inverse of [`Found::to_words`].
    pub fn from_words(words: &[u64; Found::WORDS]) -> Found {
        let status = core::array::from_fn(|index| words[1 + index]);
        Found { handle: Handle(words[0]), status: FileStatus::from_words(&status) }
    }
}

wire_struct! {
    /// What shall be different of a file.
    pub struct Change {
        /// Which of the others count: the bits of [`Change`]'s constants.
        pub which: u64,
        /// Permissions.
        pub mode: u64,
        /// Owner; `u32::MAX`: as it is, and yet it is set.
        pub uid: u64,
        /// Group; the same.
        pub gid: u64,
        /// Bytes.
        pub size: u64,
        /// Last access: seconds, as an `i64`.
        pub atime: u64,
        /// Last access: nanoseconds.
        pub atime_nsec: u64,
        /// Last modification: seconds, as an `i64`.
        pub mtime: u64,
        /// Last modification: nanoseconds.
        pub mtime_nsec: u64,
    }
}

impl Change {
    /// Permissions.
    pub const MODE: u64 = 1 << 0;
    /// The owner.
    pub const UID: u64 = 1 << 1;
    /// The group.
    pub const GID: u64 = 1 << 2;
    /// The size.
    pub const SIZE: u64 = 1 << 3;
    /// The time of the last access.
    pub const ATIME: u64 = 1 << 4;
    /// The time of the last modification.
    pub const MTIME: u64 = 1 << 5;
    /// All there are.
    pub const ALL: u64 = (1 << 6) - 1;
}

/// Attaches a change.
pub fn put_change(message: &mut Message, change: &Change) {
    message[ATTACHMENTS..ATTACHMENTS + Change::WORDS].copy_from_slice(&change.to_words());
}

/// The attached change.
///
/// # Errors
/// [`Malformed::Argument`], if a value is outside its type. Times that no file has are
/// left to whoever sets them.
pub fn change(message: &Message) -> Result<Change, Malformed> {
    let change = Change::from_words(&core::array::from_fn(|at| message[ATTACHMENTS + at]));
    let Change { which, mode, uid, gid, .. } = change;
    let narrow = |index: usize, value: u64, most: u64| match value <= most {
        true => Ok(()),
        false => Err(Malformed::Argument { operation: message[0], index, value }),
    };
    narrow(ATTACHMENTS, which, Change::ALL)?;
    narrow(ATTACHMENTS + 1, mode, 0o7777)?;
    narrow(ATTACHMENTS + 2, uid, u32::MAX.into())?;
    narrow(ATTACHMENTS + 3, gid, u32::MAX.into())?;
    Ok(change)
}

/// Attaches a handle. False if there is no room.
#[must_use]
pub fn push_handle(message: &mut Message, handle: Handle) -> bool {
    let count = message[COUNT] as usize;
    if count >= MAX_RELEASED {
        return false;
    }
    message[ATTACHMENTS + count] = handle.0;
    message[COUNT] += 1;
    true
}

/// The attached handles.
///
/// # Errors
/// [`Malformed::Count`], if there are more than fit.
pub fn handles(message: &Message) -> Result<impl Iterator<Item = Handle>, Malformed> {
    let count = message[COUNT];
    if count > MAX_RELEASED as u64 {
        return Err(Malformed::Count(count));
    }
    Ok(message[ATTACHMENTS..].iter().take(count as usize).map(|&word| Handle(word)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::files::FileRequest;

    #[test]
    fn what_was_found_survives_the_crossing() {
        let status = FileStatus { dev: 1, ctime_nsec: 2, ..FileStatus::ZERO };
        let found = Found { handle: Handle(u64::MAX), status };
        assert_eq!(Found::from_words(&found.to_words()), found);
    }

    #[test]
    fn handles_survive_the_crossing_and_the_list_is_bounded() {
        let mut message = [0xdead_beef; MESSAGE_WORDS];
        FileRequest::Release { keep: false }.encode(&mut message);
        let given = || (0..MAX_RELEASED as u64).map(|number| Handle(number << 32 | 1));
        assert!(given().all(|handle| push_handle(&mut message, handle)));
        assert!(!push_handle(&mut message, Handle(0)));
        assert!(handles(&message).unwrap().eq(given()));
        message[COUNT] += 1;
        assert!(matches!(handles(&message), Err(Malformed::Count(_))));
    }

    #[test]
    fn a_change_survives_the_crossing_and_its_values_are_not_cut() {
        let mut message = [0; MESSAGE_WORDS];
        let given = Change {
            which: Change::ALL,
            mode: 0o7777,
            uid: u32::MAX.into(),
            gid: 1,
            size: u64::MAX,
            atime: u64::MAX,
            ..Change::ZERO
        };
        put_change(&mut message, &given);
        assert_eq!(change(&message), Ok(given));
        for index in ATTACHMENTS..ATTACHMENTS + 4 {
            let mut wrong = message;
            wrong[index] = 1 << 32;
            let value = wrong[index];
            let malformed = Malformed::Argument { operation: 0, index, value };
            assert_eq!(change(&wrong), Err(malformed));
        }
    }
}

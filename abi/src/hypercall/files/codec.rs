//! Requests for files as words.

use super::{Access, FileRequest, Handle, RENAME_FLAGS};
use crate::hypercall::{ATTACHMENTS, COUNT, Malformed, Message};

/// The operations' numbers.
mod operation {
    pub(super) const WALK: u64 = 32;
    pub(super) const LIST: u64 = 33;
    pub(super) const READ_LINK: u64 = 34;
    pub(super) const OPEN: u64 = 35;
    pub(super) const GET: u64 = 36;
    pub(super) const LOOK: u64 = 37;
    pub(super) const RELEASE: u64 = 38;
    pub(super) const FILE_SYSTEM: u64 = 39;
    pub(super) const MAKE: u64 = 40;
    pub(super) const LINK: u64 = 41;
    pub(super) const UNLINK: u64 = 42;
    pub(super) const RENAME: u64 = 43;
    pub(super) const CHANGE: u64 = 44;
    pub(super) const PUT: u64 = 45;
    pub(super) const SYNC: u64 = 46;
    pub(super) const ALLOCATE: u64 = 47;
    pub(super) const FIND: u64 = 48;
}

/// The word of an argument: the fourth is behind the number of attachments, of which a
/// request with so many has none.
const WORDS: [usize; 4] = [1, 2, 3, ATTACHMENTS];

impl FileRequest {
    /// The operation's name, for statistics and refusals.
    pub const fn name(&self) -> &'static str {
        match self {
            FileRequest::Walk { .. } => "walk",
            FileRequest::List { .. } => "list",
            FileRequest::ReadLink { .. } => "read_link",
            FileRequest::Open { .. } => "open",
            FileRequest::Get { .. } => "get",
            FileRequest::Look { .. } => "look",
            FileRequest::Release { .. } => "release",
            FileRequest::FileSystem { .. } => "file_system",
            FileRequest::Make { .. } => "make",
            FileRequest::Link { .. } => "link",
            FileRequest::Unlink { .. } => "unlink",
            FileRequest::Rename { .. } => "rename",
            FileRequest::Change { .. } => "change",
            FileRequest::Put { .. } => "put",
            FileRequest::Sync { .. } => "sync",
            FileRequest::Allocate { .. } => "allocate",
            FileRequest::Find { .. } => "find",
        }
    }

    /// Writes the request's head into a message, with no attachments and no names yet.
    pub fn encode(&self, message: &mut Message) {
        use operation::*;
        let access = |access| match access {
            Access::Read => 1,
            Access::Write => 2,
            Access::Both => 3,
        };
        let (number, arguments) = match *self {
            FileRequest::Walk { directory } => (WALK, [directory.0, 0, 0, 0]),
            FileRequest::List { directory, cookie } => (LIST, [directory.0, cookie, 0, 0]),
            FileRequest::ReadLink { link } => (READ_LINK, [link.0, 0, 0, 0]),
            FileRequest::Open { file, access: how } => (OPEN, [file.0, access(how), 0, 0]),
            FileRequest::Get { file, offset } => (GET, [file.0, offset, 0, 0]),
            FileRequest::Look { file } => (LOOK, [file.0, 0, 0, 0]),
            FileRequest::Release { keep } => (RELEASE, [keep.into(), 0, 0, 0]),
            FileRequest::FileSystem { file } => (FILE_SYSTEM, [file.0, 0, 0, 0]),
            FileRequest::Make { directory, mode } => (MAKE, [directory.0, mode.into(), 0, 0]),
            FileRequest::Link { file, directory } => (LINK, [file.0, directory.0, 0, 0]),
            FileRequest::Unlink { directory, is_directory } => {
                (UNLINK, [directory.0, is_directory.into(), 0, 0])
            }
            FileRequest::Rename { from, to, flags } => (RENAME, [from.0, to.0, flags.into(), 0]),
            FileRequest::Change { file } => (CHANGE, [file.0, 0, 0, 0]),
            FileRequest::Put { file, offset } => (PUT, [file.0, offset, 0, 0]),
            FileRequest::Sync { file, data_only } => (SYNC, [file.0, data_only.into(), 0, 0]),
            FileRequest::Allocate { file, mode, offset, length } => {
                (ALLOCATE, [file.0, mode.into(), offset, length])
            }
            FileRequest::Find { file, offset, hole } => (FIND, [file.0, offset, hole.into(), 0]),
        };
        message[0] = number;
        message[COUNT] = 0;
        for (word, argument) in WORDS.into_iter().zip(arguments) {
            message[word] = argument;
        }
    }

    /// Reads a request out of a message, which may hold anything.
    ///
    /// # Errors
    /// [`Malformed`], if it is no request. Handles are claims afterwards.
    pub fn decode(message: &Message) -> Result<FileRequest, Malformed> {
        let operation = message[0];
        let wide = |index: usize| message[WORDS[index]];
        let handle = |index: usize| Handle(wide(index));
        let out_of_range =
            |index: usize| Malformed::Argument { operation, index, value: wide(index) };
        let narrow = |index: usize| u32::try_from(wide(index)).map_err(|_| out_of_range(index));
        let flag = |index: usize| match wide(index) {
            value @ 0..=1 => Ok(value == 1),
            _ => Err(out_of_range(index)),
        };
        Ok(match operation {
            operation::WALK => FileRequest::Walk { directory: handle(0) },
            operation::LIST => FileRequest::List { directory: handle(0), cookie: wide(1) },
            operation::READ_LINK => FileRequest::ReadLink { link: handle(0) },
            operation::OPEN => {
                let access = match wide(1) {
                    1 => Access::Read,
                    2 => Access::Write,
                    3 => Access::Both,
                    _ => return Err(out_of_range(1)),
                };
                FileRequest::Open { file: handle(0), access }
            }
            operation::GET => FileRequest::Get { file: handle(0), offset: wide(1) },
            operation::LOOK => FileRequest::Look { file: handle(0) },
            operation::RELEASE => FileRequest::Release { keep: flag(0)? },
            operation::FILE_SYSTEM => FileRequest::FileSystem { file: handle(0) },
            operation::MAKE => FileRequest::Make { directory: handle(0), mode: narrow(1)? },
            operation::LINK => FileRequest::Link { file: handle(0), directory: handle(1) },
            operation::UNLINK => {
                FileRequest::Unlink { directory: handle(0), is_directory: flag(1)? }
            }
            operation::RENAME => match narrow(2)? {
                flags if flags & !RENAME_FLAGS == 0 => {
                    FileRequest::Rename { from: handle(0), to: handle(1), flags }
                }
                _ => return Err(out_of_range(2)),
            },
            operation::CHANGE => FileRequest::Change { file: handle(0) },
            operation::PUT => FileRequest::Put { file: handle(0), offset: wide(1) },
            operation::SYNC => FileRequest::Sync { file: handle(0), data_only: flag(1)? },
            operation::ALLOCATE => FileRequest::Allocate {
                file: handle(0),
                mode: narrow(1)?,
                offset: wide(2),
                length: wide(3),
            },
            operation::FIND => {
                FileRequest::Find { file: handle(0), offset: wide(1), hole: flag(2)? }
            }
            _ => return Err(Malformed::Operation(operation)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::{MESSAGE_WORDS, Request, segments};

    const H: Handle = Handle(u64::MAX);
    const REQUESTS: [FileRequest; 19] = [
        FileRequest::Walk { directory: H },
        FileRequest::List { directory: H, cookie: u64::MAX },
        FileRequest::ReadLink { link: H },
        FileRequest::Open { file: H, access: Access::Read },
        FileRequest::Open { file: H, access: Access::Write },
        FileRequest::Open { file: H, access: Access::Both },
        FileRequest::Get { file: H, offset: u64::MAX },
        FileRequest::Look { file: H },
        FileRequest::Release { keep: true },
        FileRequest::FileSystem { file: H },
        FileRequest::Make { directory: H, mode: u32::MAX },
        FileRequest::Link { file: H, directory: Handle(1) },
        FileRequest::Unlink { directory: H, is_directory: true },
        FileRequest::Rename { from: H, to: Handle(1), flags: RENAME_FLAGS },
        FileRequest::Change { file: H },
        FileRequest::Put { file: H, offset: u64::MAX },
        FileRequest::Sync { file: H, data_only: true },
        FileRequest::Allocate { file: H, mode: 3, offset: u64::MAX, length: 5 },
        FileRequest::Find { file: H, offset: u64::MAX, hole: true },
    ];

    #[test]
    fn every_request_survives_the_crossing() {
        for request in REQUESTS {
            let mut message = [0xdead_beef; MESSAGE_WORDS];
            Request::File(request).encode(&mut message);
            assert_eq!(Request::decode(&message), Ok(Request::File(request)));
            assert_eq!(segments(&message).unwrap().count(), 0);
        }
    }

    #[test]
    fn arguments_wider_than_their_type_are_malformed_and_not_cut() {
        let narrow = [
            (operation::OPEN, 1),
            (operation::RELEASE, 0),
            (operation::MAKE, 1),
            (operation::UNLINK, 1),
            (operation::RENAME, 2),
            (operation::SYNC, 1),
            (operation::ALLOCATE, 1),
            (operation::FIND, 2),
        ];
        for (number, index) in narrow {
            for value in [1 << 32, u64::MAX] {
                let mut message = [0; MESSAGE_WORDS];
                message[2] = 1;
                (message[0], message[1 + index]) = (number, value);
                let malformed = Malformed::Argument { operation: number, index, value };
                assert_eq!(Request::decode(&message), Err(malformed));
            }
        }
        let mut message = [0; MESSAGE_WORDS];
        (message[0], message[3]) = (operation::RENAME, 4);
        assert!(Request::decode(&message).is_err(), "RENAME_WHITEOUT makes a device");
        (message[0], message[2]) = (operation::OPEN, 0);
        assert!(Request::decode(&message).is_err(), "a file is opened for something");
    }

    #[test]
    fn what_changes_something_is_known() {
        let changes = |request: &&FileRequest| request.changes();
        let changing = REQUESTS.iter().filter(changes).map(FileRequest::name);
        let expected =
            ["open", "open", "make", "link", "unlink", "rename", "change", "put", "allocate"];
        assert!(changing.eq(expected));
    }
}

//! What is wrong with an archive, in words that say what to do.

use crate::error::shown;
use crate::{ByteSize, Error};
use std::io;
use std::path::Path;
use trapgate_erofs::write::Problem;
use trapgate_loader::text::printable;

/// Why a source cannot be made a root.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Bad {
    /// It ends where it must not.
    #[error("ends in the middle: it was not written or copied to its end")]
    Truncated,
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Read(io::Error),
    /// What is made of it cannot be written.
    #[error("its files cannot be written to the cache: {0}")]
    Write(io::Error),
    /// It is nothing of what is taken.
    #[error("is no root: {0}")]
    Unknown(&'static str),
    /// Something in it is not as its format wants it.
    #[error("is damaged: {0}")]
    Damaged(String),
    /// Its bytes are not those that its digest was made of.
    #[error("was changed while it was read")]
    Changed,
    /// Something in it is not taken.
    #[error("{0}")]
    Unsupported(String),
    /// It has more entries than may be.
    #[error("has more than {most} entries: that is no root")]
    TooManyEntries {
        /// How many may be.
        most: u64,
    },
    /// Its files are larger than may be.
    #[error("its files are larger than {most} together: that is no root")]
    TooLarge {
        /// How large they may be.
        most: ByteSize,
    },
    /// An entry of it cannot be.
    #[error("entry '{name}': {refused}")]
    Entry {
        /// Its name, which steers no terminal.
        name: String,
        /// Why not.
        refused: Refused,
    },
    /// Something is wrong in the middle of an entry.
    #[error("entry '{name}': {bad}")]
    In {
        /// Its name.
        name: String,
        /// What.
        bad: Box<Bad>,
    },
}

/// Why an entry cannot be in a tree.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It has no name of its own.
    #[error("it names no file")]
    NoName,
    /// A name is too long.
    #[error("a name in it is longer than 255 bytes")]
    LongName,
    /// Its path is too long.
    #[error("its path is longer than 4096 bytes")]
    LongPath,
    /// A NUL byte is in its name, or in its link's.
    #[error("there is a NUL byte in its name")]
    Nul,
    /// Directories are too deep.
    #[error("it lies deeper than 2048 directories")]
    TooDeep,
    /// Its directory's links go in a circle.
    #[error("the links in its path go in a circle")]
    Circle,
    /// It is a link to nothing.
    #[error("it is a link without a target")]
    EmptyLink,
    /// Its hard link's target is not there.
    #[error("it is a hard link to '{}', which is not there before it", printable(.0))]
    NoTarget(Vec<u8>),
    /// Its hard link's target is a directory.
    #[error("it is a hard link to a directory")]
    LinkToDirectory,
    /// It would take the place of the root itself.
    #[error("it would take the root's place")]
    Root,
    /// It is nothing that an image can have.
    #[error("{0}")]
    Image(Problem),
    /// A number in it is beyond what there can be.
    #[error("its {0} is beyond what Linux has")]
    Beyond(&'static str),
}

impl Bad {
    /// Something that an entry cannot be.
    pub(crate) fn entry(name: &[u8], refused: Refused) -> Bad {
        Bad::Entry { name: printable(name), refused }
    }

    /// The same, in this entry: where it matters which.
    pub(crate) fn of(self, name: &[u8]) -> Bad {
        match self {
            Bad::Truncated | Bad::Read(_) | Bad::Damaged(_) | Bad::Changed => {
                Bad::In { name: printable(name), bad: Box::new(self) }
            }
            _ => self,
        }
    }

    /// As the library's error, about the source at `path`.
    pub(crate) fn at(self, path: &Path) -> Error {
        Error::Root { name: shown(path), reason: self.to_string() }
    }

    /// A failed read of the source.
    pub(crate) fn read(error: io::Error) -> Bad {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Bad::Truncated,
            _ => Bad::Read(error),
        }
    }
}

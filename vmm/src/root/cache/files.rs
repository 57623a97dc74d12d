//! Digests of files, so that a large one is not read at each start.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// What tells a file from what it was before.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds.
    written: (i64, i64),
    changed: (i64, i64),
}

/// Seconds after which another change has another time, on whatever file system.
const SETTLED: i64 = 3;

impl Stamp {
    /// The one of a file as it is.
    pub(super) fn of(file: &File) -> io::Result<Stamp> {
        Ok(Stamp::of_metadata(&file.metadata()?))
    }

    fn of_metadata(metadata: &Metadata) -> Stamp {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            written: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    fn name(&self) -> String {
        format!("{:x}-{:x}", self.device, self.inode)
    }

    /// What is written of it, beside its name.
    fn line(&self, digest: &str) -> String {
        let Stamp { size, written, changed, .. } = self;
        format!("{size} {}.{} {}.{} {digest}\n", written.0, written.1, changed.0, changed.1)
    }

    /// Whether a change that came now would be seen.
    fn is_settled(&self) -> bool {
        let now =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs() as i64);
        self.written.0.max(self.changed.0) + SETTLED < now
    }
}

/// The digest of the file with this stamp, if it is known.
pub(super) fn read(directory: &Path, stamp: &Stamp) -> Option<String> {
    let line = fs::read_to_string(directory.join(stamp.name())).ok()?;
    let digest = line.trim_end().rsplit(' ').next()?;
    let is_digest = digest.len() == 64 && digest.bytes().all(|c| c.is_ascii_hexdigit());
    (is_digest && line == stamp.line(digest)).then(|| digest.to_owned())
}

/// Writes it down.
pub(super) fn write(directory: &Path, stamp: &Stamp, digest: &str) -> io::Result<()> {
    if !stamp.is_settled() || read(directory, stamp).is_some() {
        return Ok(());
    }
    super::make_directory(directory)?;
    let name = directory.join(stamp.name());
    let new = directory.join(format!("{}.{}", stamp.name(), std::process::id()));
    fs::write(&new, stamp.line(digest))?;
    fs::rename(new, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn a_digest_is_known_as_long_as_the_file_is_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let stamp = Stamp { device: 1, inode: 2, size: 3, written: (4, 5), changed: (6, 7) };
        assert_eq!(read(directory, &stamp), None);
        write(directory, &stamp, DIGEST).unwrap();
        assert_eq!(read(directory, &stamp).as_deref(), Some(DIGEST));
        for other in [
            Stamp { device: 2, ..stamp_like(&stamp) },
            Stamp { inode: 3, ..stamp_like(&stamp) },
            Stamp { size: 4, ..stamp_like(&stamp) },
            Stamp { written: (4, 6), ..stamp_like(&stamp) },
            Stamp { changed: (7, 7), ..stamp_like(&stamp) },
        ] {
            assert_eq!(read(directory, &other), None, "{other:?}");
        }
        fs::write(directory.join(stamp.name()), stamp.line("../../etc")).unwrap();
        assert_eq!(read(directory, &stamp), None);
    }

    fn stamp_like(stamp: &Stamp) -> Stamp {
        let Stamp { device, inode, size, written, changed } = *stamp;
        Stamp { device, inode, size, written, changed }
    }

    #[test]
    fn a_file_that_was_just_written_is_not_written_down() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new");
        fs::write(&path, "x").unwrap();
        let stamp = Stamp::of(&File::open(&path).unwrap()).unwrap();
        write(&directory.path().join("files"), &stamp, DIGEST).unwrap();
        assert_eq!(read(&directory.path().join("files"), &stamp), None);
    }
}

//! What the VMM changes.

use super::{Found, Handle, Host, What};
use std::collections::BTreeMap;
use trapgate_abi::file::FileStatus;
use trapgate_abi::hypercall::files::{AT_END, Change, change};
use trapgate_abi::hypercall::{FileRequest, Message, Segment, names};
use trapgate_arch::fake::bytes_of;
use trapgate_uapi::Errno;
use trapgate_uapi::fs::RENAME_EXCHANGE;
use trapgate_uapi::stat::{S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG};

impl Host {
    fn entries(&mut self, directory: usize) -> Result<&mut BTreeMap<String, usize>, Errno> {
        match &mut self.files[directory].what {
            What::Directory(entries) => Ok(entries),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// A file has changed, or its directory.
    fn touch(&mut self, file: usize, content: bool) {
        self.now += 1;
        let (now, size) = (
            self.now,
            match &self.files[file].what {
                What::File(bytes) => Some(bytes.len() as u64),
                _ => None,
            },
        );
        let status = &mut self.files[file].status;
        status.ctime = now;
        status.size = size.unwrap_or(status.size);
        if content {
            status.mtime = now;
        }
    }

    /// What was found by its name before is not found by it any more.
    fn lost_its_name(&mut self, file: usize) {
        if !matches!(self.files[file].what, What::Directory(_)) {
            self.handles.values_mut().filter(|held| held.file == file).for_each(|held| {
                held.stale = true;
            });
        }
    }

    fn found(&mut self, file: usize) -> Result<Found, Errno> {
        let handle = Handle(self.grant(file)?);
        Ok(Found { handle, status: self.files[file].status })
    }

    pub(super) fn change(
        &mut self,
        request: FileRequest,
        segments: &[Segment],
        message: &mut Message,
    ) -> Result<u64, Errno> {
        let given: Vec<String> = match request {
            FileRequest::Make { .. }
            | FileRequest::Link { .. }
            | FileRequest::Unlink { .. }
            | FileRequest::Rename { .. } => {
                let names = names(message).expect("names");
                names.iter().map(|name| String::from_utf8(name.to_vec()).unwrap()).collect()
            }
            _ => Vec::new(),
        };
        let input: Vec<u8> = segments.iter().flat_map(bytes_of).collect();
        let tell = |message: &mut Message, status: &FileStatus| {
            message[1..=FileStatus::WORDS].copy_from_slice(&status.to_words());
        };
        match request {
            FileRequest::Make { directory, mode } => {
                let at = self.of(directory)?;
                if self.entries(at)?.contains_key(&given[0]) {
                    return Err(Errno::EEXIST);
                }
                let what = match mode & S_IFMT {
                    S_IFREG => What::File(Vec::new()),
                    S_IFDIR => What::Directory(BTreeMap::new()),
                    S_IFLNK => What::Link(String::from_utf8(input).unwrap()),
                    S_IFIFO => What::Fifo,
                    _ => return Err(Errno::EPERM),
                };
                let file = self.add(what);
                self.files[file].status.mode = mode.into();
                self.entries(at)?.insert(given[0].clone(), file);
                self.touch(at, true);
                let found = self.found(file)?;
                if mode & S_IFMT == S_IFREG {
                    let held = self.handles.get_mut(&found.handle.0).unwrap();
                    (held.reading, held.writing) = (true, true);
                }
                message[1..=Found::WORDS].copy_from_slice(&found.to_words());
                Ok(1)
            }
            FileRequest::Link { file, directory } => {
                let (file, at) = (self.of(file)?, self.of(directory)?);
                self.entries(at)?.insert(given[0].clone(), file);
                self.files[file].status.nlink += 1;
                self.touch(file, false);
                Ok(0)
            }
            FileRequest::Unlink { directory, is_directory } => {
                let at = self.of(directory)?;
                let file = *self.entries(at)?.get(&given[0]).ok_or(Errno::ENOENT)?;
                match &self.files[file].what {
                    What::Directory(names) if is_directory && !names.is_empty() => {
                        return Err(Errno::ENOTEMPTY);
                    }
                    What::Directory(_) if !is_directory => return Err(Errno::EISDIR),
                    _ => {}
                }
                self.entries(at)?.remove(&given[0]);
                self.lost_its_name(file);
                self.files[file].status.nlink -= 1;
                self.touch(file, false);
                Ok(0)
            }
            FileRequest::Rename { from, to, flags } => {
                let (from, to) = (self.of(from)?, self.of(to)?);
                let file = *self.entries(from)?.get(&given[0]).ok_or(Errno::ENOENT)?;
                let before = self.entries(to)?.get(&given[1]).copied();
                self.entries(from)?.remove(&given[0]);
                self.entries(to)?.insert(given[1].clone(), file);
                self.lost_its_name(file);
                self.touch(file, false);
                let mut found = vec![file];
                if let Some(before) = before {
                    self.lost_its_name(before);
                    if flags & RENAME_EXCHANGE != 0 {
                        self.entries(from)?.insert(given[0].clone(), before);
                        found.push(before);
                    }
                }
                for (index, &file) in found.iter().enumerate() {
                    let first = 1 + index * Found::WORDS;
                    let found = self.found(file)?;
                    message[first..first + Found::WORDS].copy_from_slice(&found.to_words());
                }
                Ok(found.len() as u64)
            }
            FileRequest::Change { file } => {
                let wanted = change(message).expect("a change");
                let at = self.of(file)?;
                let has = |which| wanted.which & which != 0;
                if has(Change::SIZE) {
                    if !self.handles[&file.0].writing {
                        return Err(Errno::EBADF);
                    }
                    if let What::File(bytes) = &mut self.files[at].what {
                        bytes.resize(wanted.size as usize, 0);
                    }
                }
                self.touch(at, has(Change::SIZE));
                let status = &mut self.files[at].status;
                if has(Change::MODE) {
                    status.mode = status.mode & u64::from(S_IFMT) | wanted.mode;
                }
                if has(Change::UID) && wanted.uid != u64::from(u32::MAX) {
                    status.uid = wanted.uid;
                }
                if has(Change::MTIME) {
                    status.mtime = wanted.mtime;
                }
                tell(message, &self.files[at].status);
                Ok(0)
            }
            FileRequest::Put { file, offset } => {
                let at = self.of(file)?;
                if !self.handles[&file.0].writing {
                    return Err(Errno::EBADF);
                }
                let room = self.room.unwrap_or(usize::MAX).min(input.len());
                if room == 0 {
                    return Err(Errno::ENOSPC);
                }
                self.room = self.room.map(|left| left - room);
                let before = self.files[at].status;
                let What::File(bytes) = &mut self.files[at].what else { return Err(Errno::EBADF) };
                let start = if offset == AT_END { bytes.len() } else { offset as usize };
                if bytes.len() < start + room {
                    bytes.resize(start + room, 0);
                }
                bytes[start..start + room].copy_from_slice(&input[..room]);
                self.touch(at, true);
                tell(message, &self.files[at].status);
                let second = 1 + FileStatus::WORDS;
                message[second..second + FileStatus::WORDS].copy_from_slice(&before.to_words());
                Ok(room as u64)
            }
            FileRequest::Sync { .. } => Ok(0),
            FileRequest::Allocate { file, offset, length, .. } => {
                let at = self.of(file)?;
                let What::File(bytes) = &mut self.files[at].what else { return Err(Errno::EBADF) };
                let end = (offset + length) as usize;
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                self.touch(at, true);
                Ok(0)
            }
            _ => Err(Errno::EROFS),
        }
    }
}

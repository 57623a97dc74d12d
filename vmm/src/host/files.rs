//! The services on standard files, besides reading and writing (`transfer`).

use super::raw::{is_same_description, terminal_attributes};
use super::transfer::HostFile;
use super::worker::{Moved, Work};
use super::{Failure, Reply, Services};
use rustix::fs::{SeekFrom, fstat, seek};
use rustix::io;
use rustix::termios::tcgetwinsize;
use std::fs::File;
use std::io::IsTerminal;
use trapgate_abi::boot_info::StandardFile;
use trapgate_abi::file::FileStatus;
use trapgate_uapi::Errno;

/// What the kernel is told of standard file `number` at the start; `earlier` are
/// those before it that it is told of.
pub(super) fn describe(
    number: usize,
    host: &HostFile,
    earlier: &[Option<&HostFile>],
) -> StandardFile {
    let flags = host.flags();
    let same = earlier
        .iter()
        .position(|other| other.is_some_and(|other| is_same_description(&other.file, &host.file)));
    StandardFile {
        open: flags.is_ok().into(),
        is_terminal: host.file.is_terminal().into(),
        flags: flags.map_or(0, |flags| flags.bits().into()),
        same_as: same.unwrap_or(number) as u64,
        status: status(&host.file).unwrap_or_default(),
    }
}

/// fstat(2).
pub(super) fn status(file: &File) -> io::Result<FileStatus> {
    let status = fstat(file)?;
    Ok(FileStatus {
        dev: status.st_dev,
        ino: status.st_ino,
        mode: status.st_mode.into(),
        nlink: status.st_nlink,
        uid: status.st_uid.into(),
        gid: status.st_gid.into(),
        rdev: status.st_rdev,
        size: status.st_size.cast_unsigned(),
        blksize: status.st_blksize.cast_unsigned(),
        blocks: status.st_blocks.cast_unsigned(),
        atime: status.st_atime.cast_unsigned(),
        atime_nsec: status.st_atime_nsec,
        mtime: status.st_mtime.cast_unsigned(),
        mtime_nsec: status.st_mtime_nsec,
        ctime: status.st_ctime.cast_unsigned(),
        ctime_nsec: status.st_ctime_nsec,
    })
}

impl Services {
    pub(super) fn seek(&self, file: u32, offset: i64, whence: u32) -> Reply {
        let file = self.file(file)?;
        // SEEK_SET and what follows. Linux refuses what is negative where it must
        // not be.
        let to = match whence {
            0 => SeekFrom::Start(offset.cast_unsigned()),
            1 => SeekFrom::Current(offset),
            2 => SeekFrom::End(offset),
            3 => SeekFrom::Data(offset.cast_unsigned()),
            4 => SeekFrom::Hole(offset.cast_unsigned()),
            _ => return Err(Errno::EINVAL.into()),
        };
        if file.may_keep_waiting() {
            return Ok(self.ask(file, || Work::Seek(to))?.count as u64);
        }
        Ok(seek(&file.file, to)?)
    }

    pub(super) fn status(&self, file: u32, data: &mut [u64]) -> Reply {
        let file = self.file(file)?;
        let data = &mut data[..FileStatus::WORDS];
        if file.may_keep_waiting() {
            let bytes = self.ask(file, || Work::Status)?.bytes;
            let (words, _) = bytes.as_chunks();
            for (word, bytes) in data.iter_mut().zip(words) {
                *word = u64::from_ne_bytes(*bytes);
            }
        } else {
            data.copy_from_slice(&status(&file.file)?.to_words());
        }
        Ok(0)
    }

    /// What the server of a file says. It may not be there any more: then this waits for
    /// it, but not when the sandbox is told to stop.
    fn ask(&self, file: &HostFile, work: impl Fn() -> Work) -> Result<Moved, Failure> {
        let asker = file.asker()?;
        loop {
            if self.control.is_stopped() {
                return Err(Failure::Stopped);
            }
            match asker.carry_out(work()) {
                Err(io::Errno::AGAIN) => asker.wait_a_moment(),
                answer => return Ok(answer?),
            }
        }
    }

    pub(super) fn terminal_attributes(&self, file: u32, data: &mut [u64]) -> Reply {
        let words = terminal_attributes(&self.file(file)?.file)?;
        data[..words.len()].copy_from_slice(&words);
        Ok(0)
    }

    pub(super) fn window_size(&self, file: u32, data: &mut [u64]) -> Reply {
        let size = tcgetwinsize(&self.file(file)?.file)?;
        // struct winsize in one word.
        let fields = [size.ws_row, size.ws_col, size.ws_xpixel, size.ws_ypixel];
        data[0] = fields.iter().rev().fold(0, |word, field| word << 16 | u64::from(*field));
        Ok(0)
    }
}

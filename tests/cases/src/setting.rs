//! Where a case runs: in a directory of its own, with nothing open, as if it were the
//! first.

use crate::call::raw64;
use crate::memory;
use crate::memory::{CARRIER, MAPS, MAPS_LENGTH};
use libc::{O_CREAT, O_DIRECTORY, O_RDONLY, O_RDWR};
use trapgate_uapi::Errno;

/// The descriptor of the directory that all cases are in, and the root for them.
const ROOT: u64 = 200;
/// The most open files, so that it is the same everywhere.
const OPEN_FILES: u64 = 256;

/// The place of all cases.
pub(crate) struct Setting;

impl Setting {
    /// Makes a directory the root, and opens what the program itself needs.
    pub(crate) fn new(directory: &str) -> Setting {
        memory::prepare();
        let path = format!("{directory}\0");
        let open = raw64("open", &[path.as_ptr() as u64, (O_RDONLY | O_DIRECTORY) as u64, 0]);
        let directory = open.unwrap_or_else(|error| panic!("{path}: {}", error.name()));
        move_to(directory, ROOT);
        let own = [c".carrier".as_ptr() as u64, (O_CREAT | O_RDWR) as u64, 0o600];
        raw64("fchdir", &[ROOT]).expect("it is a directory");
        raw64("chroot", &[c".".as_ptr() as u64]).expect("the program is root");
        move_to(raw64("open", &own).expect("there can be files"), CARRIER);
        let limit = [OPEN_FILES, OPEN_FILES];
        let none = 0;
        let nofile = libc::RLIMIT_NOFILE as u64;
        raw64("prlimit64", &[0, nofile, limit.as_ptr() as u64, none]).expect("root may lower it");
        // What kills is an answer, too.
        let ignored = [libc::SIG_IGN as u64, 0, 0, 0];
        for signal in [libc::SIGXFSZ, libc::SIGPIPE] {
            let action = [signal as u64, ignored.as_ptr() as u64, 0, 8];
            raw64("rt_sigaction", &action).expect("it can be ignored");
        }
        let setting = Setting;
        setting.leave();
        setting
    }

    /// Makes the directory of a case, and goes there.
    pub(crate) fn enter(&self, index: usize) -> Result<(), Errno> {
        let path = format!("/{index}\0");
        raw64("mkdir", &[path.as_ptr() as u64, 0o755])?;
        raw64("chdir", &[path.as_ptr() as u64]).map(drop)
    }

    /// Undoes what a case has done to the process: one of its users is root still.
    pub(crate) fn leave(&self) {
        let keep = u64::from(u32::MAX);
        for users in [[keep, 0, keep], [0; 3]] {
            raw64("setresuid", &users).expect("it may be root again");
        }
        raw64("setresgid", &[0; 3]).expect("it is root");
        raw64("setgroups", &[0, 0]).expect("it is root");
        let (fsize, none) = (libc::RLIMIT_FSIZE as u64, 0);
        let unlimited = [u64::MAX; 2];
        raw64("prlimit64", &[0, fsize, unlimited.as_ptr() as u64, none]).expect("it is root");
        raw64("umask", &[0o022]).expect("it is always done");
        raw64("fchdir", &[ROOT]).expect("it is a directory");
        raw64("chroot", &[c".".as_ptr() as u64]).expect("the program is root");
        raw64("close_range", &[3, ROOT - 1, 0]).expect("it is there");
        raw64("close_range", &[CARRIER + 1, u64::from(u32::MAX), 0]).expect("it is there");
        raw64("munmap", &[MAPS, MAPS_LENGTH]).expect("it is the cases'");
    }
}

fn move_to(from: u64, to: u64) {
    raw64("dup2", &[from, to]).expect("there are descriptors");
    raw64("close", &[from]).expect("it is open");
}

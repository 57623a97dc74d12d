//! Waiting for files, by sets of descriptors: select(2), pselect6(2).

use super::poll::{Source, Wanted, read_mask, ready_within, with_mask, within};
use crate::fs::table::DESCRIPTORS;
use crate::sys::define::{SysResult, syscall_define};
use crate::user::UserPtr;
use trapgate_uapi::Errno;
use trapgate_uapi::poll::{POLLERR, POLLHUP, POLLIN, POLLOUT, POLLPRI};
use trapgate_uapi::time::{Timespec, Timeval};

/// Sets to read from, to write to, and of exceptions (Linux: `POLLIN_SET`, …).
const SETS: usize = 3;
const WANTED: [u16; SETS] = [POLLIN | POLLHUP | POLLERR, POLLOUT | POLLERR, POLLPRI];

/// Bits of a word of a set, as it is read and written here.
const WORD: usize = u32::BITS as usize;
/// One for each descriptor that libc's `FD_SETSIZE` has; a longer one is cut.
type Set = [u32; DESCRIPTORS / WORD];

/// A call's sets, where they are.
pub(super) struct Sets {
    /// Descriptors below this.
    pub count: i32,
    /// The three sets, null where there is none.
    pub at: [UserPtr<u32>; SETS],
    /// Bits of the caller's `long`: sets are whole ones.
    pub long: usize,
}

impl Sets {
    /// Words of each.
    fn words(&self) -> Result<usize, Errno> {
        let count = usize::try_from(self.count).map_err(|_| Errno::EINVAL)?;
        Ok(count.min(DESCRIPTORS).div_ceil(self.long) * (self.long / WORD))
    }

    fn read(&self) -> Result<[Set; SETS], Errno> {
        let words = self.words()?;
        let mut sets = [[0; DESCRIPTORS / WORD]; SETS];
        for (set, at) in sets.iter_mut().zip(self.at).filter(|(_, at)| !at.is_null()) {
            for (index, word) in set.iter_mut().enumerate().take(words) {
                *word = at.offset(index as u64).read()?;
            }
        }
        Ok(sets)
    }

    fn write(&self, sets: &[Set; SETS]) -> Result<(), Errno> {
        let words = self.words()?;
        for (set, at) in sets.iter().zip(self.at).filter(|(_, at)| !at.is_null()) {
            for (index, word) in set.iter().enumerate().take(words) {
                at.offset(index as u64).write(*word)?;
            }
        }
        Ok(())
    }
}

/// Calls `each` with every descriptor of a set, below `count`.
fn members(
    set: &Set,
    count: i32,
    mut each: impl FnMut(usize) -> Result<(), Errno>,
) -> Result<(), Errno> {
    for (index, mut word) in set.iter().copied().enumerate() {
        while word != 0 {
            let fd = index * WORD + word.trailing_zeros() as usize;
            word &= word - 1;
            if (fd as i32) < count {
                each(fd)?;
            }
        }
    }
    Ok(())
}

/// select(2) for either width: negative nanoseconds for ever.
fn select_for(sets: &Sets, timeout_ns: i64) -> SysResult {
    let wanted_sets = sets.read()?;
    let mut wanted = Wanted::default();
    for (set, mask) in wanted_sets.iter().zip(WANTED) {
        let asked = mask & (POLLIN | POLLOUT | POLLPRI);
        members(set, sets.count, |fd| wanted.add(&Source::of(fd as u32)?, asked, mask & !asked))?;
    }
    let answers = ready_within(&wanted, timeout_ns)?;
    let mut found = [[0; DESCRIPTORS / WORD]; SETS];
    let mut count = 0;
    for ((set, mask), found) in wanted_sets.iter().zip(WANTED).zip(&mut found) {
        members(set, sets.count, |fd| {
            if Source::of(fd as u32)?.ready(&answers) & mask != 0 {
                found[fd / WORD] |= 1 << (fd % WORD);
                count += 1;
            }
            Ok(())
        })?;
    }
    sets.write(&found)?;
    Ok(count)
}

/// The same within a time, of which `tell` is told what is left. Without one, for
/// ever.
pub(super) fn select_within(
    sets: &Sets,
    timeout_ns: Option<u64>,
    mask: Option<u64>,
    tell: impl FnOnce(u64) -> Result<(), Errno>,
) -> SysResult {
    within(timeout_ns, tell, |timeout_ns| with_mask(mask, || select_for(sets, timeout_ns)))
}

/// A `struct timeval`'s time: more than a second of microseconds is taken, too.
pub(super) fn timeval_ns(seconds: i64, microseconds: i64) -> Result<u64, Errno> {
    let (Ok(seconds), Ok(rest)) = (u64::try_from(seconds), u64::try_from(microseconds)) else {
        return Err(Errno::EINVAL);
    };
    let rest = rest.saturating_mul(1000);
    Ok(seconds.saturating_mul(1_000_000_000).saturating_add(rest))
}

syscall_define! {
    /// select(2)
    fn select(
        count: i32,
        input: UserPtr<u32>,
        output: UserPtr<u32>,
        exceptions: UserPtr<u32>,
        timeout: UserPtr<Timeval>,
    ) {
        let sets = Sets { count, at: [input, output, exceptions], long: 64 };
        let time = if timeout.is_null() { None } else { Some(timeout.read()?) };
        let time = time.map(|time| timeval_ns(time.tv_sec, time.tv_usec)).transpose()?;
        select_within(&sets, time, None, |left| timeout.write(Timeval::from_ns(left)))
    }
}
syscall_define! {
    /// pselect6(2)
    fn pselect6(
        count: i32,
        input: UserPtr<u32>,
        output: UserPtr<u32>,
        exceptions: UserPtr<u32>,
        timeout: UserPtr<Timespec>,
        mask: UserPtr<[u64; 2]>,
    ) {
        // Six arguments are all that there are: the mask and its size are in memory.
        let [mask, mask_size] = if mask.is_null() { [0; 2] } else { mask.read()? };
        let sets = Sets { count, at: [input, output, exceptions], long: 64 };
        let time = if timeout.is_null() { None } else { Some(timeout.read()?.to_ns()?) };
        let mask = read_mask((UserPtr::new(mask), mask_size))?;
        select_within(&sets, time, mask, |left| timeout.write(Timespec::from_ns(left)))
    }
}

//! Words that say who owns a lock: `FUTEX_LOCK_PI`, `FUTEX_TRYLOCK_PI`,
//! `FUTEX_UNLOCK_PI`. Nobody inherits anybody's priority: all are the same.
//!
//! Who unlocks gives the lock to the first who waits for it, and says so in the word.

use super::key::{Found, Key, Word};
use super::table::{Claim, TABLE, Woken};
use super::wait::Waiting;
use trapgate_uapi::Errno;
use trapgate_uapi::futex::{
    FUTEX_BITSET_MATCH_ANY, FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS,
};

/// What a look at the lock came to.
enum Look {
    /// It is the caller's now.
    Owned,
    /// Somebody else's.
    Of(u32),
    /// The word changed meanwhile.
    Again,
}

/// Takes the lock for task `tid`; if it is another's and there is a time to wait, until it
/// is given. `exists`: whether there is a task of this number.
///
/// # Errors
/// EDEADLK for one's own; ESRCH for one of nobody's; EAGAIN for another's, if `tries`;
/// EINVAL, EFAULT, ETIMEDOUT, EINTR, ENOMEM.
pub fn lock(
    word: Word,
    tid: u32,
    exists: impl Fn(u32) -> bool,
    deadline: Option<u64>,
    tries: bool,
) -> Result<(), Errno> {
    let found = word.find_to_write()?;
    let owner = loop {
        match look(word, found.0, tid, &exists)? {
            Look::Owned => return Ok(()),
            Look::Of(_) if tries => return Err(Errno::EAGAIN),
            Look::Of(owner) => break owner,
            Look::Again => {}
        }
    };
    wait(word, found, Claim { tid, owner }, deadline)
}

fn look(word: Word, key: Key, tid: u32, exists: &impl Fn(u32) -> bool) -> Result<Look, Errno> {
    let value = word.read()?;
    let owner = value & FUTEX_TID_MASK;
    if owner == tid {
        return Err(Errno::EDEADLK);
    }
    if let Some((_, claim)) = TABLE.lock().first(key) {
        // The others know whose it is; if the word does not say the same, it is no lock. It
        // may be that the owner has died, and who has it now did not run yet.
        let is_same = |claim: &Claim| owner == claim.owner || owner == 0;
        let claim = claim.filter(is_same).ok_or(Errno::EINVAL)?;
        return Ok(Look::Of(claim.owner));
    }
    if owner == 0 {
        let new = value & FUTEX_OWNER_DIED | tid;
        let is_taken = word.compare_exchange(value, new)? == value;
        return Ok(if is_taken { Look::Owned } else { Look::Again });
    }
    if word.compare_exchange(value, value | FUTEX_WAITERS)? != value {
        return Ok(Look::Again);
    }
    if exists(owner) { Ok(Look::Of(owner)) } else { Err(Errno::ESRCH) }
}

fn wait(word: Word, found: Found, claim: Claim, deadline: Option<u64>) -> Result<(), Errno> {
    let waiting = Waiting::begin(found, FUTEX_BITSET_MATCH_ANY, Some(claim))?;
    if waiting.block(deadline)? == Woken::OwnerDied {
        // Nobody said so in the word.
        let new = FUTEX_WAITERS | FUTEX_OWNER_DIED | claim.tid;
        let mut value = word.read()?;
        while let found = word.compare_exchange(value, new)?
            && found != value
        {
            value = found;
        }
    }
    Ok(())
}

/// Gives up what task `tid` owns: to the first who waits for it.
///
/// # Errors
/// EPERM for another's; EINVAL, EFAULT; EAGAIN, if the word changed meanwhile.
pub fn unlock(word: Word, tid: u32) -> Result<(), Errno> {
    let value = word.read()?;
    if value & FUTEX_TID_MASK != tid {
        return Err(Errno::EPERM);
    }
    let (key, _mapped) = word.find_to_write()?;
    let first = TABLE.lock().first(key);
    let (new, heir) = match first {
        None => (0, None),
        Some((number, Some(Claim { tid: heir, owner }))) if owner == tid => {
            (FUTEX_WAITERS | heir, Some(number))
        }
        Some(_) => return Err(Errno::EINVAL),
    };
    if word.compare_exchange(value, new)? != value {
        return Err(Errno::EAGAIN);
    }
    if let Some(heir) = heir {
        TABLE.lock().give(heir, Woken::Yes);
    }
    Ok(())
}

//! To wake, and to have somebody wait for another word: `FUTEX_WAKE`,
//! `FUTEX_WAKE_BITSET`, `FUTEX_REQUEUE`, `FUTEX_CMP_REQUEUE`, `FUTEX_WAKE_OP`.

use super::key::Word;
use super::operation::Operation;
use super::table::TABLE;
use trapgate_uapi::Errno;
use trapgate_uapi::futex::FUTEX_BITSET_MATCH_ANY;

/// As many as Linux wakes of so many: one at least.
fn at_least_one(count: u32) -> u64 {
    (count as i32).max(1) as u64
}

/// Wakes up to `count` of those who wait with a bit in common: how many.
///
/// # Errors
/// EINVAL, EFAULT.
pub fn wake(word: Word, count: u32, bitset: u32) -> Result<u64, Errno> {
    if bitset == 0 {
        return Err(Errno::EINVAL);
    }
    let (key, _mapped) = word.find()?;
    TABLE.lock().wake(key, at_least_one(count), bitset)
}

/// Wakes up to `wake` of those who wait for `from`, and has up to `move` others wait for
/// `to`, if `from` holds `value`: how many they are.
///
/// # Errors
/// EAGAIN for another value; EINVAL, EFAULT.
pub fn requeue(
    from: Word,
    to: Word,
    [wake, others]: [u32; 2],
    value: Option<u32>,
) -> Result<u64, Errno> {
    if (wake as i32) < 0 || (others as i32) < 0 {
        return Err(Errno::EINVAL);
    }
    let (from_key, _mapped) = from.find()?;
    let (to_key, mapped) = to.find()?;
    if let Some(value) = value
        && from.read()? != value
    {
        return Err(Errno::EAGAIN);
    }
    let counts = [wake.into(), others.into()];
    TABLE.lock().requeue(from_key, (to_key, &mapped), counts)
}

/// Changes the second word; wakes those who wait for the first, and if the second was as
/// the operation says, those who wait for that: how many.
///
/// # Errors
/// EINVAL, EFAULT; ENOSYS for what is no operation.
pub fn wake_by(
    first: Word,
    second: Word,
    [wake, wake_second]: [u32; 2],
    operation: u32,
) -> Result<u64, Errno> {
    let (first_key, _first) = first.find()?;
    let (second_key, _second) = second.find_to_write()?;
    let operation = Operation::decode(operation);
    let before = loop {
        let value = second.read()?;
        let changed = operation.apply(value)?;
        if second.compare_exchange(value, changed)? == value {
            break value;
        }
    };
    let holds = operation.holds(before)?;
    let mut table = TABLE.lock();
    let mut woken = table.wake(first_key, at_least_one(wake), FUTEX_BITSET_MATCH_ANY)?;
    if holds {
        woken += table.wake(second_key, at_least_one(wake_second), FUTEX_BITSET_MATCH_ANY)?;
    }
    Ok(woken)
}

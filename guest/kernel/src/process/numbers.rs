//! Numbers of tasks, and what has them.

use crate::memory::{nodes, reserve};
use alloc::collections::BTreeMap;
use trapgate_uapi::Errno;

/// The least that is beyond: /proc/sys/kernel/pid_max.
pub const PID_MAX: u32 = 32768;
/// Where the search for one begins again (Linux: `RESERVED_PIDS`).
const AGAIN_FROM: u32 = 300;

/// What has numbers.
pub struct Numbers<T> {
    taken: BTreeMap<u32, T>,
    next: u32,
}

impl<T> Numbers<T> {
    /// Nothing has any.
    pub const fn new() -> Numbers<T> {
        Numbers { taken: BTreeMap::new(), next: 1 }
    }

    /// Gives this the next number that nothing has; `named` is told which.
    ///
    /// # Errors
    /// EAGAIN, if there is none left; ENOMEM.
    #[expect(clippy::disallowed_methods, reason = "it is reserved")]
    pub fn add(&mut self, value: T, named: impl FnOnce(&T, u32)) -> Result<u32, Errno> {
        if self.taken.len() as u32 >= PID_MAX - AGAIN_FROM {
            return Err(Errno::EAGAIN);
        }
        reserve(&nodes(&self.taken, 1))?;
        while self.taken.contains_key(&self.next) {
            self.next = Self::behind(self.next);
        }
        let number = self.next;
        self.next = Self::behind(number);
        named(&value, number);
        self.taken.insert(number, value);
        Ok(number)
    }

    const fn behind(number: u32) -> u32 {
        if number + 1 < PID_MAX { number + 1 } else { AGAIN_FROM }
    }

    /// What has this number.
    pub fn get(&self, number: u32) -> Option<&T> {
        self.taken.get(&number)
    }

    /// Nothing has it any more.
    pub fn remove(&mut self, number: u32) -> Option<T> {
        self.taken.remove(&number)
    }

    /// What has the one number has the other instead, which something else had: that is
    /// answered.
    pub fn rename(&mut self, from: u32, to: u32) -> Option<T> {
        let value = self.taken.remove(&from)?;
        // Its place is there.
        self.taken.get_mut(&to).map(|place| core::mem::replace(place, value))
    }

    /// What has numbers from this one on.
    pub fn from(&self, number: u32) -> impl Iterator<Item = (u32, &T)> {
        self.taken.range(number..).map(|(&number, value)| (number, value))
    }
}

impl<T> Default for Numbers<T> {
    fn default() -> Self {
        Numbers::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_again_when_all_were_had_and_never_twice() {
        let mut numbers = Numbers::new();
        let add = |numbers: &mut Numbers<()>| numbers.add((), |_, _| {}).unwrap();
        assert_eq!([add(&mut numbers), add(&mut numbers)], [1, 2]);
        numbers.remove(2);
        for number in 3..PID_MAX {
            assert_eq!(add(&mut numbers), number);
            if number != 301 {
                numbers.remove(number);
            }
        }
        assert_eq!([add(&mut numbers), add(&mut numbers)], [300, 302]);
        while numbers.taken.len() < (PID_MAX - AGAIN_FROM) as usize {
            add(&mut numbers);
        }
        assert_eq!(numbers.add((), |_, _| {}), Err(Errno::EAGAIN));
    }

    #[test]
    fn who_gets_anothers_number_has_no_other() {
        let mut numbers = Numbers::new();
        for name in ["first", "second"] {
            numbers.add(name, |_, _| {}).unwrap();
        }
        assert_eq!(numbers.rename(2, 1), Some("first"));
        assert_eq!(numbers.from(0).collect::<Vec<_>>(), [(1, &"second")]);
    }
}

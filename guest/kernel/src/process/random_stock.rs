//! Random numbers of the host's that came with the boot information: a libc asks for
//! a few at its start, and shall not leave the VM for them. Each is given out once.

use trapgate_abi::boot_info::RANDOM_STOCK;

/// What is left of them.
pub struct RandomStock {
    words: [u64; RANDOM_STOCK],
    left: usize,
}

impl RandomStock {
    /// The first `count` of the words.
    pub const fn new(words: &[u64; RANDOM_STOCK], count: u64) -> Self {
        let count = count as usize;
        RandomStock { words: *words, left: if count < RANDOM_STOCK { count } else { RANDOM_STOCK } }
    }

    /// Takes so many, for ever.
    pub fn take<const COUNT: usize>(&mut self) -> Option<[u64; COUNT]> {
        let rest = self.left.checked_sub(COUNT)?;
        self.left = rest;
        Some(core::array::from_fn(|index| self.words[rest + index]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_given_out_once() {
        let words = core::array::from_fn(|index| index as u64 + 1);
        let mut stock = RandomStock::new(&words, 3);
        assert_eq!(stock.take::<4>(), None);
        assert_eq!(stock.take(), Some([2, 3]));
        assert_eq!(stock.take::<2>(), None);
        assert_eq!(stock.take(), Some([1]));
        assert_eq!(stock.take::<1>(), None);
    }
}

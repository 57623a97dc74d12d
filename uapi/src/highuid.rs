//! linux/highuid.h: user and group numbers in the 16 bits that i386 had first.

/// What stands for a number that does not fit.
pub const OVERFLOWUID: u16 = 65534;

/// A user or group number for a 16-bit field: Linux's `high2lowuid`.
pub const fn low_id(id: u32) -> u16 {
    if id > 0xffff { OVERFLOWUID } else { id as u16 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_numbers_that_do_not_fit_become_the_overflow_number() {
        assert_eq!([low_id(0), low_id(0xffff), low_id(0x1_0000)], [0, 0xffff, 65534]);
    }
}

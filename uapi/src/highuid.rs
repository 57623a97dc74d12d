//! linux/highuid.h: user and group numbers in the 16 bits that i386 had first.

/// What stands for a number that does not fit.
pub const OVERFLOWUID: u16 = 65534;

/// A user or group number for a 16-bit field: Linux's `high2lowuid`.
pub const fn low_id(id: u32) -> u16 {
    if id > 0xffff { OVERFLOWUID } else { id as u16 }
}

/// The number that a 16-bit one stands for, of which -1 is none: Linux's `low2highuid`.
pub const fn high_id(id: u16) -> u32 {
    if id == u16::MAX { u32::MAX } else { id as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_numbers_that_do_not_fit_become_the_overflow_number() {
        assert_eq!([low_id(0), low_id(0xffff), low_id(0x1_0000)], [0, 0xffff, 65534]);
    }

    #[test]
    fn minus_one_is_minus_one_in_either_width() {
        assert_eq!([high_id(0), high_id(0xfffe), high_id(0xffff)], [0, 0xfffe, u32::MAX]);
    }
}

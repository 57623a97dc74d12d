//! What `FUTEX_WAKE_OP` does to a word, and asks of it: pure (futex(2)).

use trapgate_uapi::Errno;
use trapgate_uapi::futex::{
    FUTEX_OP_ADD, FUTEX_OP_ANDN, FUTEX_OP_CMP_EQ, FUTEX_OP_CMP_GE, FUTEX_OP_CMP_GT,
    FUTEX_OP_CMP_LE, FUTEX_OP_CMP_LT, FUTEX_OP_CMP_NE, FUTEX_OP_OPARG_SHIFT, FUTEX_OP_OR,
    FUTEX_OP_SET, FUTEX_OP_XOR,
};

/// It, as the last argument says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    operation: u32,
    argument: i32,
    comparison: u32,
    with: i32,
}

/// 12 bits, with a sign.
const fn extend(bits: u32) -> i32 {
    (bits << 20) as i32 >> 20
}

impl Operation {
    /// Takes the argument apart. Whether there is such an operation, who applies it finds.
    pub const fn decode(word: u32) -> Operation {
        let argument = extend(word >> 12);
        let shifts = word >> 28 & FUTEX_OP_OPARG_SHIFT != 0;
        Operation {
            operation: word >> 28 & !FUTEX_OP_OPARG_SHIFT,
            // As Linux, of which only 5 bits can be meant.
            argument: if shifts { 1 << (argument & 31) } else { argument },
            comparison: word >> 24 & 15,
            with: extend(word),
        }
    }

    /// What comes of a value.
    ///
    /// # Errors
    /// ENOSYS.
    pub const fn apply(self, value: u32) -> Result<u32, Errno> {
        let argument = self.argument as u32;
        Ok(match self.operation {
            FUTEX_OP_SET => argument,
            FUTEX_OP_ADD => value.wrapping_add(argument),
            FUTEX_OP_OR => value | argument,
            FUTEX_OP_ANDN => value & !argument,
            FUTEX_OP_XOR => value ^ argument,
            _ => return Err(Errno::ENOSYS),
        })
    }

    /// Whether a value is as it asks for.
    ///
    /// # Errors
    /// ENOSYS.
    pub const fn holds(self, value: u32) -> Result<bool, Errno> {
        let value = value as i32;
        Ok(match self.comparison {
            FUTEX_OP_CMP_EQ => value == self.with,
            FUTEX_OP_CMP_NE => value != self.with,
            FUTEX_OP_CMP_LT => value < self.with,
            FUTEX_OP_CMP_GE => value >= self.with,
            FUTEX_OP_CMP_LE => value <= self.with,
            FUTEX_OP_CMP_GT => value > self.with,
            _ => return Err(Errno::ENOSYS),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `FUTEX_OP` of the header.
    const fn encode(operation: u32, argument: u32, comparison: u32, with: u32) -> u32 {
        operation << 28 | comparison << 24 | (argument & 0xfff) << 12 | with & 0xfff
    }

    #[test]
    fn a_word_is_changed_as_the_operation_says() {
        let apply =
            |operation, argument| Operation::decode(encode(operation, argument, 0, 0)).apply(12);
        let minus_one = u32::MAX;
        assert_eq!(apply(FUTEX_OP_SET, 2047), Ok(2047));
        assert_eq!(apply(FUTEX_OP_ADD, minus_one), Ok(11));
        assert_eq!(apply(FUTEX_OP_OR, 3), Ok(15));
        assert_eq!(apply(FUTEX_OP_ANDN, 4), Ok(8));
        assert_eq!(apply(FUTEX_OP_XOR, minus_one), Ok(!12));
        assert_eq!(apply(FUTEX_OP_SET | FUTEX_OP_OPARG_SHIFT, 31), Ok(1 << 31));
        assert_eq!(apply(FUTEX_OP_SET | FUTEX_OP_OPARG_SHIFT, 33), Ok(2));
        assert_eq!(apply(5, 0), Err(Errno::ENOSYS));
    }

    #[test]
    fn comparisons_have_a_sign() {
        let holds = |comparison, with, value: i32| {
            Operation::decode(encode(0, 0, comparison, with as u32)).holds(value as u32)
        };
        let all = [
            FUTEX_OP_CMP_EQ,
            FUTEX_OP_CMP_NE,
            FUTEX_OP_CMP_LT,
            FUTEX_OP_CMP_LE,
            FUTEX_OP_CMP_GT,
            FUTEX_OP_CMP_GE,
        ];
        let of = |value| all.map(|comparison| holds(comparison, -5i32, value).unwrap());
        assert_eq!(of(-5), [true, false, false, true, false, true]);
        assert_eq!(of(-6), [false, true, true, true, false, false]);
        assert_eq!(of(4), [false, true, false, false, true, true]);
        assert_eq!(holds(6, 0, 0), Err(Errno::ENOSYS));
    }
}

//! Sizes of memory as people write them: `256M`, `1GiB`, `1048576`.
//!
//! Used by the command line (`--memory`), recipes and messages. K, M, G and T
//! are powers of 1024, with or without `iB` or `B`, in either case, as in
//! `qemu -m` and `docker run --memory`. Crates do this too, but not quite:
//! `bytesize` reads `256M` as 256,000,000, and `parse-size` 1.1 overflows on
//! some numbers beyond 64 bits and reads `1 2M` as `12M`.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// The units, largest first, with log2 of their bytes.
const UNITS: [(char, u32); 4] = [('T', 40), ('G', 30), ('M', 20), ('K', 10)];

/// Why a text is not a size.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SizeError {
    /// There is no text.
    #[error("the size is empty: give one such as 256M")]
    Empty,
    /// Nothing fits into no bytes.
    #[error("the size is 0: give one such as 256M")]
    Zero,
    /// It is not a whole number and a unit.
    #[error(
        "{text:?} is not a size: give a whole number of bytes, or one with K, M, G or T such as 256M"
    )]
    NotASize {
        /// What was given.
        text: String,
    },
    /// It is more bytes than 64 bits can count.
    #[error("{text:?} is more than any computer has: give a size such as 256M")]
    TooLarge {
        /// What was given.
        text: String,
    },
}

impl FromStr for ByteSize {
    type Err = SizeError;

    /// # Errors
    /// A [`SizeError`] for everything that is not a positive whole number with
    /// one of the units; one space may be before the unit, as [`ByteSize`]
    /// displays it.
    fn from_str(text: &str) -> Result<Self, SizeError> {
        let not_a_size = || SizeError::NotASize { text: text.into() };
        let too_large = || SizeError::TooLarge { text: text.into() };
        if text.is_empty() {
            return Err(SizeError::Empty);
        }
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, suffix) = text.split_at(digits);
        if number.is_empty() {
            return Err(not_a_size());
        }
        let shift = match suffix.strip_prefix(' ') {
            Some(unit) if !unit.is_empty() => shift(unit),
            _ => shift(suffix),
        };
        let shift = shift.ok_or_else(not_a_size)?;
        // Only digits are left, so that overflow is all that can go wrong.
        let number: u64 = number.parse().map_err(|_| too_large())?;
        match number.checked_mul(1 << shift).ok_or_else(too_large)? {
            0 => Err(SizeError::Zero),
            bytes => Ok(Self(bytes)),
        }
    }
}

/// log2 of the bytes of a unit such as `M`, `MiB`, `mb` or nothing.
fn shift(suffix: &str) -> Option<u32> {
    let suffix = suffix.to_ascii_uppercase();
    if matches!(suffix.as_str(), "" | "B") {
        return Some(0);
    }
    let unit = suffix.chars().next()?;
    let known = UNITS.iter().find(|(letter, _)| *letter == unit)?;
    matches!(&suffix[1..], "" | "B" | "IB").then_some(known.1)
}

impl fmt::Display for ByteSize {
    /// The exact size in the largest unit that has no fraction: `256 MiB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |&&(_, shift): &&(char, u32)| self.0 != 0 && self.0.trailing_zeros() >= shift;
        match UNITS.iter().find(whole) {
            Some((letter, shift)) => write!(f, "{} {letter}iB", self.0 >> shift),
            None => write!(f, "{} B", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_are_powers_of_1024_in_any_case() {
        for (text, bytes) in [
            ("1048576", 1 << 20),
            ("1", 1),
            ("12b", 12),
            ("1K", 1 << 10),
            ("256M", 256 << 20),
            ("256m", 256 << 20),
            ("256MiB", 256 << 20),
            ("256 MiB", 256 << 20),
            ("256mb", 256 << 20),
            ("256mIb", 256 << 20),
            ("1G", 1 << 30),
            ("007G", 7 << 30),
            ("2t", 2 << 40),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_in_one_line() {
        for text in [
            "nonsense", "1P", "-1", "+1", "M", " ", " 1", "1 ", "1  M", "1.5G", "1Mi", "1Mx",
            "1MM", "1iB", "0x10", "1e3", "1_000", "٣M", "1М", "1M\n",
        ] {
            let error = text.parse::<ByteSize>().unwrap_err();
            assert!(!error.to_string().contains('\n'), "{error}");
            assert_eq!(error, SizeError::NotASize { text: text.into() });
        }
        assert_eq!("".parse::<ByteSize>(), Err(SizeError::Empty));
        for text in ["0", "0M", "000"] {
            assert_eq!(text.parse::<ByteSize>(), Err(SizeError::Zero));
        }
        for text in ["18446744073709551616", "184467440737095516159", "16777216T"] {
            let error = text.parse::<ByteSize>().unwrap_err();
            assert_eq!(error, SizeError::TooLarge { text: text.into() });
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn display_is_short_and_exact() {
        for (bytes, text) in [
            (0, "0 B"),
            (1, "1 B"),
            (1025, "1025 B"),
            (256 << 20, "256 MiB"),
            (1536 << 20, "1536 MiB"),
            (1 << 30, "1 GiB"),
            (1 << 50, "1024 TiB"),
        ] {
            assert_eq!(ByteSize(bytes).to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn display_is_read_back_as_the_same_size(bytes in 1u64.., shift in 0u32..60) {
            let size = ByteSize((bytes >> shift).max(1) << (shift / 2));
            prop_assume!(size.0 != 0);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
        }

        #[test]
        fn any_text_never_panics(text in any::<String>(), number in any::<u128>()) {
            let _ = text.parse::<ByteSize>();
            let _ = format!("{number}{text}").parse::<ByteSize>();
        }
    }
}

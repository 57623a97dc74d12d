//! Arguments and environment as they are on the stack: NUL-terminated strings, one
//! behind the other. And what execve(2) lets them be.

use super::StackError;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The longest argument or environment string with its NUL, in bytes: Linux's
/// MAX_ARG_STRLEN, 32 pages.
pub const MAX_STRING: usize = 32 * 4096;
/// What each string takes besides, in bytes: Linux counts a pointer of its own width,
/// whatever the program's.
pub const POINTER: usize = 8;
/// What Linux lets all strings and their pointers take, in bytes, when the
/// stack's limit is the usual 8 MiB: a quarter of it.
pub const DEFAULT_LIMIT: usize = limit(8 << 20);
/// And however small the stack: Linux's ARG_MAX.
pub const LEAST_LIMIT: usize = 128 << 10;

/// What all strings and their pointers may take, in bytes, with this soft limit of the
/// stack (Linux: `bprm_stack_limits`).
pub const fn limit(stack: u64) -> usize {
    /// Three quarters of the usual limit.
    const MOST: u64 = 6 << 20;
    let quarter = stack / 4;
    if quarter > MOST {
        MOST as usize
    } else if quarter < LEAST_LIMIT as u64 {
        LEAST_LIMIT
    } else {
        quarter as usize
    }
}

/// Arguments and environment. Whoever fills it in keeps the counts right.
#[derive(Clone, Debug, Default)]
pub struct Strings {
    /// The arguments, then the environment, each string with its NUL.
    pub bytes: Vec<u8>,
    /// How many arguments there are: at least one (Linux adds one that is empty since
    /// 5.18).
    pub argc: usize,
    /// How many strings of the environment.
    pub envc: usize,
}

impl Strings {
    /// Packs these strings, if execve(2) takes them with the path `execfn`: all
    /// together up to `limit` bytes, the strings with their NULs and their pointers.
    ///
    /// # Errors
    /// A [`StackError`].
    pub fn pack(
        argv: &[Vec<u8>],
        envp: &[Vec<u8>],
        execfn: &[u8],
        limit: usize,
    ) -> Result<Strings, StackError> {
        let no_args = [Vec::new()];
        let argv = if argv.is_empty() { &no_args } else { argv };
        let (argc, envc) = (argv.len(), envp.len());
        let mut needed = (argc + envc) * POINTER;
        let mut check = |string: &[u8], what: &dyn Fn() -> String| {
            if let Some(position) = string.iter().position(|&b| b == 0) {
                return Err(StackError::NulInside { what: what(), position });
            }
            let length = string.len() + 1;
            if length > MAX_STRING {
                return Err(StackError::StringTooLong { what: what(), length, max: MAX_STRING });
            }
            needed = needed.saturating_add(length);
            Ok(())
        };
        check(execfn, &|| "the program's path".into())?;
        for (i, string) in argv.iter().enumerate() {
            check(string, &|| format!("argument {i}"))?;
        }
        for (i, string) in envp.iter().enumerate() {
            check(string, &|| format!("environment string {i}"))?;
        }
        if needed > limit {
            return Err(StackError::TooBig { needed, limit });
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(needed).map_err(|_| StackError::NoMemory)?;
        for string in argv.iter().chain(envp) {
            bytes.extend_from_slice(string);
            bytes.push(0);
        }
        Ok(Strings { bytes, argc, envc })
    }

    /// Bytes of the arguments.
    pub fn argv_length(&self) -> u64 {
        self.starts().nth(self.argc).unwrap_or(self.bytes.len() as u64)
    }

    /// Where each string begins.
    pub(super) fn starts(&self) -> impl Iterator<Item = u64> {
        let ends = self.bytes.iter().enumerate().filter(|(_, byte)| **byte == 0);
        core::iter::once(0).chain(ends.map(|(end, _)| end as u64 + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_stack_is_for_strings_within_linuxs_bounds() {
        let mib = 1 << 20;
        assert_eq!([8 * mib, 16 * mib].map(limit), [2 << 20, 4 << 20]);
        assert_eq!([24 * mib, 25 * mib, u64::MAX].map(limit), [6 << 20; 3]);
        assert_eq!([512 << 10, 100, 0].map(limit), [128 << 10; 3]);
    }

    #[test]
    fn strings_lie_one_behind_the_other() {
        let strings = |texts: &[&str]| -> Vec<Vec<u8>> {
            texts.iter().map(|text| text.as_bytes().to_vec()).collect()
        };
        let packed = Strings::pack(&strings(&["a", "", "bc"]), &strings(&["D=1"]), b"x", 1000);
        let packed = packed.unwrap();
        assert_eq!((&packed.bytes[..], packed.argc, packed.envc), (&b"a\0\0bc\0D=1\0"[..], 3, 1));
        assert_eq!(packed.starts().collect::<Vec<_>>(), [0, 2, 3, 6, 10]);
    }
}

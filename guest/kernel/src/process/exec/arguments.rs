//! Arguments and environment, copied in once, as they will lie on the new stack.

use crate::memory::try_push;
use crate::user::{UserPtr, append_string};
use trapgate_loader::stack::{MAX_STRING, POINTER, Strings};
use trapgate_uapi::Errno;

/// A program's array of pointers to strings, with a null pointer at its end.
#[derive(Clone, Copy)]
pub struct Pointers {
    /// Its address; null for none.
    pub address: u64,
    /// Its pointers have 32 bits.
    pub compat: bool,
}

impl Pointers {
    /// Pointer number `index`.
    fn get(self, index: u64) -> Result<UserPtr<u8>, Errno> {
        Ok(UserPtr::new(if self.compat {
            UserPtr::<u32>::new(self.address).offset(index).read()?.into()
        } else {
            UserPtr::<u64>::new(self.address).offset(index).read()?
        }))
    }
}

/// Copies both in. All of it may take `limit` bytes, as may what is made of it later.
///
/// # Errors
/// EFAULT; E2BIG; ENOMEM.
pub(super) fn copy_in(argv: Pointers, envp: Pointers, limit: usize) -> Result<Strings, Errno> {
    let mut strings = Strings::default();
    strings.argc = append(&mut strings, argv, limit)?;
    if strings.argc == 0 {
        // As Linux since 5.18: programs rely on having a name.
        try_push(&mut strings.bytes, 0)?;
        strings.argc = 1;
    }
    strings.envc = append(&mut strings, envp, limit)?;
    Ok(strings)
}

/// Appends an array's strings; answers how many there are.
fn append(strings: &mut Strings, array: Pointers, limit: usize) -> Result<usize, Errno> {
    let mut count = 0;
    if array.address == 0 {
        return Ok(0);
    }
    loop {
        let pointer = array.get(count as u64)?;
        if pointer.is_null() {
            return Ok(count);
        }
        count += 1;
        let used = strings.bytes.len() + (strings.argc + count) * POINTER;
        let room = limit.checked_sub(used).ok_or(Errno::E2BIG)?;
        if !append_string(&mut strings.bytes, pointer, room.min(MAX_STRING))? {
            return Err(Errno::E2BIG);
        }
        try_push(&mut strings.bytes, 0)?;
    }
}

/// Puts other strings in the place of the first argument; all of it may take `limit`
/// bytes.
///
/// # Errors
/// E2BIG; ENOMEM.
#[expect(clippy::disallowed_methods, reason = "it is reserved")]
pub(super) fn replace_first(
    strings: &mut Strings,
    with: &[&[u8]],
    limit: usize,
) -> Result<(), Errno> {
    let first = strings.bytes.iter().position(|&byte| byte == 0).map_or(0, |end| end + 1);
    let length = with.iter().map(|string| string.len() + 1).sum::<usize>();
    if with.iter().any(|string| string.len() >= MAX_STRING) {
        return Err(Errno::E2BIG);
    }
    let rest = strings.bytes.len() - first;
    strings.bytes.try_reserve(length.saturating_sub(first)).map_err(|_| Errno::ENOMEM)?;
    if length > first {
        strings.bytes.resize(length + rest, 0);
    }
    strings.bytes.copy_within(first..first + rest, length);
    strings.bytes.truncate(length + rest);
    let mut at = 0;
    for string in with {
        strings.bytes[at..at + string.len()].copy_from_slice(string);
        at += string.len();
        strings.bytes[at] = 0;
        at += 1;
    }
    strings.argc = strings.argc - 1 + with.len();
    check(strings, &[], limit)
}

/// Whether the strings, with the path of the program, fit into `limit` bytes.
///
/// # Errors
/// E2BIG.
pub(super) fn check(strings: &Strings, path: &[u8], limit: usize) -> Result<(), Errno> {
    let pointers = (strings.argc + strings.envc) * POINTER;
    let needed = strings.bytes.len() + path.len() + 1 + pointers;
    if needed > limit { Err(Errno::E2BIG) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(bytes: &[u8], argc: usize, envc: usize) -> Strings {
        Strings { bytes: bytes.to_vec(), argc, envc }
    }

    #[test]
    fn the_first_argument_gives_way_to_longer_and_to_shorter_ones() {
        let mut it = strings(b"./script\0x\0A=1\0", 2, 1);
        replace_first(&mut it, &[b"/bin/sh", b"-e", b"./script"], 1000).unwrap();
        assert_eq!(it.bytes, b"/bin/sh\0-e\0./script\0x\0A=1\0");
        assert_eq!((it.argc, it.envc), (4, 1));
        replace_first(&mut it, &[b"s", b"q"], 1000).unwrap();
        assert_eq!(it.bytes, b"s\0q\0-e\0./script\0x\0A=1\0");
        assert_eq!(it.argc, 5);
        let mut empty = strings(b"\0", 1, 0);
        replace_first(&mut empty, &[b"i"], 1000).unwrap();
        assert_eq!((&empty.bytes[..], empty.argc), (&b"i\0"[..], 1));
    }

    #[test]
    fn strings_their_pointers_and_the_path_count() {
        let it = strings(b"ab\0C=1\0", 1, 1);
        let needed = 7 + 2 * 8 + 5;
        assert_eq!(check(&it, b"path", needed), Ok(()));
        assert_eq!(check(&it, b"path", needed - 1), Err(Errno::E2BIG));
    }
}

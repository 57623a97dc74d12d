//! linux/dirent.h: what getdents64(2) and getdents(2) write of each name.

use crate::Errno;
use crate::macros::constants;

constants! { "readdir(3)", general as u8:
    DT_UNKNOWN DT_FIFO DT_CHR DT_DIR DT_BLK DT_REG DT_LNK DT_SOCK
}

/// A name as a directory has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dirent<'a> {
    /// The inode's number.
    pub number: u64,
    /// Where the directory goes on behind it.
    pub next: u64,
    /// `DT_*`
    pub kind: u8,
    /// The name, at most 255 bytes.
    pub name: &'a [u8],
}

/// Which structure a call writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `struct linux_dirent64`: the type in front of the name.
    Dirent64,
    /// `struct linux_dirent` of x86-64: the type behind everything.
    Dirent,
    /// The same of i386.
    CompatDirent,
}

/// The most bytes that one name takes.
pub const MAX_DIRENT: usize = 280;

impl Form {
    /// Bytes of a number in it.
    const fn word(self) -> usize {
        match self {
            Form::Dirent64 | Form::Dirent => 8,
            Form::CompatDirent => 4,
        }
    }

    /// Writes the structure to the beginning of `to`: how long it is. `None`, if there is
    /// no room.
    ///
    /// # Errors
    /// EOVERFLOW for an inode's number that has too many bits.
    pub fn write(self, dirent: &Dirent, to: &mut [u8]) -> Result<Option<usize>, Errno> {
        let word = self.word();
        let number = &dirent.number.to_le_bytes();
        if number[word..].iter().any(|&byte| byte != 0) {
            return Err(Errno::EOVERFLOW);
        }
        let name = 2 * word + 2 + if self == Form::Dirent64 { 1 } else { 0 };
        // A NUL, and the type where it comes last.
        let behind = if self == Form::Dirent64 { 1 } else { 2 };
        let length = (name + dirent.name.len() + behind).next_multiple_of(word);
        let Some(to) = to.get_mut(..length) else { return Ok(None) };
        to.fill(0);
        to[..word].copy_from_slice(&number[..word]);
        to[word..2 * word].copy_from_slice(&dirent.next.to_le_bytes()[..word]);
        to[2 * word..2 * word + 2].copy_from_slice(&(length as u16).to_le_bytes());
        to[name..name + dirent.name.len()].copy_from_slice(dirent.name);
        to[if self == Form::Dirent64 { name - 1 } else { length - 1 }] = dirent.kind;
        Ok(Some(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIRENT: Dirent = Dirent { number: 0x0102, next: 7, kind: DT_REG, name: b"name" };

    #[test]
    fn each_form_has_its_fields_where_the_header_has_them() {
        let mut bytes = [0xff; MAX_DIRENT];
        let length = Form::Dirent64.write(&DIRENT, &mut bytes).unwrap().unwrap();
        assert_eq!(&bytes[..length], b"\x02\x01\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\x18\0\x08name\0");
        let length = Form::Dirent.write(&DIRENT, &mut bytes).unwrap().unwrap();
        assert_eq!(&bytes[..length], b"\x02\x01\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\x18\0name\0\x08");
        let length = Form::CompatDirent.write(&DIRENT, &mut bytes).unwrap().unwrap();
        assert_eq!(&bytes[..length], b"\x02\x01\0\0\x07\0\0\0\x10\0name\0\x08");
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        let mut bytes = [0xff; MAX_DIRENT];
        assert_eq!(Form::Dirent64.write(&DIRENT, &mut bytes[..23]), Ok(None));
        assert_eq!(bytes[0], 0xff);
        let large = Dirent { number: 1 << 32, ..DIRENT };
        assert_eq!(Form::CompatDirent.write(&large, &mut bytes), Err(Errno::EOVERFLOW));
        let long = Dirent { name: &[b'x'; 255], ..DIRENT };
        assert_eq!(Form::Dirent64.write(&long, &mut bytes), Ok(Some(MAX_DIRENT)));
    }
}

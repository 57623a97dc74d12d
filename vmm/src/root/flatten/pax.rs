//! Extended headers of a tar: pax's records, `LENGTH KEY=VALUE\n` each.
//!
//! (The crate `tar` splits them at line ends; a name may have one in it.)

use super::error::Bad;
use super::sparse::{Map, damaged};

/// What was said of the entry that follows, or of all that follow.
#[derive(Clone, Debug, Default)]
pub(super) struct Extensions {
    pub(super) path: Option<Vec<u8>>,
    pub(super) linkpath: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    /// Seconds and nanoseconds.
    pub(super) mtime: Option<(i64, u32)>,
    pub(super) sparse: Sparse,
}

/// What GNU tar says of a sparse file.
#[derive(Clone, Debug, Default)]
pub(super) struct Sparse {
    name: Option<Vec<u8>>,
    size: Option<u64>,
    major: u64,
    /// Offsets and lengths, one after the other: formats 0.0 and 0.1.
    numbers: Vec<u64>,
}

impl Extensions {
    /// Takes an extended header's records; an empty value takes one back.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> Result<(), Bad> {
        let malformed = || Bad::Damaged("an extended header is malformed".to_owned());
        while !bytes.is_empty() {
            let (key, value, rest) = record(bytes).ok_or_else(malformed)?;
            self.take(key, value).ok_or_else(malformed)?;
            bytes = rest;
        }
        Ok(())
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let is_there = !value.is_empty();
        let bytes = || is_there.then(|| value.to_vec());
        match key {
            b"path" => self.path = bytes(),
            b"linkpath" => self.linkpath = bytes(),
            b"size" => self.size = if is_there { Some(number(value)?) } else { None },
            b"uid" => self.uid = if is_there { Some(number(value)?) } else { None },
            b"gid" => self.gid = if is_there { Some(number(value)?) } else { None },
            b"mtime" => self.mtime = if is_there { Some(time(value)?) } else { None },
            b"GNU.sparse.name" => self.sparse.name = bytes(),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.sparse.size = Some(number(value)?),
            b"GNU.sparse.major" => self.sparse.major = number(value)?,
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                self.sparse.numbers.push(number(value)?);
            }
            b"GNU.sparse.map" => {
                for part in value.split(|byte| *byte == b',') {
                    self.sparse.numbers.push(number(part)?);
                }
            }
            _ => {}
        }
        Some(())
    }

    /// The entry's path, if it is said here.
    pub(super) fn name(&self) -> Option<&[u8]> {
        self.sparse.name.as_deref().or(self.path.as_deref())
    }
}

/// Where the map of a sparse file is.
pub(super) enum MapAt {
    /// There is none: the file is whole.
    Nowhere,
    /// Here.
    Here(Map),
    /// In front of the file's bytes (format 1.0), for a file of this size.
    InFront(u64),
}

impl Sparse {
    /// The map, or where it is.
    pub(super) fn map(&self) -> Result<MapAt, Bad> {
        match (self.size, self.major) {
            (None, _) => Ok(MapAt::Nowhere),
            (Some(size), 0) => {
                let (pieces, rest) = self.numbers.as_chunks::<2>();
                match rest {
                    [] => Map::new(size, pieces.iter().map(|[at, length]| (*at, *length)))
                        .map(MapAt::Here),
                    _ => Err(damaged()),
                }
            }
            (Some(size), 1) => Ok(MapAt::InFront(size)),
            (Some(_), version) => {
                Err(Bad::Unsupported(format!("has a sparse file of GNU's format {version}")))
            }
        }
    }
}

/// The first record: its key, its value, and what is behind it.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(number(&bytes[..space])?).ok()?;
    let (record, rest) = bytes.split_at_checked(length)?;
    let text = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = text.iter().position(|byte| *byte == b'=')?;
    Some((&text[..equals], &text[equals + 1..], rest))
}

/// A decimal number.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    if !text.first()?.is_ascii_digit() {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A time: seconds, negative ones too, and a fraction of any length.
fn time(text: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: u32 = digits.parse().ok()?;
    // A negative time counts its fraction downwards.
    match (whole.starts_with('-'), nanoseconds) {
        (true, 1..) => Some((seconds.checked_sub(1)?, 1_000_000_000 - nanoseconds)),
        _ => Some((seconds, nanoseconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Extensions, Bad> {
        let mut extensions = Extensions::default();
        extensions.read(bytes).map(|()| extensions)
    }

    #[test]
    fn records_are_taken_by_their_length_whatever_is_in_them() {
        let extensions =
            read(b"13 path=a\nb=\n14 linkpath=c\n30 mtime=1350244992.023960108\n").unwrap();
        assert_eq!(extensions.name(), Some(&b"a\nb="[..]));
        assert_eq!(extensions.linkpath.as_deref(), Some(&b"c"[..]));
        assert_eq!(extensions.mtime, Some((1_350_244_992, 23_960_108)));
        // A later one counts, and an empty one takes it back.
        assert_eq!(read(b"8 uid=7\n8 uid=8\n").unwrap().uid, Some(8));
        assert_eq!(read(b"8 uid=7\n7 uid=\n").unwrap().uid, None);
    }

    #[test]
    fn times_before_1970_are_times() {
        for (text, expected) in [
            ("0", (0, 0)),
            ("-1", (-1, 0)),
            ("-1.25", (-2, 750_000_000)),
            ("5.", (5, 0)),
            ("5.0000000019", (5, 1)),
        ] {
            assert_eq!(time(text.as_bytes()), Some(expected), "{text}");
        }
        for text in ["", "x", "1.x", "1.5.5", "99999999999999999999"] {
            assert_eq!(time(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_is_malformed_is_said() {
        for bytes in [
            &b"x"[..],
            b"8 path=a\n",
            b"99 path=a\n",
            b"0 path=a\n",
            b"2 \n",
            b"10 pathaaa\n",
            b"8 uid=x\n",
            b"9 uid=-1\n",
            b"99999999999999999999 a=b\n",
        ] {
            let text = String::from_utf8_lossy(bytes);
            assert!(matches!(read(bytes), Err(Bad::Damaged(_))), "{text}");
        }
    }

    #[test]
    fn maps_of_all_formats_are_understood() {
        let old = b"22 GNU.sparse.size=10\n23 GNU.sparse.offset=1\n25 GNU.sparse.numbytes=2\n";
        let expected = Map::new(10, [(1, 2)]).unwrap();
        let MapAt::Here(map) = read(old).unwrap().sparse.map().unwrap() else { panic!("it is") };
        assert_eq!(map, expected);
        let one = b"22 GNU.sparse.size=10\n22 GNU.sparse.map=1,2\n";
        let MapAt::Here(map) = read(one).unwrap().sparse.map().unwrap() else { panic!("it is") };
        assert_eq!(map, expected);
        let new = b"22 GNU.sparse.major=1\n26 GNU.sparse.realsize=10\n";
        assert!(matches!(read(new).unwrap().sparse.map(), Ok(MapAt::InFront(10))));
        let odd = b"22 GNU.sparse.size=10\n20 GNU.sparse.map=1\n";
        assert!(read(odd).unwrap().sparse.map().is_err());
    }
}

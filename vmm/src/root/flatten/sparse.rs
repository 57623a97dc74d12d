//! Where the bytes of a sparse file belong.

use super::error::Bad;
use std::ops::Range;

/// The most pieces that a file may have.
const MOST_PIECES: usize = 1 << 20;

/// The pieces of a file that are not zeroes, ascending.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Map {
    size: u64,
    pieces: Vec<Range<u64>>,
}

impl Map {
    /// The map of a file of `size` bytes with pieces of these offsets and lengths.
    ///
    /// # Errors
    /// [`Bad::Damaged`], if they do not ascend or go beyond the file.
    pub(super) fn new(size: u64, pieces: impl IntoIterator<Item = (u64, u64)>) -> Result<Map, Bad> {
        let mut map = Map { size, pieces: Vec::new() };
        let mut end = 0;
        for (offset, length) in pieces {
            let next = offset.checked_add(length).filter(|next| *next <= size && offset >= end);
            let Some(next) = next else { return Err(damaged()) };
            if length > 0 {
                map.pieces.push(offset..next);
            }
            if map.pieces.len() > MOST_PIECES {
                return Err(damaged());
            }
            end = next;
        }
        Ok(map)
    }

    /// The file's size, zeroes included.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The pieces.
    pub(super) fn pieces(&self) -> &[Range<u64>] {
        &self.pieces
    }

    /// Bytes of all pieces.
    pub(super) fn stored(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.end - piece.start).sum()
    }
}

/// What is wrong with such a map.
pub(super) fn damaged() -> Bad {
    Bad::Damaged("the map of a sparse file does not fit it".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_ascend_and_stay_within_the_file() {
        let map = Map::new(100, [(0, 0), (10, 20), (30, 1), (99, 1), (100, 0)]).unwrap();
        assert_eq!((map.pieces().len(), map.stored()), (3, 22));
        for pieces in [[(10, 20), (29, 1)], [(0, 1), (99, 2)], [(0, 1), (u64::MAX, 2)]] {
            assert!(Map::new(100, pieces).is_err(), "{pieces:?}");
        }
    }
}

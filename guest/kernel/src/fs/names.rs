//! The names in a directory: found by their hash, listed in the order in which they
//! came.
//!
//! What is listed has a place of its own (a cookie) that nothing else gets before
//! 2^30 names have come and gone: so a program that reads a directory while it
//! changes sees what stays once. The table is open, and needs as many words as twice
//! the names. Hashes are not secret: names that collide cost only whose names they
//! are, in a sandbox of their own.

use alloc::vec::Vec;
use core::ops::Deref;
use trapgate_uapi::Errno;

/// The first cookie: 1 and 2 are `.` and `..`.
pub const FIRST_COOKIE: u32 = 3;
/// Cookies are below this.
pub const END_COOKIE: u32 = 1 << 30;

/// The values of a directory's names.
pub struct Names<T> {
    /// As many words as a power of two: position in `slots` and one, and the hash above
    /// it; 0 where nothing is. Each is found at its hash or after it, without a gap.
    index: Vec<u64>,
    /// In the order of their cookies; those that have gone leave a hole for a while.
    slots: Vec<Slot<T>>,
    live: usize,
    next_cookie: u32,
}

struct Slot<T> {
    cookie: u32,
    key: Key,
    value: Option<T>,
}

/// The heads of the keys of `.` and `..`.
pub const DOT: u64 = b'.' as u64;
/// The same.
pub const DOT_DOT: u64 = DOT << 8 | DOT;

/// What a name is found by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Key {
    /// Of all of its bytes.
    hash: u32,
    head: u64,
}

/// Where a name is: as long as the names do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position(usize);

impl<T> Default for Names<T> {
    fn default() -> Self {
        Names { index: Vec::new(), slots: Vec::new(), live: 0, next_cookie: FIRST_COOKIE }
    }
}

impl Key {
    /// The key of a name.
    pub fn of(name: &[u8]) -> Key {
        let mut words = name.chunks(WORD).map(padded);
        let mut key = Maker::new(words.next().unwrap_or(0));
        words.for_each(|word| key.add(word));
        key.end()
    }

    /// The name's first eight bytes, the first one lowest; zeroes behind its end.
    #[inline(always)]
    pub const fn head(self) -> u64 {
        self.head
    }

    /// Whether the name is `.` or `..`.
    #[inline(always)]
    pub const fn is_dots(self) -> bool {
        matches!(self.head, DOT | DOT_DOT)
    }

    /// Whether it is all of the name: no byte of a name is zero.
    #[inline(always)]
    const fn is_whole(self) -> bool {
        self.head >> 56 == 0
    }
}

/// A name whose key is known.
#[derive(Clone, Copy)]
pub struct Named<'a> {
    /// The name.
    pub bytes: &'a [u8],
    /// What it is found by.
    pub key: Key,
}

impl<'a> From<&'a [u8]> for Named<'a> {
    fn from(bytes: &'a [u8]) -> Named<'a> {
        Named { bytes, key: Key::of(bytes) }
    }
}

impl Deref for Named<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

/// Bytes that a name is looked at at a time.
pub const WORD: usize = size_of::<u64>();

/// The word of up to eight bytes, with zeroes behind them.
#[cold]
#[inline(never)]
pub fn padded(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

/// Makes a key of a name's words, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Maker {
    hash: u64,
    head: u64,
}

impl Maker {
    /// With the first eight bytes, or those that there are and zeroes behind them.
    #[inline(always)]
    pub const fn new(head: u64) -> Maker {
        let mut key = Maker { hash: 0, head };
        key.add(head);
        key
    }

    /// With the next eight bytes, the same.
    #[inline(always)]
    pub const fn add(&mut self, word: u64) {
        self.hash = (self.hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    /// The key: its hash is what the last bytes have changed most.
    #[inline(always)]
    pub const fn end(self) -> Key {
        Key { hash: (self.hash >> 32) as u32, head: self.head }
    }
}

/// The hash of a name.
pub fn hash(name: &[u8]) -> u32 {
    Key::of(name).hash
}

impl<T> Names<T> {
    /// How many there are.
    pub const fn len(&self) -> usize {
        self.live
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Where the name with this key is. `is_it` is asked only of names that the key is
    /// not all of.
    pub fn find(&self, key: Key, is_it: impl FnMut(&T) -> bool) -> Option<Position> {
        self.find_slot(key, is_it).map(|(position, _)| position)
    }

    /// What it stands for.
    #[inline(always)]
    pub fn find_value(&self, key: Key, is_it: impl FnMut(&T) -> bool) -> Option<&T> {
        self.find_slot(key, is_it)?.1.value.as_ref()
    }

    /// The same of a name that its key is all of; else nothing.
    #[inline(always)]
    pub fn find_whole(&self, key: Key) -> Option<&T> {
        if key.is_whole() { self.find_value(key, |_| false) } else { None }
    }

    #[inline(always)]
    fn find_slot(
        &self,
        key: Key,
        mut is_it: impl FnMut(&T) -> bool,
    ) -> Option<(Position, &Slot<T>)> {
        let mask = self.index.len().wrapping_sub(1);
        let mut at = key.hash as usize & mask;
        loop {
            let word = *self.index.get(at)?;
            if word == 0 {
                return None;
            }
            if (word >> 32) as u32 == key.hash {
                let position = word as u32 as usize - 1;
                let slot = &self.slots[position];
                let mut is_it = || slot.value.as_ref().is_some_and(&mut is_it);
                if slot.key.head == key.head && (key.is_whole() || is_it()) {
                    return Some((Position(position), slot));
                }
            }
            at = (at + 1) & mask;
        }
    }

    /// What is there.
    #[inline]
    pub fn get(&self, position: Position) -> &T {
        self.slots[position.0].value.as_ref().expect("a name that is there")
    }

    /// Puts another in its place; the cookie stays.
    pub fn replace(&mut self, position: Position, value: T) -> T {
        self.slots[position.0].value.replace(value).expect("a name that is there")
    }

    /// Makes room for one more.
    ///
    /// # Errors
    /// ENOMEM; ENOSPC for more than fit.
    pub fn reserve(&mut self) -> Result<(), Errno> {
        if self.next_cookie == END_COOKIE || self.slots.len() > 2 * self.live + 16 {
            self.compact();
        }
        if self.next_cookie == END_COOKIE {
            return Err(Errno::ENOSPC);
        }
        self.slots.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        if (self.live + 1) * 2 > self.index.len() {
            self.grow()?;
        }
        Ok(())
    }

    /// Adds a name, after [`Names::reserve`].
    #[expect(clippy::disallowed_methods, reason = "it is reserved")]
    pub fn insert(&mut self, key: Key, value: T) {
        let position = self.slots.len();
        self.slots.push(Slot { cookie: self.next_cookie, key, value: Some(value) });
        self.next_cookie += 1;
        self.live += 1;
        self.link(key.hash, position);
    }

    /// Takes a name out.
    pub fn remove(&mut self, position: Position) -> T {
        let slot = &mut self.slots[position.0];
        let value = slot.value.take().expect("a name that is there");
        let hash = slot.key.hash;
        self.live -= 1;
        self.unlink(hash, position.0);
        while self.slots.last().is_some_and(|slot| slot.value.is_none()) {
            self.slots.pop();
        }
        value
    }

    /// Takes out what is not worth keeping.
    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        // From the end: holes there go at once.
        for position in (0..self.slots.len()).rev() {
            let value = self.slots.get(position).and_then(|slot| slot.value.as_ref());
            if value.is_some_and(|value| !keep(value)) {
                self.remove(Position(position));
            }
        }
    }

    /// The names from a cookie on, each with its own.
    pub fn from(&self, cookie: u32) -> impl Iterator<Item = (u32, &T)> {
        let first = self.slots.partition_point(|slot| slot.cookie < cookie);
        let slots = self.slots[first..].iter();
        slots.filter_map(|slot| Some((slot.cookie, slot.value.as_ref()?)))
    }

    fn link(&mut self, hash: u32, position: usize) {
        let mask = self.index.len() - 1;
        let mut at = hash as usize & mask;
        while self.index[at] != 0 {
            at = (at + 1) & mask;
        }
        self.index[at] = u64::from(hash) << 32 | (position as u64 + 1);
    }

    /// Takes a word out, and closes the gap with those that could be there.
    fn unlink(&mut self, hash: u32, position: usize) {
        let mask = self.index.len() - 1;
        let mut gap = hash as usize & mask;
        while self.index[gap] as u32 as usize != position + 1 {
            gap = (gap + 1) & mask;
        }
        let mut at = gap;
        loop {
            at = (at + 1) & mask;
            let word = self.index[at];
            if word == 0 {
                break;
            }
            let home = (word >> 32) as usize & mask;
            // Its home is at the gap or before it.
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(gap) & mask {
                self.index[gap] = word;
                gap = at;
            }
        }
        self.index[gap] = 0;
    }

    /// Closes the holes. Cookies stay as they are while there are enough.
    fn compact(&mut self) {
        self.slots.retain(|slot| slot.value.is_some());
        if self.next_cookie == END_COOKIE {
            for (slot, cookie) in self.slots.iter_mut().zip(FIRST_COOKIE..) {
                slot.cookie = cookie;
            }
            self.next_cookie = FIRST_COOKIE + self.slots.len() as u32;
        }
        self.link_all();
    }

    #[expect(clippy::disallowed_methods, reason = "it is reserved")]
    fn grow(&mut self) -> Result<(), Errno> {
        let words = (self.index.len() * 2).max(8);
        let mut index = Vec::new();
        index.try_reserve_exact(words).map_err(|_| Errno::ENOMEM)?;
        index.resize(words, 0);
        self.index = index;
        self.link_all();
        Ok(())
    }

    fn link_all(&mut self) {
        self.index.fill(0);
        for position in 0..self.slots.len() {
            if self.slots[position].value.is_some() {
                self.link(self.slots[position].key.hash, position);
            }
        }
    }
}

#[cfg(test)]
mod tests;

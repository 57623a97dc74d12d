//! The kernel's own memory, asked for before it is used: what a program can cause to
//! be allocated may not be there, and is ENOMEM then, with nothing changed.
//!
//! The forms of `alloc` that cannot fail are refused in this crate (clippy.toml).
//! These are in their place. A call that changes several things reserves for all of
//! them first, or makes them first and puts them where they belong then.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::alloc::Layout;
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use core::sync::atomic::AtomicUsize;
use smallvec::{Array, SmallVec};
use trapgate_arch::heap::{self, Need};
use trapgate_uapi::Errno;

/// Makes sure that the next allocations, of what `needs` names, succeed. It holds
/// until others come between.
///
/// # Errors
/// ENOMEM.
#[inline]
pub fn reserve(needs: &[Need]) -> Result<(), Errno> {
    if heap::reserve(needs) { Ok(()) } else { Err(Errno::ENOMEM) }
}

/// What `count` boxes need.
pub const fn boxes<T>(count: usize) -> Need {
    Need { layout: Layout::new::<T>(), count: if size_of::<T>() == 0 { 0 } else { count } }
}

/// What `count` arcs need: each has two counters in front of its value.
pub const fn arcs<T>(count: usize) -> Need {
    #[repr(C)]
    struct ArcInner<T>([AtomicUsize; 2], T);
    Need { layout: Layout::new::<ArcInner<T>>(), count }
}

/// What `count` insertions into a map need: each may split a node of each height,
/// and add one.
pub fn nodes<K, V>(map: &BTreeMap<K, V>, count: usize) -> [Need; 2] {
    /// Keys of a full node.
    const CAPACITY: usize = 11;
    struct Leaf<K, V> {
        _parent: Option<NonNull<u8>>,
        _numbers: [u16; 2],
        _keys: [MaybeUninit<K>; CAPACITY],
        _values: [MaybeUninit<V>; CAPACITY],
    }
    #[repr(C)]
    struct Internal<K, V>(Leaf<K, V>, [NonNull<u8>; CAPACITY + 1]);
    // A node that is not the root has at least five keys.
    let (mut height, mut least) = (0, 11);
    while map.len() >= least {
        (height, least) = (height + 1, least * 6 + 5);
    }
    let internal = if map.is_empty() && count <= CAPACITY { 0 } else { count * (height + 1) };
    [
        Need { layout: Layout::new::<Leaf<K, V>>(), count },
        Need { layout: Layout::new::<Internal<K, V>>(), count: internal },
    ]
}

/// `Box::new`.
///
/// # Errors
/// ENOMEM.
#[expect(clippy::disallowed_methods, reason = "it is reserved")]
pub fn try_box<T>(value: T) -> Result<Box<T>, Errno> {
    reserve(&[boxes::<T>(1)])?;
    Ok(Box::new(value))
}

/// `Arc::new`.
///
/// # Errors
/// ENOMEM.
#[expect(clippy::disallowed_methods, reason = "it is reserved")]
pub fn try_arc<T>(value: T) -> Result<Arc<T>, Errno> {
    reserve(&[arcs::<T>(1)])?;
    Ok(Arc::new(value))
}

/// `BTreeMap::insert`.
///
/// # Errors
/// ENOMEM.
#[expect(clippy::disallowed_methods, reason = "it is reserved")]
pub fn try_insert<K: Ord, V>(
    map: &mut BTreeMap<K, V>,
    key: K,
    value: V,
) -> Result<Option<V>, Errno> {
    reserve(&nodes(map, 1))?;
    Ok(map.insert(key, value))
}

/// `Vec::with_capacity`.
///
/// # Errors
/// ENOMEM.
pub fn try_with_capacity<T>(capacity: usize) -> Result<Vec<T>, Errno> {
    let mut vec = Vec::new();
    vec.try_reserve_exact(capacity).map_err(|_| Errno::ENOMEM)?;
    Ok(vec)
}

/// `Vec::push`.
///
/// # Errors
/// ENOMEM.
#[expect(clippy::disallowed_methods, reason = "it is reserved")]
pub fn try_push<T>(vec: &mut Vec<T>, value: T) -> Result<(), Errno> {
    vec.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
    vec.push(value);
    Ok(())
}

/// `Vec::extend_from_slice`.
///
/// # Errors
/// ENOMEM.
#[expect(clippy::disallowed_methods, reason = "it is reserved")]
pub fn try_extend<T: Clone>(vec: &mut Vec<T>, values: &[T]) -> Result<(), Errno> {
    vec.try_reserve(values.len()).map_err(|_| Errno::ENOMEM)?;
    vec.extend_from_slice(values);
    Ok(())
}

/// `collect` into a vector, of an iterator that knows how much comes.
///
/// # Errors
/// ENOMEM.
#[expect(clippy::disallowed_methods, reason = "it is reserved")]
pub fn try_collect<T>(values: impl ExactSizeIterator<Item = T>) -> Result<Vec<T>, Errno> {
    let mut vec = try_with_capacity(values.len())?;
    // No more than there is room for, whatever the iterator said.
    let room = vec.capacity();
    values.take(room).for_each(|value| vec.push(value));
    Ok(vec)
}

/// `SmallVec::push`.
///
/// # Errors
/// ENOMEM.
#[expect(clippy::disallowed_methods, reason = "it is reserved")]
pub fn try_push_small<A: Array>(vec: &mut SmallVec<A>, value: A::Item) -> Result<(), Errno> {
    vec.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
    vec.push(value);
    Ok(())
}

/// `SmallVec::extend_from_slice`.
///
/// # Errors
/// ENOMEM.
#[expect(clippy::disallowed_methods, reason = "it is reserved")]
pub fn try_extend_small<A: Array>(vec: &mut SmallVec<A>, values: &[A::Item]) -> Result<(), Errno>
where
    A::Item: Copy,
{
    vec.try_reserve(values.len()).map_err(|_| Errno::ENOMEM)?;
    vec.extend_from_slice(values);
    Ok(())
}

/// Text that is put together: what `format!` is elsewhere.
#[derive(Debug, Default)]
pub struct Text {
    bytes: Vec<u8>,
}

impl Text {
    /// What `write!` calls.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn write_fmt(&mut self, arguments: fmt::Arguments) -> Result<(), Errno> {
        // Nothing else than memory can be missing.
        fmt::write(self, arguments).map_err(|fmt::Error| Errno::ENOMEM)
    }

    /// Adds bytes as they are.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        try_extend(&mut self.bytes, bytes)
    }

    /// Fills the line that began at `start` with spaces up to a column.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn pad(&mut self, start: usize, column: usize) -> Result<(), Errno> {
        while self.bytes.len() < start + column {
            try_push(&mut self.bytes, b' ')?;
        }
        Ok(())
    }

    /// What there is so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All of it.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.add(text.as_bytes()).map_err(|_| fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trapgate_arch::fake::heap::failing;

    /// Runs it; no attempt besides the first may be made, and that is the reservation.
    fn only_reserves<R>(code: impl FnOnce() -> R) -> R {
        let (result, attempts) = failing(0, code);
        assert_eq!(attempts, 1, "an allocation that was not reserved");
        result
    }

    #[test]
    fn boxes_and_arcs_take_what_was_reserved() {
        assert_eq!(*only_reserves(|| try_box([1u8; 100])).unwrap(), [1; 100]);
        assert_eq!(*only_reserves(|| try_arc(7u8)).unwrap(), 7);
        assert_eq!(*only_reserves(|| try_arc([2u64; 30])).unwrap(), [2; 30]);
        #[repr(align(64))]
        #[derive(Debug)]
        struct Aligned(u8);
        assert_eq!(only_reserves(|| try_arc(Aligned(3))).unwrap().0, 3);
        only_reserves(|| try_box(())).unwrap();
    }

    #[test]
    fn every_insertion_into_a_map_takes_what_was_reserved() {
        let mut ascending = BTreeMap::new();
        let mut scattered = BTreeMap::new();
        for number in 0..10_000u64 {
            only_reserves(|| try_insert(&mut ascending, number, [number; 3])).unwrap();
            let key = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) as u32;
            only_reserves(|| try_insert(&mut scattered, key, 0u8)).unwrap();
            if number % 3 == 0 {
                ascending.remove(&(number / 2));
            }
        }
        assert!(ascending.len() > 6000 && scattered.len() == 10_000);
    }

    #[test]
    fn several_insertions_take_what_was_reserved_at_once() {
        let mut map = BTreeMap::new();
        for number in 0..3000u64 {
            let keys = [number * 4, number * 4 + 2, u64::MAX - number];
            only_reserves(|| {
                reserve(&nodes(&map, 3)).unwrap();
                keys.iter().for_each(|&key| assert_eq!(map.insert(key, key), None));
            });
        }
        assert_eq!(map.len(), 9000);
    }

    #[test]
    fn without_memory_all_is_enomem_and_as_before() {
        let without = |code: &mut dyn FnMut() -> bool| failing(1, code).0;
        assert!(without(&mut || try_box(1).err() == Some(Errno::ENOMEM)));
        assert!(without(&mut || try_arc(1).err() == Some(Errno::ENOMEM)));
        let mut map = BTreeMap::new();
        assert!(without(&mut || try_insert(&mut map, 1, 1) == Err(Errno::ENOMEM)));
        assert!(map.is_empty());
        let mut vec = Vec::new();
        assert!(without(&mut || try_push(&mut vec, 1) == Err(Errno::ENOMEM)));
        assert!(without(&mut || try_extend(&mut vec, &[1, 2]) == Err(Errno::ENOMEM)));
        assert!(vec.is_empty());
        assert!(without(&mut || try_collect([1, 2].into_iter()) == Err(Errno::ENOMEM)));
        assert!(without(&mut || try_with_capacity::<u64>(5) == Err(Errno::ENOMEM)));
        let mut text = Text::default();
        assert!(without(&mut || write!(text, "{}", 1) == Err(Errno::ENOMEM)));
        assert_eq!(text.bytes(), b"");
        let mut small = SmallVec::<[u64; 2]>::from_buf([1, 2]);
        assert!(without(&mut || try_push_small(&mut small, 3) == Err(Errno::ENOMEM)));
        assert_eq!(small[..], [1, 2]);
    }
}

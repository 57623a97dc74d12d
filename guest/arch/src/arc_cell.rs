//! A place for one owner of something that is counted, which is put there and taken out
//! at once: what a lock around an option would be, in one instruction each.
#![allow(unsafe_code, reason = "owners by address")]

use alloc::sync::Arc;
use core::marker::PhantomData;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};

/// The place.
pub struct ArcCell<T> {
    /// Out of [`Arc::into_raw`], and owned; or null.
    address: AtomicPtr<T>,
    /// As much as the place may have: it is sent and shared as what it owns.
    owns: PhantomData<Option<Arc<T>>>,
}

impl<T> ArcCell<T> {
    /// Empty.
    pub const fn new() -> ArcCell<T> {
        ArcCell { address: AtomicPtr::new(null_mut()), owns: PhantomData }
    }

    /// Puts this into it; answers what was there.
    #[inline(always)]
    pub fn replace(&self, new: Option<Arc<T>>) -> Option<Arc<T>> {
        let new = new.map_or(null_mut(), |new| Arc::into_raw(new).cast_mut());
        let old = self.address.swap(new, Ordering::AcqRel);
        // SAFETY: it came out of an Arc here, and whoever swaps it out is its owner.
        (!old.is_null()).then(|| unsafe { Arc::from_raw(old) })
    }

    /// Takes out what is there.
    #[inline(always)]
    pub fn take(&self) -> Option<Arc<T>> {
        self.replace(None)
    }

    /// Whether that is this.
    #[inline(always)]
    pub fn is(&self, it: &T) -> bool {
        core::ptr::eq(self.address.load(Ordering::Relaxed), it)
    }
}

impl<T> Default for ArcCell<T> {
    fn default() -> Self {
        ArcCell::new()
    }
}

impl<T> Drop for ArcCell<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_owned_until_it_is_taken() {
        let (cell, one, two) = (ArcCell::new(), Arc::new(1), Arc::new(2));
        assert!(cell.replace(Some(one.clone())).is_none());
        assert!(cell.is(&one) && !cell.is(&two));
        assert_eq!(cell.replace(Some(two.clone())), Some(one.clone()));
        assert_eq!([Arc::strong_count(&one), Arc::strong_count(&two)], [1, 2]);
        assert_eq!(cell.take(), Some(two.clone()));
        assert!(cell.take().is_none());
        drop(cell.replace(Some(one.clone())));
        drop(cell);
        assert_eq!([Arc::strong_count(&one), Arc::strong_count(&two)], [1, 1]);
    }
}

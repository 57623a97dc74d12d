//! Who runs on this CPU: the task and its thread, which the block owns.
#![allow(unsafe_code, reason = "GS-relative access is inline assembly; owners by address")]

#[cfg(not(target_os = "none"))]
use crate::fake::block_word;
use alloc::sync::Arc;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};

/// What runs on a CPU, of which the block has the address: a task, and its thread.
///
/// # Safety
/// Only one type of a program may have a slot; [`running!`] sees to that.
pub unsafe trait Running: Send + Sync + 'static {
    /// The slot's distance from GS.
    const SLOT: usize;
}

/// Declares the type that has a slot of the block, `task` or `thread`. A second one
/// for the same does not link.
#[macro_export]
macro_rules! running {
    ($type:ty, $slot:ident, $symbol:literal) => {
        const _: () = {
            // SAFETY: the symbol below can be in a program once.
            unsafe impl $crate::percpu::Running for $type {
                const SLOT: usize = core::mem::offset_of!($crate::percpu::PerCpu, $slot);
            }
            #[used]
            #[unsafe(export_name = $symbol)]
            static TRAPGATE_RUNNING: u8 = 0;
        };
    };
}
/// Declares the type of the running task.
#[macro_export]
macro_rules! running_task {
    ($type:ty) => {
        $crate::running!($type, task, "trapgate_running_task");
    };
}
/// Declares the type of the running thread.
#[macro_export]
macro_rules! running_thread {
    ($type:ty) => {
        $crate::running!($type, thread, "trapgate_running_thread");
    };
}
pub use {running_task, running_thread};

/// What is known of an owner's type.
struct Kind {
    slot: usize,
    drop: unsafe fn(*const ()),
}

/// One owner of what may run, for who does not know its type: the scheduler, of a task.
pub struct Owner {
    address: *const (),
    kind: &'static Kind,
}

// SAFETY: it is an Arc of what is Send and Sync.
unsafe impl Send for Owner {}
// SAFETY: as above.
unsafe impl Sync for Owner {}

impl Owner {
    /// Of this.
    pub fn new<T: Running>(owned: Arc<T>) -> Owner {
        /// # Safety
        /// An address that came out of an Arc of a `T`, which is owned.
        unsafe fn drop<T>(address: *const ()) {
            // SAFETY: the caller vouches for the address.
            core::mem::drop(unsafe { Arc::from_raw(address.cast::<T>()) });
        }
        let address = Arc::into_raw(owned).cast();
        Owner { address, kind: const { &Kind { slot: T::SLOT, drop: drop::<T> } } }
    }

    /// Says that this runs; answers who ran, if anybody did.
    pub fn exchange(self) -> Option<Owner> {
        let Owner { address, kind } = self;
        core::mem::forget(self);
        let before = slot_word(kind.slot) as *const ();
        set_slot(kind.slot, address as u64);
        // It owned what it has the address of, and is for one type.
        (!before.is_null()).then(|| Owner { address: before, kind })
    }
}

/// A place for the owner of who does not run.
pub struct OwnerCell {
    /// What is owned; or null.
    address: AtomicPtr<()>,
    /// Its type, once there was one: all that come are of the same.
    kind: AtomicPtr<Kind>,
}

impl OwnerCell {
    /// Empty.
    pub const fn new() -> OwnerCell {
        OwnerCell { address: AtomicPtr::new(null_mut()), kind: AtomicPtr::new(null_mut()) }
    }

    /// Puts an owner there; one that was there is given up.
    pub fn put(&self, owner: Owner) {
        drop(self.take());
        let Owner { address, kind } = owner;
        core::mem::forget(owner);
        self.kind.store(core::ptr::from_ref(kind).cast_mut(), Ordering::Relaxed);
        self.address.store(address.cast_mut(), Ordering::Relaxed);
    }

    /// Takes it out; none, if it runs or is gone.
    pub fn take(&self) -> Option<Owner> {
        let address = self.address.swap(null_mut(), Ordering::Relaxed);
        // SAFETY: it is one of the kinds in the image, or null.
        let kind = unsafe { self.kind.load(Ordering::Relaxed).as_ref() }?;
        (!address.is_null()).then(|| Owner { address, kind })
    }

    /// What is owned here runs; who ran is owned at `before` from now on.
    ///
    /// # Panics
    /// If nothing is owned here, or something is there.
    #[inline]
    pub fn run(&self, before: &OwnerCell) {
        let address = self.address.swap(null_mut(), Ordering::Relaxed);
        let kind = self.kind.load(Ordering::Relaxed);
        assert!(!address.is_null(), "a thread belongs to a task");
        // SAFETY: a kind is there, because something is owned.
        let slot = unsafe { (*kind).slot };
        let ran = slot_word(slot) as *mut ();
        set_slot(slot, address as u64);
        before.kind.store(kind, Ordering::Relaxed);
        let was = before.address.swap(ran, Ordering::Relaxed);
        assert!(was.is_null(), "who runs is not owned besides");
    }
}

impl Default for OwnerCell {
    fn default() -> Self {
        OwnerCell::new()
    }
}

impl Drop for OwnerCell {
    fn drop(&mut self) {
        drop(self.take());
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // SAFETY: the address came out of an Arc of this type in `new`, and is owned.
        unsafe { (self.kind.drop)(self.address) };
    }
}

/// A word of this CPU's block that has the address of a `T`.
#[inline(always)]
fn slot<T: Running>() -> *const T {
    #[cfg(not(target_os = "none"))]
    let value = block_word(T::SLOT).get();
    #[cfg(target_os = "none")]
    let value: u64;
    // SAFETY: GS points to this CPU's block in ring 0, and the slot is a word of it.
    #[cfg(target_os = "none")]
    unsafe {
        core::arch::asm!("mov {}, gs:[{}]", out(reg) value, const T::SLOT,
            options(nostack, preserves_flags, readonly));
    }
    value as *const T
}

/// Who runs on this CPU: there is somebody from the start on. Not to be kept where
/// somebody else would find it: it lives as long as it runs.
#[inline(always)]
pub fn current<T: Running>() -> &'static T {
    // SAFETY: `exchange` put it there, which knows no other type for this slot and owns
    // what it puts there, and nothing runs before that.
    unsafe { &*slot::<T>() }
}

/// The same, as one more owner.
pub fn current_arc<T: Running>() -> Arc<T> {
    let running = slot::<T>();
    // SAFETY: the address came out of an Arc, and the slot owns it.
    unsafe {
        Arc::increment_strong_count(running);
        Arc::from_raw(running)
    }
}

/// Says who runs; answers who ran, if anybody did.
pub fn exchange<T: Running>(running: Arc<T>) -> Option<Arc<T>> {
    let before = slot::<T>();
    set_slot(T::SLOT, Arc::into_raw(running) as u64);
    // SAFETY: the address came out of an Arc here, and the slot owned it until now.
    (!before.is_null()).then(|| unsafe { Arc::from_raw(before) })
}

/// A slot by its distance from GS.
fn slot_word(slot: usize) -> u64 {
    #[cfg(not(target_os = "none"))]
    let value = block_word(slot).get();
    #[cfg(target_os = "none")]
    let value: u64;
    // SAFETY: GS points to this CPU's block in ring 0, and slots are words of it.
    #[cfg(target_os = "none")]
    unsafe {
        core::arch::asm!("mov {}, gs:[{}]", out(reg) value, in(reg) slot,
            options(nostack, preserves_flags, readonly));
    }
    value
}

/// Sets it.
fn set_slot(slot: usize, value: u64) {
    #[cfg(not(target_os = "none"))]
    block_word(slot).set(value);
    // SAFETY: GS points to this CPU's block in ring 0, and slots are words of it.
    #[cfg(target_os = "none")]
    unsafe {
        core::arch::asm!("mov gs:[{}], {}", in(reg) slot, in(reg) value,
            options(nostack, preserves_flags));
    }
}

//! A thread ends: others are told of the words that it owned (get_robust_list(2),
//! set_tid_address(2)).

use super::key::Word;
use super::table::TABLE;
use super::wake::wake;
use crate::mm::space::AddressSpace;
use crate::user::UserPtr;
use spin::Mutex;
use trapgate_uapi::Errno;
use trapgate_uapi::futex::{
    CompatRobustListHead, FUTEX_BITSET_MATCH_ANY, FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS,
    ROBUST_LIST_LIMIT, RobustListHead,
};

/// Who ends, and in which memory.
#[derive(Clone, Copy)]
pub struct Ending<'a> {
    /// Its memory.
    pub memory: &'a Mutex<AddressSpace>,
    /// Its number.
    pub tid: u32,
}

/// An entry of a list: its address, and whether it is a lock's of [`super::lock`].
#[derive(Clone, Copy, PartialEq, Eq)]
struct Entry {
    address: u64,
    is_lock: bool,
}

impl Entry {
    const fn of(word: u64) -> Entry {
        Entry { address: word & !1, is_lock: word & 1 != 0 }
    }
}

/// A list as its head says.
struct List {
    head: u64,
    first: Entry,
    offset: i64,
    pending: Entry,
    next: fn(u64) -> Result<u64, Errno>,
}

impl Ending<'_> {
    /// Walks the list of set_robust_list(2) whose head is at `head`; 0 for none.
    pub fn walk(self, head: u64) {
        let next = |at| UserPtr::<u64>::new(at).read();
        if head != 0
            && let Ok(list) = UserPtr::<RobustListHead>::new(head).read()
        {
            self.walk_list(&List {
                head,
                first: Entry::of(list.list),
                offset: list.futex_offset,
                pending: Entry::of(list.list_op_pending),
                next,
            });
        }
    }

    /// The same of i386's.
    pub fn walk_compat(self, head: u32) {
        let next = |at| UserPtr::<u32>::new(at).read().map(u64::from);
        if head != 0
            && let Ok(list) = UserPtr::<CompatRobustListHead>::new(head.into()).read()
        {
            self.walk_list(&List {
                head: head.into(),
                first: Entry::of(list.list.into()),
                offset: list.futex_offset.into(),
                pending: Entry::of(list.list_op_pending.into()),
                next,
            });
        }
    }

    fn walk_list(self, list: &List) {
        let word = |entry: Entry| entry.address.wrapping_add_signed(list.offset);
        let mut entry = list.first;
        // It may be endless, or lead anywhere.
        for _ in 0..ROBUST_LIST_LIMIT {
            if entry.address == list.head {
                break;
            }
            // Whoever takes the word may change the list.
            let next = (list.next)(entry.address);
            if entry.address != list.pending.address
                && self.let_go(word(entry), entry.is_lock, false).is_err()
            {
                return;
            }
            let Ok(next) = next else { return };
            entry = Entry::of(next);
        }
        if list.pending.address != 0 {
            // Nobody is left to be told.
            let _ = self.let_go(word(list.pending), list.pending.is_lock, true);
        }
    }

    /// A word that it may own: says that its owner has died, and wakes one who waits.
    /// `pending`: it was about to take it, or to give it up.
    fn let_go(self, address: u64, is_lock: bool, pending: bool) -> Result<(), Errno> {
        let word = Word { memory: self.memory, address, shared: true };
        if !address.is_multiple_of(4) {
            return Err(Errno::EINVAL);
        }
        loop {
            let value = word.read()?;
            let owner = value & FUTEX_TID_MASK;
            if pending && !is_lock && owner == 0 {
                // It had given it up, and not woken anybody yet.
                let _ = wake(word, 1, FUTEX_BITSET_MATCH_ANY);
                return Ok(());
            }
            if owner != self.tid {
                return Ok(());
            }
            let new = value & FUTEX_WAITERS | FUTEX_OWNER_DIED;
            if word.compare_exchange(value, new)? == value {
                if !is_lock && value & FUTEX_WAITERS != 0 {
                    let _ = wake(word, 1, FUTEX_BITSET_MATCH_ANY);
                }
                return Ok(());
            }
        }
    }

    /// Whoever waits for a lock that it owned gets it.
    pub fn give_locks(self) {
        TABLE.lock().owner_died(self.tid);
    }

    /// set_tid_address(2): the word is 0, and one who waits for it is woken.
    pub fn clear(self, address: u64) {
        if address != 0 && UserPtr::new(address).write(0u32).is_ok() {
            let word = Word { memory: self.memory, address, shared: true };
            let _ = wake(word, 1, FUTEX_BITSET_MATCH_ANY);
        }
    }
}

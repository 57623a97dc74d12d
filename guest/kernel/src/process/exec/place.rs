//! Where a program's parts go: the addresses that Linux gives them, less what it makes
//! random of them, or with it.

use crate::mm::space::map::Window;
use trapgate_abi::layout::{PAGE_SIZE, USER_END, USER_END32, USER_STACK_SIZE, USER_STACK_TOP};
use trapgate_loader::image::{Class, PIE_BASE, PIE_BASE32};
use trapgate_loader::stack::WordSize;

/// Bits of randomness, as Linux has them for x86 (`mmap_rnd_bits`, `STACK_RND_MASK`): of
/// pages.
const MMAP_BITS: u32 = 28;
const MMAP_BITS32: u32 = 8;
const STACK_BITS: u32 = 22;
const STACK_BITS32: u32 = 11;
/// Pages by which the heap may begin later: 32 MiB.
const BRK_BITS: u32 = 13;
/// Pages between the highest mapping and the vDSO.
const VDSO_BITS: u32 = 9;
/// Bytes by which the stack may begin lower, a multiple of 16: Linux's
/// `arch_align_stack`.
const STACK_START_BITS: u32 = 13;

/// The places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// The end of the program's addresses.
    pub(super) end: u64,
    /// The end of its stack.
    pub(super) stack_top: u64,
    /// Bytes that stay empty there.
    pub(super) stack_gap: u64,
    /// Mappings grow down from there.
    pub(super) mmap_top: u64,
    /// Below that, the vDSO leaves so much empty.
    pub(super) vdso_gap: u64,
    /// Where a program goes that an interpreter starts, if it can go anywhere.
    pub(super) pie: u64,
    /// How much later than it could the heap begins.
    pub(super) brk_gap: u64,
}

/// Random numbers that [`Places::of`] takes.
pub(super) const WORDS: usize = 3;

impl Places {
    /// Those of a program of this class. Without random numbers each time the same.
    pub(super) fn of(class: Class, random: Option<[u64; WORDS]>) -> Places {
        let fixed = match class {
            Class::Elf64 => Places {
                end: USER_END,
                stack_top: USER_STACK_TOP,
                mmap_top: Window::NATIVE.top(),
                pie: PIE_BASE,
                ..Places::NONE
            },
            Class::Elf32 => Places {
                end: USER_END32,
                stack_top: USER_END32,
                mmap_top: Window::COMPAT.top(),
                pie: PIE_BASE32,
                ..Places::NONE
            },
        };
        random.map_or(fixed, |random| fixed.moved(class, random))
    }

    const NONE: Places =
        Places { end: 0, stack_top: 0, stack_gap: 0, mmap_top: 0, vdso_gap: 0, pie: 0, brk_gap: 0 };

    fn moved(self, class: Class, [first, second, third]: [u64; WORDS]) -> Places {
        let (mmap, stack) = match class {
            Class::Elf64 => (MMAP_BITS, STACK_BITS),
            Class::Elf32 => (MMAP_BITS32, STACK_BITS32),
        };
        let bits = |word: u64, from: u32, count: u32| word >> from & ((1 << count) - 1);
        let pages = |word, from, count| bits(word, from, count) * PAGE_SIZE;
        Places {
            stack_top: self.stack_top - pages(first, 0, stack),
            stack_gap: bits(first, stack, STACK_START_BITS) & !15,
            // Whatever the stack's place is, it stays below.
            mmap_top: self.mmap_top - (PAGE_SIZE << stack) - pages(second, 0, mmap),
            vdso_gap: pages(second, mmap, VDSO_BITS),
            pie: self.pie + pages(third, 0, mmap),
            brk_gap: pages(third, mmap, BRK_BITS),
            ..self
        }
    }

    /// The lowest address of the stack's mapping.
    pub(super) const fn stack_bottom(&self) -> u64 {
        self.stack_top - USER_STACK_SIZE
    }
}

/// The width of a class's words.
pub(super) const fn word_size(class: Class) -> WordSize {
    match class {
        Class::Elf64 => WordSize::W64,
        Class::Elf32 => WordSize::W32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_random_numbers_places_are_where_the_vmm_has_them() {
        let places = Places::of(Class::Elf64, None);
        assert_eq!((places.stack_top, places.pie), (USER_STACK_TOP, 0x5555_5555_4000));
        assert_eq!((places.stack_gap, places.vdso_gap, places.brk_gap), (0, 0, 0));
        let places = Places::of(Class::Elf32, None);
        assert_eq!((places.stack_top, places.pie), (0xffff_e000, 0x5655_5000));
    }

    #[test]
    fn with_them_nothing_overlaps_and_all_is_on_pages() {
        for class in [Class::Elf32, Class::Elf64] {
            let fixed = Places::of(class, None);
            for word in [0, u64::MAX, 0x5555_5555_5555_5555, 0x0123_4567_89ab_cdef] {
                let places = Places::of(class, Some([word; WORDS]));
                let Places { end, stack_top, mmap_top, pie, vdso_gap, brk_gap, .. } = places;
                for address in [stack_top, mmap_top, pie, vdso_gap, brk_gap] {
                    assert_eq!(address % PAGE_SIZE, 0, "{places:x?}");
                }
                assert!(stack_top <= end && mmap_top <= places.stack_bottom(), "{places:x?}");
                assert!(
                    places.stack_gap < 8192 && places.stack_gap.is_multiple_of(16),
                    "{places:x?}"
                );
                assert!(fixed.pie <= pie && pie + (64 << 20) < mmap_top, "{places:x?}");
            }
        }
    }

    #[test]
    fn each_random_number_moves_something_of_its_own() {
        let all: Vec<Places> = [[0, 0, 0], [!0, 0, 0], [0, !0, 0], [0, 0, !0]]
            .map(|words| Places::of(Class::Elf64, Some(words)))
            .to_vec();
        for (index, one) in all.iter().enumerate() {
            assert!(all[..index].iter().all(|other| other != one));
        }
        assert_ne!(all[0].stack_top, all[1].stack_top);
        assert_ne!(all[0].mmap_top, all[2].mmap_top);
        assert_ne!(all[0].pie, all[3].pie);
    }
}

//! What the kernel left on the stack for the program: arguments, environment,
//! auxiliary vector (System V ABI for x86-64, 3.4.1;
//! for i386, 2.3.2).
//!
//! The start code makes one [`Args`] and hands it to the program's main.
#![allow(unsafe_code, reason = "walks the initial stack, which has no Rust type")]

use core::ffi::CStr;
use core::iter;
use core::marker::PhantomData;

/// Keys of the auxiliary vector (`linux/auxvec.h`).
pub mod aux {
    /// End of the vector.
    pub const NULL: usize = 0;
    /// Address of the program headers.
    pub const PHDR: usize = 3;
    /// Bytes in a program header.
    pub const PHENT: usize = 4;
    /// How many program headers there are.
    pub const PHNUM: usize = 5;
    /// Bytes in a page.
    pub const PAGESZ: usize = 6;
    /// Base of the interpreter.
    pub const BASE: usize = 7;
    /// Flags.
    pub const FLAGS: usize = 8;
    /// The program's entry point.
    pub const ENTRY: usize = 9;
    /// Real user.
    pub const UID: usize = 11;
    /// Effective user.
    pub const EUID: usize = 12;
    /// Real group.
    pub const GID: usize = 13;
    /// Effective group.
    pub const EGID: usize = 14;
    /// Address of the machine's name.
    pub const PLATFORM: usize = 15;
    /// CPUID leaf 1, EDX.
    pub const HWCAP: usize = 16;
    /// Clock ticks in a second, for times(2).
    pub const CLKTCK: usize = 17;
    /// Whether the program runs with more rights than its caller's.
    pub const SECURE: usize = 23;
    /// Address of 16 random bytes.
    pub const RANDOM: usize = 25;
    /// Further hardware capabilities.
    pub const HWCAP2: usize = 26;
    /// Address of the program's file name.
    pub const EXECFN: usize = 31;
    /// Address of the vDSO's `__kernel_vsyscall`; 32-bit programs only.
    pub const SYSINFO: usize = 32;
    /// Address of the vDSO.
    pub const SYSINFO_EHDR: usize = 33;
    /// Least size of a signal stack.
    pub const MINSIGSTKSZ: usize = 51;
}

/// The program's arguments, environment and auxiliary vector.
#[derive(Clone, Copy, Debug)]
pub struct Args {
    stack: *const usize,
    what: PhantomData<&'static [usize]>,
}

impl Args {
    /// From the stack pointer that the program started with.
    ///
    /// # Safety
    /// At `stack` there must be, for the rest of the program: a count, that
    /// many addresses of NUL-terminated strings, 0, any number of such
    /// addresses, 0, and pairs of words up to one whose first is 0.
    pub const unsafe fn from_stack(stack: *const usize) -> Args {
        Args { stack, what: PhantomData }
    }

    /// The stack pointer that the program started with.
    pub fn stack_address(self) -> usize {
        self.stack as usize
    }

    /// How many arguments there are, the program's name included.
    pub fn argc(self) -> usize {
        // SAFETY: `from_stack` promises the count.
        unsafe { *self.stack }
    }

    /// The arguments; the first is the program's name.
    pub fn argv(self) -> impl Iterator<Item = &'static [u8]> {
        (0..self.argc()).filter_map(move |index| self.arg(index))
    }

    /// Argument `index`, without its NUL.
    pub fn arg(self, index: usize) -> Option<&'static [u8]> {
        // SAFETY: `from_stack` promises that many addresses behind the count.
        (index < self.argc()).then(|| unsafe { string(*self.stack.add(1 + index)) })
    }

    /// Argument `index`, if it is a decimal number.
    pub fn number(self, index: usize) -> Option<u64> {
        core::str::from_utf8(self.arg(index)?).ok()?.parse().ok()
    }

    /// The environment, `NAME=value` each.
    pub fn env(self) -> impl Iterator<Item = &'static [u8]> {
        let mut at = self.env_start();
        iter::from_fn(move || {
            // SAFETY: `from_stack` promises addresses up to a 0, where `at`
            // stays.
            let address = unsafe { *at };
            (address != 0).then(|| unsafe {
                // SAFETY: as above.
                at = at.add(1);
                string(address)
            })
        })
    }

    /// The auxiliary vector, key and value, without its end.
    pub fn auxv(self) -> impl Iterator<Item = (usize, usize)> {
        let mut at = self.env_start();
        // SAFETY: the vector begins behind the environment's 0, and ends with
        // a pair whose key is 0, where `at` stays.
        unsafe {
            while *at != 0 {
                at = at.add(1);
            }
            at = at.add(1);
        }
        iter::from_fn(move || {
            // SAFETY: as above.
            let [key, value] = unsafe { *at.cast::<[usize; 2]>() };
            (key != aux::NULL).then(|| {
                // SAFETY: as above.
                at = unsafe { at.add(2) };
                (key, value)
            })
        })
    }

    /// The value of a key in the auxiliary vector.
    pub fn aux(self, key: usize) -> Option<usize> {
        self.auxv().find(|pair| pair.0 == key).map(|pair| pair.1)
    }

    /// The string that a key of the auxiliary vector points at: for
    /// [`aux::PLATFORM`] and [`aux::EXECFN`] alone.
    pub fn aux_string(self, key: usize) -> Option<&'static [u8]> {
        let is_string = matches!(key, aux::PLATFORM | aux::EXECFN);
        let address = self.aux(key).filter(|&address| is_string && address != 0)?;
        // SAFETY: the kernel puts addresses of strings under these keys.
        Some(unsafe { string(address) })
    }

    /// The bytes of [`aux::RANDOM`].
    pub fn random(self) -> Option<&'static [u8; 16]> {
        let address = self.aux(aux::RANDOM).filter(|&address| address != 0)?;
        // SAFETY: the kernel puts the address of 16 bytes under this key.
        Some(unsafe { &*(address as *const [u8; 16]) })
    }

    fn env_start(self) -> *const usize {
        // SAFETY: behind the count, the addresses and their 0 comes the
        // environment.
        unsafe { self.stack.add(1 + self.argc() + 1) }
    }
}

/// The string at `address`, without its NUL.
///
/// # Safety
/// There must be one, for the rest of the program.
unsafe fn string(address: usize) -> &'static [u8] {
    // SAFETY: the caller vouches for it.
    unsafe { CStr::from_ptr(address as *const _) }.to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_the_kernel_put_on_the_stack() {
        let at = |text: &'static [u8]| text.as_ptr() as usize;
        let stack = [
            2,
            at(b"prog\0"),
            at(b"17\0"),
            0,
            at(b"A=1\0"),
            at(b"B=\0"),
            0,
            aux::PAGESZ,
            4096,
            aux::PLATFORM,
            at(b"x86_64\0"),
            aux::NULL,
            0,
        ];
        // SAFETY: the array is what `from_stack` asks for.
        let args = unsafe { Args::from_stack(stack.as_ptr()) };
        assert!(args.argv().eq([b"prog".as_slice(), b"17"]));
        assert_eq!((args.number(1), args.number(0), args.arg(2)), (Some(17), None, None));
        assert!(args.env().eq([b"A=1".as_slice(), b"B="]));
        assert_eq!((args.aux(aux::PAGESZ), args.aux(aux::RANDOM)), (Some(4096), None));
        assert_eq!(args.aux_string(aux::PLATFORM), Some(b"x86_64".as_slice()));
        assert_eq!(args.auxv().count(), 2);
    }
}

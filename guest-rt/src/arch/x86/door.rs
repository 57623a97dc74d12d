//! What the doors of i386 have in common: which register holds what, and the
//! functions that a program calls.
//!
//! Number in EAX, arguments in EBX, ECX, EDX, ESI, EDI, EBP; the result comes
//! in EAX, and no other register changes. Some of these registers are the
//! compiler's own, so each door is a function in assembly.

/// The number and the arguments, in the order in which the assembly loads them.
pub(super) type Registers = [u32; 7];

/// The result in EAX, extended by its sign, so that errors are where
/// `trapgate_uapi::errno` looks for them.
pub(super) const fn extend(eax: u32) -> u64 {
    eax.cast_signed() as u64
}

/// Defines `call` and `call0` to `call6` by the instructions `$door`, which
/// find the registers loaded and leave the stack as it was.
macro_rules! door {
    ($($door:literal),+ $(; $name:ident = sym $symbol:path)?) => {
        /// A call with all six arguments. Answers EAX as it is.
        ///
        /// # Safety
        /// The call may do whatever its number and arguments say, to memory
        /// too.
        #[inline(never)]
        pub unsafe fn call(eax: u32, arguments: [u32; 6]) -> u32 {
            let [a0, a1, a2, a3, a4, a5] = arguments;
            // SAFETY: the caller vouches for what the call does.
            unsafe { enter(&[eax, a0, a1, a2, a3, a4, a5]) }
        }

        /// Loads the registers and goes through the door.
        ///
        /// On arrival: the C ABI.
        ///
        /// ```text
        ///   +20   │ registers      │
        ///   +16   │ return address │
        ///         │ ebp            │
        ///         │ ebx            │
        ///         │ esi            │
        ///   +0    │ edi            │ ← esp at the door
        /// ```
        #[unsafe(naked)]
        unsafe extern "C" fn enter(registers: &crate::arch::x86::door::Registers) -> u32 {
            core::arch::naked_asm!(
                "push ebp",
                "push ebx",
                "push esi",
                "push edi",                // all that the C ABI wants kept
                "mov eax, [esp + 20]",
                "mov ebx, [eax + 4]",
                "mov ecx, [eax + 8]",
                "mov edx, [eax + 12]",
                "mov esi, [eax + 16]",
                "mov edi, [eax + 20]",
                "mov ebp, [eax + 24]",
                "mov eax, [eax]",          // the registers are the call's
                $($door,)+
                "pop edi",                 // eax = the result
                "pop esi",
                "pop ebx",
                "pop ebp",
                "ret",
                $($name = sym $symbol,)?
            )
        }

        $crate::arch::x86::door::calls! {
            call0(), "no argument";
            call1(a0), "one argument";
            call2(a0, a1), "two arguments";
            call3(a0, a1, a2), "three arguments";
            call4(a0, a1, a2, a3), "four arguments";
            call5(a0, a1, a2, a3, a4), "five arguments";
            call6(a0, a1, a2, a3, a4, a5), "six arguments";
        }
    };
}

/// Calls with so many arguments; those not given are zero.
macro_rules! calls {
    ($($name:ident($($argument:ident),*), $count:literal;)*) => {
        $(
            #[doc = concat!("A call with ", $count, ".")]
            ///
            /// Answers EAX extended by its sign: `trapgate_uapi::errno::from_return`
            /// tells results from errors.
            ///
            /// # Safety
            /// The call may do whatever its number and arguments say, to
            /// memory too.
            #[inline(always)]
            pub unsafe fn $name(number: u32, $($argument: u32),*) -> u64 {
                let given: &[u32] = &[$($argument),*];
                let mut arguments = [0; 6];
                for (argument, given) in arguments.iter_mut().zip(given) {
                    *argument = *given;
                }
                // SAFETY: the caller vouches for what the call does.
                let eax = unsafe { call(number, arguments) };
                $crate::arch::x86::door::extend(eax)
            }
        )*
    };
}

pub(super) use {calls, door};

//! How structures cross the boundary: as little-endian 64-bit words.
//!
//! Every structure that VMM and kernel share is made by [`wire_struct`], so
//! that its memory layout (`repr(C)`, words only, no padding) and its
//! conversion from and to words cannot disagree. The VMM needs no unsafe code
//! to read one: it copies words out of guest memory and converts those.

/// Defines a `repr(C)` structure of `u64` fields with its word conversions.
macro_rules! wire_struct {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[$field_meta:meta])* pub $field:ident : u64, )*
        }
    ) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[cfg_attr(feature = "zerocopy", derive(zerocopy::IntoBytes, zerocopy::Immutable))]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: u64, )*
        }

        impl $name {
            /// The structure's length in 64-bit words.
            pub const WORDS: usize = [$(stringify!($field)),*].len();

            /// All fields 0.
            pub const ZERO: Self = Self::from_words(&[0; Self::WORDS]);

            /// The fields in order of declaration.
            pub const fn to_words(&self) -> [u64; Self::WORDS] {
                [$(self.$field),*]
            }

            /// The inverse of [`Self::to_words`].
            pub const fn from_words(words: &[u64; Self::WORDS]) -> Self {
                let [$($field),*] = *words;
                Self { $($field),* }
            }
        }

        const _: () = assert!(core::mem::size_of::<$name>() == $name::WORDS * 8);
    };
}
pub(crate) use wire_struct;

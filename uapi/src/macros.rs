//! How the files of this crate take values from linux-raw-sys, and are held
//! against it.
//!
//! linux-raw-sys has the C headers of the target that is compiled for. So 64-bit
//! forms are compared on x86-64, and i386's when 32-bit programs are built
//! (`guest-rt`'s): each build of trapgate does both.

/// Constants under their own names, as the type in which the calls take them.
macro_rules! constants {
    ($manual:literal, $module:ident as $type:ty: $($name:ident)*) => {
        $(
            #[allow(missing_docs, reason = $manual)]
            pub const $name: $type = linux_raw_sys::$module::$name as $type;
        )*
    };
}
pub(crate) use constants;

/// A structure in a program's memory: C's layout, this many bytes, no padding but
/// what is named, and so any bytes are one. Behind `=`: its twin in linux-raw-sys,
/// and on which target that has it.
macro_rules! structure {
    (
        $(#[$meta:meta])*
        pub struct $name:ident: $size:literal = $arch:literal $module:ident::$twin:ident
        $fields:tt
    ) => {
        crate::macros::structure! { $(#[$meta])* pub struct $name: $size $fields }
        #[cfg(target_arch = $arch)]
        crate::macros::same_layout! { $name = $module::$twin $fields }
    };
    (
        $(#[$meta:meta])*
        pub struct $name:ident: $size:literal { $( pub $field:ident: $type:ty, )* }
    ) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(
            feature = "zerocopy",
            derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable)
        )]
        #[allow(missing_docs, reason = "the fields are the header's")]
        pub struct $name { $( pub $field: $type, )* }

        const _: () = assert!(size_of::<$name>() == $size);
        const _: () = assert!($size == 0 $(+ size_of::<$type>())*, "padding");
    };
}
pub(crate) use structure;

/// The size and the places of these fields are those of linux-raw-sys's structure.
macro_rules! same_layout {
    ($name:ident = $module:ident::$twin:ident { $( pub $field:ident: $type:ty, )* }) => {
        crate::macros::same_layout! { $name = $module::$twin { $($field)* } }
    };
    ($name:ident = $module:ident::$twin:ident { $($field:ident)* }) => {
        const _: () = {
            use core::mem::offset_of;
            use linux_raw_sys::$module::$twin;
            assert!(size_of::<$name>() == size_of::<$twin>());
            $( assert!(offset_of!($name, $field) == offset_of!($twin, $field)); )*
        };
    };
}
pub(crate) use same_layout;

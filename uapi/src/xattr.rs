//! linux/xattr.h.

use crate::macros::constants;

constants! { "xattr(7)", general as u32: XATTR_CREATE XATTR_REPLACE }

constants! { "xattr(7): the longest name, the largest value", general as usize:
    XATTR_NAME_MAX XATTR_SIZE_MAX
}

/// What the names begin with that belong to a file's owner.
pub const XATTR_USER_PREFIX: &[u8] = b"user.";

//! linux/falloc.h.

use crate::macros::constants;

constants! { "fallocate(2)", general as u32: FALLOC_FL_KEEP_SIZE FALLOC_FL_PUNCH_HOLE }

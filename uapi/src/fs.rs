//! linux/fs.h and linux/limits.h: where lseek(2) seeks from, how long a path is.

use crate::macros::constants;

constants! { "lseek(2)", general as u32: SEEK_SET SEEK_CUR SEEK_END SEEK_DATA SEEK_HOLE }
constants! { "path_resolution(7)", general as usize: PATH_MAX NAME_MAX }
constants! { "rename(2)", general as u32: RENAME_NOREPLACE RENAME_EXCHANGE }

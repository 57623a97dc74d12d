//! linux/random.h: flags of getrandom(2).

use crate::macros::constants;

constants! { "getrandom(2)", general as u32: GRND_NONBLOCK GRND_RANDOM GRND_INSECURE }

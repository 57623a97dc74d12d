//! linux/personality.h: what system a program believes to be on. linux-raw-sys has none
//! of it.

/// The part that is a system; the rest are single habits.
pub const PER_MASK: u32 = 0xff;
/// 32-bit Linux: uname(2) says so.
pub const PER_LINUX32: u32 = 8;
/// Programs that are started have the same addresses each time.
pub const ADDR_NO_RANDOMIZE: u32 = 0x004_0000;
/// What asks and changes nothing.
pub const PER_QUERY: u32 = u32::MAX;

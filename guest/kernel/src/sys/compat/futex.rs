//! futex(2), with either time.

use super::time::{read_if, read_time32, read_time64};
use crate::sys::define::ia32_define;
use crate::sys::futex::futex_by;
use crate::user::UserPtr;
use trapgate_uapi::time::{OldTimespec32, Timespec};

ia32_define! {
    /// futex(2) with a 32-bit time.
    fn futex_time32(
        word: UserPtr<u32>,
        operation: u32,
        value: u32,
        timeout: UserPtr<OldTimespec32>,
        _second: u64,
        bitset: u32,
    ) {
        futex_by(word, operation, value, || read_if(timeout, read_time32), bitset)
    }
}
ia32_define! {
    /// futex(2) with a 64-bit time.
    fn futex(
        word: UserPtr<u32>,
        operation: u32,
        value: u32,
        timeout: UserPtr<Timespec>,
        _second: u64,
        bitset: u32,
    ) {
        futex_by(word, operation, value, || read_if(timeout, read_time64), bitset)
    }
}

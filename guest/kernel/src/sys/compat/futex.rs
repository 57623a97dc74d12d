//! futex(2), with either time.

use super::time::{read_if, read_time32, read_time64};
use crate::sys::define::ia32_define;
use crate::sys::futex::{Arguments, futex_by};
use crate::user::UserPtr;
use trapgate_uapi::time::{OldTimespec32, Timespec};

ia32_define! {
    /// futex(2) with a 32-bit time.
    fn futex_time32(
        word: UserPtr<u32>,
        operation: u32,
        value: u32,
        timeout: UserPtr<OldTimespec32>,
        second: UserPtr<u32>,
        third: u32,
    ) {
        let arguments = Arguments { operation, value, count: timeout.address() as u32, third };
        futex_by(word, second, &arguments, || read_if(timeout, read_time32))
    }
}
ia32_define! {
    /// futex(2) with a 64-bit time.
    fn futex(
        word: UserPtr<u32>,
        operation: u32,
        value: u32,
        timeout: UserPtr<Timespec>,
        second: UserPtr<u32>,
        third: u32,
    ) {
        let arguments = Arguments { operation, value, count: timeout.address() as u32, third };
        futex_by(word, second, &arguments, || read_if(timeout, read_time64))
    }
}

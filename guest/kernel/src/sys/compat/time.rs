//! Time: the calls with a 32-bit time, and those of the time64 family that
//! read a `struct timespec`, whose upper half of `tv_nsec` is padding on i386.

use crate::clock::NSEC_PER_SEC;
use crate::process::task::current;
use crate::sys::define::{compat_define, ia32_define};
use crate::sys::time::{Timespec, check, now, sleep, sleep_by, ticks};
use crate::user::UserPtr;
use trapgate_abi::clock::RESOLUTION_NS;
use trapgate_arch::usercopy::plain_struct;
use trapgate_uapi::Errno;

plain_struct! {
    /// i386's `struct timespec` (Linux: `old_timespec32`), and its `struct
    /// timeval` with microseconds.
    pub struct Timespec32 {
        /// Seconds.
        pub seconds: i32,
        /// Nanoseconds below a second.
        pub nanoseconds: i32,
    }
}
const _: () = assert!(size_of::<Timespec32>() == 8);

impl From<Timespec32> for Timespec {
    fn from(time: Timespec32) -> Self {
        Timespec { seconds: time.seconds.into(), nanoseconds: time.nanoseconds.into() }
    }
}

/// Seconds beyond 2038 are cut off, as Linux does.
impl From<Timespec> for Timespec32 {
    fn from(time: Timespec) -> Self {
        Timespec32 { seconds: time.seconds as i32, nanoseconds: time.nanoseconds as i32 }
    }
}

/// A time with 64-bit seconds from an i386 program.
const fn without_padding(time: Timespec) -> Timespec {
    Timespec { nanoseconds: time.nanoseconds & 0xffff_ffff, ..time }
}

/// Reads a time of 32 bits.
pub(super) fn read_time32(from: UserPtr<Timespec32>) -> Result<Timespec, Errno> {
    from.read().map(Timespec::from)
}

/// Reads a time of 64 bits.
pub(super) fn read_time64(from: UserPtr<Timespec>) -> Result<Timespec, Errno> {
    from.read().map(without_padding)
}

/// Reads what may be absent.
pub(super) fn read_if<T>(
    from: UserPtr<T>,
    read: impl FnOnce(UserPtr<T>) -> Result<Timespec, Errno>,
) -> Result<Option<Timespec>, Errno> {
    if from.is_null() { Ok(None) } else { read(from).map(Some) }
}

ia32_define! {
    /// time(2)
    fn time32(seconds: UserPtr<i32>) {
        let now = (current().process.clock.realtime() / NSEC_PER_SEC) as i32;
        seconds.write_if(now)?;
        Ok(i64::from(now) as u64)
    }
}
compat_define! {
    /// gettimeofday(2): the time zone is UTC.
    fn gettimeofday(time: UserPtr<Timespec32>, zone: UserPtr<[u32; 2]>) {
        if !time.is_null() {
            let mut value = Timespec::from_ns(current().process.clock.realtime());
            value.nanoseconds /= 1000;
            time.write(value.into())?;
        }
        zone.write_if([0; 2]).map(|()| 0)
    }
}
compat_define! {
    /// times(2): all time is user time.
    fn times(buffer: UserPtr<[u32; 4]>) {
        let (user, now) = ticks();
        buffer.write_if([user as u32, 0, 0, 0])?;
        Ok(now)
    }
}
ia32_define! {
    /// clock_gettime(2)
    fn clock_gettime32(id: i32, time: UserPtr<Timespec32>) {
        time.write(Timespec::from_ns(now(id)?).into()).map(|()| 0)
    }
}
ia32_define! {
    /// clock_getres(2)
    fn clock_getres_time32(id: i32, resolution: UserPtr<Timespec32>) {
        check(id)?;
        resolution.write_if(Timespec::from_ns(RESOLUTION_NS).into()).map(|()| 0)
    }
}
ia32_define! {
    /// nanosleep(2)
    fn nanosleep_time32(duration: UserPtr<Timespec32>, _remaining: UserPtr<Timespec32>) {
        sleep(read_time32(duration)?.to_ns()?)
    }
}
ia32_define! {
    /// clock_nanosleep(2) with a 32-bit time.
    fn clock_nanosleep_time32(id: i32, flags: i32, time: UserPtr<Timespec32>) {
        sleep_by(id, flags, || read_time32(time))
    }
}
ia32_define! {
    /// clock_nanosleep(2) with a 64-bit time.
    fn clock_nanosleep(id: i32, flags: i32, time: UserPtr<Timespec>) {
        sleep_by(id, flags, || read_time64(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_32_bits_keep_their_sign() {
        let time = Timespec::from(Timespec32 { seconds: -1, nanoseconds: 5 });
        assert_eq!((time.seconds, time.nanoseconds), (-1, 5));
        assert_eq!(time.to_ns(), Err(Errno::EINVAL));
    }

    #[test]
    fn seconds_beyond_2038_are_cut() {
        let time = Timespec32::from(Timespec { seconds: 0x1_8000_0000, nanoseconds: 7 });
        assert_eq!((time.seconds, time.nanoseconds), (i32::MIN, 7));
    }

    #[test]
    fn padding_above_the_nanoseconds_does_not_matter() {
        let time = Timespec { seconds: 1, nanoseconds: 0x7fff_ffff_0000_0002 };
        assert_eq!(without_padding(time).to_ns(), Ok(1_000_000_002));
        // But its lower half may not be negative.
        let time = Timespec { seconds: 1, nanoseconds: -1 };
        assert_eq!(without_padding(time).to_ns(), Err(Errno::EINVAL));
    }
}

//! What a signal tells of itself, in the form that both widths are made from.

use core::mem::size_of;
use trapgate_uapi::siginfo::{BUS_MCEERR_AO, BUS_MCEERR_AR, SEGV_BNDERR, SEGV_PKUERR};
use trapgate_uapi::siginfo::{
    CompatSiginfo, SI_ASYNCNL, SI_DETHREAD, SI_KERNEL, SI_SIGIO, SI_TIMER, SI_USER, Siginfo,
    last_code,
};
use trapgate_uapi::signal::{SIGBUS, SIGCHLD, SIGFPE, SIGILL, SIGIO, SIGSEGV, SIGSYS, SIGTRAP};

/// Words of fields that are ever used (Linux: `kernel_siginfo`).
const FIELDS: usize = 4;

/// A signal and what is told of it. The fields are x86-64's `siginfo_t`'s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Its number.
    pub signal: u8,
    /// `si_errno`.
    pub errno: i32,
    /// `si_code`.
    pub code: i32,
    fields: [u64; FIELDS],
}

/// Which fields a signal has (Linux: `siginfo_layout`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    Kill,
    Timer,
    Poll,
    Fault,
    FaultLsb,
    FaultBounds,
    FaultKey,
    Child,
    Queue,
    Sys,
}

const fn pair(low: u32, high: u32) -> u64 {
    (high as u64) << 32 | low as u64
}

const fn low(word: u64) -> u32 {
    word as u32
}

const fn high(word: u64) -> u32 {
    (word >> 32) as u32
}

impl Info {
    /// Of a process, by kill(2) or, with `SI_TKILL`, tgkill(2).
    pub const fn of_process(signal: u8, code: i32, pid: u32, uid: u32) -> Info {
        Info { signal, errno: 0, code, fields: [pair(pid, uid), 0, 0, 0] }
    }

    /// Of the kernel.
    pub const fn of_kernel(signal: u8) -> Info {
        Info { signal, errno: 0, code: SI_KERNEL, fields: [0; FIELDS] }
    }

    /// Of one that was pending and of which nothing more is known.
    pub const fn unknown(signal: u8) -> Info {
        Info::of_process(signal, SI_USER, 0, 0)
    }

    /// Of an exception at this address.
    pub const fn of_fault(signal: u8, code: i32, address: u64) -> Info {
        Info { signal, errno: 0, code, fields: [address, 0, 0, 0] }
    }

    /// Of POSIX timer `timer`, which expired `overrun` times more.
    pub const fn of_timer(signal: u8, timer: i32, overrun: i32, value: u64) -> Info {
        let fields = [pair(timer as u32, overrun as u32), value, 0, 0];
        Info { signal, errno: 0, code: SI_TIMER, fields }
    }

    /// As a process made it up (rt_sigqueueinfo(2)); `None` if there is something in
    /// fields that no signal of this kind has.
    pub fn from_user(signal: u8, info: &Siginfo) -> Option<Info> {
        let (known, rest) = info.fields.split_at(FIELDS);
        let fields = [known[0], known[1], known[2], known[3]];
        let info = Info { signal, errno: info.si_errno, code: info.si_code, fields };
        (info.has_known_layout() || rest.iter().all(|&word| word == 0)).then_some(info)
    }

    /// The same of i386's.
    pub fn from_compat(signal: u8, info: &CompatSiginfo) -> Info {
        let (errno, code, from) = (info.si_errno, info.si_code, &info.fields);
        let sign = |word: u32| word as i32 as u64;
        let fields = match layout(signal, code) {
            Layout::Kill => [pair(from[0], from[1]), 0, 0, 0],
            Layout::Timer | Layout::Queue => [pair(from[0], from[1]), from[2].into(), 0, 0],
            Layout::Poll => [sign(from[0]), from[1].into(), 0, 0],
            Layout::Fault => [from[0].into(), 0, 0, 0],
            Layout::FaultLsb => [from[0].into(), u64::from(from[1] as u16), 0, 0],
            Layout::FaultBounds => [from[0].into(), 0, from[2].into(), from[3].into()],
            Layout::FaultKey => [from[0].into(), 0, from[2].into(), 0],
            Layout::Child => {
                let status = pair(from[2], 0);
                [pair(from[0], from[1]), status, sign(from[3]), sign(from[4])]
            }
            Layout::Sys => [from[0].into(), pair(from[1], from[2]), 0, 0],
        };
        Info { signal, errno, code, fields }
    }

    /// `si_pid`, of those that have one.
    #[cfg(test)]
    pub const fn pid(&self) -> u32 {
        low(self.fields[0])
    }

    /// `si_uid`, of those that have one.
    #[cfg(test)]
    pub const fn uid(&self) -> u32 {
        high(self.fields[0])
    }

    /// `si_value`, of those that have one.
    #[cfg(test)]
    pub const fn value(&self) -> u64 {
        self.fields[1]
    }

    /// `si_timerid`, if it is a timer's.
    pub const fn timer(&self) -> Option<i32> {
        match self.code {
            SI_TIMER => Some(low(self.fields[0]) as i32),
            _ => None,
        }
    }

    /// The same with `si_overrun`.
    #[must_use]
    pub const fn with_overrun(mut self, overrun: i32) -> Info {
        self.fields[0] = pair(low(self.fields[0]), overrun as u32);
        self
    }

    /// As a program of x86-64 finds it.
    pub const fn native(&self) -> Siginfo {
        let mut fields = [0; 14];
        let mut index = 0;
        while index < FIELDS {
            fields[index] = self.fields[index];
            index += 1;
        }
        let (si_errno, si_code) = (self.errno, self.code);
        Siginfo { si_signo: self.signal as i32, si_errno, si_code, __pad: 0, fields }
    }

    /// As a program of i386 finds it.
    pub fn compat(&self) -> CompatSiginfo {
        let mut fields = [0; 29];
        let [first, second, third, fourth] = self.fields;
        let words: &[u32] = match layout(self.signal, self.code) {
            Layout::Kill => &[low(first), high(first)],
            Layout::Timer | Layout::Queue => &[low(first), high(first), low(second)],
            Layout::Poll | Layout::FaultLsb => &[low(first), low(second)],
            Layout::Fault => &[low(first)],
            Layout::FaultBounds => &[low(first), 0, low(third), low(fourth)],
            Layout::FaultKey => &[low(first), 0, low(third)],
            Layout::Child => &[low(first), high(first), low(second), low(third), low(fourth)],
            Layout::Sys => &[low(first), low(second), high(second)],
        };
        fields[..words.len()].copy_from_slice(words);
        let (si_errno, si_code) = (self.errno, self.code);
        CompatSiginfo { si_signo: self.signal.into(), si_errno, si_code, fields }
    }

    /// Whether signal and code say which fields there are (Linux: `known_siginfo_layout`).
    fn has_known_layout(&self) -> bool {
        match self.code {
            SI_ASYNCNL | SI_KERNEL | SI_DETHREAD..=SI_USER => true,
            1..SI_KERNEL => self.code <= last_code(self.signal).unwrap_or(last_code::POLL),
            _ => false,
        }
    }
}

fn layout(signal: u8, code: i32) -> Layout {
    match code {
        SI_TIMER => Layout::Timer,
        SI_SIGIO => Layout::Poll,
        // Those of users and of who sends by tkill(2).
        ..0 => Layout::Queue,
        SI_USER | SI_KERNEL.. => Layout::Kill,
        _ => layout_of_kernel(signal, code),
    }
}

/// Of a signal that the kernel has sent for a reason.
fn layout_of_kernel(signal: u8, code: i32) -> Layout {
    let is_its_own = last_code(signal).is_some_and(|last| code <= last);
    match signal {
        _ if !is_its_own && code <= last_code::POLL => Layout::Poll,
        _ if !is_its_own => Layout::Kill,
        SIGBUS if matches!(code, BUS_MCEERR_AR | BUS_MCEERR_AO) => Layout::FaultLsb,
        SIGSEGV if code == SEGV_BNDERR => Layout::FaultBounds,
        SIGSEGV if code == SEGV_PKUERR => Layout::FaultKey,
        SIGCHLD => Layout::Child,
        SIGIO => Layout::Poll,
        SIGSYS => Layout::Sys,
        _ => Layout::Fault,
    }
}

/// The last code of a signal that has codes of its own.
const fn last_code(signal: u8) -> Option<i32> {
    Some(match signal {
        SIGILL => last_code::ILL,
        SIGFPE => last_code::FPE,
        SIGSEGV => last_code::SEGV,
        SIGBUS => last_code::BUS,
        SIGTRAP => last_code::TRAP,
        SIGCHLD => last_code::CHLD,
        SIGIO => last_code::POLL,
        SIGSYS => last_code::SYS,
        _ => return None,
    })
}

const _: () = assert!(size_of::<Info>() == 48);

#[cfg(test)]
mod tests {
    use super::*;
    use trapgate_uapi::siginfo::{SEGV_MAPERR, SI_QUEUE, SI_TKILL};
    use trapgate_uapi::signal::{SIGTERM, SIGUSR1};

    #[test]
    fn each_width_finds_its_fields() {
        let sent = Info::of_process(SIGTERM, SI_USER, 7, 1000);
        assert_eq!(sent.native().fields[0], 1000 << 32 | 7);
        assert_eq!(sent.compat().fields[..2], [7, 1000]);
        let fault = Info::of_fault(SIGSEGV, SEGV_MAPERR, 0xffff_e123);
        assert_eq!(fault.native().fields[0], 0xffff_e123);
        assert_eq!(fault.compat().fields[..2], [0xffff_e123, 0]);
        let timer = Info::of_timer(SIGUSR1, 3, 5, 0x1_0000_0002);
        assert_eq!(timer.native().fields[..2], [5 << 32 | 3, 0x1_0000_0002]);
        assert_eq!(timer.compat().fields[..3], [3, 5, 2]);
    }

    #[test]
    fn what_a_program_made_up_comes_through_at_both_widths() {
        let mut made = Info::unknown(SIGUSR1).native();
        (made.si_code, made.fields[0], made.fields[1]) = (SI_QUEUE, 9 << 32 | 8, 0xdead);
        let info = Info::from_user(SIGUSR1, &made).unwrap();
        assert_eq!((info.pid(), info.uid(), info.value()), (8, 9, 0xdead));
        assert_eq!(Info::from_compat(SIGUSR1, &info.compat()), info);
        // Of an unknown kind nothing may be behind what is kept.
        (made.si_code, made.fields[7]) = (SI_TKILL, 1);
        assert!(Info::from_user(SIGUSR1, &made).is_some());
        made.si_code = SI_TKILL - 20;
        assert!(Info::from_user(SIGUSR1, &made).is_none());
        made.fields[7] = 0;
        assert!(Info::from_user(SIGUSR1, &made).is_some());
    }
}

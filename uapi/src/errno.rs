//! Linux's error numbers, and how a result travels in RAX.
//!
//! Kernel handlers return `Result<u64, Errno>`; dispatch alone turns that into
//! the negative number ([`to_return`]). Ring-3 wrappers turn it back
//! ([`from_return`]). The VMM's services answer with the same type. Calls
//! nothing.

use core::fmt;

/// The largest error number. The last 4095 values of RAX are errors, so no
/// successful result may lie there.
pub const MAX_ERRNO: u64 = 4095;

/// An error number, positive, from 1 to [`MAX_ERRNO`].
///
/// It holds 64 bits although 12 would do: `Result<u64, Errno>` is then two words
/// of the same size, which functions return in two registers (RAX and RDX)
/// rather than through memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Errno(u64);

/// Each error is written once, below; constants, names and texts come from it.
macro_rules! errnos {
    (
        named { $($name:ident = $number:literal, $text:literal;)* }
        aliases { $($alias:ident = $same:ident;)* }
    ) => {
        impl Errno {
            $(
                #[doc = concat!($number, ": ", $text, ".")]
                pub const $name: Errno = Errno($number);
            )*
            $(
                #[doc = concat!("The same number as `", stringify!($same), "`.")]
                pub const $alias: Errno = Errno::$same;
            )*

            /// The name, such as `"EFAULT"`; `"unnamed"` for a number that Linux
            /// has no name for.
            pub const fn name(self) -> &'static str {
                match self.0 {
                    $($number => stringify!($name),)*
                    _ => "unnamed",
                }
            }

            /// What it means, in a few words.
            const fn text(self) -> &'static str {
                match self.0 {
                    $($number => $text,)*
                    _ => "an error number without a name",
                }
            }

            /// The error of that name, aliases included.
            pub fn from_name(name: &str) -> Option<Errno> {
                match name {
                    $(stringify!($name) => Some(Errno::$name),)*
                    $(stringify!($alias) => Some(Errno::$alias),)*
                    _ => None,
                }
            }
        }

        #[cfg(test)]
        const NAMED: &[Errno] = &[$(Errno::$name),*];
    };
}

// 41 and 58 are free: their names became the aliases.
errnos! {
    named {
        EPERM = 1, "not permitted";
        ENOENT = 2, "no such file or directory";
        ESRCH = 3, "no such process";
        EINTR = 4, "interrupted by a signal";
        EIO = 5, "input or output failed";
        ENXIO = 6, "no such device or address";
        E2BIG = 7, "arguments too long";
        ENOEXEC = 8, "not a format that can be executed";
        EBADF = 9, "bad file descriptor";
        ECHILD = 10, "no child to wait for";
        EAGAIN = 11, "not now, try again";
        ENOMEM = 12, "out of memory";
        EACCES = 13, "access denied";
        EFAULT = 14, "bad address";
        ENOTBLK = 15, "not a block device";
        EBUSY = 16, "busy";
        EEXIST = 17, "exists already";
        EXDEV = 18, "on another file system";
        ENODEV = 19, "no such device";
        ENOTDIR = 20, "not a directory";
        EISDIR = 21, "is a directory";
        EINVAL = 22, "invalid argument";
        ENFILE = 23, "too many open files in the system";
        EMFILE = 24, "too many open files in the process";
        ENOTTY = 25, "not a terminal, or no such control request";
        ETXTBSY = 26, "program file in use";
        EFBIG = 27, "file too large";
        ENOSPC = 28, "no space left";
        ESPIPE = 29, "cannot seek here";
        EROFS = 30, "read-only file system";
        EMLINK = 31, "too many links";
        EPIPE = 32, "nobody reads the pipe";
        EDOM = 33, "argument outside the function's domain";
        ERANGE = 34, "result out of range";
        EDEADLK = 35, "would deadlock";
        ENAMETOOLONG = 36, "name too long";
        ENOLCK = 37, "no locks left";
        ENOSYS = 38, "no such system call";
        ENOTEMPTY = 39, "directory not empty";
        ELOOP = 40, "too many symbolic links";
        ENOMSG = 42, "no message of that type";
        EIDRM = 43, "identifier removed";
        ECHRNG = 44, "channel number out of range";
        EL2NSYNC = 45, "level 2 out of step";
        EL3HLT = 46, "level 3 halted";
        EL3RST = 47, "level 3 reset";
        ELNRNG = 48, "link number out of range";
        EUNATCH = 49, "protocol driver not attached";
        ENOCSI = 50, "no CSI structure";
        EL2HLT = 51, "level 2 halted";
        EBADE = 52, "invalid exchange";
        EBADR = 53, "invalid request descriptor";
        EXFULL = 54, "exchange full";
        ENOANO = 55, "no anode";
        EBADRQC = 56, "invalid request code";
        EBADSLT = 57, "invalid slot";
        EBFONT = 59, "bad font file";
        ENOSTR = 60, "not a stream";
        ENODATA = 61, "no data";
        ETIME = 62, "timer expired";
        ENOSR = 63, "no stream resources left";
        ENONET = 64, "not on a network";
        ENOPKG = 65, "package not installed";
        EREMOTE = 66, "object is remote";
        ENOLINK = 67, "link severed";
        EADV = 68, "advertise failed";
        ESRMNT = 69, "remote mount failed";
        ECOMM = 70, "sending failed";
        EPROTO = 71, "protocol broken";
        EMULTIHOP = 72, "multihop attempted";
        EDOTDOT = 73, "remote file sharing failed";
        EBADMSG = 74, "bad message";
        EOVERFLOW = 75, "value too large for its type";
        ENOTUNIQ = 76, "name not unique on the network";
        EBADFD = 77, "file descriptor in a bad state";
        EREMCHG = 78, "remote address changed";
        ELIBACC = 79, "shared library out of reach";
        ELIBBAD = 80, "shared library damaged";
        ELIBSCN = 81, "bad library section in a program";
        ELIBMAX = 82, "too many shared libraries";
        ELIBEXEC = 83, "shared library cannot be executed";
        EILSEQ = 84, "invalid byte sequence";
        ERESTART = 85, "call must be restarted";
        ESTRPIPE = 86, "stream pipe failed";
        EUSERS = 87, "too many users";
        ENOTSOCK = 88, "not a socket";
        EDESTADDRREQ = 89, "destination address missing";
        EMSGSIZE = 90, "message too long";
        EPROTOTYPE = 91, "wrong protocol for this socket";
        ENOPROTOOPT = 92, "no such protocol option";
        EPROTONOSUPPORT = 93, "protocol not supported";
        ESOCKTNOSUPPORT = 94, "socket type not supported";
        EOPNOTSUPP = 95, "operation not supported";
        EPFNOSUPPORT = 96, "protocol family not supported";
        EAFNOSUPPORT = 97, "address family not supported";
        EADDRINUSE = 98, "address in use";
        EADDRNOTAVAIL = 99, "address not available";
        ENETDOWN = 100, "network down";
        ENETUNREACH = 101, "network unreachable";
        ENETRESET = 102, "connection lost by a network reset";
        ECONNABORTED = 103, "connection aborted";
        ECONNRESET = 104, "connection reset by the peer";
        ENOBUFS = 105, "no buffer space left";
        EISCONN = 106, "connected already";
        ENOTCONN = 107, "not connected";
        ESHUTDOWN = 108, "socket was shut down";
        ETOOMANYREFS = 109, "too many references";
        ETIMEDOUT = 110, "timed out";
        ECONNREFUSED = 111, "connection refused";
        EHOSTDOWN = 112, "host down";
        EHOSTUNREACH = 113, "host unreachable";
        EALREADY = 114, "in progress already";
        EINPROGRESS = 115, "now in progress";
        ESTALE = 116, "stale file handle";
        EUCLEAN = 117, "file system needs cleaning";
        ENOTNAM = 118, "not a XENIX named file";
        ENAVAIL = 119, "no XENIX semaphores";
        EISNAM = 120, "is a XENIX named file";
        EREMOTEIO = 121, "remote input or output failed";
        EDQUOT = 122, "quota exceeded";
        ENOMEDIUM = 123, "no medium";
        EMEDIUMTYPE = 124, "wrong type of medium";
        ECANCELED = 125, "cancelled";
        ENOKEY = 126, "required key missing";
        EKEYEXPIRED = 127, "key expired";
        EKEYREVOKED = 128, "key revoked";
        EKEYREJECTED = 129, "key rejected";
        EOWNERDEAD = 130, "owner died";
        ENOTRECOVERABLE = 131, "state cannot be recovered";
        ERFKILL = 132, "switched off by RF-kill";
        EHWPOISON = 133, "memory page is broken";
    }
    aliases {
        EWOULDBLOCK = EAGAIN;
        EDEADLOCK = EDEADLK;
    }
}

impl Errno {
    /// The error of that number, named or not; `None` if it is 0 or larger than
    /// [`MAX_ERRNO`].
    pub const fn new(number: u16) -> Option<Errno> {
        match number as u64 {
            number @ 1..=MAX_ERRNO => Some(Errno(number)),
            _ => None,
        }
    }

    /// The number, positive.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// `EFAULT (bad address)`; an unnamed one shows its number.
impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            "unnamed" => write!(f, "errno {} ({})", self.0, self.text()),
            name => write!(f, "{name} ({})", self.text()),
        }
    }
}

impl core::error::Error for Errno {}

/// Whether a 64-bit result is an error: -4095 to -1. A result that a 32-bit
/// program finds in EAX must be sign-extended first.
#[inline]
pub const fn is_error(ret: u64) -> bool {
    ret >= MAX_ERRNO.wrapping_neg()
}

/// Reads a result as a program finds it in RAX.
#[inline]
pub const fn from_return(ret: u64) -> Result<u64, Errno> {
    if is_error(ret) { Err(Errno(ret.wrapping_neg())) } else { Ok(ret) }
}

/// Makes a result what a program finds in RAX.
#[inline]
pub const fn to_return(result: Result<u64, Errno>) -> u64 {
    match result {
        Ok(value) => value,
        Err(errno) => errno.0.wrapping_neg(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    // The two registers of Errno's description.
    const _: () = assert!(size_of::<Result<u64, Errno>>() == 16);

    #[test]
    fn numbers_are_linux_s() {
        for (errno, number) in [
            (Errno::EPERM, 1),
            (Errno::EAGAIN, 11),
            (Errno::EFAULT, 14),
            (Errno::ERANGE, 34),
            (Errno::ENOSYS, 38),
            (Errno::ELOOP, 40),
            (Errno::ENOMSG, 42),
            (Errno::EBADSLT, 57),
            (Errno::EBFONT, 59),
            (Errno::EOVERFLOW, 75),
            (Errno::EILSEQ, 84),
            (Errno::EOPNOTSUPP, 95),
            (Errno::ETIMEDOUT, 110),
            (Errno::EHWPOISON, 133),
        ] {
            assert_eq!(errno.number(), number, "{errno}");
        }
    }

    #[test]
    fn every_number_up_to_133_is_named_but_41_and_58() {
        let named = NAMED.iter().map(|errno| errno.number());
        let expected = (1..=133).filter(|n| ![41, 58].contains(n));
        assert!(named.eq(expected));
    }

    #[test]
    fn names_lead_back_to_their_error() {
        for &errno in NAMED {
            assert_eq!(Errno::from_name(errno.name()), Some(errno));
        }
        assert_eq!(Errno::from_name("EWOULDBLOCK"), Some(Errno::EAGAIN));
        assert_eq!(Errno::EWOULDBLOCK.name(), "EAGAIN");
        assert_eq!(Errno::EDEADLOCK, Errno::EDEADLK);
        for name in ["", "efault", "EFAULT ", "unnamed"] {
            assert_eq!(Errno::from_name(name), None, "{name:?}");
        }
    }

    #[test]
    fn new_takes_1_to_4095() {
        assert_eq!(Errno::new(0), None);
        assert_eq!(Errno::new(14), Some(Errno::EFAULT));
        assert_eq!(Errno::new(4095).unwrap().number(), MAX_ERRNO);
        assert_eq!(Errno::new(4096), None);
        assert_eq!(Errno::new(u16::MAX), None);
    }

    #[test]
    fn shows_name_and_meaning() {
        assert_eq!(Errno::EFAULT.to_string(), "EFAULT (bad address)");
        assert_eq!(
            Errno::new(512).unwrap().to_string(),
            "errno 512 (an error number without a name)"
        );
    }

    #[test]
    fn only_the_last_4095_results_are_errors() {
        assert!(!is_error(0));
        assert!(!is_error(0xffff_fff2)); // EFAULT in EAX, not yet sign-extended
        assert!(!is_error(i64::MIN as u64));
        assert!(!is_error(-4096_i64 as u64));
        assert!(is_error(-4095_i64 as u64));
        assert!(is_error(-1_i64 as u64));
    }

    #[test]
    fn results_survive_the_way_through_rax() {
        for result in [
            Ok(0),
            Ok(4096),
            Ok(-4096_i64 as u64),
            Err(Errno::EPERM),
            Err(Errno::EFAULT),
            Err(Errno(MAX_ERRNO)),
        ] {
            assert_eq!(from_return(to_return(result)), result);
        }
        assert_eq!(to_return(Err(Errno::ENOSYS)), -38_i64 as u64);
    }
}

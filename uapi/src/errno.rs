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

            /// What it means, as perror(3) says it.
            pub const fn text(self) -> &'static str {
                match self.0 {
                    $($number => $text,)*
                    _ => "Unknown error",
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

// 41 and 58 are free: their names became the aliases. Those from 512 on are what a call
// says to the way back to ring 3; no program sees them, but who traces does.
errnos! {
    named {
        EPERM = 1, "Operation not permitted";
        ENOENT = 2, "No such file or directory";
        ESRCH = 3, "No such process";
        EINTR = 4, "Interrupted system call";
        EIO = 5, "Input/output error";
        ENXIO = 6, "No such device or address";
        E2BIG = 7, "Argument list too long";
        ENOEXEC = 8, "Exec format error";
        EBADF = 9, "Bad file descriptor";
        ECHILD = 10, "No child processes";
        EAGAIN = 11, "Resource temporarily unavailable";
        ENOMEM = 12, "Cannot allocate memory";
        EACCES = 13, "Permission denied";
        EFAULT = 14, "Bad address";
        ENOTBLK = 15, "Block device required";
        EBUSY = 16, "Device or resource busy";
        EEXIST = 17, "File exists";
        EXDEV = 18, "Invalid cross-device link";
        ENODEV = 19, "No such device";
        ENOTDIR = 20, "Not a directory";
        EISDIR = 21, "Is a directory";
        EINVAL = 22, "Invalid argument";
        ENFILE = 23, "Too many open files in system";
        EMFILE = 24, "Too many open files";
        ENOTTY = 25, "Inappropriate ioctl for device";
        ETXTBSY = 26, "Text file busy";
        EFBIG = 27, "File too large";
        ENOSPC = 28, "No space left on device";
        ESPIPE = 29, "Illegal seek";
        EROFS = 30, "Read-only file system";
        EMLINK = 31, "Too many links";
        EPIPE = 32, "Broken pipe";
        EDOM = 33, "Numerical argument out of domain";
        ERANGE = 34, "Numerical result out of range";
        EDEADLK = 35, "Resource deadlock avoided";
        ENAMETOOLONG = 36, "File name too long";
        ENOLCK = 37, "No locks available";
        ENOSYS = 38, "Function not implemented";
        ENOTEMPTY = 39, "Directory not empty";
        ELOOP = 40, "Too many levels of symbolic links";
        ENOMSG = 42, "No message of desired type";
        EIDRM = 43, "Identifier removed";
        ECHRNG = 44, "Channel number out of range";
        EL2NSYNC = 45, "Level 2 not synchronized";
        EL3HLT = 46, "Level 3 halted";
        EL3RST = 47, "Level 3 reset";
        ELNRNG = 48, "Link number out of range";
        EUNATCH = 49, "Protocol driver not attached";
        ENOCSI = 50, "No CSI structure available";
        EL2HLT = 51, "Level 2 halted";
        EBADE = 52, "Invalid exchange";
        EBADR = 53, "Invalid request descriptor";
        EXFULL = 54, "Exchange full";
        ENOANO = 55, "No anode";
        EBADRQC = 56, "Invalid request code";
        EBADSLT = 57, "Invalid slot";
        EBFONT = 59, "Bad font file format";
        ENOSTR = 60, "Device not a stream";
        ENODATA = 61, "No data available";
        ETIME = 62, "Timer expired";
        ENOSR = 63, "Out of streams resources";
        ENONET = 64, "Machine is not on the network";
        ENOPKG = 65, "Package not installed";
        EREMOTE = 66, "Object is remote";
        ENOLINK = 67, "Link has been severed";
        EADV = 68, "Advertise error";
        ESRMNT = 69, "Srmount error";
        ECOMM = 70, "Communication error on send";
        EPROTO = 71, "Protocol error";
        EMULTIHOP = 72, "Multihop attempted";
        EDOTDOT = 73, "RFS specific error";
        EBADMSG = 74, "Bad message";
        EOVERFLOW = 75, "Value too large for defined data type";
        ENOTUNIQ = 76, "Name not unique on network";
        EBADFD = 77, "File descriptor in bad state";
        EREMCHG = 78, "Remote address changed";
        ELIBACC = 79, "Can not access a needed shared library";
        ELIBBAD = 80, "Accessing a corrupted shared library";
        ELIBSCN = 81, ".lib section in a.out corrupted";
        ELIBMAX = 82, "Attempting to link in too many shared libraries";
        ELIBEXEC = 83, "Cannot exec a shared library directly";
        EILSEQ = 84, "Invalid or incomplete multibyte or wide character";
        ERESTART = 85, "Interrupted system call should be restarted";
        ESTRPIPE = 86, "Streams pipe error";
        EUSERS = 87, "Too many users";
        ENOTSOCK = 88, "Socket operation on non-socket";
        EDESTADDRREQ = 89, "Destination address required";
        EMSGSIZE = 90, "Message too long";
        EPROTOTYPE = 91, "Protocol wrong type for socket";
        ENOPROTOOPT = 92, "Protocol not available";
        EPROTONOSUPPORT = 93, "Protocol not supported";
        ESOCKTNOSUPPORT = 94, "Socket type not supported";
        EOPNOTSUPP = 95, "Operation not supported";
        EPFNOSUPPORT = 96, "Protocol family not supported";
        EAFNOSUPPORT = 97, "Address family not supported by protocol";
        EADDRINUSE = 98, "Address already in use";
        EADDRNOTAVAIL = 99, "Cannot assign requested address";
        ENETDOWN = 100, "Network is down";
        ENETUNREACH = 101, "Network is unreachable";
        ENETRESET = 102, "Network dropped connection on reset";
        ECONNABORTED = 103, "Software caused connection abort";
        ECONNRESET = 104, "Connection reset by peer";
        ENOBUFS = 105, "No buffer space available";
        EISCONN = 106, "Transport endpoint is already connected";
        ENOTCONN = 107, "Transport endpoint is not connected";
        ESHUTDOWN = 108, "Cannot send after transport endpoint shutdown";
        ETOOMANYREFS = 109, "Too many references: cannot splice";
        ETIMEDOUT = 110, "Connection timed out";
        ECONNREFUSED = 111, "Connection refused";
        EHOSTDOWN = 112, "Host is down";
        EHOSTUNREACH = 113, "No route to host";
        EALREADY = 114, "Operation already in progress";
        EINPROGRESS = 115, "Operation now in progress";
        ESTALE = 116, "Stale file handle";
        EUCLEAN = 117, "Structure needs cleaning";
        ENOTNAM = 118, "Not a XENIX named type file";
        ENAVAIL = 119, "No XENIX semaphores available";
        EISNAM = 120, "Is a named type file";
        EREMOTEIO = 121, "Remote I/O error";
        EDQUOT = 122, "Disk quota exceeded";
        ENOMEDIUM = 123, "No medium found";
        EMEDIUMTYPE = 124, "Wrong medium type";
        ECANCELED = 125, "Operation canceled";
        ENOKEY = 126, "Required key not available";
        EKEYEXPIRED = 127, "Key has expired";
        EKEYREVOKED = 128, "Key has been revoked";
        EKEYREJECTED = 129, "Key was rejected by service";
        EOWNERDEAD = 130, "Owner died";
        ENOTRECOVERABLE = 131, "State not recoverable";
        ERFKILL = 132, "Operation not possible due to RF-kill";
        EHWPOISON = 133, "Memory page has hardware error";
        ERESTARTSYS = 512, "Interrupted, and made again unless a handler does without";
        ERESTARTNOINTR = 513, "Interrupted, and made again";
        ERESTARTNOHAND = 514, "Interrupted, and made again if there is no handler";
        ERESTART_RESTARTBLOCK = 516, "Interrupted, and gone on with by restart_syscall(2)";
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

/// `EFAULT (Bad address)`; an unnamed one shows its number.
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
    fn every_number_up_to_133_is_named_but_41_and_58_and_four_that_programs_do_not_see() {
        let named = NAMED.iter().map(|errno| errno.number());
        let expected = (1..=133).filter(|n| ![41, 58].contains(n));
        let expected = expected.chain([512, 513, 514, 516]);
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
        assert_eq!(Errno::EFAULT.to_string(), "EFAULT (Bad address)");
        assert_eq!(Errno::new(515).unwrap().to_string(), "errno 515 (Unknown error)");
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

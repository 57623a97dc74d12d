//! One call in words, as strace(1) writes them: the name, the arguments, the
//! result. Pure. Arguments are numbers here; who knows what they mean says it here.

use std::fmt::{self, Display, Formatter};
use trapgate_abi::trace::{Entry, Exit, MAX_ARGUMENTS};
use trapgate_uapi::Errno;
use trapgate_uapi::errno::from_return;
use trapgate_uapi::syscall::{Abi, Row, X32_BIT};

/// A call's name.
pub(super) struct Name(pub(super) Abi, pub(super) u64);

impl Name {
    /// Its row in its table.
    fn row(&self) -> Option<&'static Row> {
        let number = match self.0 {
            Abi::X32 => self.1 as u32 & !X32_BIT,
            _ => self.1 as u32,
        };
        self.0.row(number)
    }

    /// The name in its table.
    pub(super) fn known(&self) -> Option<&'static str> {
        self.row().map(|row| row.name)
    }
}

impl Display for Name {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.known() {
            Some(name) => f.write_str(name),
            // In RAX's width, without what a negative number has in front.
            None => write!(f, "syscall_{:#x}", self.1 as u32),
        }
    }
}

/// A call up to its last argument, the parenthesis open.
pub(super) struct Begun<'a>(pub(super) &'a Entry);

impl Display for Begun<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Begun(entry) = self;
        let name = Name(entry.abi, entry.number);
        write!(f, "{name}(")?;
        // Of a call that nobody knows, whatever it may have meant.
        let count = name.row().map_or(MAX_ARGUMENTS, |row| row.arguments.into());
        for (index, argument) in entry.arguments.iter().take(count).enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{argument:#x}")?;
        }
        Ok(())
    }
}

/// What a call came to.
pub(super) struct Answer<'a>(pub(super) &'a Exit);

impl Display for Answer<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Answer(exit) = self;
        let value = match from_return(exit.result) {
            Err(errno) => return error(f, errno),
            // EAX is all that 32-bit code sees.
            Ok(value) if exit.abi == Abi::I386 => value & u64::from(u32::MAX),
            Ok(value) => value,
        };
        match Name(exit.abi, exit.number).known() {
            Some(name) if is_address(name) => write!(f, "{value:#x}"),
            _ if exit.abi == Abi::I386 => write!(f, "{}", value as i32),
            _ => write!(f, "{}", value.cast_signed()),
        }
    }
}

fn error(f: &mut Formatter<'_>, errno: Errno) -> fmt::Result {
    if let Some((name, meaning)) = restart(errno.number()) {
        // The program does not see it: the call is made again, or is EINTR.
        return write!(f, "? {name} ({meaning})");
    }
    match errno.name() {
        "unnamed" => write!(f, "-1 (errno {})", errno.number()),
        _ => write!(f, "-1 {errno}"),
    }
}

/// Whether the call answers an address.
fn is_address(name: &str) -> bool {
    matches!(name, "brk" | "mmap" | "mmap2" | "mremap" | "shmat")
}

/// What Linux's own numbers for interrupted calls are called (include/linux/errno.h).
fn restart(number: u64) -> Option<(&'static str, &'static str)> {
    Some(match number {
        512 => ("ERESTARTSYS", "To be restarted if SA_RESTART is set"),
        513 => ("ERESTARTNOINTR", "To be restarted"),
        514 => ("ERESTARTNOHAND", "To be restarted if no handler"),
        516 => ("ERESTART_RESTARTBLOCK", "Interrupted by signal"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use trapgate_abi::trace::{Door, RecordId, Way};

    fn begun(abi: Abi, number: u64) -> String {
        let arguments = [1, 0x7ffe_0000_1000, 5, 0, u64::MAX, 6];
        let way = Way::native(Door::Syscall64);
        Begun(&Entry { way, abi, number, arguments, ip: 0, sp: 0 }).to_string()
    }

    fn answer(abi: Abi, number: u64, result: u64) -> String {
        Answer(&Exit { entry: RecordId(0), abi, number, result }).to_string()
    }

    #[test]
    fn a_call_has_the_name_of_its_table_and_as_many_arguments_as_it_has() {
        assert_eq!(begun(Abi::X86_64, 1), "write(0x1, 0x7ffe00001000, 0x5");
        assert_eq!(begun(Abi::X86_64, 39), "getpid(");
        assert_eq!(begun(Abi::I386, 90), "mmap(0x1");
        assert_eq!(begun(Abi::X32, 0x4000_0000), "read(0x1, 0x7ffe00001000, 0x5");
        assert_eq!(begun(Abi::X32, 0x4000_0202), "ioctl(0x1, 0x7ffe00001000, 0x5");
        let all = "(0x1, 0x7ffe00001000, 0x5, 0x0, 0xffffffffffffffff, 0x6";
        assert_eq!(begun(Abi::X86_64, 9), format!("mmap{all}"));
        assert_eq!(begun(Abi::X86_64, 500), format!("syscall_0x1f4{all}"));
        assert_eq!(begun(Abi::X86_64, u64::MAX), format!("syscall_0xffffffff{all}"));
        assert_eq!(begun(Abi::X32, 0x4fff_ffff), format!("syscall_0x4fffffff{all}"));
    }

    #[test]
    fn a_result_is_a_number_an_address_or_an_error_as_strace_writes_it() {
        assert_eq!(answer(Abi::X86_64, 0, 5), "5");
        assert_eq!(answer(Abi::X86_64, 9, 0x7fff_f7fc_1000), "0x7ffff7fc1000");
        assert_eq!(answer(Abi::X86_64, 12, 0x6c_4000), "0x6c4000");
        assert_eq!(answer(Abi::I386, 192, 0xf7fc_1000), "0xf7fc1000");
        assert_eq!(answer(Abi::X86_64, 2, -2_i64 as u64), "-1 ENOENT (No such file or directory)");
        let enosys = "-1 ENOSYS (Function not implemented)";
        assert_eq!(answer(Abi::I386, 5000, -38_i64 as u64), enosys);
        assert_eq!(answer(Abi::X86_64, 0, -4000_i64 as u64), "-1 (errno 4000)");
        let restarts = "? ERESTARTSYS (To be restarted if SA_RESTART is set)";
        assert_eq!(answer(Abi::X86_64, 0, -512_i64 as u64), restarts);
        // What 32-bit code finds in EAX.
        assert_eq!(answer(Abi::I386, 96, 0xffff_ffff_0000_0007), "7");
        assert_eq!(answer(Abi::I386, 19, 0x8000_0000), "-2147483648");
    }
}

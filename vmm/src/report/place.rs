//! Where a program was when somebody ended it from outside.

use super::Crash;
use std::fmt;
use trapgate_abi::PtRegs;
use trapgate_abi::crash::{Fault, NO_VECTOR, call};
use trapgate_uapi::syscall::Abi;

/// Where a program was: the guest's claim, as a [`Crash`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The program's next instruction.
    pub rip: u64,
    /// The function there, if the program has symbols.
    pub location: Option<String>,
    /// What it did.
    pub doing: Doing,
}

/// What a program did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doing {
    /// It computed.
    Computing,
    /// It waited in a system call.
    Waiting {
        /// The call's number.
        number: u32,
        /// Whether that is i386's number.
        compat: bool,
    },
}

impl Doing {
    /// The call's name, if it is one that Linux has.
    pub fn call(&self) -> Option<&'static str> {
        let Doing::Waiting { number, compat } = *self else { return None };
        if compat { Abi::I386.name(number) } else { Abi::X86_64.name(number) }
    }
}

impl Place {
    /// Of a program in ring 3.
    pub(crate) fn computing(regs: &PtRegs, location: Option<String>) -> Place {
        Place { rip: regs.rip, location, doing: Doing::Computing }
    }

    /// Of one that a signal from outside has ended.
    pub(crate) fn of(crash: &Crash) -> Place {
        let Crash { fault, regs, location, .. } = crash;
        Place { rip: regs.rip, location: location.clone(), doing: doing(fault, regs) }
    }
}

fn doing(fault: &Fault, regs: &PtRegs) -> Doing {
    let number = regs.orig_rax as u32;
    match (fault.vector, fault.error_code) {
        (NO_VECTOR, call::X86_64) => Doing::Waiting { number, compat: false },
        (NO_VECTOR, call::I386) => Doing::Waiting { number, compat: true },
        _ => Doing::Computing,
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {:#x}", self.rip)?;
        if let Some(location) = &self.location {
            write!(f, " <{location}>")?;
        }
        match (self.doing, self.doing.call()) {
            (Doing::Computing, _) => f.write_str(", computing"),
            (Doing::Waiting { .. }, Some(name)) => write!(f, ", waiting in {name}(2)"),
            (Doing::Waiting { number, .. }, None) => write!(f, ", waiting in call {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crash(orig_rax: u64, error_code: u64) -> Crash {
        let fault = Fault { vector: NO_VECTOR, error_code, ..Fault::default() };
        let regs = PtRegs { rip: 0x40_1000, orig_rax, ..PtRegs::default() };
        let location = Some("main+0x4".to_owned());
        let name = "./prog".to_owned();
        Crash { name, signal: 2, fault, regs, location, uninterpreted: false }
    }

    #[test]
    fn a_place_says_what_the_program_did_there() {
        for (orig_rax, error_code, expected) in [
            (u64::MAX, call::NONE, "at 0x401000 <main+0x4>, computing"),
            (35, call::X86_64, "at 0x401000 <main+0x4>, waiting in nanosleep(2)"),
            (162, call::I386, "at 0x401000 <main+0x4>, waiting in nanosleep(2)"),
            (9999, call::I386, "at 0x401000 <main+0x4>, waiting in call 9999"),
            // What no kernel of ours says.
            (35, 77, "at 0x401000 <main+0x4>, computing"),
        ] {
            assert_eq!(Place::of(&crash(orig_rax, error_code)).to_string(), expected);
        }
    }
}

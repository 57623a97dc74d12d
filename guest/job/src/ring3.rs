//! Ring 3 of a job: the loops that measure a way into ring 0 and back, and the
//! words by which it is told how often and says how far it came.
//!
//! One text for 32-bit and for 64-bit mode, from which `legacy::ring3` and
//! `bare::ring3` make a program for each way: a first call that may fail, batches
//! (which warm up what comes next), then single calls. A call and its empty
//! counterpart take turns, so that what disturbs one disturbs the other.
//!
//! The loop is three instructions besides the way itself: MOV EAX, CS, which in
//! the loop with the way is ring 0's; DEC; JNZ. So a loop with INT and IRET is 5
//! instructions, and so is one with SYSCALL and SYSRET.

use trapgate_abi::job::{Answer, NO_EXCEPTION, Request, SAMPLES, phase};

/// What ring 3 is told, and what it leaves; below 4 GiB where it sees it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Ring3 {
    /// Single calls to make.
    pub samples: u32,
    /// Where their ticks go.
    pub samples_at: u32,
    /// Batches to make.
    pub batches: u32,
    /// Where their ticks go.
    pub batches_at: u32,
    /// Calls in a batch.
    pub calls: u32,
    /// `job::phase`.
    pub phase: u32,
    /// The exception that ended it.
    pub vector: u32,
    /// Its error code.
    pub error_code: u32,
    /// Where it came.
    pub ip: u64,
    /// In which segment.
    pub cs: u32,
    /// After the first call: what it answered.
    pub crossed_eax: u32,
    /// After the first call: CS.
    pub crossed_cs: u32,
    /// After the first call: SS.
    pub crossed_ss: u32,
    /// After the first call: ESP.
    pub crossed_esp: u32,
}

/// What the first call must come back with.
pub struct Crossing {
    /// In EAX: ring 0's CS, which cannot come from ring 3.
    pub ring0_cs: u16,
    /// Ring 3's CS.
    pub cs: u16,
    /// Ring 3's SS.
    pub ss: u16,
    /// Ring 3's ESP.
    pub esp: u32,
}

impl Ring3 {
    /// For `request`, whose results ring 3 sees at `results`.
    pub fn new(request: &Request, results: u64) -> Ring3 {
        Ring3 {
            samples: request.samples as u32,
            samples_at: (results + SAMPLES) as u32,
            batches: request.batches as u32,
            batches_at: (results + request.batches_at()) as u32,
            calls: request.calls as u32,
            phase: phase::NOT_THERE as u32,
            vector: u32::MAX,
            error_code: u32::MAX,
            ip: 0,
            cs: 0,
            crossed_eax: 0,
            crossed_cs: 0,
            crossed_ss: 0,
            crossed_esp: 0,
        }
    }

    /// What it left, for the VMM.
    pub fn answer(&self, expected: &Crossing) -> Answer {
        let none_or = |value| if value == u32::MAX { NO_EXCEPTION } else { u64::from(value) };
        let crossed = self.crossed_eax == expected.ring0_cs.into()
            && self.crossed_cs == expected.cs.into()
            && self.crossed_ss == expected.ss.into()
            && self.crossed_esp == expected.esp;
        Answer {
            phase: self.phase.into(),
            vector: none_or(self.vector),
            error_code: none_or(self.error_code),
            rip: self.ip,
            cs: self.cs.into(),
            worked: crossed.into(),
        }
    }
}

/// Reads the time-stamp counter, with nothing in flight before or after: RDTSC
/// and no RDTSCP, which not every CPU has, between two LFENCE (Intel SDM vol.
/// 2B, "RDTSC").
#[cfg(target_os = "none")]
macro_rules! time {
    () => {
        "lfence\n rdtsc\n lfence\n"
    };
}

/// The program `$name`, which goes into ring 0 and back by `$through`, given for
/// three places in which labels differ, and says by `$finish` that it is done.
/// The text takes the addresses of [`Ring3`]'s words.
///
/// On arrival: ring 3, esp = its stack, empty; in 32-bit mode ds = es = ss = flat
/// data. It uses eax, edx, ebx, ebp, esi and edi, and `$through` may use others.
#[cfg(target_os = "none")]
macro_rules! program {
    ($name:expr, $finish:expr, $first:expr, $batch:expr, $single:expr) => {
        concat!(
            $name,
            ":\n",
            // The first call: ring 0's CS shall come back, and all else as it was.
            "mov dword ptr [{phase}], {trying}\n",
            "xor eax, eax\n",
            $first,
            "mov dword ptr [{crossed_eax}], eax\n",
            "mov dword ptr [{crossed_esp}], esp\n",
            "mov eax, cs\n",
            "mov dword ptr [{crossed_cs}], eax\n",
            "mov eax, ss\n",
            "mov dword ptr [{crossed_ss}], eax\n",
            "mov dword ptr [{phase}], {measuring}\n",
            "mov edi, dword ptr [{batches_at}]\n",
            "2:\n",
            $crate::ring3::time!(),
            "mov ebx, eax\n",
            "mov ebp, edx\n", // ebp:ebx = the time before
            "mov esi, dword ptr [{calls}]\n",
            "3:\n",
            $batch,
            "dec esi\n",
            "jnz 3b\n",
            $crate::ring3::time!(),
            "sub eax, ebx\n",
            "sbb edx, ebp\n",
            "mov dword ptr [edi], eax\n",
            "mov dword ptr [edi + 4], edx\n",
            $crate::ring3::time!(),
            "mov ebx, eax\n",
            "mov ebp, edx\n",
            "mov esi, dword ptr [{calls}]\n",
            "4:\n",
            "mov eax, cs\n", // what ring 0 does, without the way there
            "dec esi\n",
            "jnz 4b\n",
            $crate::ring3::time!(),
            "sub eax, ebx\n",
            "sbb edx, ebp\n",
            "mov dword ptr [edi + 8], eax\n",
            "mov dword ptr [edi + 12], edx\n",
            "add edi, 16\n",
            "dec dword ptr [{batches}]\n",
            "jnz 2b\n",
            "mov edi, dword ptr [{samples_at}]\n",
            "mov esi, dword ptr [{samples}]\n",
            "5:\n",
            $crate::ring3::time!(),
            "mov ebx, eax\n", // ebx = the time before, its low half
            $single,
            $crate::ring3::time!(),
            "sub eax, ebx\n",
            "mov dword ptr [edi], eax\n",
            $crate::ring3::time!(),
            "mov ebx, eax\n",
            "mov eax, cs\n", // as in the empty loop
            $crate::ring3::time!(),
            "sub eax, ebx\n",
            "mov dword ptr [edi + 4], eax\n", // the empty bracket
            "add edi, 8\n",
            "dec esi\n",
            "jnz 5b\n",
            "mov dword ptr [{phase}], {done}\n",
            $finish, // does not come back
        )
    };
}

/// Assembles `$text`, programs, with the addresses that `$at!` knows.
#[cfg(target_os = "none")]
macro_rules! assemble {
    ($at:ident, $($text:expr),* ; $($rest:tt)*) => {
        core::arch::global_asm!(
            $($text,)*
            phase = const $at!(phase),
            trying = const trapgate_abi::job::phase::TRYING as u32,
            measuring = const trapgate_abi::job::phase::MEASURING as u32,
            done = const trapgate_abi::job::phase::DONE as u32,
            crossed_eax = const $at!(crossed_eax),
            crossed_esp = const $at!(crossed_esp),
            crossed_cs = const $at!(crossed_cs),
            crossed_ss = const $at!(crossed_ss),
            samples = const $at!(samples),
            samples_at = const $at!(samples_at),
            batches = const $at!(batches),
            batches_at = const $at!(batches_at),
            calls = const $at!(calls),
            $($rest)*
        );
    };
}
#[cfg(target_os = "none")]
pub(super) use {assemble, program, time};

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: Crossing = Crossing { ring0_cs: 0x10, cs: 0x33, ss: 0x2b, esp: 0x9000 };

    fn ring3() -> Ring3 {
        let request =
            Request { samples: 10, batches: 3, calls: 100, results: 7, ..Request::default() };
        Ring3::new(&request, 0x20_0000)
    }

    #[test]
    fn a_crossing_counts_only_if_ring_0_answered_and_everything_came_back() {
        let mut left = ring3();
        let answer = left.answer(&EXPECTED);
        assert_eq!((answer.worked, answer.vector), (0, NO_EXCEPTION));
        left.crossed_eax = 0x10;
        left.crossed_cs = 0x33;
        left.crossed_ss = 0x2b;
        left.crossed_esp = 0x9000;
        assert_eq!(left.answer(&EXPECTED).worked, 1);
        // Ring 3's own CS: the way led nowhere.
        left.crossed_eax = 0x33;
        assert_eq!(left.answer(&EXPECTED).worked, 0);
    }

    #[test]
    fn results_go_where_ring_3_sees_them() {
        let left = ring3();
        assert_eq!((left.samples_at, left.batches_at), (0x20_0030, 0x20_0080));
    }
}

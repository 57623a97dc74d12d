//! What came of a measurement, read out of guest RAM once, all of it the guest's
//! claim.

use crate::Error;
use crate::memory::GuestRam;
use serde::Serialize;
use std::fmt;
use trapgate_abi::legacy::{Answer, NO_EXCEPTION, Request, SAMPLES, door, phase};
use trapgate_abi::x86::vector;

/// A door of legacy mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Door {
    /// INT 0x80 and IRET.
    Int80,
    /// SYSENTER and SYSEXIT.
    Sysenter,
    /// SYSCALL and SYSRET.
    Syscall,
}

impl Door {
    /// All of them.
    pub const ALL: [Door; 3] = [Door::Int80, Door::Sysenter, Door::Syscall];

    /// Its name, as `doctor` and the statistics write names of doors.
    pub fn name(self) -> &'static str {
        match self {
            Door::Int80 => "INT 0x80, legacy",
            Door::Sysenter => "SYSENTER, legacy",
            Door::Syscall => "SYSCALL, legacy",
        }
    }

    pub(super) fn number(self) -> u64 {
        match self {
            Door::Int80 => door::INT80,
            Door::Sysenter => door::SYSENTER,
            Door::Syscall => door::SYSCALL,
        }
    }
}

/// How a door's instruction arrives in legacy mode on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "delivery")]
pub enum Delivery {
    /// The CPU reached the entry point in ring 0, and came back.
    Native,
    /// The CPU has no such door: the instruction is an exception.
    Absent {
        /// The exception's vector.
        vector: u8,
    },
    /// This KVM, or this VMM, cannot say: legacy mode did not work out.
    NotDelivered {
        /// What happened instead, in one line.
        reason: String,
    },
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Delivery::Native => f.write_str("native"),
            Delivery::Absent { vector } => write!(f, "absent: it is {}", exception(*vector)),
            Delivery::NotDelivered { reason } => write!(f, "not delivered: {reason}"),
        }
    }
}

/// A single call: TSC ticks from one RDTSC to the next, each between LFENCEs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// With the call in between.
    pub ticks: u32,
    /// With nothing in between, right after it.
    pub empty_ticks: u32,
}

/// A loop of calls, in TSC ticks: the loop is three instructions (MOV EAX, CS;
/// DEC; JNZ), of which the first is ring 0's where there is a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Batch {
    /// With the calls.
    pub ticks: u64,
    /// The same loop without a door, right after it.
    pub empty_ticks: u64,
}

/// A measured door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The door.
    pub door: Door,
    /// How it arrives; without [`Delivery::Native`] there are no figures.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// Paging in legacy mode: always `"off"`.
    pub paging: &'static str,
    /// Single calls, in the order in which they were made.
    pub samples: Vec<Sample>,
    /// Batches, in the order in which they were made; before the single calls.
    pub batches: Vec<Batch>,
    /// Calls in a batch.
    pub calls_per_batch: u64,
}

impl Report {
    /// One without figures.
    pub(super) fn nothing(door: Door, calls_per_batch: u64) -> Report {
        Report {
            door,
            delivery: Delivery::Native,
            paging: "off",
            samples: Vec::new(),
            batches: Vec::new(),
            calls_per_batch,
        }
    }

    /// Reads the results of `request`, copied once; how many there are is what
    /// the VMM asked for.
    pub(super) fn read(door: Door, request: &Request, ram: &GuestRam) -> Result<Report, Error> {
        let mut bytes = vec![0; request.results_size() as usize];
        ram.read(request.results, &mut bytes).map_err(|error| Error::Kernel(error.to_string()))?;
        Ok(Report::parse(door, request, &bytes))
    }

    /// The same of bytes, `results_size` of them.
    fn parse(door: Door, request: &Request, bytes: &[u8]) -> Report {
        let (head, rest) = bytes.split_at(SAMPLES as usize);
        let (samples, batches) = rest.split_at((request.batches_at() - SAMPLES) as usize);
        let mut words = [0; Answer::WORDS];
        for (word, bytes) in words.iter_mut().zip(head.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        let delivery = delivery(&Answer::from_words(&words));
        let nothing = Report::nothing(door, request.calls);
        if delivery != Delivery::Native {
            return Report { delivery, ..nothing };
        }
        let (samples, _) = samples.as_chunks::<4>();
        let (batches, _) = batches.as_chunks::<8>();
        let sample = |[call, empty]: &[[u8; 4]; 2]| Sample {
            ticks: u32::from_le_bytes(*call),
            empty_ticks: u32::from_le_bytes(*empty),
        };
        let batch = |[calls, empty]: &[[u8; 8]; 2]| Batch {
            ticks: u64::from_le_bytes(*calls),
            empty_ticks: u64::from_le_bytes(*empty),
        };
        Report {
            samples: samples.as_chunks().0.iter().map(sample).collect(),
            batches: batches.as_chunks().0.iter().map(batch).collect(),
            ..nothing
        }
    }
}

/// An exception's name.
fn exception(number: u8) -> String {
    vector::name(number).map_or_else(|| format!("exception {number}"), str::to_owned)
}

/// What the kernel's answer means.
fn delivery(answer: &Answer) -> Delivery {
    let Answer { phase: reached, vector: number, error_code, eip, cs, crossed } = *answer;
    let not_delivered = |reason: String| Delivery::NotDelivered { reason };
    match (reached, u8::try_from(number)) {
        (phase::NOT_THERE, Err(_)) if number == NO_EXCEPTION => {
            not_delivered("the guest kernel did not get to legacy mode".to_owned())
        }
        (phase::DONE, Err(_)) if number == NO_EXCEPTION && crossed == 1 => Delivery::Native,
        (phase::DONE, Err(_)) if number == NO_EXCEPTION => {
            not_delivered("the first call came back with wrong registers".to_owned())
        }
        // Ring 3, at the door's very first instruction.
        (phase::TRYING, Ok(vector @ (vector::UD | vector::GP))) if cs & 3 == 3 => {
            Delivery::Absent { vector }
        }
        (_, Ok(vector)) => {
            let code = match error_code {
                NO_EXCEPTION => String::new(),
                code => format!(", error code {code:#x}"),
            };
            let (name, ring) = (exception(vector), cs & 3);
            not_delivered(format!("{name} in ring {ring} of legacy mode, at {eip:#x}{code}"))
        }
        _ => not_delivered("the guest kernel's answer makes no sense".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DONE: Answer = Answer {
        phase: phase::DONE,
        vector: NO_EXCEPTION,
        error_code: NO_EXCEPTION,
        eip: 0,
        cs: 0,
        crossed: 1,
    };

    #[test]
    fn only_a_call_that_crossed_and_came_back_is_native() {
        assert_eq!(delivery(&DONE), Delivery::Native);
        for other in [
            Answer { crossed: 0, ..DONE },
            Answer { phase: phase::NOT_THERE, ..DONE },
            Answer { phase: phase::MEASURING, ..DONE },
            Answer { vector: 300, ..DONE },
            Answer { vector: 6, cs: 0x33, ..DONE },
            Answer { phase: u64::MAX, vector: u64::MAX - 1, ..DONE },
        ] {
            assert!(matches!(delivery(&other), Delivery::NotDelivered { .. }), "{other:?}");
        }
    }

    #[test]
    fn an_exception_at_the_first_call_in_ring_3_says_that_the_door_is_absent() {
        let at_door = Answer { phase: phase::TRYING, vector: 6, cs: 0x33, ..DONE };
        assert_eq!(delivery(&at_door), Delivery::Absent { vector: 6 });
        assert_eq!(delivery(&at_door).to_string(), "absent: it is #UD");
        for elsewhere in [
            Answer { phase: phase::MEASURING, ..at_door },
            Answer { cs: 0x20, ..at_door },
            Answer { vector: 14, ..at_door },
        ] {
            let Delivery::NotDelivered { reason } = delivery(&elsewhere) else {
                panic!("{elsewhere:?}");
            };
            assert!(reason.contains("in ring"), "{reason}");
        }
    }

    #[test]
    fn figures_are_read_from_where_the_request_puts_them() {
        let request = Request { door: 1, samples: 2, batches: 1, calls: 9, results: 0 };
        let mut bytes: Vec<u8> =
            DONE.to_words().iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend([11u32, 12, 21, 22].iter().flat_map(|ticks| ticks.to_le_bytes()));
        bytes.extend([1u64 << 40, 7].iter().flat_map(|ticks| ticks.to_le_bytes()));
        assert_eq!(bytes.len() as u64, request.results_size());
        let report = Report::parse(Door::Int80, &request, &bytes);
        let sample = |ticks, empty_ticks| Sample { ticks, empty_ticks };
        assert_eq!(report.samples, [sample(11, 12), sample(21, 22)]);
        assert_eq!(report.batches, [Batch { ticks: 1 << 40, empty_ticks: 7 }]);
        assert_eq!(report.calls_per_batch, 9);
    }
}

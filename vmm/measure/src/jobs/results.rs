//! What came of a job, read out of guest RAM once, all of it the guest's claim.

use crate::doors::Delivery;
use serde::Serialize;
use trapgate::Error;
use trapgate::machine::memory::GuestRam;
use trapgate_abi::job::{Answer, NO_EXCEPTION, Request, SAMPLES, phase};
use trapgate_abi::x86::vector;

/// A single call: TSC ticks from one reading to the next, each fenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// With the call in between.
    pub ticks: u32,
    /// With nothing in between, right after it.
    pub empty_ticks: u32,
}

/// A loop of calls, in TSC ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Batch {
    /// With the calls.
    pub ticks: u64,
    /// The same loop without what is measured, right after it.
    pub empty_ticks: u64,
}

/// What was measured, and how it arrives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Measured {
    /// How it arrives; only [`Delivery::Native`] and [`Delivery::Trapped`] have
    /// figures.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// Single calls, in the order in which they were made.
    pub samples: Vec<Sample>,
    /// Batches, in the order in which they were made; before the single calls.
    pub batches: Vec<Batch>,
    /// Calls in a batch.
    pub calls_per_batch: u64,
}

impl Measured {
    /// Without figures.
    pub(crate) fn nothing(delivery: Delivery) -> Measured {
        Measured { delivery, samples: Vec::new(), batches: Vec::new(), calls_per_batch: 0 }
    }

    /// Without figures, because of this.
    pub(crate) fn failed(why: String) -> Measured {
        Measured::nothing(Delivery::Failed { why })
    }
}

/// What one must know to say what an answer means.
pub(crate) struct Context<'a> {
    /// The CPU's mode, in words.
    pub(crate) place: &'static str,
    /// Why #UD or #GP at the first call is right here, if it is.
    pub(crate) absent: Option<&'a String>,
    /// Why this KVM's figures are not the CPU's, if they are not.
    pub(crate) trapped: Option<&'static str>,
}

/// What the kernel left.
pub(crate) struct Results {
    answer: Answer,
    /// Exits and requests that the VMM let pass: its own count.
    pub(crate) served: u64,
    samples: Vec<Sample>,
    batches: Vec<Batch>,
    calls_per_batch: u64,
}

impl Results {
    /// Reads the results of `request`, copied once; how many there are is what
    /// the VMM asked for.
    pub(crate) fn read(request: &Request, served: u64, ram: &GuestRam) -> Result<Results, Error> {
        let mut bytes = vec![0; request.results_size() as usize];
        ram.read(request.results, &mut bytes).map_err(|error| Error::Kernel(error.to_string()))?;
        Ok(Results::parse(request, served, &bytes))
    }

    /// The same of bytes, `results_size` of them.
    fn parse(request: &Request, served: u64, bytes: &[u8]) -> Results {
        let (head, rest) = bytes.split_at(SAMPLES as usize);
        let (samples, batches) = rest.split_at((request.batches_at() - SAMPLES) as usize);
        let mut words = [0; Answer::WORDS];
        for (word, bytes) in words.iter_mut().zip(head.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
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
        Results {
            answer: Answer::from_words(&words),
            served,
            samples: samples.as_chunks().0.iter().map(sample).collect(),
            batches: batches.as_chunks().0.iter().map(batch).collect(),
            calls_per_batch: request.calls,
        }
    }

    /// What they mean.
    pub(crate) fn measured(self, context: &Context<'_>) -> Measured {
        let delivery = delivery(&self.answer, context);
        if !matches!(delivery, Delivery::Native | Delivery::Trapped { .. }) {
            return Measured::nothing(delivery);
        }
        let Results { samples, batches, calls_per_batch, .. } = self;
        Measured { delivery, samples, batches, calls_per_batch }
    }
}

/// An exception's name.
fn exception(number: u8) -> String {
    vector::name(number).map_or_else(|| format!("exception {number}"), str::to_owned)
}

/// What the kernel's answer means.
fn delivery(answer: &Answer, context: &Context<'_>) -> Delivery {
    let Answer { phase: reached, vector: number, error_code, rip, cs, worked } = *answer;
    let failed = |why: String| Delivery::Failed { why };
    match (reached, u8::try_from(number)) {
        (phase::NOT_THERE, Err(_)) if number == NO_EXCEPTION => {
            failed("the guest kernel did not get to the first call".to_owned())
        }
        (phase::DONE, Err(_)) if number == NO_EXCEPTION && worked == 1 => match context.trapped {
            None => Delivery::Native,
            Some(why) => Delivery::Trapped { why: why.to_owned() },
        },
        (phase::DONE, Err(_)) if number == NO_EXCEPTION => {
            failed("the first call did not come back as it should".to_owned())
        }
        (_, Ok(vector)) => {
            // Ring 3, at the very first instruction.
            if let (phase::TRYING, vector::UD | vector::GP, 3, Some(why)) =
                (reached, vector, cs & 3, context.absent)
            {
                return Delivery::Absent { why: format!("{why}: {}", exception(vector)) };
            }
            let code = match error_code {
                NO_EXCEPTION => String::new(),
                code => format!(", error code {code:#x}"),
            };
            let (name, ring, place) = (exception(vector), cs & 3, context.place);
            failed(format!("{name} in ring {ring} of {place}, at {rip:#x}{code}"))
        }
        _ => failed("the guest kernel's answer makes no sense".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DONE: Answer = Answer {
        phase: phase::DONE,
        vector: NO_EXCEPTION,
        error_code: NO_EXCEPTION,
        rip: 0,
        cs: 0,
        worked: 1,
    };
    const CONTEXT: Context<'_> = Context { place: "some mode", absent: None, trapped: None };

    #[test]
    fn only_a_call_that_worked_and_came_back_is_native() {
        assert_eq!(delivery(&DONE, &CONTEXT), Delivery::Native);
        for other in [
            Answer { worked: 0, ..DONE },
            Answer { phase: phase::NOT_THERE, ..DONE },
            Answer { phase: phase::MEASURING, ..DONE },
            Answer { vector: 300, ..DONE },
            Answer { vector: 6, cs: 0x33, ..DONE },
            Answer { phase: u64::MAX, vector: u64::MAX - 1, ..DONE },
        ] {
            assert_eq!(delivery(&other, &CONTEXT).word(), "failed", "{other:?}");
        }
    }

    #[test]
    fn a_kvm_that_does_it_itself_is_never_called_native() {
        let context = Context { trapped: Some("interpreted"), ..CONTEXT };
        let expected = Delivery::Trapped { why: "interpreted".to_owned() };
        assert_eq!(delivery(&DONE, &context), expected);
        assert_eq!(delivery(&Answer { worked: 0, ..DONE }, &context).word(), "failed");
    }

    #[test]
    fn an_exception_at_the_first_call_is_right_only_where_the_maker_has_no_such_door() {
        let at_door = Answer { phase: phase::TRYING, vector: 6, cs: 0x33, ..DONE };
        let why = "nobody has it".to_owned();
        let context = Context { absent: Some(&why), ..CONTEXT };
        let absent = Delivery::Absent { why: "nobody has it: #UD".to_owned() };
        assert_eq!(delivery(&at_door, &context), absent);
        for (elsewhere, context) in [
            (at_door, &CONTEXT),
            (Answer { phase: phase::MEASURING, ..at_door }, &context),
            (Answer { cs: 0x20, ..at_door }, &context),
            (Answer { vector: 14, ..at_door }, &context),
        ] {
            let Delivery::Failed { why } = delivery(&elsewhere, context) else {
                panic!("{elsewhere:?}");
            };
            assert!(why.contains("of some mode, at 0x0"), "{why}");
        }
    }

    #[test]
    fn figures_are_read_from_where_the_request_puts_them() {
        let request = Request { samples: 2, batches: 1, calls: 9, ..Request::default() };
        let mut bytes: Vec<u8> =
            DONE.to_words().iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend([11u32, 12, 21, 22].iter().flat_map(|ticks| ticks.to_le_bytes()));
        bytes.extend([1u64 << 40, 7].iter().flat_map(|ticks| ticks.to_le_bytes()));
        assert_eq!(bytes.len() as u64, request.results_size());
        let measured = Results::parse(&request, 0, &bytes).measured(&CONTEXT);
        let sample = |ticks, empty_ticks| Sample { ticks, empty_ticks };
        assert_eq!(measured.samples, [sample(11, 12), sample(21, 22)]);
        assert_eq!(measured.batches, [Batch { ticks: 1 << 40, empty_ticks: 7 }]);
        assert_eq!(measured.calls_per_batch, 9);
    }
}

//! The entry path's protections, chosen for one sandbox.
//!
//! [`linux`] says which of them Linux would choose on this host, [`cpu`] which
//! of them a guest's CPU has what they need for, [`patch`] what becomes of the
//! others in the kernel image. `boot` carries it out. docs/mitigations.md says
//! what each is for, and why a sandbox has none by default.

pub mod cpu;
pub mod linux;
pub mod patch;

pub use cpu::{GuestCpu, Unavailable};
use std::fmt;
use std::str::FromStr;
pub use trapgate_abi::mitigation::Step;
use trapgate_abi::mitigation::keep;

/// A set of steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mitigations {
    bits: u64,
}

impl Mitigations {
    /// No step: the plain image.
    pub const NONE: Mitigations = Mitigations { bits: 0 };

    /// With this step too.
    #[must_use]
    pub const fn with(self, step: Step) -> Mitigations {
        Mitigations { bits: self.bits | step.bit() }
    }

    /// Without this step.
    #[must_use]
    pub const fn without(self, step: Step) -> Mitigations {
        Mitigations { bits: self.bits & !step.bit() }
    }

    /// Whether the step is on.
    pub const fn has(self, step: Step) -> bool {
        self.bits & step.bit() != 0
    }

    /// Whether no step is on.
    pub const fn is_empty(self) -> bool {
        self.bits == 0
    }

    /// The steps, in the order of [`Step::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Step> {
        Step::ALL.into_iter().filter(move |step| self.has(*step))
    }

    /// Those of them that `cpu` has what they need for.
    #[must_use]
    pub fn available(self, cpu: &GuestCpu) -> Mitigations {
        self.iter().filter(|step| cpu.check(*step).is_ok()).collect()
    }

    /// What an instrumented kernel image is made into on `cpu`.
    ///
    /// # Errors
    /// [`Unavailable`], for the first step that the CPU cannot have.
    pub fn hardening(self, cpu: &GuestCpu) -> Result<Hardening, Unavailable> {
        self.iter().try_for_each(|step| cpu.check(step))?;
        let mut kept = self.bits;
        if !self.has(Step::Retpoline) {
            kept |= keep::NO_RETPOLINE;
        }
        if self.has(Step::Untrain) {
            kept |= cpu.untrain().unwrap_or_default();
        }
        Ok(Hardening { keep: kept, pti: self.has(Step::Pti) })
    }
}

/// What `boot` does to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hardening {
    /// Which sites stay: bits of [`keep`].
    pub keep: u64,
    /// Whether ring 3 gets page tables of its own.
    pub pti: bool,
}

impl Hardening {
    /// No step: all that a plain image can have.
    pub const NONE: Hardening = Hardening { keep: keep::NO_RETPOLINE, pti: false };
}

impl FromIterator<Step> for Mitigations {
    fn from_iter<I: IntoIterator<Item = Step>>(steps: I) -> Self {
        steps.into_iter().fold(Mitigations::NONE, Mitigations::with)
    }
}

/// A name that is no step's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{name}' is no mitigation step; there are {known}, or none", known = known())]
pub struct UnknownStep {
    /// The name.
    pub name: String,
}

fn known() -> String {
    Step::ALL.map(Step::name).join(", ")
}

impl FromStr for Mitigations {
    type Err = UnknownStep;

    /// Names with commas between them; "none" or nothing for no step.
    fn from_str(text: &str) -> Result<Self, UnknownStep> {
        if matches!(text.trim(), "" | "none") {
            return Ok(Mitigations::NONE);
        }
        let step = |name: &str| {
            let found = Step::ALL.into_iter().find(|step| step.name() == name);
            found.ok_or_else(|| UnknownStep {
                name: trapgate_loader::text::printable(name.as_bytes()),
            })
        };
        text.split(',').map(|name| step(name.trim())).collect()
    }
}

impl fmt::Display for Mitigations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.pad("none");
        }
        let names: Vec<_> = self.iter().map(Step::name).collect();
        f.pad(&names.join(","))
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Mitigations {
    /// A list of names.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Step::name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_back() {
        for bits in 0..1 << Step::ALL.len() {
            let set = Mitigations { bits };
            assert_eq!(set.to_string().parse(), Ok(set), "{set}");
        }
        assert_eq!(" pti , verw ".parse::<Mitigations>().unwrap().to_string(), "pti,verw");
        assert_eq!("".parse(), Ok(Mitigations::NONE));
    }

    #[test]
    fn an_unknown_name_is_refused_in_one_line_that_says_which_there_are() {
        let error = "pti,ptl".parse::<Mitigations>().unwrap_err().to_string();
        assert!(error.contains("'ptl'") && error.contains("swapgs-fence"), "{error}");
        assert!("pti,".parse::<Mitigations>().is_err());
        let hostile = "\u{1b}[2J\n".parse::<Mitigations>().unwrap_err().to_string();
        assert!(!hostile.contains(['\u{1b}', '\n']), "{hostile:?}");
    }

    #[test]
    fn json_has_the_names() {
        let set: Mitigations = "verw,pti".parse().unwrap();
        assert_eq!(serde_json::to_string(&set).unwrap(), r#"["pti","verw"]"#);
    }

    #[test]
    fn the_indirect_call_is_kept_in_exactly_one_form() {
        let cpu = cpu::tests::zen2();
        let keep_of = |text: &str| {
            let set: Mitigations = text.parse().unwrap();
            set.hardening(&cpu).unwrap().keep
        };
        assert_eq!(Mitigations::NONE.hardening(&cpu), Ok(Hardening::NONE));
        for (kept, retpoline) in
            [(keep_of("retpoline"), true), (keep_of("pti"), false), (keep_of("none"), false)]
        {
            assert_eq!(kept & Step::Retpoline.bit() != 0, retpoline);
            assert_eq!(kept & keep::NO_RETPOLINE != 0, !retpoline);
        }
    }

    #[test]
    fn a_step_that_the_cpu_lacks_is_refused() {
        let set: Mitigations = "pti,verw".parse().unwrap();
        let error = set.hardening(&cpu::tests::zen2()).unwrap_err();
        assert_eq!(error.step, Step::Verw);
        assert_eq!(set.available(&cpu::tests::zen2()).to_string(), "pti");
    }
}

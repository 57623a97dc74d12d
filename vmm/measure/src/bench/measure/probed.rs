//! The groups `doors` and `calls`: what the probe measures, in a sandbox and as
//! a process, in turn. Called by `run`.
//!
//! Both probes run the same file on the same CPU of the host's; while one
//! measures, the other waits for a command. So a slow moment of the machine
//! hits both.

use crate::bench::measure::blocks::{Block, Work};
use crate::bench::measure::count::{self, Call, if_it_can};
use crate::bench::measure::items::ITEMS;
use crate::bench::measure::side::{Setting, Side};
use crate::bench::record::clock::Clock;
use crate::bench::record::environment::Environment;
use crate::bench::record::{Counted, Delivery, Group, Measurement, Place};
use crate::bench::{Error, Options, Progress};
use std::time::Duration;
use trapgate::machine::affinity;
use trapgate::mitigation::{GuestCpu, Mitigations, Step};

/// Time that the samples of one measurement may take in one place. A door that
/// is trapped costs so much that 10,000 samples would take minutes.
const BUDGET: Duration = Duration::from_millis(200);
/// The time of a quick run.
const QUICK: Duration = Duration::from_millis(15);

/// What the probe measures of a group.
pub(crate) struct Probed<'a> {
    items: Vec<Measured<'a>>,
}

/// One item on its way.
struct Measured<'a> {
    label: String,
    setting: Setting<'a>,
    /// The sandbox's first. Hardened doors have no other.
    sides: Vec<Side<'a>>,
}

impl<'a> Probed<'a> {
    /// What there is of `group`.
    ///
    /// # Errors
    /// Those of sched_getaffinity(2).
    pub(crate) fn of_group(
        group: Group,
        options: &'a Options,
        environment: &'a Environment,
        clock: Clock,
    ) -> Result<Probed<'a>, Error> {
        let cpu = affinity::last()?;
        let budget = if options.quick { QUICK } else { BUDGET };
        let items = ITEMS.iter().filter(|item| item.group == group).map(|item| {
            let steps = Mitigations::NONE;
            let setting = Setting { item, options, environment, clock, cpu, steps, budget };
            let sides = [Place::Guest, Place::Host].map(|place| Side::new(place, setting));
            let label = format!("{}: {}", item.group, item.name);
            Measured { label, setting, sides: sides.into() }
        });
        Ok(Probed { items: items.collect() })
    }

    /// The doors once more, with mitigation steps on.
    ///
    /// # Errors
    /// If a step was asked for that cannot be on.
    pub(crate) fn hardened(
        options: &'a Options,
        environment: &'a Environment,
        clock: Clock,
    ) -> Result<Probed<'a>, Error> {
        let cpu = affinity::last()?;
        let variants = variants(options)?;
        let mut items = Vec::new();
        for item in &ITEMS {
            let Some(door) = item.door else { continue };
            let delivery = environment.door(door);
            if matches!(delivery, Some(Delivery::Absent { .. } | Delivery::Failed { .. })) {
                continue;
            }
            for &(steps, budget) in &variants {
                let setting = Setting { item, options, environment, clock, cpu, steps, budget };
                let sides = vec![Side::new(Place::Guest, setting)];
                let label = format!("{}: {door} with {steps}", item.group);
                items.push(Measured { label, setting, sides });
            }
        }
        Ok(Probed { items })
    }
}

/// The sets of mitigation steps that doors are measured with: those that were
/// chosen, and each alone, with the time that their samples may take.
fn variants(options: &Options) -> Result<Vec<(Mitigations, Duration)>, Error> {
    let cpu = GuestCpu::of_this_host()?;
    let chosen = options.mitigations.chosen(&cpu)?;
    let each = Step::ALL.into_iter().filter(|&step| cpu.check(step).is_ok());
    let alone = each.map(|step| (Mitigations::NONE.with(step), BUDGET / 5));
    let alone = alone.filter(|(step, _)| *step != chosen);
    let budget = if options.quick { QUICK } else { BUDGET };
    let chosen = (!chosen.is_empty()).then_some((chosen, budget));
    // A quick look is at the doors.
    let alone = alone.filter(|_| !options.quick);
    Ok(chosen.into_iter().chain(alone).collect())
}

impl Work for Probed<'_> {
    fn steps(&self) -> u64 {
        self.items.len() as u64
    }

    fn last_steps(&self) -> u64 {
        let counted = self.items.iter().filter(|one| one.setting.options.counted);
        counted.count() as u64
    }

    fn block(&mut self, block: Block, progress: &mut dyn Progress) -> Result<(), Error> {
        for one in &mut self.items {
            if !progress.stopped() {
                progress.begin(&one.label);
                one.block(block, progress)?;
                progress.advance();
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>, progress: &mut dyn Progress) -> Result<Vec<Measurement>, Error> {
        let mut measurements = Vec::new();
        for one in self.items {
            measurements.extend(one.finish(progress)?);
        }
        Ok(measurements)
    }
}

impl Measured<'_> {
    fn is_hardened(&self) -> bool {
        !self.setting.steps.is_empty()
    }

    /// A block of each side, which take turns.
    fn block(&mut self, block: Block, progress: &mut dyn Progress) -> Result<(), Error> {
        let whole = !self.is_hardened();
        for side in &mut self.sides {
            side.begin(block)?;
        }
        while !progress.stopped() && self.sides.iter().any(|side| !side.is_done(block)) {
            for side in &mut self.sides {
                if !side.is_done(block) && !progress.stopped() {
                    side.turn(block)?;
                }
            }
        }
        for (index, side) in self.sides.iter_mut().enumerate() {
            let goes_on = whole && !progress.stopped();
            side.end(goes_on, goes_on && index == 0 && !self.setting.options.quick)?;
        }
        Ok(())
    }

    /// Its measurements. Instructions are counted now.
    fn finish(mut self, progress: &mut dyn Progress) -> Result<Vec<Measurement>, Error> {
        let Setting { item, options, steps, .. } = self.setting;
        let mut counted = None;
        if let Some(guest) = self.sides.first_mut() {
            counted = Counted::least(std::mem::take(&mut guest.counted));
            let call = Call { operation: item.operation, width: item.width, steps };
            if options.counted && !progress.stopped() {
                progress.begin(&format!("{}, instructions", self.label));
                let instructions = match guest.has_samples() {
                    true => if_it_can(count::instructions_of_call(call))?,
                    false => None,
                };
                if instructions.is_some() {
                    counted.get_or_insert_default().instructions = instructions;
                }
                progress.advance();
            }
        }
        let names: Vec<_> = steps.iter().map(Step::name).collect();
        let mut measurements: Vec<_> =
            self.sides.into_iter().map(|side| side.measurement().with(&names)).collect();
        if let Some(guest) = measurements.first_mut() {
            guest.counted = counted;
        }
        // What the run did not come to is not in the record.
        measurements.retain(|one| one.timed.is_some() || one.delivery.is_some());
        Ok(measurements)
    }
}

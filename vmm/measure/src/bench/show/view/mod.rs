//! What is shown of a record, worked out once: [`crate::bench::show::table`],
//! [`crate::bench::show::markdown`] and [`crate::bench::show::html`] only set it in their forms, so that
//! all of them say the same.
//!
//! A [`View`] is the answer in one sentence, where it was measured, and a
//! [`Section`] for each group: its rows ([`row`]), what is not there in a line
//! each ([`fold`]), pieces of times ([`pieces`]) and what a reader has to know
//! ([`remark`]). Pure.

pub(crate) mod fold;
pub(crate) mod pieces;
pub(crate) mod remark;
pub(crate) mod row;

use crate::bench::record::environment::Environment;
use crate::bench::record::units;
use crate::bench::record::{Delivery, Group, Measurement, Report};
use crate::bench::show::added::Added;
use fold::Fold;
use pieces::Pieces;
use remark::Remark;
use row::{Column, Row};

/// A record, ready to be set.
pub(crate) struct View<'a> {
    /// The run in one sentence, without a full stop.
    pub(crate) answer: String,
    /// Host, CPU, kind of KVM: one line.
    pub(crate) host: String,
    /// What its times are not, and doors that do not arrive as they should:
    /// sentences.
    pub(crate) warnings: Vec<String>,
    /// The groups that were measured.
    pub(crate) sections: Vec<Section<'a>>,
    /// Notes on the run as a whole: sentences.
    pub(crate) notes: Vec<String>,
}

/// A group.
pub(crate) struct Section<'a> {
    pub(crate) group: Group,
    /// What has figures, or could have them.
    pub(crate) rows: Vec<Row<'a>>,
    /// What is trapped, not here, or failed.
    pub(crate) folds: Vec<Fold>,
    pub(crate) remarks: Vec<Remark>,
    /// What a [`row::LOOP`] behind a time means, if there is one.
    pub(crate) of_loop: Option<&'static str>,
    /// The outliers of all rows in one line.
    pub(crate) outliers: Option<String>,
    /// What times are made of, where they were taken apart.
    pub(crate) pieces: Vec<Pieces>,
    /// What mitigation steps add.
    pub(crate) added: Option<Added>,
}

impl<'a> View<'a> {
    /// Of this record.
    pub(crate) fn of(report: &'a Report) -> View<'a> {
        let sections: Vec<_> = Group::ALL
            .into_iter()
            .filter_map(|group| Section::of(group, &report.measurements))
            .collect();
        View {
            answer: answer(&sections, &report.environment),
            host: host(report),
            warnings: warnings(report),
            notes: report.notes.iter().map(|note| format!("{note}.")).collect(),
            sections,
        }
    }

    /// The rows that the first picture is of: those of the first group that has
    /// both figures somewhere.
    pub(crate) fn pairs(&self) -> Vec<&Row<'a>> {
        let is_pair = |row: &&Row| row.ratio().is_some() && row.enters_the_kernel();
        let pairs = self.sections.iter().map(|section| {
            let rows = section.rows.iter();
            rows.filter(is_pair).collect::<Vec<_>>()
        });
        pairs.into_iter().find(|rows| !rows.is_empty()).unwrap_or_default()
    }
}

impl<'a> Section<'a> {
    fn of(group: Group, all: &'a [Measurement]) -> Option<Section<'a>> {
        let of_group = all.iter().filter(|one| one.group == group);
        let (hardened, plain): (Vec<_>, Vec<_>) = of_group.partition(|one| !one.with.is_empty());
        if hardened.is_empty() && plain.is_empty() {
            return None;
        }
        let all = Row::pair(&plain);
        let folds = fold::folds(&all);
        let rows: Vec<_> = all.into_iter().filter(|row| !row.is_folded()).collect();
        let shown = rows.iter().flat_map(Row::measurements);
        Some(Section {
            group,
            folds,
            remarks: remark::remarks(&plain),
            of_loop: rows.iter().any(Row::has_loop).then_some(row::OF_LOOP),
            outliers: remark::outliers(shown.filter_map(|one| one.timed.as_ref())),
            pieces: plain.iter().filter_map(|one| Pieces::of(one)).collect(),
            added: (!hardened.is_empty()).then(|| Added::of(&hardened, &plain)),
            rows,
        })
    }

    /// The columns that say something in some row.
    pub(crate) fn columns(&self) -> Vec<Column> {
        let says = |column: &Column| self.rows.iter().any(|row| row.cell(*column) != row::NOTHING);
        Column::ALL.into_iter().filter(says).collect()
    }
}

/// The first row that has a figure, as a sentence.
fn answer(sections: &[Section], environment: &Environment) -> String {
    let rows = sections.iter().flat_map(|section| &section.rows);
    let mut sentences = rows.filter_map(Row::sentence);
    let Some(mut sentence) = sentences.next() else {
        let lines = sections.iter().flat_map(|section| &section.folds).map(Fold::line);
        let lines = lines.collect::<Vec<_>>().join("; ");
        let why = if lines.is_empty() { "nothing was measured" } else { &lines };
        return format!("No figure: {why}");
    };
    let Environment { cpu, kvm, .. } = environment;
    sentence += &match (&cpu.emulator, kvm.software, &kvm.nested_in) {
        (Some(emulator), ..) => format!(", in a rig ({emulator})"),
        (None, true, _) => ", on a software KVM".to_owned(),
        (None, false, Some(under)) => format!(", nested in {under}"),
        (None, false, None) => String::new(),
    };
    sentence
}

fn host(report: &Report) -> String {
    let Environment { trapgate, kernel, cpu, kvm, .. } = &report.environment;
    let ns_of_tick = 1e6 / cpu.tsc_khz.max(1) as f64;
    format!(
        "{}, Linux {kernel}, KVM: {}, TSC {:.0} MHz in steps of {}, trapgate {trapgate}, {}",
        cpu.model_name,
        kvm.kind,
        cpu.tsc_khz as f64 / 1e3,
        units::time(cpu.tsc_step as f64 * ns_of_tick),
        report.date,
    )
}

fn warnings(report: &Report) -> Vec<String> {
    let environment = &report.environment;
    let mut warnings: Vec<_> =
        environment.caveat().into_iter().map(|caveat| format!("This is {caveat}.")).collect();
    // A software KVM's caveat says it of all doors.
    if !environment.kvm.software {
        let doors = environment.doors.iter();
        let trapped = doors.filter(|(_, how)| matches!(how, Delivery::Trapped { .. }));
        let trapped: Vec<_> = trapped.map(|(door, _)| door.as_str()).collect();
        if !trapped.is_empty() {
            let doors = trapped.join("; ");
            warnings.push(format!("Doors that this KVM traps: {doors}."));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::sample;

    #[test]
    fn the_first_picture_is_of_doors_that_both_have() {
        let report = sample::report();
        let view = View::of(&report);
        let labels: Vec<_> = view.pairs().iter().map(|row| row.label()).collect();
        assert_eq!(labels, ["SYSCALL, 64-bit", "INT 0x80, 64-bit"]);
    }

    #[test]
    fn the_answer_says_what_kind_of_kvm_it_is_of() {
        let mut report = sample::report();
        let answer = |report: &Report| View::of(report).answer;
        assert!(answer(&report).ends_with("; native"));
        report.environment.kvm.nested_in = Some("Hyper-V".into());
        assert!(answer(&report).ends_with("; native, nested in Hyper-V"));
        report.environment.kvm.software = true;
        assert!(answer(&report).ends_with("; native, on a software KVM"));
        report.environment.cpu.emulator = Some("Bochs".into());
        assert!(answer(&report).ends_with("; native, in a rig (Bochs)"));
    }

    #[test]
    fn doors_that_a_hardware_kvm_traps_are_a_warning() {
        let mut report = sample::report();
        assert_eq!(View::of(&report).warnings, [] as [String; 0]);
        let trapped = Delivery::Trapped { why: "#UD".into() };
        report.environment.doors.insert("INT 0x80, 64-bit".into(), trapped);
        assert_eq!(View::of(&report).warnings, ["Doors that this KVM traps: INT 0x80, 64-bit."]);
        report.environment.kvm.software = true;
        assert_eq!(View::of(&report).warnings.len(), 1);
    }
}

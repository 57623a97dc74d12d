//! Tests of what stands around the measuring: options, notes, the schema.

use super::*;

#[test]
fn counts_that_make_no_sense_are_refused() {
    for set in [
        |options: &mut Options, count| options.samples = count,
        |options: &mut Options, count| options.starts = count,
        |options: &mut Options, count| options.batch = count,
        |options: &mut Options, count| options.warm_up = count,
    ] {
        for count in [0, MOST_SAMPLES + 1, u64::MAX] {
            let mut options = Options::default();
            set(&mut options, count);
            assert!(matches!(check(&options), Err(Error::Count { given, .. }) if given == count));
        }
        let mut options = Options::default();
        set(&mut options, MOST_SAMPLES);
        assert!(check(&options).is_ok());
    }
}

#[test]
fn a_change_of_frequency_in_the_middle_is_noted() {
    let report = sample::report();
    let cpu = &report.environment.cpu;
    let none = notes::of(&report, cpu.tsc_khz, cpu.frequency_khz, Some(true));
    assert_eq!(none, [] as [String; 0]);
    let slower = notes::of(&report, cpu.tsc_khz, Some(2_000_000), Some(true));
    assert!(slower[0].contains("3400 MHz before the run and 2000 MHz after"), "{slower:?}");
    let other = notes::of(&report, cpu.tsc_khz * 2, cpu.frequency_khz, Some(true));
    assert!(other[0].contains("nanoseconds are wrong"), "{other:?}");
}

#[test]
fn a_counter_that_is_no_clock_is_noted() {
    let report = sample::report();
    let cpu = &report.environment.cpu;
    let noted = |is_a_clock| notes::of(&report, cpu.tsc_khz, cpu.frequency_khz, is_a_clock);
    assert!(noted(Some(false))[0].contains("does not run with time"), "{:?}", noted(Some(false)));
    assert_eq!(noted(None), [] as [String; 0]);
}

#[test]
fn too_few_samples_are_noted_unless_it_was_only_a_look() {
    let mut report = sample::report();
    report.measurements[0].timed.as_mut().expect("timed").samples = 9_999;
    let cpu = report.environment.cpu.clone();
    let noted = notes::of(&report, cpu.tsc_khz, cpu.frequency_khz, Some(true));
    assert_eq!(noted, ["1 measurement has fewer than 10000 samples"]);
    report.method.quick = true;
    let noted = notes::of(&report, cpu.tsc_khz, cpu.frequency_khz, Some(true));
    assert_eq!(noted, ["a quick run: a look, and no result"]);
}

/// The first measurement, with wall clocks that run this much too fast, by block.
fn with_wall_clocks(fast: [f64; 5]) -> Measurement {
    let mut measurement = sample::report().measurements.remove(0);
    let timed = measurement.timed.as_mut().expect("timed");
    let tick = timed.ns_of_tick();
    for (block, fast) in timed.blocks.iter_mut().zip(fast) {
        block.wall_ns = block.batched_ticks.map(|ticks| ticks * tick * fast);
    }
    measurement.judge_cross_check();
    measurement
}

#[test]
fn two_clocks_that_disagree_are_noted_on_their_row() {
    for (fast, noted) in [(1.04, false), (0.96, false), (1.06, true), (0.94, true), (-1.0, true)] {
        let notes = with_wall_clocks([fast; 5]).notes;
        assert_eq!(notes.len(), usize::from(noted), "{fast}: {notes:?}");
        assert!(notes.iter().all(|note| note.starts_with("cross-check: ")));
    }
    // One bad moment is no reason to doubt, nor to trust.
    assert_eq!(with_wall_clocks([1.01, 7.0, 1.0, 1.0, 0.99]).notes.len(), 0);
    assert_eq!(with_wall_clocks([1.30, 7.0, 1.31, 1.3, 1.29]).notes.len(), 1);
    // Whose blocks lie as far apart as that says nothing.
    assert_eq!(with_wall_clocks([1.3, 0.2, 2.9, 1.1, -0.4]).notes.len(), 0);
}

#[test]
fn a_run_of_nothing_but_steps_fails_where_there_are_none() {
    let checked = |groups: &[Group], kind| check_steps(groups, kind).map_err(|e| e.to_string());
    assert_eq!(checked(&[Group::Steps], Kind::Svm), Ok(()));
    assert_eq!(checked(&Group::ALL, Kind::Software), Ok(()));
    let error = checked(&[Group::Steps], Kind::Software).expect_err("no steps");
    assert!(error.starts_with("steps cannot be measured here: this KVM delivers"), "{error}");
}

/// `TRAPGATE_BLESS=1` writes the file anew.
#[test]
fn the_schema_in_docs_is_that_of_the_types() {
    let schema = schemars::schema_for!(Report);
    trapgate::schemas::hold("bench-schema.json", &schema, SCHEMA_JSON);
}

#[test]
fn ids_are_of_letters_digits_and_hyphens() {
    let id = |name, mode| Measurement::new(Group::Doors, name, mode, record::Place::Guest).id;
    for (name, mode, expected) in [
        ("SYSCALL", Some("64-bit"), "doors/syscall/64-bit/guest"),
        ("INT 0x80, IRET", Some("bare"), "doors/int-0x80-iret/bare/guest"),
        ("#UD, IRET behind it", Some("bare"), "doors/ud-iret-behind-it/bare/guest"),
        ("mmap + munmap", None, "doors/mmap-munmap/guest"),
        ("__kernel_vsyscall", Some("compat"), "doors/__kernel_vsyscall/compat/guest"),
        ("vDSO clock_gettime", None, "doors/vdso-clock_gettime/guest"),
    ] {
        assert_eq!(id(name, mode), expected);
    }
}

#[test]
fn a_record_has_the_date_of_its_run_in_utc() {
    let sample = sample::report();
    let now = Report::new(sample.environment.clone(), sample.method.clone()).date;
    let [length, form] = [now.len(), sample.date.len()];
    assert!(length == form && now.ends_with('Z'), "{now}");
    let began = humantime::parse_rfc3339(&now).expect("RFC 3339");
    assert!(began.elapsed().expect("in the past").as_secs() < 60, "{now}");
}

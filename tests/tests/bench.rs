//! `trapgate bench` from outside: what it prints and writes, its statuses, and
//! how it refuses what makes no sense. What it does with figures has unit tests
//! in `vmm/measure/src/bench`.
//!
//! | status | what it means |
//! |---|---|
//! | 3 | worse than the baseline allows |
//! | 125 | nothing measured or judged |
//! | 130 | Ctrl-C: what was measured is printed and written |

use nix::pty::{Winsize, openpty};
use nix::sys::signal::Signal;
use std::fs;
use std::io::Read;
use std::num::NonZeroU64;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use trapgate::machine::kvm::Kind;
use trapgate_measure::bench::record::clock::Clock;
use trapgate_measure::bench::record::environment::{Cpu, Environment, Kvm};
use trapgate_measure::bench::record::stats::{Part, Samples, timed};
use trapgate_measure::bench::record::{
    self, Counted, Delivery, Group, Measurement, Method, Report, Step, Timed,
};
use trapgate_tests::programs::directory;
use trapgate_tests::{Case, Place, Ran, Started, Stdout, needs_kvm, place, scale, trapgate};

const REGRESSION: i32 = 3;
const SETUP: i32 = 125;
const INTERRUPTED: i32 = 130;

fn start(arguments: &[&str]) -> Started {
    let mut command = Command::new(trapgate());
    command.arg("bench").args(arguments).process_group(0);
    Case::new("trapgate").start(command)
}

/// `trapgate bench` with these arguments.
#[track_caller]
fn bench(arguments: &[&str]) -> Ran {
    start(arguments).finish(Duration::from_secs(scale(180, 180, 400)))
}

fn times(ticks: u64) -> Option<Timed> {
    let samples = Samples {
        ticks: (0..1000).map(|index| ticks + index % 7).collect(),
        empty: vec![30; 1000],
        blocks: vec![Part { samples: 200, ..Part::default() }; 5],
        ..Samples::default()
    };
    let khz = NonZeroU64::new(2_000_000).expect("not 0");
    timed(&samples, Clock { khz, step: NonZeroU64::MIN })
}

fn instructions(count: f64) -> Counted {
    Counted { instructions: Some(count), ..Counted::default() }
}

/// A record of two doors, one of which the CPU does not have.
fn record() -> Report {
    let environment = Environment {
        trapgate: "0.1.0".into(),
        kernel: "6.12.0".into(),
        cpu: Cpu {
            vendor: "GenuineIntel".into(),
            model_name: "A CPU".into(),
            family: 6,
            model: 1,
            stepping: 1,
            microcode: None,
            frequency_khz: None,
            governor: None,
            boost: None,
            tsc_khz: 2_000_000,
            tsc_step: 1,
            invariant_tsc: true,
            smt: None,
            online: 1,
            emulator: None,
        },
        mitigations: [].into(),
        kvm: Kvm {
            kind: "VMX (Intel)".into(),
            software: false,
            nested_in: None,
            parameters: [].into(),
        },
        doors: [].into(),
    };
    let method = Method {
        groups: Group::ALL.to_vec(),
        samples: 1000,
        warm_up: 500,
        blocks: 5,
        batch: 1000,
        starts: 1000,
        quick: false,
        counted: true,
    };
    let mut report = Report::new(environment, method);
    let mut door = Measurement::new(Group::Doors, "SYSCALL", Some("64-bit"), record::Place::Guest);
    door.delivery = Some(Delivery::Native);
    door.timed = times(200);
    door.counted = Some(Counted { exits: Some(0.0), exits_repeated: true, ..instructions(73.0) });
    door.steps = vec![Step { name: "dispatch".into(), ns: 4.0, instructions: None }];
    report.measurements.push(door);
    let mut absent =
        Measurement::new(Group::Doors, "SYSCALL", Some("compatibility"), record::Place::Guest);
    absent.delivery = Some(Delivery::Absent { why: "#UD on CPUs of this maker".into() });
    report.measurements.push(absent);
    report
}

/// Files of a test, in a directory of their own.
struct Files(TempDir);

impl Files {
    fn new() -> Files {
        Files(directory())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).into_os_string().into_string().expect("it is text")
    }

    fn write(&self, name: &str, report: &Report) -> String {
        let path = self.path(name);
        fs::write(&path, serde_json::to_vec(report).expect("JSON")).expect("it is ours");
        path
    }

    fn names(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.0.path()).expect("it is ours");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("it is ours").path())
            .map(|path| path.file_name().expect("a name").into())
            .collect();
        names.sort();
        names
    }
}

fn read_json(path: &str) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).expect("it was written")).expect("JSON")
}

#[test]
fn start_is_measured_printed_and_written_in_every_format() {
    needs_kvm!();
    let files = Files::new();
    let names = ["r.json", "r.csv", "r.html", "r.xml", "r.md"];
    let [json, csv, html, junit, markdown] = names.map(|name| files.path(name));
    let formats = ["--json", &json, "--csv", &csv, "--html", &html, "--junit", &junit];
    let formats = [&formats[..], &["--export-markdown", &markdown]].concat();
    let ran = bench(&[&["start", "--starts", "5"], &formats[..]].concat());
    ran.expect_status(0);
    let text = ran.stdout_text();
    let first = text.lines().next().unwrap_or_default();
    ran.expect(first.starts_with("sandbox ") && first.contains(" x)"), "the answer first");
    for part in ["sandbox", "process", "boot to ring 3", "fork and exec"] {
        ran.expect(text.contains(part), part);
    }
    ran.expect(!text.contains('\x1b'), "no escapes into a pipe");
    ran.expect(ran.stderr == b"trapgate: measuring start\n", "no bar where there is no terminal");
    let record = read_json(&json);
    assert_eq!(record["schema"], "trapgate-bench");
    assert_eq!(record["partial"], false);
    for measurement in record["measurements"].as_array().expect("a list") {
        assert_eq!(measurement["timed"]["samples"], 5, "{measurement}");
        let steps = measurement["steps"].as_array().expect("a list");
        assert!(steps.iter().all(|step| step["ns"].as_f64().expect("a number") >= 0.0));
    }
    let starts = |bytes: &str, start: &str| {
        let text = fs::read_to_string(bytes).expect("it was written");
        assert!(text.starts_with(start), "{text}");
    };
    starts(&csv, "id,group,name");
    starts(&html, "<!DOCTYPE html>");
    starts(&junit, "<?xml");
    starts(&markdown, &format!("**{first}**"));
    assert_eq!(files.names().len(), names.len(), "{:?}", files.names());
}

#[test]
fn every_group_is_measured_and_doors_say_how_they_arrive() {
    needs_kvm!();
    let files = Files::new();
    let path = files.path("all.json");
    let few = ["--quick", "--samples", "20", "--batch", "20", "--starts", "2", "--json", &path];
    bench(&few).expect_status(0);
    let record = read_json(&path);
    let measurements = record["measurements"].as_array().expect("measurements");
    for group in ["doors", "calls", "exits", "steps", "start"] {
        assert!(measurements.iter().any(|one| one["group"] == group), "{group} in {record:#}");
    }
    let find = |id: &str| {
        let found = measurements.iter().find(|one| one["id"] == id);
        found.unwrap_or_else(|| panic!("no {id} in {record:#}"))
    };
    let word = if Kind::of_this_host() == Kind::Software { "trapped" } else { "native" };
    for door in ["syscall/64-bit", "int-0x80/64-bit", "int-0x80/compat"] {
        let guest = find(&format!("doors/{door}/guest"));
        assert_eq!(guest["delivery"]["how"], word, "{guest:#}");
        assert!(guest["timed"]["samples"].as_u64() > Some(0), "{guest:#}");
        // A rig's Linux may not execute 32-bit files; it does.
        let host = find(&format!("doors/{door}/host"));
        assert_eq!(host["delivery"]["how"], "native", "{host:#}");
    }
    for door in ["syscall/legacy", "sysenter/legacy", "sysenter/64-bit", "sysenter/compat"] {
        assert!(find(&format!("doors/{door}/guest"))["delivery"]["how"].is_string());
    }
    for call in ["clock_gettime", "write-64-kib", "page-fault"] {
        assert!(find(&format!("calls/{call}/guest"))["timed"].is_object(), "{call}");
    }
}

#[test]
fn a_sandboxs_first_instruction_is_between_its_start_and_its_end() {
    needs_kvm!();
    let files = Files::new();
    let json = files.path("record.json");
    bench(&["start", "--starts", "9", "--json", &json]).expect_status(0);
    let record = read_json(&json);
    let sandbox = &record["measurements"][0];
    let median = sandbox["timed"]["ns"]["raw"]["median"].as_f64().expect("a number");
    let steps = sandbox["steps"].as_array().expect("a list");
    let boot = steps.iter().find(|step| step["name"] == "boot to ring 3").expect("there");
    let boot = boot["ns"].as_f64().expect("a number");
    assert!(boot > 0.0 && boot < median, "{boot} of {median}");
}

#[test]
fn two_runs_of_one_binary_pass_the_gate_with_nothing_allowed() {
    needs_kvm!();
    let files = Files::new();
    // As little as place and time allow. A quick run counts exits of starts only.
    let few = match place() {
        Place::Host => &["doors", "calls", "start", "--quick", "--samples", "20", "--count"][..],
        Place::Amd => &["calls", "--samples", "5", "--count"],
        // All calls would take five minutes there.
        Place::Intel => &["start", "--quick", "--starts", "3"],
    };
    let run = |name: &str, gate: &[&str]| {
        let json = files.path(name);
        let ran = bench(&[few, &["--json", &json], gate].concat());
        ran.expect_status(0);
        (ran, json)
    };
    let (_, first) = run("first.json", &[]);
    let (ran, second) = run("second.json", &["--baseline", &first, "--max-regression", "0"]);
    ran.expect(ran.stdout_text().contains("Gate passed"), "a verdict");
    // The other way round is another pair: fewer are a pass, too.
    let gate = ["--baseline", &second, "--max-regression", "0"];
    bench(&[&["show", &first], &gate[..]].concat()).expect_status(0);
    let text = bench(&["compare", &first, &second]).stdout_text();
    for count in ["instructions", "exits"] {
        assert!(!text.contains(&format!(": {count} ")), "{count} differ:\n{text}");
    }
    let record = read_json(&second);
    let measurements = record["measurements"].as_array().expect("a list");
    let counted = |what: &str, is: fn(&serde_json::Value) -> bool| {
        measurements.iter().filter(|one| is(&one["counted"][what])).count()
    };
    // Else the gate would pass because it judges nothing.
    let instructions = counted("instructions", serde_json::Value::is_number);
    assert!(instructions > 5 || place() == Place::Intel, "{record:#}");
    if Kind::of_this_host() != Kind::Software {
        let least = if place() == Place::Intel { 1 } else { 6 };
        assert!(counted("exits_repeated", |one| one == true) >= least, "{record:#}");
    }
}

#[test]
fn steps_alone_fail_in_one_line_where_stamps_cannot_work() {
    needs_kvm!();
    let files = Files::new();
    let json = files.path("record.json");
    let ran = bench(&["steps", "--samples", "50", "--json", &json]);
    if Kind::of_this_host() == Kind::Software {
        ran.expect_status(SETUP).expect_in_stderr("steps cannot be measured here: this KVM");
        ran.expect(ran.stdout.is_empty(), "nothing measured");
        ran.expect(ran.stderr_text().lines().count() == 1, "one line");
        assert!(files.names().is_empty(), "{:?}", files.names());
    } else {
        ran.expect_status(0);
        let record = read_json(&json);
        assert_eq!(record["measurements"][0]["timed"]["blocks"].as_array().map(Vec::len), Some(5));
    }
}

#[test]
fn a_record_says_when_and_with_which_clock_it_was_made() {
    needs_kvm!();
    let files = Files::new();
    let json = files.path("record.json");
    bench(&["start", "--starts", "5", "--json", &json]).expect_status(0);
    let record = read_json(&json);
    let date = record["date"].as_str().expect("a date");
    assert!(date.starts_with("20") && date.ends_with('Z') && date.len() == 20, "{date}");
    let step = record["environment"]["cpu"]["tsc_step"].as_u64().expect("a step");
    assert!((1..=1000).contains(&step), "{step}");
    let process = &record["measurements"][1]["timed"];
    let blocks = process["blocks"].as_array().expect("blocks").len() as u64;
    assert_eq!(blocks, record["method"]["blocks"].as_u64().expect("a number"));
}

#[test]
fn ctrl_c_prints_and_writes_what_was_measured_marked_as_partial() {
    needs_kvm!();
    for (group, seconds) in [("start", scale(2, 5, 60)), ("doors", scale(2, 5, 20))] {
        // By then it has begun, and is not done; on a busy machine it may take longer.
        let interrupted = [1, 4, 16].into_iter().find_map(|times| {
            let files = Files::new();
            let json = files.path("record.json");
            let many = ["--starts", "1000000", "--samples", "1000000", "--json", &json];
            let started = start(&[&[group], &many[..]].concat());
            std::thread::sleep(Duration::from_secs(times * seconds));
            // Also what it measures natively is in the terminal's group.
            started.signal_group(Signal::SIGINT);
            let limit = Duration::from_secs(times * seconds + scale(30, 60, 300));
            let ran = started.finish(limit);
            ran.expect_status(INTERRUPTED);
            ran.expect(!ran.stdout_text().contains("SIGINT"), "no probe killed by it");
            let record = read_json(&json);
            assert_eq!(files.names(), [Path::new("record.json")]);
            let samples = record["measurements"][0]["timed"]["samples"].as_u64()?;
            Some((ran, record, samples))
        });
        let (ran, record, samples) = interrupted.expect("samples within a minute");
        ran.expect(ran.stdout_text().contains("Partial"), "the mark in the table");
        assert_eq!(record["partial"], true);
        assert!(samples > 0 && samples < 1_000_000, "{samples}");
    }
}

#[test]
fn a_record_is_shown_again_and_written_in_other_formats() {
    let files = Files::new();
    let record = files.write("a.json", &record());
    let [html, junit] = ["a.html", "a.xml"].map(|name| files.path(name));
    let ran = bench(&["show", &record, "--html", &html, "--junit", &junit]);
    ran.expect_status(0);
    for part in ["SYSCALL, 64-bit", "native", "not here", "#UD on CPUs of this maker", "73"] {
        ran.expect(ran.stdout_text().contains(part), part);
    }
    let page = fs::read_to_string(&html).expect("it was written");
    assert!(page.contains("<svg") && !page.contains("<script"), "{page}");
    let junit = fs::read_to_string(&junit).expect("it was written");
    for part in ["skipped=\"1\"", "classname=\"trapgate.bench.doors\"", "time=\""] {
        assert!(junit.contains(part), "no {part} in {junit}");
    }
}

#[test]
fn what_goes_to_standard_output_is_alone_there() {
    let files = Files::new();
    let record = files.write("a.json", &record());
    for (option, start) in [
        ("--json", "{\n"),
        ("--csv", "id,group,name"),
        ("--export-markdown", "**SYSCALL 73 instructions, 86.5 ns; native**\n"),
        ("--html", "<!DOCTYPE html>"),
        ("--junit", "<?xml"),
    ] {
        let ran = bench(&["show", &record, option, "-"]);
        ran.expect_status(0).expect(ran.stdout_text().starts_with(start), start);
        ran.expect(ran.stderr.is_empty(), "nothing else");
    }
    let shown = bench(&["show", &record, "--json", "-"]).stdout;
    let named = bench(&["show", &record, "--json", "/dev/stdout"]).stdout;
    assert!(named == shown, "the same by its other name");
    let shown: Report = serde_json::from_slice(&shown).expect("one record and nothing else");
    assert_eq!(serde_json::to_value(shown).expect("JSON"), read_json(&record));
    // Verdicts have another place then.
    let gate = ["--baseline", &record, "--max-regression", "5", "--csv", "-"];
    let ran = bench(&[&["show", &record], &gate[..]].concat());
    ran.expect_status(0).expect_in_stderr("Gate passed");
    ran.expect(!ran.stdout_text().contains("Gate"), "figures and nothing else");
    assert_eq!(files.names(), [Path::new("a.json")], "no file called '-'");
}

#[test]
fn a_reader_that_has_gone_has_read_enough_and_a_full_disk_is_one_line() {
    let files = Files::new();
    let record = files.write("a.json", &record());
    for options in [&[][..], &["--json", "-"], &["--csv", "-"], &["--html", "-"]] {
        let show = [&["bench", "show", &record], options].concat();
        let ran = Case::new(trapgate()).args(&show).stdout(Stdout::Closed).native();
        ran.expect_status(0).expect(ran.stderr.is_empty(), "silence");
        let ran = Case::new(trapgate()).args(&show).stdout(Stdout::NoSpace).native();
        ran.expect_status(SETUP).expect_in_stderr("trapgate: standard output");
        ran.expect(ran.stderr_text().lines().count() == 1, "one line");
    }
}

#[test]
fn in_a_terminal_one_bar_shows_the_run_and_leaves_nothing_behind() {
    needs_kvm!();
    for columns in [120, 60] {
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let terminal = openpty(Some(&size), None).expect("a pseudo-terminal");
        let mut command = Command::new(trapgate());
        command.args(["bench", "exits", "start", "--quick", "--samples", "50", "--starts", "5"]);
        command.env("TERM", "xterm").stdout(Stdio::piped()).stderr(terminal.slave);
        let child = command.spawn().expect("it is executable");
        drop(command);
        let reader = std::thread::spawn(move || {
            let mut shown = Vec::new();
            // EIO: nobody holds the other end any more.
            let _ = fs::File::from(terminal.master).read_to_end(&mut shown);
            String::from_utf8(shown).expect("it is text")
        });
        let output = child.wait_with_output().expect("it is ours");
        let shown = reader.join().expect("no panic");
        assert!(output.status.success() && !output.stdout.is_empty(), "{output:?}");
        assert!(shown.contains(" %, ") && shown.contains("exits: ") && shown.contains(" left"));
        // One line, drawn over and over, and cleared at last.
        assert!(!shown.contains('\n'), "{shown:?}");
        assert!(shown.trim_end_matches('\r').ends_with("\u{1b}[2K"), "{shown:?}");
        // An escape ends with a letter.
        let visible = |part: &str| part.chars().count();
        let lines = shown.split('\r').map(|line| {
            let mut parts = line.split('\u{1b}');
            let first = parts.next().map_or(0, visible);
            let after =
                |part: &str| part.split_once(char::is_alphabetic).map(|(_, text)| visible(text));
            first + parts.filter_map(after).sum::<usize>()
        });
        let widest = lines.max();
        assert!(widest <= Some(columns.into()), "{widest:?} of {columns}: {shown:?}");
    }
}

#[test]
fn two_records_are_compared_in_words_and_as_json() {
    let files = Files::new();
    let before = files.write("before.json", &record());
    let mut slower = record();
    slower.measurements[0].timed = times(400);
    slower.measurements[0].counted = Some(instructions(80.0));
    slower.environment.cpu.stepping = 2;
    let after = files.write("after.json", &slower);
    let ran = bench(&["compare", &before, &after]);
    ran.expect_status(0);
    let text = ran.stdout_text();
    ran.expect(text.starts_with("Times: 0 the same, 1 slower\n"), "the tally first");
    for part in [
        "environments differ",
        "cpu.stepping: 1 -> 2",
        "+115.6 %",
        "doors/syscall/64-bit/guest: instructions 73 -> 80 (+9.6 %)",
    ] {
        ran.expect(text.contains(part), part);
    }
    ran.expect(!text.contains("compatibility"), "no row without figures");
    let ran = bench(&["compare", &before, &after, "--threshold", "116"]);
    ran.expect(ran.stdout_text().starts_with("Times: 1 the same\n"), "nobody cares");
    let ran = bench(&["compare", &before, &after, "--json"]);
    let comparison: serde_json::Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    assert_eq!(comparison["comparable"], false);
    assert_eq!(comparison["tally"]["slower"], 1);
    let row = &comparison["rows"][0];
    assert_eq!(row["verdict"], "slower");
    assert!(row["time"]["ratio"]["low"].as_f64() > Some(1.0), "{row}");
}

#[test]
fn the_gates_status_says_whether_something_got_worse() {
    let files = Files::new();
    let baseline = files.write("baseline.json", &record());
    let mut more = record();
    more.measurements[0].counted.as_mut().expect("counted").instructions = Some(80.0);
    more.measurements[0].timed = times(400);
    let more = files.write("more.json", &more);
    let mut elsewhere = record();
    elsewhere.environment.kernel = "6.13.0".into();
    let elsewhere = files.write("elsewhere.json", &elsewhere);
    let mut partial = record();
    partial.partial = true;
    let partial = files.write("partial.json", &partial);
    let mut software = record();
    software.environment.kvm.kind = "software".into();
    let software = files.write("software.json", &software);
    let mut empty = record();
    empty.measurements.clear();
    let empty = files.write("empty.json", &empty);
    // 73 to 80 instructions are 9.6 percent.
    for (shown, options, status) in [
        (&baseline, &["0"][..], 0),
        (&more, &["5"], REGRESSION),
        (&more, &["9.5%"], REGRESSION),
        (&more, &["10"], 0),
        (&more, &["10", "--gate-times"], REGRESSION),
        (&elsewhere, &["0"], 0),
        (&elsewhere, &["0", "--gate-times"], SETUP),
        (&empty, &["0"], SETUP),
        (&partial, &["0"], SETUP),
        (&software, &["0"], SETUP),
    ] {
        let gate = [&["show", shown, "--baseline", &baseline, "--max-regression"], options];
        let ran = bench(&gate.concat());
        ran.expect_status(status);
        ran.expect(!ran.stdout.is_empty(), "the table, whatever the gate says");
        let lines = ran.stderr_text().lines().count();
        ran.expect(lines == usize::from(status == SETUP), "one line on stderr for an error");
    }
}

#[test]
fn the_schema_can_be_printed() {
    let ran = bench(&["schema"]);
    let schema: serde_json::Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    assert_eq!(schema["title"], "Report");
    assert_eq!(schema["properties"]["measurements"]["type"], "array");
}

#[test]
fn bad_input_is_refused_in_one_line_before_anything_is_measured() {
    let files = Files::new();
    let good = files.write("good.json", &record());
    let file = |name: &str, text: &[u8]| {
        let path = files.path(name);
        fs::write(&path, text).expect("it is ours");
        path
    };
    let broken = file("broken.json", b"{\"schema\": \"trapgate-bench\", \"version\": ");
    let other = file("other.json", b"{\"schema\": \"something else\"}");
    let newer = file("newer.json", b"{\"schema\": \"trapgate-bench\", \"version\": 3}");
    let damaged = file("damaged.json", b"{\"schema\": \"trapgate-bench\", \"version\": 2}");
    let binary = file("binary", &[0xff; 4096]);
    let (nowhere, folder) = (files.path("none/record"), files.path(""));
    let missing = files.path("missing.json");
    let cases: &[(&str, &[&str], &str)] = &[
        ("an unknown group", &["gates"], "gates"),
        ("a group twice wrong", &["start", "door"], "door"),
        ("no samples", &["start", "--samples", "0"], "--samples"),
        ("absurd samples", &["start", "--samples", "10000001"], "--samples"),
        ("samples below zero", &["start", "--samples=-1"], "--samples"),
        ("samples in words", &["start", "--samples", "many"], "--samples"),
        ("no starts", &["start", "--starts", "0"], "--starts"),
        ("an absurd batch", &["start", "--batch", "99999999999999999999"], "--batch"),
        ("an unknown option", &["start", "--fast"], "--fast"),
        ("an unknown step", &["doors", "--with", "ptl"], "'ptl'"),
        ("an unknown step to leave out", &["doors", "--without", "pti,,"], "mitigation"),
        ("output nowhere", &["start", "--json", &nowhere], "cannot be written"),
        ("output into a directory", &["start", "--html", &folder], "cannot be written"),
        ("standard output for two", &["start", "--csv", "-", "--json", "-"], "'-'"),
        ("one file for two", &["start", "--csv", &missing, "--json", &missing], "same file"),
        ("a limit without a baseline", &["start", "--max-regression", "5"], "--baseline"),
        ("a baseline without a limit", &["start", "--baseline", &good], "--max-regression"),
        ("a limit in words", &["show", &good, "--baseline", &good, "--max-regression", "x"], "x"),
        ("a limit below zero", &["show", &good, "--baseline", &good, "--max-regression=-1"], "-1"),
        (
            "no baseline there",
            &["show", &good, "--baseline", &missing, "--max-regression", "5"],
            "missing.json",
        ),
        (
            "a newer baseline",
            &["start", "--baseline", &newer, "--max-regression", "5"],
            "version 3",
        ),
        ("broken JSON", &["show", &broken], "no JSON"),
        ("another JSON", &["show", &other], "no record"),
        ("a damaged record", &["show", &damaged], "damaged"),
        ("no text", &["show", &binary], "no JSON"),
        ("a directory", &["show", &folder], "cannot be read"),
        ("endless zeroes", &["show", "/dev/zero"], "larger than 64 MiB"),
        ("a threshold in words", &["compare", &good, &good, "--threshold", "few"], "few"),
        ("a threshold below zero", &["compare", &good, &good, "--threshold=-1"], "-1"),
        ("one record to compare", &["compare", &good], "AFTER"),
        ("a record that is not there", &["compare", &good, &missing], "missing.json"),
    ];
    let before = files.names();
    let mut wrong = Vec::new();
    for (name, arguments, words) in cases {
        let ran = bench(arguments);
        if let Err(problem) = ran.is_refusal(SETUP) {
            wrong.push(format!("{name}:{problem}"));
        } else if !ran.stderr_text().contains(words) {
            wrong.push(format!("{name}:{}", ran.describe(words)));
        }
    }
    assert!(wrong.is_empty(), "{} kinds of bad input:\n\n{}", wrong.len(), wrong.join("\n\n"));
    assert_eq!(files.names(), before, "no file left behind");
}

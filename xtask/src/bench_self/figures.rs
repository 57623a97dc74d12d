//! Records beside targets: what `bench-self` prints.
//!
//! Called by `bench_self::main`. The targets are here, each once.

use serde::Serialize;
use serde_json::Value;

use super::machine::{Measured, Record};

/// Instructions from `syscall` to the user's next one.
const NULL_CALL: f64 = 80.0;
/// VM exits of a whole hello.
const EXITS_MUSL: f64 = 12.0;
const EXITS_GLIBC: f64 = 40.0;
/// Start to end, as a multiple of a bare VM's.
const START: f64 = 1.5;
/// Computing, as a multiple of native.
const COMPUTE: f64 = 1.03;
/// The VMM's memory besides guest RAM.
const OVERHEAD_KIB: f64 = 5.0 * 1024.0;

/// One line of the result.
#[derive(Serialize)]
pub(super) struct Figure {
    pub(super) machine: &'static str,
    pub(super) what: String,
    pub(super) value: f64,
    /// At most this much, if there is a target.
    pub(super) target: Option<f64>,
    pub(super) reached: Option<bool>,
    pub(super) unit: &'static str,
    /// What stands beside it: the same done natively, parts of it.
    pub(super) beside: String,
}

/// The figures of one machine.
pub(super) fn figures(measured: &Measured) -> Vec<Figure> {
    let records = measured.records.iter();
    records.filter_map(|record| figure(measured.name, record)).collect()
}

fn figure(machine: &'static str, record: &Record) -> Option<Figure> {
    let data = &record.data;
    let words: Vec<_> = record.words.iter().map(String::as_str).collect();
    let (what, value, target, unit, beside) = match words[..] {
        ["null-call", program] => {
            let target = (program == "getpid-syscall").then_some(NULL_CALL);
            let what = format!("null call, {program}");
            let native = data["native"].as_f64()?;
            let beside = format!("Linux itself {native:.0}; {}", delivery(&data["doors"]));
            (what, data["sandboxed"].as_f64()?, target, "instructions", beside)
        }
        ["exits", program, _] => exits(program, data)?,
        ["start", program, _] => start(machine, program, data)?,
        ["compute", program, size, count] => {
            let what = format!("computing, {program}, {size} MiB");
            let ms = |name: &str| Some(data[name].as_f64()? / 1e6);
            let (sandboxed, native) = (ms("sandboxed_ns")?, ms("native_ns")?);
            let beside = format!("{sandboxed:.0} ms, natively {native:.0} ms; median of {count}");
            // The target is for CPUs: an emulator's cache of code is not its subject.
            let target = (machine == "this machine").then_some(COMPUTE);
            (what, data["ratio"].as_f64()?, target, "times native", beside)
        }
        ["memory", trapgate, _] => {
            let part = |name: &str| data[name].as_u64();
            let beside = format!(
                "{} KiB anonymous, {} KiB of files; guest RAM besides {} KiB",
                part("anonymous_kib")?,
                part("file_kib")?,
                part("guest_ram_kib")?
            );
            let what = format!("VMM's memory, {trapgate}");
            (what, data["overhead_kib"].as_f64()?, Some(OVERHEAD_KIB), "KiB", beside)
        }
        _ => return None,
    };
    let what =
        record.after.as_ref().map_or_else(|| what.clone(), |after| format!("{what}, {after}"));
    let reached = target.map(|target| value <= target);
    Some(Figure { machine, what, value, target, reached, unit, beside })
}

type Parts = (String, f64, Option<f64>, &'static str, String);

/// The whole count is the figure; the host's own interrupts among them come and
/// go with time, so the run that they disturbed least is taken.
fn exits(program: &str, data: &Value) -> Option<Parts> {
    let runs = data["runs"].as_array()?;
    let count = |run: &Value, name: &str| run[name].as_u64();
    let all: Vec<_> = runs.iter().filter_map(|run| count(run, "kvm_exits")).collect();
    let least = runs.iter().min_by_key(|run| count(run, "kvm_exits"))?;
    let (exits, interrupts) = (count(least, "kvm_exits")?, count(least, "irq_exits")?);
    let beside = format!(
        "{} and {interrupts} by interrupts of the host; to the VMM {}; {} runs: {} to {}",
        exits - interrupts.min(exits),
        count(least, "vmm_exits")?,
        all.len(),
        all.iter().min()?,
        all.iter().max()?,
    );
    let target = match program {
        "hello-musl" => Some(EXITS_MUSL),
        "hello-glibc" => Some(EXITS_GLIBC),
        _ => None,
    };
    Some((format!("VM exits, {program}"), exits as f64, target, "exits", beside))
}

fn start(machine: &str, program: &str, data: &Value) -> Option<Parts> {
    let ms = |whose: &str| Some(data[whose]["whole"].as_f64()? / 1e3);
    let (bare, sandbox, native) = (ms("bare_us")?, ms("sandbox_us")?, ms("native_us")?);
    let to_native = data["to_native"].as_f64()?;
    let beside = format!(
        "{sandbox:.2} ms, bare VM {bare:.2} ms, natively {native:.2} ms ({to_native:.0} times); \
         until the outcome {:.2}, CPU {:.2} times the bare VM's",
        data["outcome_to_bare"].as_f64()?,
        data["cpu_to_bare"].as_f64()?,
    );
    // The target is for the rigs. Not where only instructions pass the time: there
    // the kernel's grace periods, in which nobody runs, decide the ratio.
    let target = matches!(machine, "AMD rig" | "Intel rig").then_some(START);
    let what = format!("start to end, {program}");
    Some((what, data["to_bare"].as_f64()?, target, "times a bare VM", beside))
}

/// The doors that were gone through, and how their calls arrived.
fn delivery(doors: &Value) -> String {
    let doors = doors.as_array().into_iter().flatten();
    let arrived = doors.filter_map(|door| {
        let count = |how: &str| door[how].as_u64().filter(|&count| count > 0);
        // The program's few other calls are not what was measured.
        let how = ["native", "trapped"].into_iter().find(|how| count(how) > Some(1000))?;
        Some(format!("{} {how}", door["name"].as_str()?))
    });
    arrived.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(words: &[&str], data: Value) -> Record {
        let words = words.iter().map(|&word| word.to_owned()).collect();
        Record { after: None, words, data }
    }

    #[test]
    fn a_target_is_reached_up_to_its_very_value() {
        let data = |exits| json!({"runs": [{"kvm_exits": exits, "irq_exits": 1, "vmm_exits": 2}]});
        for (exits, reached) in [(12, true), (13, false)] {
            let record = record(&["exits", "hello-musl", "1"], data(exits));
            assert_eq!(figure("AMD rig", &record).unwrap().reached, Some(reached));
        }
    }

    #[test]
    fn a_door_of_a_few_calls_is_not_the_measured_one() {
        let doors = json!([{"name": "A", "native": 2, "trapped": 0},
                           {"name": "B", "native": 0, "trapped": 21000}]);
        assert_eq!(delivery(&doors), "B trapped");
    }
}

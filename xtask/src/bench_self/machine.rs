//! The machines that `bench-self` measures on, and a plan's way through one.
//!
//! Called by `bench_self::main`; calls the measuring program, here or by
//! `rig::run`. Each record is one line of JSON, shown in short as it comes.

use std::fs;
use std::io::{self, Write};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::Value;

use super::Step;
use super::programs::Programs;
use crate::rig::{self, Config, Cpu, End, RigFile};
use crate::sh;

/// Linux makes no large pages below 512 MiB.
const RIG_MEMORY_MIB: u32 = 1024;
const RIG_TIMEOUT: Duration = Duration::from_secs(1200);

/// Where to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Machine {
    Here,
    Amd,
    AmdCounting,
    Intel,
}

impl Machine {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Here => "this machine",
            Self::Amd => "AMD rig",
            Self::AmdCounting => "AMD rig, counting",
            Self::Intel => "Intel rig",
        }
    }

    /// What figures from it are, and are not.
    pub(super) fn nature(self) -> &'static str {
        match self {
            Self::Here => "its own KVM, whatever kind that is",
            Self::Amd => {
                "a real kvm_amd on QEMU's software CPU: exits are exact, times are the emulator's, \
                 not silicon's"
            }
            Self::AmdCounting => {
                "the same with --icount: the TSC and every clock count instructions, not silicon's \
                 time"
            }
            Self::Intel => {
                "a real kvm_intel on Bochs, which counts instructions too: exits and instructions \
                 are exact, times are not silicon's"
            }
        }
    }

    pub(super) fn cpu(self) -> Option<Cpu> {
        match self {
            Self::Here => None,
            Self::Amd | Self::AmdCounting => Some(Cpu::Amd),
            Self::Intel => Some(Cpu::Intel),
        }
    }

    /// Goes through a plan. A step that fails does not keep others from running.
    pub(super) fn carry_out(self, steps: &[Step], programs: &Programs) -> Result<Measured> {
        let mut collector = Collector::new(self);
        match self.cpu() {
            None => here(steps, programs, &mut collector)?,
            Some(cpu) => self.in_rig(cpu, steps, programs, &mut collector)?,
        }
        Ok(collector.measured)
    }

    fn in_rig(
        self,
        cpu: Cpu,
        steps: &[Step],
        programs: &Programs,
        collector: &mut Collector,
    ) -> Result<()> {
        let script = tempfile::NamedTempFile::new()?;
        fs::write(script.path(), rig_script(steps, programs)?)?;
        let mut config = Config::new(cpu, ["sh", "/bench-self.sh"]);
        config.icount = self == Self::AmdCounting;
        config.mem_mib = RIG_MEMORY_MIB;
        config.timeout = RIG_TIMEOUT;
        config.files = programs.rig_files();
        config.files.push(RigFile::new(script.path(), "/bench-self.sh"));
        let report = rig::run(&config, collector)?;
        match report.end {
            End::Exited(0) => Ok(()),
            End::Exited(status) => bail!("the rig's script ended with status {status}"),
            End::Interrupted => bail!("interrupted"),
            End::TimedOut => bail!("not done after {}", sh::seconds(RIG_TIMEOUT)),
            End::Broke => bail!("the rig broke\n{}", report.diagnosis()),
        }
    }
}

fn here(steps: &[Step], programs: &Programs, collector: &mut Collector) -> Result<()> {
    for step in steps {
        let Step::Measure(words) = step else {
            bail!("a plan for this machine must not change it");
        };
        let mut command = Command::new(programs.bench_self()?);
        command.args(words.iter().map(|word| programs.here(word)));
        match sh::capture(&mut command) {
            Ok(line) => collector.write_all(line.as_bytes())?,
            Err(error) => collector.measured.fail(&format!("{}: {error:#}", words.join(" "))),
        }
        if sh::interrupted() {
            bail!("interrupted");
        }
    }
    Ok(())
}

/// The plan as a shell script; marks tell failures and changes apart.
fn rig_script(steps: &[Step], programs: &Programs) -> Result<String> {
    let mark = |key: &str, text: &str| {
        let line = serde_json::json!({ key: text }).to_string();
        anyhow::Ok(format!("echo {}", shlex::try_quote(&line)?))
    };
    let mut script = String::new();
    for step in steps {
        let line = match step {
            Step::Measure(words) => {
                let words: Vec<_> = words.iter().map(|word| programs.in_rig(word)).collect();
                let command = shlex::try_join(words.iter().map(String::as_str))?;
                let program = programs.in_rig("bench_self-static");
                format!("{program} {command} || {}", mark("failed", &command)?)
            }
            Step::Change(name, shell) => {
                format!("if {shell}; then {}; else {}; exit 0; fi", mark("changed", name)?, {
                    mark("failed", name)?
                })
            }
        };
        script += &line;
        script.push('\n');
    }
    Ok(script)
}

/// What came of a plan.
#[derive(Serialize)]
pub(super) struct Measured {
    pub(super) name: &'static str,
    pub(super) nature: &'static str,
    /// What the machine says of itself: `trapgate doctor --json`.
    pub(super) machine: Option<Value>,
    pub(super) records: Vec<Record>,
    pub(super) failed: Vec<String>,
}

/// One measurement.
#[derive(Serialize)]
pub(super) struct Record {
    /// What had been changed on the machine before.
    pub(super) after: Option<String>,
    pub(super) words: Vec<String>,
    pub(super) data: Value,
}

impl Measured {
    /// Whether anything was measured.
    pub(super) fn has_records(&self) -> bool {
        !self.records.is_empty()
    }

    fn fail(&mut self, what: &str) {
        self.failed.push(format!("{}: {what}", self.name));
    }
}

/// Takes the measuring program's output, line by line.
struct Collector {
    measured: Measured,
    after: Option<String>,
    pending: Vec<u8>,
}

impl Collector {
    fn new(machine: Machine) -> Self {
        let (name, nature) = (machine.name(), machine.nature());
        let (records, failed) = (Vec::new(), Vec::new());
        let measured = Measured { name, nature, machine: None, records, failed };
        Self { measured, after: None, pending: Vec::new() }
    }

    fn line(&mut self, line: &str) {
        let Ok(mut data) = serde_json::from_str::<Value>(line) else {
            // An error message of the measuring program, or of a rig's shell.
            eprintln!("    {}", line.trim_end());
            return;
        };
        if let Some(what) = data["failed"].as_str() {
            self.measured.fail(what);
        } else if let Some(what) = data["changed"].as_str() {
            eprintln!("    {what}");
            self.after = Some(what.to_owned());
        } else {
            let words = data["command"].as_array().into_iter().flatten();
            let words: Vec<_> = words.filter_map(Value::as_str).map(base_name).collect();
            eprintln!("    {}", words.join(" "));
            if let Some(object) = data.as_object_mut() {
                object.remove("command");
            }
            if words == ["machine"] {
                self.measured.machine = Some(data);
            } else {
                self.measured.records.push(Record { after: self.after.clone(), words, data });
            }
        }
    }
}

/// A program's name without its place, which differs from machine to machine.
/// (`trapgate-static` lies in a file `trapgate` here; the directory tells.)
fn base_name(word: &str) -> String {
    let name = word.rsplit('/').next().unwrap_or(word);
    let is_static = name == "trapgate" && word.contains("-linux-musl/");
    if is_static { format!("{name}-static") } else { name.to_owned() }
}

impl Write for Collector {
    fn write(&mut self, new: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(new);
        while let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.pending.drain(..=end).collect();
            self.line(&String::from_utf8_lossy(&line));
        }
        Ok(new.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Measured {
    /// A word of the machine's description of itself.
    pub(super) fn describe(&self) -> Result<String> {
        let report = self.machine.as_ref().context("nothing is known of it")?;
        let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
        let modules = report["modules"].as_array().into_iter().flatten().map(text);
        let doors = report["doors"].as_array().into_iter().flatten();
        let doors =
            doors.map(|door| format!("{} {}", text(&door["name"]), text(&door["delivery"])));
        Ok(format!(
            "{}, Linux {}; KVM: {} ({}); doors: {}",
            text(&report["cpu"]["model_name"]),
            text(&report["kernel"]),
            text(&report["kind"]),
            modules.collect::<Vec<_>>().join(" "),
            doors.collect::<Vec<_>>().join("; "),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_records_after_what_was_changed() {
        let mut collector = Collector::new(Machine::Intel);
        let lines = "{\"command\":[\"exits\",\"/bench/hello\",\"2\"],\"runs\":[]}\n\
                     not json\n{\"changed\":\"this\"}\n{\"command\":[\"start\"]}\n\
                     {\"failed\":\"that\"}\n";
        for part in [&lines[..20], &lines[20..]] {
            collector.write_all(part.as_bytes()).unwrap();
        }
        let Measured { records, failed, .. } = collector.measured;
        assert_eq!(records[0].words, ["exits", "hello", "2"]);
        assert_eq!(records[0].after, None);
        assert_eq!(records[1].after.as_deref(), Some("this"));
        assert_eq!(failed, ["Intel rig: that"]);
    }
}

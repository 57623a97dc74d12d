//! What `cargo xtask bench-self` runs, on this machine and inside the rigs: one
//! measurement a call, printed as one line of JSON. It judges nothing.
//!
//! It uses the library as any program would, so that what it measures is what a
//! user gets; the bare VM that a sandbox is compared with is made of plain
//! kvm-ioctls. Linked statically it needs nothing of the rigs' Linux.
#![allow(unsafe_code, reason = "KVM_SET_USER_MEMORY_REGION and mmap take addresses")]

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, Subcommand};
use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::{Kvm, VcpuExit};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Map, Value, json};
use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio as NativeStdio};
use std::ptr::{NonNull, null_mut};
use std::time::{Duration, Instant};
use trapgate::stats::Stats;
use trapgate::{End, Sandbox, Stdio};

/// Longer than anything here takes, in the slowest rig.
const TIMEOUT: Duration = Duration::from_secs(300);

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// What machine this is, and how each door arrives
    Machine,
    /// Runs a program that prints `ticks_per_call`, sandboxed and natively
    NullCall { program: PathBuf },
    /// VM exits of whole runs of a program
    Exits { program: PathBuf, count: usize },
    /// Start to end: a bare VM, the program in a sandbox, the program natively
    Start { program: PathBuf, count: usize },
    /// Runs a program that prints `elapsed_ns`, natively and sandboxed
    Compute { program: PathBuf, argument: OsString, count: usize },
    /// Memory of `trapgate run` while its program waits for input
    Memory { trapgate: PathBuf, program: PathBuf },
}

fn main() -> Result<()> {
    let mut record = match Cli::parse().what {
        What::Machine => serde_json::to_value(trapgate_measure::doctor::examine())?,
        What::NullCall { program } => null_call(&program)?,
        What::Exits { program, count } => exits(&program, count)?,
        What::Start { program, count } => start(&program, count)?,
        What::Compute { program, argument, count } => compute(&program, &argument, count)?,
        What::Memory { trapgate, program } => memory(&trapgate, &program)?,
    };
    let arguments: Vec<_> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    record["command"] = json!(arguments);
    println!("{record}");
    Ok(())
}

/// One sandboxed run; what it wrote comes back beside its cost.
fn sandboxed(program: &Path, arguments: &[OsString]) -> Result<(String, Stats)> {
    let output = Sandbox::builder()
        .program(program)
        .args(arguments)
        .timeout(TIMEOUT)
        .stderr(Stdio::inherit())
        .build()?
        .output()?;
    ensure!(output.end.success(), "{}: {}", program.display(), output.end);
    Ok((String::from_utf8(output.stdout)?, output.stats))
}

/// The same as a process of the host's.
fn native(program: &Path, arguments: &[OsString]) -> Result<String> {
    let output = Command::new(program).args(arguments).env_clear().output();
    let output = output.with_context(|| program.display().to_string())?;
    ensure!(output.status.success(), "{}: {}", program.display(), output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// The number behind `name=` in a program's line.
fn field(line: &str, name: &str) -> Result<f64> {
    let value = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    value.with_context(|| format!("no {name} in {line:?}"))?.parse().context("not a number")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

fn null_call(program: &Path) -> Result<Value> {
    let ticks = |line: &str| field(line, "ticks_per_call");
    let (line, stats) = sandboxed(program, &[])?;
    Ok(json!({
        "sandboxed": ticks(&line)?,
        "native": ticks(&native(program, &[])?)?,
        "doors": stats.doors,
        "kvm": stats.kvm,
    }))
}

fn exits(program: &Path, count: usize) -> Result<Value> {
    let runs = (0..count).map(|_| Ok(serde_json::to_value(sandboxed(program, &[])?.1)?));
    Ok(json!({ "runs": runs.collect::<Result<Vec<_>>>()? }))
}

/// Interleaved, so that a slow moment of the machine hits both.
fn compute(program: &Path, argument: &OsString, count: usize) -> Result<Value> {
    let arguments = [argument.clone()];
    let elapsed = |line: &str| field(line, "elapsed_ns");
    let digest = |line: &str| line.split_whitespace().next().map(str::to_owned);
    let (mut inside, mut outside, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..count {
        let native = native(program, &arguments)?;
        let (sandboxed, _) = sandboxed(program, &arguments)?;
        ensure!(digest(&native) == digest(&sandboxed), "{native:?} is not {sandboxed:?}");
        let (native, sandboxed) = (elapsed(&native)?, elapsed(&sandboxed)?);
        outside.push(native);
        inside.push(sandboxed);
        ratios.push(sandboxed / native);
    }
    Ok(json!({
        "sandboxed_ns": median(inside),
        "native_ns": median(outside),
        "ratio": median(ratios.clone()),
        "ratios": ratios,
    }))
}

/// Named pieces of time of one round, in nanoseconds.
#[derive(Default)]
struct Steps(Vec<(&'static str, f64)>);

impl Steps {
    /// Notes the time since `start`, and starts anew.
    fn lap(&mut self, name: &'static str, start: &mut Instant) {
        self.0.push((name, start.elapsed().as_nanos() as f64));
        *start = Instant::now();
    }

    fn note(&mut self, name: &'static str, us: f64) {
        self.0.push((name, us * 1e3));
    }
}

/// The medians of every step over all rounds, in microseconds and in order.
fn medians(rounds: &[Steps]) -> Value {
    let mut medians = Map::new();
    for (index, (name, _)) in rounds.first().map_or(&[][..], |steps| &steps.0).iter().enumerate() {
        let values = rounds.iter().map(|steps| steps.0[index].1 / 1e3).collect();
        medians.insert((*name).to_owned(), json!((median(values) * 10.0).round() / 10.0));
    }
    Value::Object(medians)
}

/// Interleaved rounds; the first, which warms up, does not count.
fn start(program: &Path, count: usize) -> Result<Value> {
    let (mut bare, mut sandbox, mut natively) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=count {
        let steps = (bare_vm()?, whole_run(program)?, process(program)?);
        if round > 0 {
            bare.push(steps.0);
            sandbox.push(steps.1);
            natively.push(steps.2);
        }
    }
    let (bare, sandbox, natively) = (medians(&bare), medians(&sandbox), medians(&natively));
    let of = |steps: &Value, name: &str| steps[name].as_f64().unwrap_or(f64::NAN);
    let whole = |steps: &Value| of(steps, "whole");
    Ok(json!({
        "bare_us": bare,
        "sandbox_us": sandbox,
        "native_us": natively,
        "to_bare": whole(&sandbox) / whole(&bare),
        "to_native": whole(&sandbox) / whole(&natively),
        "outcome_to_bare": of(&sandbox, "to the outcome") / whole(&bare),
        "cpu_to_bare": of(&sandbox, "CPU") / of(&bare, "CPU"),
    }))
}

/// The CPU time that this process has had, of all its threads.
fn cpu_us() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

/// A sandbox from nothing to nothing, by the library.
fn whole_run(program: &Path) -> Result<Steps> {
    let (start, cpu) = (Instant::now(), cpu_us());
    let builder = Sandbox::builder().program(program).stdout(Stdio::null());
    let sandbox = builder.build()?;
    let built = start.elapsed().as_secs_f64() * 1e6;
    let outcome = sandbox.run()?;
    let told = start.elapsed().as_secs_f64() * 1e6;
    outcome.teardown.wait();
    let whole = start.elapsed().as_secs_f64() * 1e6;
    ensure!(outcome.end == End::Exited(0), "{}: {:?}", program.display(), outcome.end);
    let time = outcome.stats.time;
    let (create, load, run) = (time.create_us as f64, time.load_us as f64, time.run_us as f64);
    let mut steps = Steps::default();
    steps.note("whole", whole);
    steps.note("read file", built - create - load);
    steps.note("create", create);
    steps.note("load", load);
    steps.note("run", run);
    // Not the guest's: a thread begun, counters read, memory given back.
    steps.note("thread, counters", told - built - run);
    // Behind the outcome.
    steps.note("drop", whole - told);
    steps.note("to the outcome", told);
    steps.note("CPU", cpu_us() - cpu);
    Ok(steps)
}

/// The same program as a process. The standard library spawns with
/// posix_spawn(3), which is quicker than fork(2) and exec(2).
fn process(program: &Path) -> Result<Steps> {
    let mut steps = Steps::default();
    let mut start = Instant::now();
    let status = Command::new(program).env_clear().stdout(NativeStdio::null()).status()?;
    steps.lap("whole", &mut start);
    ensure!(status.success(), "{}: {status}", program.display());
    Ok(steps)
}

/// Memory of the bare VM, of which one page is touched. Less than a large page,
/// so that no host clears one for it.
const BARE_MEMORY: usize = 64 << 10;

/// The least that a start in a VM can cost: one memory slot, one vCPU, one
/// entry in the mode it wakes up in, one exit.
fn bare_vm() -> Result<Steps> {
    let mut steps = Steps::default();
    let (whole, cpu) = (Instant::now(), cpu_us());
    let mut start = Instant::now();
    let memory = Memory::new()?;
    // SAFETY: the mapping begins with this byte. HLT, at address 0.
    unsafe { memory.0.write_volatile(0xf4) };
    steps.lap("memory", &mut start);
    let kvm = Kvm::new()?;
    let vm = kvm.create_vm()?;
    steps.lap("KVM_CREATE_VM", &mut start);
    let region = kvm_userspace_memory_region {
        slot: 0,
        flags: 0,
        guest_phys_addr: 0,
        memory_size: BARE_MEMORY as u64,
        userspace_addr: memory.0.as_ptr() as u64,
    };
    // SAFETY: our own mapping, which is dropped after the VM: `memory` was
    // made before `vm`.
    unsafe { vm.set_user_memory_region(region) }?;
    steps.lap("KVM_SET_USER_MEMORY_REGION", &mut start);
    let mut vcpu = vm.create_vcpu(0)?;
    steps.lap("KVM_CREATE_VCPU", &mut start);
    let mut sregs = vcpu.get_sregs()?;
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    vcpu.set_sregs(&sregs)?;
    let mut regs = vcpu.get_regs()?;
    regs.rip = 0;
    vcpu.set_regs(&regs)?;
    steps.lap("registers", &mut start);
    match vcpu.run()? {
        VcpuExit::Hlt => {}
        other => bail!("the bare VM ended with {other:?}"),
    }
    steps.lap("KVM_RUN", &mut start);
    drop((vcpu, vm, kvm));
    drop(memory);
    steps.lap("drop", &mut start);
    steps.note("CPU", cpu_us() - cpu);
    steps.0.insert(0, ("whole", whole.elapsed().as_nanos() as f64));
    Ok(steps)
}

/// An anonymous mapping, unmapped when dropped.
struct Memory(NonNull<u8>);

impl Memory {
    fn new() -> Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping at an address of the host kernel's choice.
        let base = unsafe { libc::mmap(null_mut(), BARE_MEMORY, protection, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error()).context("mmap");
        }
        Ok(Memory(NonNull::new(base.cast()).context("mmap answered 0")?))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: our own mapping; its users are gone.
        unsafe { libc::munmap(self.0.as_ptr().cast(), BARE_MEMORY) };
    }
}

/// Looks at a `trapgate run` whose program has said a line and now waits for
/// one. Guest RAM is told apart by mincore(2) at the run's end, by the VMM's own
/// statistics: nothing is touched between the two.
fn memory(trapgate: &Path, program: &Path) -> Result<Value> {
    let stats = std::env::temp_dir().join(format!("bench-self-{}.json", std::process::id()));
    let mut child = Command::new(trapgate)
        .args(["run", "--stats-json"])
        .args([&stats, program])
        .arg("wait")
        .stdin(NativeStdio::piped())
        .stdout(NativeStdio::piped())
        .spawn()
        .with_context(|| trapgate.display().to_string())?;
    let mut line = [0; 6];
    child.stdout.as_mut().context("a pipe")?.read_exact(&mut line)?;
    let smaps = fs::read_to_string(format!("/proc/{}/smaps", child.id()))?;
    child.stdin.take().context("a pipe")?.write_all(b"\n")?;
    let status = child.wait()?;
    ensure!(status.success(), "{}: {status}", trapgate.display());
    let written: Value = serde_json::from_slice(&fs::read(&stats)?)?;
    fs::remove_file(&stats)?;
    let ram = written["ram_resident_bytes"].as_u64().context("no ram_resident_bytes")? >> 10;
    let sum = |name: &str| -> u64 {
        let lines = smaps.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        lines.filter_map(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).sum()
    };
    let resident = sum("Rss");
    Ok(json!({
        "resident_kib": resident,
        "guest_ram_kib": ram,
        "overhead_kib": resident.saturating_sub(ram),
        // What only this process has, and what it could share with its like.
        "anonymous_kib": sum("Anonymous").saturating_sub(ram),
        "file_kib": resident.saturating_sub(sum("Anonymous")),
    }))
}

//! `cargo xtask rig`: the command line of the rig.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use super::{Config, Cpu, End, Report, RigFile};
use crate::sh;

/// Run a command in a throw-away Linux with a real kvm_amd or kvm_intel.
///
/// The Linux is Debian's cloud kernel on a software CPU that emulates nested
/// virtualisation: QEMU for AMD, Bochs for Intel. It has /dev/kvm, a busybox, and
/// the files you give it, nothing else; so the command must be static. Its output
/// is streamed. The exit status is the command's, 124 if the time was over, 125
/// if the rig broke.
///
/// Environment: TRAPGATE_RIG_CACHE is where the kernel is kept (trapgate-rig in
/// the user's cache directory); TRAPGATE_RIG_KDEB a linux-image .deb to fill the
/// cache from; QEMU and BOCHS other emulators (a Bochs built with nogui and
/// without debugger is about four times faster).
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Whose virtualisation: amd (QEMU, 2 s to boot) or intel (Bochs, 15 s)
    #[arg(long)]
    cpu: Cpu,
    /// AMD: let the TSC count instructions, so that runs repeat bit for bit
    #[arg(long)]
    icount: bool,
    /// The machine's memory
    #[arg(long, value_name = "MIB", default_value_t = 512)]
    mem: u32,
    /// Give up after this time, with status 124
    #[arg(long, value_name = "SECS", default_value_t = 300.0, value_parser = positive_seconds)]
    timeout: f64,
    /// Take the host's file SRC to DST (by default the same path); repeatable
    #[arg(long = "file", value_name = "SRC[:DST]", value_parser = parse_file)]
    files: Vec<RigFile>,
    /// Parameters for the module kvm-amd or kvm-intel, such as nested=0
    #[arg(
        long,
        value_name = "ARGS",
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    modargs: String,
    /// More words for the guest kernel's command line, such as mitigations=off
    #[arg(
        long,
        value_name = "ARGS",
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    append: String,
    /// Another CPU model of the emulator, such as EPYC-v1,+svm,-smap
    #[arg(long)]
    model: Option<String>,
    /// Load this maker's KVM module although the CPU is another's
    #[arg(long, value_name = "MAKER")]
    vendor: Option<Cpu>,
    /// Intel: guest instructions in one emulated second
    #[arg(long, value_name = "NUMBER", default_value_t = 100_000_000)]
    ips: u32,
    /// Print the kernel log, the emulator's words and the times at the end
    #[arg(long)]
    log: bool,
    /// What to run, after `--`
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<String>,
}

/// `SRC` or `SRC:DST`.
fn parse_file(text: &str) -> Result<RigFile, String> {
    let (source, target) = text.split_once(':').unwrap_or((text, text));
    let target = if target.is_empty() { source } else { target };
    if source.is_empty() {
        return Err("the file's name is empty".into());
    }
    Ok(RigFile::new(PathBuf::from(source), target))
}

/// A time that a clock can wait for.
fn positive_seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if !(0.0..1e9).contains(&seconds) {
        return Err("must be between 0 and a thousand million".into());
    }
    Ok(seconds)
}

/// Runs the rig and answers with its status.
pub(crate) fn main(args: &Args) -> ExitCode {
    let config = Config {
        icount: args.icount,
        mem_mib: args.mem,
        timeout: Duration::from_secs_f64(args.timeout),
        files: args.files.clone(),
        modargs: args.modargs.clone(),
        append: args.append.clone(),
        model: args.model.clone(),
        vendor: args.vendor,
        ips: args.ips,
        ..Config::new(args.cpu, &args.command)
    };
    if args.icount && args.cpu == Cpu::Intel {
        sh::warn("--icount is for amd; Bochs counts instructions anyway");
    }
    match super::run(&config, &mut io::stdout()) {
        Ok(report) => {
            explain(args, &report);
            ExitCode::from(report.status())
        }
        Err(error) => {
            sh::error(&format!("{error:#}"));
            ExitCode::from(if sh::interrupted() { sh::STATUS_INTERRUPTED } else { 125 })
        }
    }
}

fn explain(args: &Args, report: &Report) {
    if args.log || report.end == End::Broke {
        eprintln!("{}", report.diagnosis());
    }
    match report.end {
        End::TimedOut => sh::error(&format!("not done after {} seconds", args.timeout)),
        End::Broke => sh::error("the rig broke before the command ended; see the logs above"),
        End::Exited(_) | End::Interrupted => {}
    }
    if args.log {
        let first = report.first_output.map_or_else(|| "none".into(), sh::seconds);
        eprintln!(
            "prepared in {}, first output after {first}, total {}",
            sh::seconds(report.prepare),
            sh::seconds(report.total)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_name_its_place_or_keep_its_own() {
        assert_eq!(parse_file("a:/b"), Ok(RigFile::new("a", "/b")));
        assert_eq!(parse_file("/a/b"), Ok(RigFile::new("/a/b", "/a/b")));
        assert_eq!(parse_file("/a:"), Ok(RigFile::new("/a", "/a")));
        assert!(parse_file(":/b").is_err());
    }

    #[test]
    fn a_timeout_is_a_time() {
        assert_eq!(positive_seconds("0.5"), Ok(0.5));
        for nonsense in ["-1", "NaN", "inf", "1e99", "soon"] {
            assert!(positive_seconds(nonsense).is_err(), "{nonsense}");
        }
    }
}

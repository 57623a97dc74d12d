//! `cargo xtask demo`: what trapgate does, shown in a minute.
//!
//! Builds what is needed, then runs a short shell script that prints each command
//! before it runs it. The same script runs on this machine and in a rig.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::rig::{self, Config, Cpu, End, RigFile};
use crate::{needs, setup, sh};

/// Show trapgate at work: doctor, a hello through each door, a real program.
///
/// Starts with `cargo xtask setup` and builds everything first. On a machine whose
/// KVM cannot run it, --rig shows the same in a throw-away Linux that has a real
/// kvm_amd or kvm_intel.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Show it in this rig instead of on this machine
    #[arg(long, value_name = "CPU")]
    rig: Option<Cpu>,
}

/// The script's status when `trapgate doctor` finds that nothing can run.
const STATUS_UNFIT: u8 = 3;

const BARE: &str = "x86_64-unknown-none";
const MUSL: &str = "x86_64-unknown-linux-musl";

/// Where the workspace's files lie in the rig.
const RIG_ROOT: &str = "/trapgate";

/// Runs the subcommand.
pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    setup::ensure()?;
    let status = match args.rig {
        Some(cpu) => in_rig(cpu)?,
        None => match here()? {
            STATUS_UNFIT => instead()?,
            status => status,
        },
    };
    Ok(ExitCode::from(status))
}

/// The command lines to show after `trapgate doctor`.
fn lines(busybox: Option<&str>) -> Vec<String> {
    let mut lines = vec![
        "trapgate run --stats images/hello-syscall.toml".to_owned(),
        "trapgate run --stats images/hello-int80.toml".to_owned(),
    ];
    match busybox {
        Some(busybox) => lines.extend([
            format!("trapgate run --stats {busybox} echo 'Hello from an unmodified Linux program'"),
            format!("seq 1 10000 | trapgate run --stats {busybox} sha256sum"),
            format!("seq 1 10000 | {busybox} sha256sum   # the same without trapgate"),
        ]),
        None => sh::warn("no static busybox here: the demo goes without it"),
    }
    lines
}

/// A script that prints and runs each line, and fails if one does.
fn script(lines: &[String]) -> String {
    let mut script = format!(
        "failed=0\n\
         echo '$ trapgate doctor'; trapgate doctor || exit {STATUS_UNFIT}\n"
    );
    for line in lines {
        let quoted = shlex::try_quote(line).expect("the demo's lines hold no NUL");
        writeln!(script, "echo; printf '$ %s\\n' {quoted}\n{line}\n[ $? = 0 ] || failed=1")
            .expect("a String takes everything");
    }
    script + "exit $failed\n"
}

/// On this machine.
fn here() -> Result<u8> {
    let trapgate = build_trapgate(&[])?;
    build_images()?;
    let bin = trapgate.source.parent().context("trapgate lies in a directory")?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path =
        std::env::join_paths([bin.to_owned()].into_iter().chain(std::env::split_paths(&path)))?;
    let busybox = needs::static_busybox();
    let lines = lines(busybox.as_deref().and_then(Path::to_str));
    let status = sh::status(
        Command::new("sh").args(["-c", &script(&lines)]).current_dir(sh::root()).env("PATH", path),
    )?;
    Ok(status.code().and_then(|code| code.try_into().ok()).unwrap_or(1))
}

/// In a rig.
fn in_rig(cpu: Cpu) -> Result<u8> {
    rig::require(cpu)?;
    let mut files = vec![build_trapgate(&["--target", MUSL])?];
    files.extend(build_images()?);
    let work = tempfile::tempdir()?;
    let demo = work.path().join("demo.sh");
    let text = script(&lines(Some("/bin/busybox")));
    fs::write(&demo, format!("cd {RIG_ROOT}\n{text}"))?;
    files.push(RigFile::new(demo, "/demo.sh"));

    let mut config = Config::new(cpu, ["sh", "/demo.sh"]);
    config.files = files;
    config.mem_mib = 1024;
    config.timeout = Duration::from_secs(600);
    sh::step(&format!("the {} rig: a Linux with a real {}", cpu.name(), cpu.module()));
    let report = rig::run(&config, &mut io::stdout())?;
    match report.end {
        End::Broke => bail!("the rig broke\n{}", report.diagnosis()),
        End::TimedOut => bail!("the rig was not done after {} s", config.timeout.as_secs()),
        End::Exited(_) | End::Interrupted => Ok(report.status()),
    }
}

/// Explains, and where somebody can answer, offers the rig.
fn instead() -> Result<u8> {
    sh::warn(
        "this machine's KVM cannot run trapgate (see above). The AMD rig can: a\n\
         throw-away Linux on a software CPU, with a real kvm_amd\n    \
         cargo xtask demo --rig amd",
    );
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Ok(STATUS_UNFIT);
    }
    eprint!("Run it now? [Y/n] ");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    let agrees = !answer.is_empty() && matches!(answer.trim(), "" | "y" | "Y" | "yes");
    if agrees { in_rig(Cpu::Amd) } else { Ok(STATUS_UNFIT) }
}

fn build_trapgate(more: &[&str]) -> Result<RigFile> {
    let build = ["build", "--release", "-p", "trapgate", "--bin", "trapgate"];
    let built = sh::cargo_executables(&[&build, more].concat())?;
    let (_, trapgate) = built.first().context("cargo built no trapgate")?;
    Ok(RigFile::new(trapgate, "/bin/trapgate"))
}

/// The demo's own programs and their recipes, at the same places below
/// [`RIG_ROOT`] as below the workspace, so that a recipe finds its program.
fn build_images() -> Result<Vec<RigFile>> {
    let build = ["build", "-p", "trapgate-images", "--target", BARE, "--profile", "bare"];
    let programs = sh::cargo_executables(&build)?;
    let mut files: Vec<_> = programs
        .into_iter()
        .map(|(name, file)| RigFile::new(file, format!("{RIG_ROOT}/target/{BARE}/bare/{name}")))
        .collect();
    for entry in fs::read_dir(sh::root().join("images"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let place = format!("{RIG_ROOT}/images/{name}");
            files.push(RigFile::new(&path, place));
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(doctor: &str, lines: &[&str]) -> (Option<i32>, String) {
        let lines: Vec<_> = lines.iter().map(|line| (*line).to_owned()).collect();
        let script = format!("trapgate() {{ {doctor}; }}\n{}", script(&lines));
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }

    #[test]
    fn each_line_is_shown_before_it_runs() {
        let (status, output) = run("echo fine", &["echo 'a  b' | cat   # c"]);
        assert_eq!(output, "$ trapgate doctor\nfine\n\n$ echo 'a  b' | cat   # c\na  b\n");
        assert_eq!(status, Some(0));
    }

    #[test]
    fn a_line_that_fails_fails_the_demo_but_the_rest_is_shown() {
        let (status, output) = run("true", &["false", "echo on"]);
        assert!(output.ends_with("$ echo on\non\n"));
        assert_eq!(status, Some(1));
    }

    #[test]
    fn an_unfit_machine_is_told_apart() {
        let (status, output) = run("false", &["echo on"]);
        assert_eq!(output, "$ trapgate doctor\n");
        assert_eq!(status, Some(STATUS_UNFIT.into()));
    }
}

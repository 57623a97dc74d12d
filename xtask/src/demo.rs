//! `cargo xtask demo`: what trapgate does, shown in a minute.
//!
//! Builds what is needed, then runs a short shell script that goes to the directory
//! of the programs it shows, and prints each command before it runs it. The same
//! script runs on this machine and in a rig.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::rig::{self, Config, Cpu, End, RigFile};
use crate::{needs, setup, sh};

/// Show trapgate at work: a real program, a hello through each door, doctor.
///
/// Builds everything first, with Rust alone; nothing is installed besides Rust's
/// targets. On a machine whose KVM cannot run it, --rig shows the same in a
/// throw-away Linux that has a real kvm_amd or kvm_intel.
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

/// Where the programs lie in the rig.
const RIG_PROGRAMS: &str = "/demo";

/// Runs the subcommand.
pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    setup::ensure_rust()?;
    let status = match args.rig {
        Some(cpu) => in_rig(cpu)?,
        None => match here()? {
            STATUS_UNFIT => instead()?,
            status => status,
        },
    };
    Ok(ExitCode::from(status))
}

/// The command lines to show: with a busybox if there is one, else with a program
/// of our own, but on Rust's standard library.
fn lines(busybox: Option<&str>) -> Vec<String> {
    let mut lines = match busybox {
        Some(busybox) => vec![
            format!("trapgate run --stats {busybox} echo 'Hello from an unmodified Linux program'"),
            format!("seq 1 10000 | trapgate run {busybox} sha256sum"),
            format!("seq 1 10000 | {busybox} sha256sum   # the same without trapgate"),
        ],
        None => vec![
            "trapgate run --stats ./hello an unmodified Linux program".to_owned(),
            "echo to be or not to be | trapgate run ./hello lines".to_owned(),
            "echo to be or not to be | ./hello lines   # the same without trapgate".to_owned(),
        ],
    };
    lines.extend([
        "trapgate run --stats ./hello-syscall   # 64-bit code's door".to_owned(),
        "trapgate run --stats ./hello-int80     # the oldest door".to_owned(),
    ]);
    lines
}

/// A script that goes to a directory, prints and runs each line, and fails if one
/// does. What doctor has to say comes last, unless nothing can run.
fn script(directory: &str, lines: &[String]) -> String {
    let directory = shlex::try_quote(directory).expect("no directory has NUL in its name");
    let go = format!("cd {directory}");
    let shown = shlex::try_quote(&go).expect("nor has this");
    let mut script = format!(
        "failed=0\n\
         trapgate doctor >/dev/null 2>&1 || \
         {{ echo '$ trapgate doctor'; trapgate doctor; exit {STATUS_UNFIT}; }}\n\
         printf '$ %s\\n\\n' {shown}\n{go} || exit 1\n"
    );
    let doctor = "trapgate doctor   # what this machine's KVM can do".to_owned();
    for line in lines.iter().chain([&doctor]) {
        let quoted = shlex::try_quote(line).expect("the demo's lines hold no NUL");
        writeln!(script, "printf '$ %s\\n' {quoted}\n{line}\n[ $? = 0 ] || failed=1\necho")
            .expect("a String takes everything");
    }
    script + "exit $failed\n"
}

/// How long it will take, said before anything is built.
fn say_how_long(built: bool, showing: &str) {
    let text = match built {
        true => format!("this takes {showing}"),
        false => format!("this takes some 3 minutes to build, once, and then {showing}"),
    };
    sh::step(&text);
}

/// On this machine.
fn here() -> Result<u8> {
    let target = sh::target_dir()?;
    say_how_long(target.join("release/trapgate").exists(), "some 5 seconds");
    let trapgate = build_trapgate(&[])?;
    let programs = build_programs()?;
    let directory = programs[0].parent().context("a program lies in a directory")?;
    // As somebody in the workspace would type it.
    let directory = directory.strip_prefix(sh::root()).unwrap_or(directory).to_string_lossy();
    let bin = trapgate.parent().context("trapgate lies in a directory")?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path =
        std::env::join_paths([bin.to_owned()].into_iter().chain(std::env::split_paths(&path)))?;
    let busybox = needs::static_busybox();
    let lines = lines(busybox.as_deref().and_then(Path::to_str));
    let status = sh::status(
        Command::new("sh")
            .args(["-c", &script(&directory, &lines)])
            .current_dir(sh::root())
            .env("PATH", path),
    )?;
    Ok(status.code().and_then(|code| code.try_into().ok()).unwrap_or(1))
}

/// In a rig.
fn in_rig(cpu: Cpu) -> Result<u8> {
    let target = sh::target_dir()?;
    let showing = match cpu {
        Cpu::Amd => "some 10 seconds",
        Cpu::Intel => "some 90 seconds",
    };
    say_how_long(target.join(MUSL).join("release/trapgate").exists(), showing);
    rig::require(cpu)?;
    let mut files = vec![RigFile::new(build_trapgate(&["--target", MUSL])?, "/bin/trapgate")];
    for program in build_programs()? {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.push(RigFile::new(program, format!("{RIG_PROGRAMS}/{name}")));
    }
    let work = tempfile::tempdir()?;
    let demo = work.path().join("demo.sh");
    fs::write(&demo, script(RIG_PROGRAMS, &lines(Some("/bin/busybox"))))?;
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

fn build_trapgate(more: &[&str]) -> Result<PathBuf> {
    let build = ["build", "--release", "-p", "trapgate-cli", "--bin", "trapgate"];
    let built = sh::cargo_executables(&[&build, more].concat())?;
    let (_, trapgate) = built.into_iter().next().context("cargo built no trapgate")?;
    Ok(trapgate)
}

/// The images, and beside them a program on Rust's standard library: all in one
/// directory, wherever cargo's target directory is.
fn build_programs() -> Result<Vec<PathBuf>> {
    let build = ["build", "-p", "trapgate-images", "--target", BARE, "--profile", "bare"];
    let images = sh::cargo_executables(&build)?;
    let mut programs: Vec<_> = images.into_iter().map(|(_, file)| file).collect();
    let directory = programs.first().and_then(|file| file.parent());
    let hello = directory.context("cargo built no images")?.join("hello");
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition=2024", "-O", "--target", MUSL, "-o"]).arg(&hello);
    sh::run(rustc.arg("tests/programs/std/hello.rs").current_dir(sh::root()))?;
    programs.push(hello);
    Ok(programs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(doctor: &str, lines: &[&str]) -> (Option<i32>, String) {
        let lines: Vec<_> = lines.iter().map(|line| (*line).to_owned()).collect();
        let script = format!("trapgate() {{ {doctor}; }}\n{}", script("/tmp/..", &lines));
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }

    #[test]
    fn each_line_is_shown_before_it_runs() {
        let (status, output) = run("echo fine", &["echo 'a  b' | cat   # c"]);
        let doctor = "$ trapgate doctor   # what this machine's KVM can do\nfine\n\n";
        let line = "$ echo 'a  b' | cat   # c\na  b\n\n";
        assert_eq!(output, format!("$ cd /tmp/..\n\n{line}{doctor}"));
        assert_eq!(status, Some(0));
    }

    #[test]
    fn a_line_that_fails_fails_the_demo_but_the_rest_is_shown() {
        let (status, output) = run("true", &["false", "echo on"]);
        assert!(output.contains("$ false\n\n$ echo on\non\n"));
        assert_eq!(status, Some(1));
    }

    #[test]
    fn an_unfit_machine_is_told_apart() {
        let (status, output) = run("false", &["echo on"]);
        assert_eq!(output, "$ trapgate doctor\n");
        assert_eq!(status, Some(STATUS_UNFIT.into()));
    }
}

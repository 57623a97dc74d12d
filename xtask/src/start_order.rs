//! `cargo xtask start-order`: which functions a start of `trapgate run` executes,
//! for the linker (vmm/cli/build.rs says what it does with them).
//!
//! The linker's map says where each function is. A breakpoint on every one of
//! them, gone when it is reached, notes their order.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use nix::libc::PTRACE_EVENT_EXEC;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::sh;

const MUSL: &str = "x86_64-unknown-linux-musl";
const LIST: &str = "vmm/cli/start-order.ld";
const BREAKPOINT: u8 = 0xCC;

/// Functions' first addresses, with their sections' names.
type Functions = BTreeMap<u64, String>;

/// Write down anew what a start of trapgate run executes, for the linker.
///
/// Runs the released program once, in a sandbox: this machine must have KVM.
/// Needed when starts have become dearer (cargo xtask bench-self); a list that is
/// out of date breaks nothing.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// Runs the subcommand.
pub(crate) fn main(_: &Args) -> Result<ExitCode> {
    let map = sh::target_dir()?.join("start-order.map");
    let words = ["build", "--release", "-p", "trapgate-cli", "--bin", "trapgate", "--target", MUSL];
    let mut build = sh::cargo(&words);
    build.arg("--message-format=json-render-diagnostics");
    let built = sh::executables(build.env("TRAPGATE_LINK_MAP", &map))?;
    let (_, trapgate) = built.first().context("cargo built no trapgate")?;
    let words = ["build", "-p", "trapgate-images", "--bin", "hello-syscall"];
    let words = [&words[..], &["--target", "x86_64-unknown-none", "--profile", "bare"]].concat();
    let built = sh::cargo_executables(&words)?;
    let (_, hello) = built.first().context("cargo built no hello-syscall")?;
    let text = fs::read_to_string(&map).with_context(|| map.display().to_string())?;
    let reached = reached(trapgate, hello, &functions(&text))?;
    fs::write(sh::root().join(LIST), list(&reached))?;
    sh::good(&format!("{} functions in {LIST}", reached.len()));
    Ok(ExitCode::SUCCESS)
}

/// The functions of GNU ld's map: `NAME ADDRESS SIZE FILE`, where a long name has a
/// line of its own. What was left out is at 0.
fn functions(map: &str) -> Functions {
    let hex = |word: Option<&str>| u64::from_str_radix(word?.strip_prefix("0x")?, 16).ok();
    let mut words = map.split_ascii_whitespace().peekable();
    let mut found = Functions::new();
    while let Some(name) = words.next() {
        if name.starts_with(".text.")
            && let Some(address) = hex(words.peek().copied())
            && let Some(size) = hex(words.nth(1))
            && address > 0
            && size > 0
        {
            found.insert(address, name.to_owned());
        }
    }
    found
}

/// Runs a program in a sandbox; answers which functions of trapgate's were reached,
/// in their order.
fn reached(trapgate: &Path, program: &Path, functions: &Functions) -> Result<Vec<String>> {
    // It waits for whoever is to trace it.
    let child = Command::new("sh")
        .args(["-c", "kill -STOP $$; exec \"$@\"", "sh"])
        .arg(trapgate)
        .arg("run")
        .arg(program)
        .stdout(Stdio::null())
        .spawn()?;
    let child = Pid::from_raw(child.id().cast_signed());
    waitpid(child, Some(WaitPidFlag::WUNTRACED))?;
    let options =
        Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_EXITKILL;
    ptrace::seize(child, options)?;
    kill(child, Signal::SIGCONT)?;
    let (mut replaced, mut order) = (BTreeMap::new(), Vec::new());
    let mut text = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::__WALL))? {
            WaitStatus::Exited(pid, status) if pid == child => {
                ensure!(status == 0 && !order.is_empty(), "trapgate run: status {status}");
                return Ok(order);
            }
            WaitStatus::PtraceEvent(pid, _, PTRACE_EVENT_EXEC) => {
                let memory = format!("/proc/{pid}/mem");
                let memory = File::options().read(true).write(true).open(memory)?;
                for &address in functions.keys() {
                    let mut byte = [0];
                    memory.read_exact_at(&mut byte, address)?;
                    memory.write_all_at(&[BREAKPOINT], address)?;
                    replaced.insert(address, byte);
                }
                text = Some(memory);
                ptrace::cont(pid, None)?;
            }
            WaitStatus::PtraceEvent(pid, ..) => ptrace::cont(pid, None)?,
            WaitStatus::Stopped(pid, Signal::SIGTRAP) => {
                let mut registers = ptrace::getregs(pid)?;
                registers.rip -= 1;
                let name = functions.get(&registers.rip).context("a breakpoint of no function")?;
                // None: another thread was here too.
                if let (Some(byte), Some(text)) = (replaced.remove(&registers.rip), &text) {
                    text.write_all_at(&byte, registers.rip)?;
                    order.push(name.clone());
                }
                ptrace::setregs(pid, registers)?;
                ptrace::cont(pid, None)?;
            }
            WaitStatus::Stopped(pid, signal) => ptrace::cont(pid, signal)?,
            WaitStatus::Signaled(pid, signal, _) if pid == child => {
                anyhow::bail!("trapgate run: {signal}")
            }
            _ => {}
        }
    }
}

/// The linker script.
fn list(reached: &[String]) -> String {
    let mut text = "\
/* What a start of `trapgate run` executes, in the order of its first steps: an
   addition to the linker's own script (build.rs says why). `cargo xtask
   start-order` writes it; a name's hash is a star here. */
SECTIONS
{
  .text.start :
  {
"
    .to_owned();
    for name in reached {
        text.push_str(&format!("    *({})\n", without_hashes(name)));
    }
    text + "  }\n}\nINSERT BEFORE .text;\n"
}

/// A section's name without what another compiler or version makes another: the
/// end of an old mangled name (`17h…`), and what tells crates of one name apart in
/// a new one (`Cs…_`).
fn without_hashes(name: &str) -> String {
    if let Some((name, _)) = name.split_once("17h") {
        return format!("{name}17h*");
    }
    let (name, of_llvm) = name.split_once(".llvm.").map_or((name, ""), |(name, _)| (name, "*"));
    let is_new = name.contains("._R");
    let mut parts = name.split("Cs");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find('_').filter(|_| is_new);
        text += "Cs";
        text += &end.map_or_else(|| part.to_owned(), |end| format!("*{}", &part[end..]));
    }
    text + of_llvm
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_says_where_functions_are() {
        let map = " .text.left_out 0x0 0x9 a.o\n .text.near\n    0x401000 0x20 a.o\n .text.far \
                   0x402000 0x1 b.o\n *(.text .text.*)\n";
        let found: Vec<_> = functions(map).into_iter().collect();
        assert_eq!(found, [(0x401000, ".text.near".into()), (0x402000, ".text.far".into())]);
    }

    #[test]
    fn a_name_is_the_same_after_another_build() {
        assert_eq!(without_hashes(".text._ZN1a1b17h0123456789abcdefE.llvm.5"), ".text._ZN1a1b17h*");
        assert_eq!(
            without_hashes(".text.unlikely._RNvNtCs8dF_3std2rt4main.llvm.12"),
            ".text.unlikely._RNvNtCs*_3std2rt4main*"
        );
        assert_eq!(without_hashes(".text.poll"), ".text.poll");
    }
}

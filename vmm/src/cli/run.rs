//! `trapgate run`: a program in a sandbox.

use anyhow::Context;
use clap::Args as ClapArgs;
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use trapgate::config::{Config, DEFAULT_MEMORY, Program};
use trapgate::error::status;
use trapgate::policy::Grant;
use trapgate::stats::Stats;
use trapgate::{ByteSize, End, Error, Sandbox, recipe};

/// Options of `trapgate run`.
#[derive(Debug, ClapArgs)]
#[command(after_help = super::EXIT_STATUS)]
pub(crate) struct Args {
    /// Memory of the sandbox; taken from the host only as it is touched
    #[arg(short, long, value_name = "SIZE", help = memory_help())]
    memory: Option<ByteSize>,
    /// End the program after this time (status 124): 10s, 1m30s, 500ms
    #[arg(short, long, value_name = "TIME", value_parser = parse_time)]
    timeout: Option<Duration>,
    /// Set a variable of the program's environment, or pass the host's on
    ///
    /// The environment is empty otherwise.
    #[arg(short, long = "env", value_name = "NAME[=VALUE]")]
    env: Vec<OsString>,
    /// Pass the host's whole environment on
    #[arg(long)]
    inherit_env: bool,
    /// Refuse the program something that it may use by default
    #[arg(long, value_name = "GRANT", value_delimiter = ',')]
    deny: Vec<Grant>,
    /// Print what the run cost, on standard error
    #[arg(long)]
    stats: bool,
    /// Write what the run cost into a file, as JSON
    #[arg(long, value_name = "FILE")]
    stats_json: Option<PathBuf>,
    /// The program: a static 64-bit Linux executable, or a recipe (.toml)
    #[arg(value_name = "PROGRAM")]
    program: PathBuf,
    /// Its arguments
    #[arg(value_name = "ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

fn memory_help() -> String {
    format!(
        "Memory, taken from the host only as it is touched: 16M, 1G [default: {DEFAULT_MEMORY}]"
    )
}

/// A time as humantime writes it, or a number of seconds.
fn parse_time(text: &str) -> Result<Duration, String> {
    let time = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?,
        Err(_) => humantime::parse_duration(text).map_err(|error| error.to_string())?,
    };
    if time.is_zero() { Err("no time at all".to_owned()) } else { Ok(time) }
}

/// Runs the program; answers the exit status.
///
/// # Errors
/// Whatever keeps it from running.
pub(crate) fn main(args: Args) -> anyhow::Result<u8> {
    // Before the run, so that nothing is lost after it.
    let stats_file = match &args.stats_json {
        Some(path) => Some(File::create(path).with_context(|| path.display().to_string())?),
        None => None,
    };
    let show_stats = args.stats;
    let outcome = Sandbox::new(config(args)?)?.run()?;
    if let End::Killed(crash) = &outcome.end
        && crash.is_error()
    {
        eprintln!("trapgate: {crash}");
    }
    if show_stats {
        eprintln!("trapgate: {}\n{}", describe(&outcome.end), outcome.stats);
    }
    if let Some(file) = stats_file {
        write_stats(file, &outcome.stats).context("--stats-json")?;
    }
    Ok(exit_status(&outcome.end))
}

fn write_stats(file: File, stats: &Stats) -> anyhow::Result<()> {
    Ok(serde_json::to_writer_pretty(file, stats)?)
}

fn describe(end: &End) -> String {
    match end {
        End::Exited(status) => format!("exited with status {status}"),
        End::Killed(crash) => format!("killed by signal {}", crash.signal),
        End::TimedOut => "timed out".to_owned(),
        End::Stopped => "stopped".to_owned(),
    }
}

fn exit_status(end: &End) -> u8 {
    match end {
        End::Exited(status) => *status,
        End::Killed(crash) => status::SIGNAL + crash.signal,
        End::TimedOut | End::Stopped => status::TIMEOUT,
    }
}

fn config(args: Args) -> Result<Config, Error> {
    let mut config = if recipe::is_recipe(&args.program) {
        recipe::read(&args.program)?
    } else {
        Config {
            argv: vec![args.program.clone().into_os_string().into_vec()],
            program: Some(Program::Path(search(&args.program)?)),
            ..Config::default()
        }
    };
    config.argv.extend(args.args.into_iter().map(OsString::into_vec));
    if args.inherit_env {
        for (name, value) in std::env::vars_os() {
            set_variable(&mut config.envp, name, value);
        }
    }
    for variable in args.env {
        let bytes = variable.into_vec();
        match bytes.iter().position(|byte| *byte == b'=') {
            Some(at) => {
                let (name, value) = (bytes[..at].to_vec(), bytes[at + 1..].to_vec());
                let (name, value) = (OsString::from_vec(name), OsString::from_vec(value));
                set_variable(&mut config.envp, name, value);
            }
            None => {
                let name = OsString::from_vec(bytes);
                if let Some(value) = std::env::var_os(&name) {
                    set_variable(&mut config.envp, name, value);
                }
            }
        }
    }
    config.memory = args.memory.unwrap_or(config.memory);
    config.timeout = args.timeout.or(config.timeout);
    config.policy.deny(&args.deny);
    Ok(config)
}

/// Sets a variable, in the place of an earlier one of that name.
fn set_variable(environment: &mut Vec<Vec<u8>>, name: OsString, value: OsString) {
    let mut variable = name.into_vec();
    variable.push(b'=');
    environment.retain(|other| !other.starts_with(&variable));
    variable.extend(value.into_vec());
    environment.push(variable);
}

/// The file that a program's name means: a name without a slash is searched
/// for in PATH, as a shell does.
fn search(program: &Path) -> Result<PathBuf, Error> {
    if program.as_os_str().is_empty() {
        return Err(Error::NoProgram);
    }
    if program.components().count() > 1 || program.has_root() || program.starts_with(".") {
        return Ok(program.to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|directory| directory.join(program));
    if let Some(found) = found.into_iter().find(|candidate| candidate.is_file()) {
        return Ok(found);
    }
    let hint = if program.exists() {
        format!(" in PATH: did you mean ./{}?", program.display())
    } else {
        " in PATH".to_owned()
    };
    Err(Error::NotFound { path: program.to_owned(), hint })
}

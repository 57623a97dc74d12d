//! `trapgate run`: a program in a sandbox.

use crate::image;
use anyhow::Context;
use clap::{Args as ClapArgs, ValueHint};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Write, stderr};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use trapgate::error::{explain_missing, shown, status};
use trapgate::host::policy::Grant;
use trapgate::host::raise_descriptor_limit;
use trapgate::machine::forward;
use trapgate::root::Root;
use trapgate::sandbox::config::{Config, DEFAULT_MEMORY, Program, TraceTo};
use trapgate::stats::record::Record;
use trapgate::{Bind, ByteSize, ClockSource, End, Error, Mitigations, Outcome, Sandbox, recipe};

const AFTER_HELP: &str = concat!(
    "\
Examples:
  trapgate run ./hello                        nothing but its standard files
  trapgate run -m 64M -t 10s ./job 100        64 MiB, 10 seconds at most
  trapgate run -e LANG=C -e HOME ./job        two variables, one of them yours
  seq 9 | trapgate run busybox sha256sum      a program in PATH, in a pipe
  trapgate run --root alpine.tar.gz busybox ls /etc
                                              a program in a root of files
  trapgate run --root layout                  an OCI image, as it says itself
  trapgate run --root /srv/debian --bind .:/src python3 /src/job.py
                                              a directory, another in it
  trapgate run --root alpine.tar.gz --bind in.csv:/in.csv busybox wc -l /in.csv
  trapgate run --with-libs jq --version       a dynamic program of this host
  trapgate run --stats ./hello                what the run cost
  trapgate run --deny clock,random ./hello    no time, no randomness
  trapgate --log info run ./job               which calls it misses
  trapgate run --strace ./job                 every call it makes, as strace
  trapgate run images/hello-syscall.toml      a recipe: program and limits

",
    exit_status!()
);

/// Run a program in a sandbox
#[derive(Debug, Default, ClapArgs)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Memory of the sandbox; taken from the host only as it is touched
    #[arg(short, long, value_name = "SIZE", help = memory_help())]
    pub(crate) memory: Option<ByteSize>,
    /// What it may keep in files in memory: in the root's, in /tmp, in /dev/shm, in each so
    /// much; beyond that is ENOSPC [default: half of the memory]
    #[arg(long, value_name = "SIZE")]
    pub(crate) disk: Option<ByteSize>,
    /// Take as little memory of the host as can be, so that many sandboxes fit beside each
    /// other, rather than start fast: no large page at the bottom of its memory
    #[arg(long)]
    pub(crate) dense: bool,
    /// End the program after this time (status 124): 10s, 1m30s, 500ms
    #[arg(short, long, value_name = "TIME", value_parser = trapgate::sandbox::recipe::parse_time)]
    pub(crate) timeout: Option<Duration>,
    /// The root of the program's files, in which the program is: a directory, a tar or a
    /// cpio (newc), both also by gzip or zstd, an OCI layout (a directory or an archive), or
    /// an uncompressed EROFS image
    ///
    /// Nothing is written to it: what the program changes is changed in memory. An image is
    /// made of an archive once, and kept: 'trapgate image'. A name without a slash
    /// is searched for in the PATH of the program's environment [default:
    /// /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin].
    #[arg(long, value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
    pub(crate) root: Option<PathBuf>,
    /// A directory or a file of this host in the program's tree, read-only, or as ':rw' to be
    /// written
    ///
    /// GUEST is an absolute path, which need not be there. Options stand behind a colon, with
    /// commas between them: ro (the default) or rw; cache=shared (the default), where others
    /// change it meanwhile and the program sees that, or cache=exclusive, where nobody does,
    /// so that what was read once is not asked for again. What the program
    /// writes to one that is rw is on the host when the call has answered. May be given
    /// several times.
    #[arg(long = "bind", value_name = "HOST:GUEST[:OPTION,...]", value_hint = ValueHint::AnyPath)]
    pub(crate) binds: Vec<Bind>,
    /// The root is the program with its interpreter and its libraries, as ldd finds them,
    /// by the paths that they have here
    #[arg(long, conflicts_with = "root")]
    pub(crate) with_libs: bool,
    /// What stands in front of the program and its arguments, instead of what an OCI image says;
    /// '' for nothing
    ///
    /// The image's command does not count then either.
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<OsString>,
    /// The directory in which the program begins, made if it is missing [default: what an OCI
    /// image says, else /]
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<PathBuf>,
    /// Who the program is: numbers, or names of the root's /etc/passwd and /etc/group
    /// [default: what an OCI image says, else root]
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Set a variable of the program's environment, or pass the host's on
    ///
    /// The environment is empty otherwise.
    #[arg(short, long = "env", value_name = "NAME[=VALUE]", value_parser = parse_variable)]
    pub(crate) env: Vec<OsString>,
    /// Pass the host's whole environment on
    #[arg(long)]
    pub(crate) inherit_env: bool,
    /// Refuse the program something that it may use by default
    #[arg(long, value_name = "GRANT", value_delimiter = ',')]
    deny: Vec<Grant>,
    /// Put what the program runs by execve at the same addresses each time
    ///
    /// Otherwise stack, heap, mappings, vDSO and position-independent code are at random
    /// ones.
    #[arg(long)]
    no_aslr: bool,
    /// Put these steps on the kernel's way in and out, as Linux does: pti, ibrs,
    /// untrain, bhi-clear, kstack-offset, retpoline, verw, swapgs-fence
    ///
    /// One program is alone in its VM, so nothing is lost without them
    /// [default: none].
    #[arg(long, value_name = "STEPS")]
    mitigations: Option<Mitigations>,
    /// What the program's clocks follow
    #[arg(long, value_enum, value_name = "SOURCE", default_value_t)]
    clock_source: ClockSource,
    /// Print what the run cost, on standard error
    #[arg(long)]
    pub(crate) stats: bool,
    /// Write what the run cost into a file, as JSON
    ///
    /// 'trapgate schema stats' prints its schema.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    stats_json: Option<PathBuf>,
    /// Write the program's calls on standard error, or into a file, as strace does
    ///
    /// Each is a line: its name, its arguments as numbers, its result.
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = STANDARD_ERROR,
        value_hint = ValueHint::FilePath
    )]
    strace: Option<PathBuf>,
    /// The program, a static Linux executable or a recipe (.toml), and
    /// its arguments; with --root, a path in there, or nothing if an OCI image says it
    #[arg(
        required_unless_present = "root",
        num_args = 1..,
        trailing_var_arg = true,
        value_names = ["PROGRAM", "ARGS"],
        value_hint = ValueHint::CommandWithArguments
    )]
    pub(crate) command: Vec<OsString>,
}

fn memory_help() -> String {
    format!(
        "Memory, taken from the host only as it is touched: 16M, 1G [default: {DEFAULT_MEMORY}]"
    )
}

/// A variable's name, and its value perhaps: there must be a name.
pub(crate) fn parse_variable(text: &str) -> Result<OsString, &'static str> {
    if text.is_empty() || text.starts_with('=') { Err("it has no name") } else { Ok(text.into()) }
}

/// Runs the program; answers the exit status.
///
/// # Errors
/// Whatever keeps it from running.
pub(crate) fn main(args: Args) -> anyhow::Result<u8> {
    let (show_stats, stats_path) = (args.stats, args.stats_json.clone());
    let strace = args.strace.clone();
    if let Some(option) = args.command.first().filter(|word| word.as_bytes().starts_with(b"-")) {
        anyhow::bail!(crate::usage::unknown_option(option));
    }
    let by_option = args.timeout.is_some();
    let mut config = config(args)?;
    config.stdio = crate::inherited::standard_files().map(Some);
    config.ignored_signals = crate::inherited::ignored_signals();
    config.forwarded_signals = FORWARDED & !config.ignored_signals;
    config.detailed_stats = show_stats || stats_path.is_some();
    let given = config.argv.first().map(|name| shown(Path::new(OsStr::from_bytes(name))));
    let timeout = config.timeout;
    if let Some(path) = strace {
        config.trace = Some(trace_to(&path)?);
    }
    if !config.binds.is_empty() || matches!(config.root, Some(Root::Directory(_))) {
        raise_descriptor_limit();
    }
    let sandbox = Sandbox::new(config)?;
    let name = given.unwrap_or_else(|| sandbox.name());
    // Before the run, so that nothing is lost after it.
    let stats_file = match &stats_path {
        Some(path) => Some(create("--stats-json", path)?),
        None => None,
    };
    // This process ends after it.
    let outcome = sandbox.run_and_leave()?;
    // Who ends a program from outside does not wait for whoever reads its messages.
    let was_ended = matches!(outcome.end, End::TimedOut) || outcome.place.is_some();
    let patience = was_ended.then(|| Instant::now() + PATIENCE);
    let say = |line: &str| crate::cli::say_until(line, patience);
    match (&outcome.end, timeout) {
        (End::Killed(crash), _) if crash.is_error() => say(&format!("trapgate: {crash}")),
        (End::Killed(_), _) if outcome.place.is_some() => {
            say(&format!("trapgate: {name}: {}{}", outcome.end, at(&outcome)));
        }
        (End::TimedOut, Some(timeout)) => {
            let timeout = humantime::format_duration(timeout);
            let by = if by_option { "--timeout" } else { "the recipe's timeout" };
            let at = at(&outcome);
            say(&format!("trapgate: {name}: ended after {timeout} ({by}){at}"));
        }
        _ => {}
    }
    if let Some(trace) = &outcome.trace
        && let Some(error) = &trace.error
    {
        // The program has run: its status is the answer.
        let lost = trace.unwritten;
        let lines = if lost == 1 { "line is" } else { "lines are" };
        say(&format!("trapgate: --strace: {error}: {lost} {lines} lost"));
    }
    if let Some(hint) = hint(&name, &outcome) {
        say(&hint);
    }
    if show_stats {
        say(&format!("trapgate: {name}: {}\n{}", outcome.end, outcome.stats));
    }
    if let Some(file) = stats_file
        && let Err(error) = write_stats(file, &name, &outcome)
    {
        // The program has run: its status is the answer.
        say(&format!("trapgate: --stats-json: {error:#}"));
    }
    if let (End::Killed(crash), true) = (&outcome.end, outcome.place.is_some()) {
        // This process got the signal: whoever sent it sees that it acted.
        forward::die_by(crash.signal.into());
    }
    Ok(exit_status(&outcome.end))
}

/// How long messages wait for a standard error that takes none, once a program was
/// ended from outside.
const PATIENCE: Duration = Duration::from_secs(1);

/// Signals that are meant for the program as much as for this process: SIGHUP,
/// SIGINT, SIGQUIT, SIGTERM.
const FORWARDED: u64 = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14;

/// Where a program that was ended from outside was, on a line of its own.
fn at(outcome: &Outcome) -> String {
    outcome.place.as_ref().map_or(String::new(), |place| format!("\n  {place}"))
}

/// What stands for standard error where a file may be named.
const STANDARD_ERROR: &str = "-";

/// Where the trace goes.
fn trace_to(path: &Path) -> anyhow::Result<TraceTo> {
    Ok(match path.as_os_str() == STANDARD_ERROR {
        // Not the library's, whose lock somebody may have who waits for a reader.
        true => TraceTo::new(File::from(stderr().as_fd().try_clone_to_owned()?)),
        false => TraceTo::new(create("--strace", path)?),
    })
}

/// Makes the file that an option names.
fn create(option: &str, path: &Path) -> anyhow::Result<File> {
    let made = File::create(path).map_err(|error| explain_missing(path, error));
    made.with_context(|| format!("{option}: {}: cannot be written", shown(path)))
}

fn write_stats(mut file: File, name: &str, outcome: &Outcome) -> anyhow::Result<()> {
    let record = Record::new(name, outcome, exit_status(&outcome.end));
    let mut text = serde_json::to_vec_pretty(&record)?;
    text.push(b'\n');
    Ok(file.write_all(&text)?)
}

/// Of a program that failed: the call that it may have failed for.
fn hint(name: &str, outcome: &Outcome) -> Option<String> {
    let failed = matches!(outcome.end, End::Exited(1..) | End::Killed(_));
    let call = outcome.stats.missing_call().filter(|_| failed)?;
    Some(format!(
        "trapgate: hint: {name} called {call}(2), which is not supported yet \
         ('trapgate --log info run' names each such call)"
    ))
}

fn exit_status(end: &End) -> u8 {
    match end {
        End::Exited(status) => *status,
        End::Killed(crash) => status::SIGNAL + crash.signal,
        // Nobody stops it here but the timeout.
        _ => status::TIMEOUT,
    }
}

fn config(args: Args) -> Result<Config, Error> {
    let mut command = args.command.into_iter();
    let program = command.next().map(PathBuf::from);
    let is_recipe = program.as_deref().is_some_and(recipe::is_recipe);
    let mut config = match program {
        Some(recipe) if is_recipe => recipe::read(&recipe)?,
        Some(program) => Config {
            program: Some(Program::Path(match args.root {
                // The sandbox looks for it there.
                Some(_) => program.clone(),
                None => search(&program)?,
            })),
            argv: vec![program.into_os_string().into_vec()],
            ..Config::default()
        },
        // The root says it.
        None => Config::default(),
    };
    set_root(&mut config, args.root, args.with_libs, is_recipe)?;
    config.binds.extend(args.binds);
    let mut arguments = command.map(OsString::into_vec).peekable();
    if config.program.is_none() && arguments.peek().is_some() {
        // Of a recipe that leaves the program to its root.
        return Err(Error::Input {
            what: "the arguments".to_owned(),
            reason: "are of no program: the recipe names none",
        });
    }
    config.argv.extend(arguments);
    if let Some(program) = args.entrypoint {
        let words = Some(program.into_vec()).filter(|program| !program.is_empty());
        config.entrypoint = Some(words.into_iter().collect());
    }
    config.directory = args.workdir.or(config.directory);
    config.user = args.user.or(config.user);
    if args.inherit_env {
        inherit(&mut config.envp, std::env::vars_os());
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
    config.disk = args.disk.or(config.disk);
    config.dense |= args.dense;
    config.timeout = args.timeout.or(config.timeout);
    config.policy.deny(&args.deny);
    config.mitigations = args.mitigations.unwrap_or(config.mitigations);
    config.clock_source = args.clock_source;
    if args.no_aslr {
        config.aslr = false;
    }
    Ok(config)
}

/// Opens the root that is given, or the recipe's.
fn set_root(
    config: &mut Config,
    root: Option<PathBuf>,
    with_libs: bool,
    is_recipe: bool,
) -> Result<(), Error> {
    let wrong = |option: &str, reason| Err(Error::Input { what: option.to_owned(), reason });
    if with_libs {
        if config.root.is_some() {
            return wrong("--with-libs", "is given, but the recipe has a root");
        }
        if let Some(Program::Path(path)) = &mut config.program {
            config.root = Some(Root::Image(image::with_libs(path)?));
            // There it has the same path from the root on.
            *path = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
        }
        return Ok(());
    }
    if let Some(root) = root {
        if is_recipe && config.root.is_none() {
            // Its program is a file of the host's.
            return wrong("--root", "is given, but the recipe has no root that its program is in");
        }
        config.root = Some(Root::Source(root));
    }
    if let Some(Root::Source(source)) = &config.root {
        config.root = Some(image::open(source)?);
    }
    Ok(())
}

/// Takes the host's variables over, but those without a name: nobody who wants
/// the environment means to be refused for such a one (`=C:=x`).
fn inherit(environment: &mut Vec<Vec<u8>>, variables: impl Iterator<Item = (OsString, OsString)>) {
    for (name, value) in variables {
        if !name.as_bytes().starts_with(b"=") {
            set_variable(environment, name, value);
        }
    }
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
    let name = program.as_os_str().as_bytes();
    if name.is_empty() {
        return Err(Error::NoProgram);
    }
    if name.contains(&b'/') || matches!(name, b"." | b"..") {
        return Ok(program.to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let files: Vec<_> = std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .filter(|candidate| candidate.is_file())
        .collect();
    let executable = |file: &&PathBuf| {
        file.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0)
    };
    // One that is not executable is worth a message, if there is no other.
    if let Some(found) = files.iter().find(executable).or(files.first()) {
        return Ok(found.clone());
    }
    let hint = if program.exists() {
        format!(" in PATH: did you mean ./{}?", shown(program))
    } else {
        " in PATH".to_owned()
    };
    Err(Error::NotFound { path: program.to_owned(), hint })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    #[test]
    fn a_short_options_value_may_follow_it_at_once() {
        let line = ["trapgate", "run", "-m64M", "-t=10s", "-eA=1", "job", "-m1", "--", "-e"];
        let cli = Cli::try_parse_from(line).expect("it is well formed");
        let Command::Run(args) = cli.command else { panic!("it is one to run") };
        assert_eq!(args.memory, Some(ByteSize(64 << 20)));
        assert_eq!(args.timeout, Some(Duration::from_secs(10)));
        assert_eq!((args.env, args.command.len()), (vec!["A=1".into()], 4));
    }

    #[test]
    fn a_variable_of_the_hosts_without_a_name_is_left_out() {
        let host = [("A", "1"), ("=C:", "x"), ("B", "=2")];
        let mut environment = vec![b"A=0".to_vec()];
        inherit(
            &mut environment,
            host.into_iter().map(|(name, value)| (name.into(), value.into())),
        );
        assert_eq!(environment, [b"A=1".to_vec(), b"B==2".to_vec()]);
        // What the user writes is held to its form.
        assert!(parse_variable("=C:=x").is_err());
    }
}

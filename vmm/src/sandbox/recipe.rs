//! Recipes: a program with its limits and grants, in a TOML file.
//!
//! ```toml
//! program = "../target/x86_64-unknown-none/bare/hello-syscall"
//! args = ["world"]
//! memory = "16M"
//! timeout = "10s"
//! allow = ["stdout"]
//!
//! [env]
//! NAME = "value"
//! ```
//!
//! A relative program is relative to the recipe; so is `root`, in which the program is
//! then, and so are the host's directories of `binds`. `memory`, `disk` and `timeout` may
//! be numbers too, of bytes and seconds, as the options may.

use crate::host::policy::{Grant, Policy};
use crate::root::Root;
use crate::sandbox::bind::{Bind, from_directory};
use crate::sandbox::config::{Config, Program, quoted};
use crate::{ByteSize, Error};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Value;
use trapgate_loader::text::printable;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipe {
    program: Option<PathBuf>,
    entrypoint: Option<Vec<String>>,
    directory: Option<PathBuf>,
    user: Option<String>,
    root: Option<PathBuf>,
    #[serde(default)]
    binds: Vec<String>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    memory: Option<Value>,
    disk: Option<Value>,
    dense: Option<bool>,
    timeout: Option<Value>,
    allow: Option<Vec<Grant>>,
    aslr: Option<bool>,
}

/// Whether a path names a recipe: it ends in `.toml`.
pub fn is_recipe(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "toml")
}

/// Reads the recipe at `path`.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Recipe`].
pub fn read(path: &Path) -> Result<Config, Error> {
    let text = fs::read_to_string(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => {
            Error::NotFound { path: path.to_owned(), hint: String::new() }
        }
        _ => Error::Recipe { path: path.to_owned(), reason: source.to_string() },
    })?;
    parse(path, &text).map_err(|reason| Error::Recipe { path: path.to_owned(), reason })
}

fn parse(path: &Path, text: &str) -> Result<Config, String> {
    let recipe: Recipe = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
        // It quotes the recipe's own words.
        format!("line {line}: {}", printable(error.message().as_bytes()))
    })?;
    let mut config = Config::default();
    let directory = path.parent().unwrap_or(Path::new("."));
    let program = match (recipe.root, recipe.program) {
        // It is in there, or that says what it is.
        (Some(root), program) => {
            config.root = Some(Root::Source(directory.join(root)));
            program
        }
        (None, Some(program)) => Some(directory.join(program)),
        (None, None) => return Err("missing field `program`".to_owned()),
    };
    if program.is_none() && !recipe.args.is_empty() {
        return Err("args: there is no program that they are of".to_owned());
    }
    for text in recipe.binds {
        let bind = text.parse::<Bind>();
        let bind = bind.map_err(|error| format!("binds: {}: {error}", quoted(text.as_bytes())))?;
        config.binds.push(from_directory(bind, directory));
    }
    config.argv.extend(program.iter().map(|program| program.as_os_str().as_bytes().to_vec()));
    config.argv.extend(recipe.args.into_iter().map(String::into_bytes));
    config.program = program.map(Program::Path);
    let words = |words: Vec<String>| words.into_iter().map(String::into_bytes).collect();
    config.entrypoint = recipe.entrypoint.map(words);
    (config.directory, config.user) = (recipe.directory, recipe.user);
    for (name, value) in recipe.env {
        // Whoever looks for the name finds the first of these.
        if name.contains('=') {
            return Err(format!(
                "env: the variable {} has '=' in its name",
                quoted(name.as_bytes())
            ));
        }
        config.envp.push(format!("{name}={value}").into());
    }
    if let Some(memory) = recipe.memory {
        config.memory = size("memory", memory)?;
    }
    if let Some(disk) = recipe.disk {
        config.disk = Some(size("disk", disk)?);
    }
    if let Some(timeout) = recipe.timeout {
        let timeout = as_option(timeout).and_then(|text| parse_time(&text));
        config.timeout = Some(timeout.map_err(|error| format!("timeout: {error}"))?);
    }
    if let Some(grants) = recipe.allow {
        config.policy = Policy::only(grants);
    }
    config.dense = recipe.dense.unwrap_or(config.dense);
    if let Some(aslr) = recipe.aslr {
        config.aslr = aslr;
    }
    Ok(config)
}

/// A size of this key's.
fn size(key: &str, value: Value) -> Result<ByteSize, String> {
    let size = as_option(value)
        .and_then(|text| text.parse::<ByteSize>().map_err(|error| error.to_string()));
    size.map_err(|error| format!("{key}: {error}"))
}

/// A number, or text, as it would stand behind the option of that name.
fn as_option(value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        other => Err(format!("it is of type {}: give text or a number", other.type_str())),
    }
}

/// A time span as humantime writes it, or a number of seconds: of options and
/// recipes.
///
/// # Errors
/// What is wrong with it.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    let time = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?,
        Err(_) => humantime::parse_duration(text).map_err(|error| error.to_string())?,
    };
    if time.is_zero() { Err("no time at all".to_owned()) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_recipe_sets_what_it_says_and_defaults_the_rest() {
        let text = "program = 'x/prog'\nargs = ['a']\nmemory = '16M'\nallow = ['stdout']\n\
                    [env]\nA = 'b'\n";
        let config = parse(Path::new("images/r.toml"), text).unwrap();
        assert!(
            matches!(config.program, Some(Program::Path(p)) if p == Path::new("images/x/prog"))
        );
        assert_eq!(config.argv, [b"images/x/prog".to_vec(), b"a".to_vec()]);
        assert_eq!(config.envp, [b"A=b".to_vec()]);
        assert_eq!(config.memory, ByteSize(16 << 20));
        assert!(config.policy.allows(Grant::Stdout) && !config.policy.allows(Grant::Stdin));
        assert_eq!(config.timeout, None);
    }

    #[test]
    fn a_root_is_relative_to_the_recipe_and_the_program_is_in_it() {
        let text = "program = 'bin/prog'\nroot = 'x/root.tar'\n";
        let config = parse(Path::new("images/r.toml"), text).unwrap();
        assert!(matches!(config.program, Some(Program::Path(p)) if p == Path::new("bin/prog")));
        assert_eq!(config.argv, [b"bin/prog"]);
        let expected = Path::new("images/x/root.tar");
        assert!(matches!(config.root, Some(Root::Source(path)) if path == expected));
    }

    #[test]
    fn a_root_may_say_what_is_run_and_a_recipe_says_as_whom_and_where() {
        let text =
            "root = 'x.tar'\nentrypoint = ['/run', '-v']\ndirectory = '/srv'\nuser = 'web'\n";
        let config = parse(Path::new("images/r.toml"), text).unwrap();
        assert!(config.program.is_none() && config.argv.is_empty());
        assert_eq!(config.entrypoint, Some(vec![b"/run".to_vec(), b"-v".to_vec()]));
        assert_eq!(config.directory, Some(PathBuf::from("/srv")));
        assert_eq!(config.user.as_deref(), Some("web"));
        let error = parse(Path::new("r.toml"), "root = 'x.tar'\nargs = ['a']\n").unwrap_err();
        assert!(error.starts_with("args: there is no program"), "{error}");
    }

    #[test]
    fn binds_are_written_as_the_option_is_and_relative_to_the_recipe() {
        let text = "program = 'prog'\nbinds = ['data:/in', '/abs:/out:rw']\n";
        let config = parse(Path::new("images/r.toml"), text).unwrap();
        let hosts: Vec<_> = config.binds.iter().map(|bind| bind.host.as_path()).collect();
        assert_eq!(hosts, [Path::new("images/data"), Path::new("/abs")]);
        let error = parse(Path::new("r.toml"), "program = 'p'\nbinds = ['data']").unwrap_err();
        assert!(error.starts_with("binds: 'data': write HOST:GUEST"), "{error}");
    }

    #[test]
    fn memory_and_timeout_are_text_or_numbers_as_the_options_are() {
        let config = |text: &str| parse(Path::new("r.toml"), &format!("program = 'p'\n{text}"));
        assert_eq!(config("memory = 16777216").unwrap().memory, ByteSize(16 << 20));
        assert_eq!(config("memory = '16777216'").unwrap().memory, ByteSize(16 << 20));
        assert_eq!(config("disk = '1M'").unwrap().disk, Some(ByteSize(1 << 20)));
        assert_eq!(config("").unwrap().disk, None);
        assert!(config("dense = true").unwrap().dense && !config("").unwrap().dense);
        assert!(config("disk = 0").unwrap_err().starts_with("disk: "));
        let timeout = |text| config(text).unwrap().timeout;
        assert_eq!(timeout("timeout = 10"), Some(Duration::from_secs(10)));
        assert_eq!(timeout("timeout = 0.5"), Some(Duration::from_millis(500)));
        assert_eq!(timeout("timeout = '1m'"), Some(Duration::from_secs(60)));
        for text in ["memory = -1", "memory = 1.5", "memory = true", "memory = []", "memory = 0"] {
            assert!(config(text).unwrap_err().starts_with("memory: "), "{text}");
        }
        for text in ["timeout = -1", "timeout = 0", "timeout = nan", "timeout = 1979-05-27"] {
            assert!(config(text).unwrap_err().starts_with("timeout: "), "{text}");
        }
    }

    #[test]
    fn what_a_mistake_quotes_steers_no_terminal() {
        for text in [r#""foo\u001b[31m" = 1"#, r#"allow = ["\u001b[31mx"]"#] {
            let error = parse(Path::new("r.toml"), &format!("program = 'p'\n{text}")).unwrap_err();
            assert!(error.contains("\\u{1b}[31m"), "{error}");
            assert!(!error.contains(char::is_control), "{error:?}");
        }
    }

    #[test]
    fn mistakes_name_the_line_or_the_key() {
        let error = |text: &str| parse(Path::new("r.toml"), text).unwrap_err();
        assert!(error("program = 'p'\nmemry = '1M'\n").starts_with("line 2: unknown field"));
        assert!(error("args = []\n").contains("missing field `program`"));
        assert!(error("program = 'p'\nmemory = '0'\n").starts_with("memory: "));
        assert!(error("program = 'p'\ntimeout = 'soon'\n").starts_with("timeout: "));
        let text = error("program = 'p'\n[env]\n'A=B' = 'c'\n");
        assert_eq!(text, "env: the variable 'A=B' has '=' in its name");
        assert!(error("program = 'p'\nallow = ['disk']\n").starts_with("line 2: unknown variant"));
    }
}

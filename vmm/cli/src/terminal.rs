//! What is said on the terminal: how much of a log, in which colours, how wide.

use clap::ColorChoice;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use log::{LevelFilter, Log, Metadata, Record};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;

/// Lines are not made longer than this, however wide the terminal is.
pub(crate) const MOST_COLUMNS: usize = 100;
/// Nor shorter: a table needs as much.
const LEAST_COLUMNS: usize = 56;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The variable that says what to log, where `--log` does not.
const LOG_VARIABLE: &str = "TRAPGATE_LOG";

/// Reads `--log`'s value.
pub(crate) fn levels() -> impl TypedValueParser<Value = LevelFilter> {
    PossibleValuesParser::new(LEVELS).try_map(|name| name.parse::<LevelFilter>())
}

/// Begins to log, and sets the colours.
///
/// # Errors
/// What is wrong with TRAPGATE_LOG.
pub(crate) fn set_up(log: Option<LevelFilter>, color: ColorChoice) -> Result<(), String> {
    let level = match log {
        Some(level) => level,
        None => level_of(std::env::var_os(LOG_VARIABLE).as_deref())?,
    };
    let (choice, style) = match color {
        ColorChoice::Auto => (anstream::ColorChoice::Auto, env_logger::WriteStyle::Auto),
        ColorChoice::Always => (anstream::ColorChoice::Always, env_logger::WriteStyle::Always),
        ColorChoice::Never => (anstream::ColorChoice::Never, env_logger::WriteStyle::Never),
    };
    choice.write_global();
    let _ = STYLE.set(style);
    // There is no other logger yet.
    let _ = log::set_logger(&LOGGER);
    log::set_max_level(level);
    Ok(())
}

/// Logs, and is made when the first line is: most runs have none.
struct Logger(OnceLock<env_logger::Logger>);

static LOGGER: Logger = Logger(OnceLock::new());
static STYLE: OnceLock<env_logger::WriteStyle> = OnceLock::new();

impl Logger {
    fn made(&self) -> &env_logger::Logger {
        self.0.get_or_init(|| {
            let style = STYLE.get().copied().unwrap_or_default();
            let mut builder = env_logger::Builder::new();
            // What is too much does not come as far as here.
            builder.filter_level(LevelFilter::Trace).write_style(style).format_timestamp(None);
            builder.build()
        })
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.made().log(record);
        }
    }

    fn flush(&self) {}
}

/// The level that the variable names: without a value, the default.
fn level_of(variable: Option<&OsStr>) -> Result<LevelFilter, String> {
    let Some(name) = variable.filter(|name| !name.is_empty()) else {
        return Ok(LevelFilter::Warn);
    };
    let known = LEVELS.iter().find(|level| name.as_bytes() == level.as_bytes());
    known.and_then(|level| level.parse().ok()).ok_or_else(|| {
        format!("{LOG_VARIABLE}={name:?} is no level: give one of {}", LEVELS.join(", "))
    })
}

/// The colours that the command line asks for, found before it is parsed: help
/// is printed by the parser. A program's own `--color` behind `trapgate run`
/// comes after its name, and there is no help any more then.
pub(crate) fn colour_of_help(words: &[OsString]) -> ColorChoice {
    let options = words.iter().skip(1).take_while(|word| *word != "--").map(|word| word.to_str());
    let mut values =
        options.clone().zip(options.skip(1).chain([None])).filter_map(|pair| match pair {
            (Some("--color"), value) => value,
            (Some(word), _) => word.strip_prefix("--color="),
            _ => None,
        });
    match values.next() {
        Some("always") => ColorChoice::Always,
        Some("never") => ColorChoice::Never,
        _ => ColorChoice::Auto,
    }
}

/// How long a line on standard output may be.
pub(crate) fn columns() -> usize {
    let terminal = terminal_size::terminal_size_of(std::io::stdout());
    // A terminal that does not know says 0.
    let columns = terminal.map(|(width, _)| usize::from(width.0)).filter(|width| *width > 0);
    columns.unwrap_or(MOST_COLUMNS).clamp(LEAST_COLUMNS, MOST_COLUMNS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_names_a_level_or_is_refused_with_all_of_them() {
        let level = |text: &str| level_of(Some(OsStr::new(text)));
        assert_eq!(level_of(None), Ok(LevelFilter::Warn));
        assert_eq!(level(""), Ok(LevelFilter::Warn));
        assert_eq!(level("debug"), Ok(LevelFilter::Debug));
        let error = level("bogus").expect_err("no level");
        assert!(error.contains("TRAPGATE_LOG") && error.contains("off, error, warn"), "{error}");
    }

    #[test]
    fn helps_colour_is_found_in_either_form() {
        let choice =
            |words: &[&str]| colour_of_help(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(choice(&["trapgate", "--color", "never", "--help"]), ColorChoice::Never);
        assert_eq!(choice(&["trapgate", "run", "--color=always", "-h"]), ColorChoice::Always);
        assert_eq!(choice(&["trapgate", "--color"]), ColorChoice::Auto);
        assert_eq!(choice(&["trapgate", "run", "--", "--color=never"]), ColorChoice::Auto);
    }
}

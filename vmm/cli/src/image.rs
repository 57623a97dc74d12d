//! `trapgate image`: the images that roots are made into, and the cache that keeps
//! them.

pub(crate) mod progress;

use anyhow::Context;
use clap::{Args as ClapArgs, Subcommand, ValueHint};
use indicatif::{HumanBytes, HumanDuration};
use progress::Line;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tabled::Table;
use tabled::settings::{Padding, Style};
use trapgate::Error;
use trapgate::error::shown;
use trapgate::root::{self, Cache, Image, Kept, Root};

/// An image that is not in order.
const BAD: u8 = 1;

const EXAMPLES: &str = "\
Examples:
  trapgate image build alpine.tar.gz        into the cache, as 'run --root' does
  trapgate image build layout -o root.erofs
  trapgate image ls
  trapgate image check root.erofs
  trapgate image rm --all

Environment:
  TRAPGATE_CACHE  the directory of the cache [default: trapgate in
                  $XDG_CACHE_HOME, or in ~/.cache]

Exit status: 0; 1 if 'check' found something; 125 if it cannot be done";

const EXAMPLES_BUILD: &str = "\
Examples:
  trapgate image build alpine.tar.gz
  trapgate image build layout -o root.erofs

Exit status: 0, or 125 if it cannot be made";

const EXAMPLES_LS: &str = "\
Examples:
  trapgate image ls
  trapgate image ls --json

Exit status: 0, or 125 if the cache cannot be read";

const EXAMPLES_RM: &str = "\
Examples:
  trapgate image rm 0f3a9c21b7d4
  trapgate image rm --all

Exit status: 0, or 125 if one is not there or cannot be removed";

const EXAMPLES_CHECK: &str = "\
Examples:
  trapgate image check root.erofs

Exit status: 0; 1 if it is not in order; 125 if it cannot be read";

/// Make, list, check and remove images of roots
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make an image of an archive or an OCI layout, and print where it is
    #[command(after_help = EXAMPLES_BUILD)]
    Build {
        /// A tar or a cpio (newc), both also by gzip or zstd; an OCI layout, a directory
        /// or an archive
        #[arg(value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
        source: PathBuf,
        /// Write it there, and not into the cache
        #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        output: Option<PathBuf>,
    },
    /// List the images in the cache
    #[command(after_help = EXAMPLES_LS)]
    Ls {
        /// As JSON ('trapgate schema images' prints its schema)
        #[arg(long)]
        json: bool,
    },
    /// Remove images from the cache; what runs from one goes on
    #[command(after_help = EXAMPLES_RM)]
    Rm {
        /// What 'ls' calls them, or its beginning
        #[arg(value_name = "DIGEST", required_unless_present = "all")]
        digests: Vec<String>,
        /// All of them, and what runs that crashed have left
        #[arg(long, conflicts_with = "digests")]
        all: bool,
    },
    /// Look an image through: whether it can be a root, and is in order
    #[command(after_help = EXAMPLES_CHECK)]
    Check {
        /// An uncompressed EROFS
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
}

/// Does what is asked for; answers the exit status.
///
/// # Errors
/// If it cannot be done.
pub(crate) fn main(args: &Args) -> anyhow::Result<u8> {
    match &args.what {
        What::Build { source, output } => build(source, output.as_deref()),
        What::Ls { json } => list(*json),
        What::Rm { all: true, .. } => remove_all(),
        What::Rm { digests, .. } => remove(digests),
        What::Check { file } => check(file),
    }
}

fn build(source: &Path, output: Option<&Path>) -> anyhow::Result<u8> {
    let mut line = Line::new(source);
    let mut report = |progress| line.show(progress);
    let image = match output {
        Some(output) => Cache::write(source, output, &mut report)?,
        None => Cache::of_user()?.image(source, &mut report)?,
    };
    drop(line);
    crate::cli::print(format!("{}\n", image.path().display()).as_bytes())?;
    Ok(0)
}

/// How many digits of a digest are shown to people.
const DIGITS: usize = 12;

fn list(json: bool) -> anyhow::Result<u8> {
    let kept = Cache::of_user()?.list()?;
    if json {
        let mut text = serde_json::to_vec_pretty(&kept)?;
        text.push(b'\n');
        return crate::cli::print(&text).map(|()| 0);
    }
    if kept.is_empty() {
        crate::cli::say("trapgate: there are no images in the cache");
        return Ok(0);
    }
    let rows = kept.iter().map(row);
    let head = ["digest", "size", "on disk", "made", "of"].map(str::to_owned);
    let mut table = Table::from_iter(std::iter::once(head).chain(rows));
    table.with(Style::empty()).with(Padding::new(0, 2, 0, 0));
    crate::cli::print(format!("{table}\n").as_bytes()).map(|()| 0)
}

fn row(kept: &Kept) -> [String; 5] {
    let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let age = age.saturating_sub(Duration::from_secs(kept.made));
    [
        kept.digest.chars().take(DIGITS).collect(),
        HumanBytes(kept.bytes).to_string(),
        HumanBytes(kept.disk_bytes).to_string(),
        format!("{} ago", HumanDuration(age)),
        shown(Path::new(&kept.source)),
    ]
}

fn remove(digests: &[String]) -> anyhow::Result<u8> {
    let cache = Cache::of_user()?;
    let kept = cache.list()?;
    // All are looked for before any is removed.
    let found = digests.iter().map(|digest| chosen(&kept, digest));
    for kept in found.collect::<anyhow::Result<Vec<_>>>()? {
        cache.remove(kept)?;
    }
    Ok(0)
}

/// The image whose digest begins so.
fn chosen<'a>(kept: &'a [Kept], digest: &str) -> anyhow::Result<&'a Kept> {
    let mut fitting = kept.iter().filter(|kept| kept.digest.starts_with(digest));
    match (fitting.next(), fitting.next()) {
        (Some(one), None) if !digest.is_empty() => Ok(one),
        (None, _) => anyhow::bail!("'{digest}': there is no such image (see 'trapgate image ls')"),
        _ => anyhow::bail!("'{digest}': several images begin so: give more of it"),
    }
}

fn remove_all() -> anyhow::Result<u8> {
    let cache = Cache::of_user()?;
    for kept in cache.list()? {
        cache.remove(&kept)?;
    }
    cache.clean();
    Ok(0)
}

fn check(file: &Path) -> anyhow::Result<u8> {
    // What cannot be read is no finding.
    std::fs::File::open(file).with_context(|| shown(file))?;
    let contents = Image::open(file).and_then(|image| image.check());
    let (text, status) = match contents {
        Ok(contents) => {
            let (files, bytes) = (contents.files, contents.bytes);
            (format!("{}: in order: {files} files, {bytes} bytes in them\n", shown(file)), 0)
        }
        Err(error @ Error::Root { .. }) => {
            crate::cli::say(&format!("trapgate: {error}"));
            return Ok(BAD);
        }
        Err(error) => return Err(error.into()),
    };
    crate::cli::print(text.as_bytes()).map(|()| status)
}

/// What is at a path as a root; a line on the terminal shows if an image of it takes long.
///
/// # Errors
/// [`Error::Root`].
pub(crate) fn open(source: &Path) -> Result<Root, Error> {
    let mut line = Line::new(source);
    root::open(source, &mut |progress| line.show(progress))
}

/// The image of a program of this host with its libraries.
///
/// # Errors
/// [`Error::Root`].
pub(crate) fn with_libs(program: &Path) -> Result<Image, Error> {
    let mut line = Line::new(program);
    Cache::of_user()?.program(program, &mut |progress| line.show(progress))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(digest: &str) -> Kept {
        Kept {
            digest: digest.to_owned(),
            source: "a\u{1b}[31m".to_owned(),
            bytes: 4 << 20,
            disk_bytes: 4096,
            made: 0,
            path: PathBuf::new(),
        }
    }

    #[test]
    fn an_image_is_named_by_as_much_as_tells_it_from_others() {
        let kept = [kept("0123abc"), kept("0124abc")];
        assert_eq!(chosen(&kept, "0123").unwrap().digest, "0123abc");
        for (digest, part) in [("01", "several"), ("", "several"), ("2", "no such image")] {
            assert!(chosen(&kept, digest).unwrap_err().to_string().contains(part), "{digest}");
        }
    }

    #[test]
    fn nothing_in_a_row_steers_the_terminal() {
        let row = row(&kept("0123456789abcdef"));
        assert_eq!(row[0], "0123456789ab");
        assert_eq!(row[1..3], ["4.00 MiB", "4.00 KiB"]);
        assert!(!row[4].contains('\u{1b}'), "{row:?}");
    }
}

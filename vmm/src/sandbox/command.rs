//! What is run, as whom and where, out of what was said and what the root's image says of
//! its program, as `docker run` does it.
//!
//! The command that was given takes the place of the image's (`Cmd`); what is to stand in
//! front of every command (`Entrypoint`) does so.

use super::config::{Config, Program};
use super::program;
use super::tree::Tree;
use super::user::{self, Known};
use crate::Error;
use crate::root::DEFAULT_PATH;
use trapgate_abi::boot_info::User;

/// What came of it. Arguments and environment are the configuration's.
pub(super) struct Command {
    pub(super) program: Program,
    pub(super) user: User,
    /// From the root on; empty for that.
    pub(super) directory: Vec<u8>,
}

/// What is said of the program in the root.
#[derive(Clone, Copy, Default)]
struct Said<'a> {
    env: &'a [String],
    entrypoint: &'a [String],
    command: &'a [String],
    directory: &'a str,
    user: &'a str,
}

impl<'a> Said<'a> {
    #[cfg(feature = "images")]
    fn by(tree: &'a Tree) -> Option<Said<'a>> {
        let said = tree.image()?.configuration()?;
        Some(Said {
            env: &said.env,
            entrypoint: &said.entrypoint,
            command: &said.command,
            directory: &said.directory,
            user: &said.user,
        })
    }

    #[cfg(not(feature = "images"))]
    fn by(_: &'a Tree) -> Option<Said<'a>> {
        None
    }
}

impl Command {
    /// Puts them together; what is still missing in the configuration's arguments and
    /// environment is there afterwards.
    ///
    /// # Errors
    /// [`Error::NoProgram`], [`Error::Input`]; a user that the root does not know.
    pub(super) fn new(config: &mut Config, tree: &Tree) -> Result<Command, Error> {
        Command::of(config, tree, Said::by(tree))
    }

    fn of(config: &mut Config, tree: &Tree, said: Option<Said<'_>>) -> Result<Command, Error> {
        let is_image = said.is_some();
        let said = said.unwrap_or_default();
        let user = config.user.take();
        let user = match user.as_deref().unwrap_or(said.user) {
            "" if !tree.has_root() => Known::root(),
            // Only an image is asked for its groups; and nobody, if nothing is to be known.
            "" if !is_image && has(&config.envp, b"HOME") => Known::root(),
            "" if !is_image => Known { home: user::find("", tree)?.home, ..Known::root() },
            text => user::find(text, tree)?,
        };
        if is_image || tree.has_root() {
            complete(&mut config.envp, said.env, &user.home);
        }
        let directory = match config.directory.take() {
            Some(directory) => directory.into_os_string().into_encoded_bytes(),
            None => said.directory.as_bytes().to_vec(),
        };
        let directory = from_root(directory);
        // What the image says may be anything; it is checked as what is given.
        config.directory = Some(program::to_path(&directory));
        let program = front(config, &said)?;
        let program = match program {
            // Where the program begins, that is what it is relative to.
            Program::Path(path) if tree.has_root() && is_relative_path(&path) => {
                Program::Path(program::to_path(&directory).join(path))
            }
            program => program,
        };
        Ok(Command { program, user: user.numbers, directory })
    }
}

/// A path with a slash in it, but not at its beginning.
fn is_relative_path(path: &std::path::Path) -> bool {
    path.is_relative() && path.as_os_str().as_encoded_bytes().contains(&b'/')
}

/// A working directory from the root on; the root itself is empty.
fn from_root(directory: Vec<u8>) -> Vec<u8> {
    match directory.iter().all(|byte| *byte == b'/') {
        true => Vec::new(),
        false if directory.starts_with(b"/") => directory,
        false => [b"/", directory.as_slice()].concat(),
    }
}

/// Puts what stands in front of every command there, and the image's command where none
/// is given: the program that this begins with.
fn front(config: &mut Config, said: &Said<'_>) -> Result<Program, Error> {
    let words = |words: &[String]| words.iter().map(|word| word.clone().into_bytes()).collect();
    let given = config.program.take();
    // Who says what is to stand in front does not mean the command of another.
    let replaces = config.entrypoint.is_some();
    let mut front: Vec<Vec<u8>> =
        config.entrypoint.take().unwrap_or_else(|| words(said.entrypoint));
    if given.is_none() && !replaces {
        config.argv = words(said.command);
    }
    match given {
        // Bytes are no program in the root.
        Some(program @ Program::Bytes { .. }) => return Ok(program),
        Some(program) if front.is_empty() => return Ok(program),
        None if front.is_empty() && config.argv.is_empty() => return Err(Error::NoProgram),
        _ => {}
    }
    front.append(&mut config.argv);
    config.argv = front;
    Ok(Program::Path(program::to_path(&config.argv[0])))
}

/// Adds those variables that are not set yet; and, as Docker does, PATH and HOME.
fn complete(envp: &mut Vec<Vec<u8>>, env: &[String], home: &[u8]) {
    let mut first = Vec::new();
    for variable in env {
        let Some((name, _)) = variable.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            continue;
        };
        if !has(envp, name.as_bytes()) && !has(&first, name.as_bytes()) {
            first.push(variable.clone().into_bytes());
        }
    }
    for (name, value) in [(&b"PATH"[..], DEFAULT_PATH.as_bytes()), (b"HOME", home)] {
        if !has(envp, name) && !has(&first, name) {
            first.push([name, value].join(&b'='));
        }
    }
    envp.splice(0..0, first);
}

/// Whether a variable is set.
fn has(set: &[Vec<u8>], name: &[u8]) -> bool {
    set.iter().any(|variable| variable.split(|byte| *byte == b'=').next() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn bytes(words: &[&str]) -> Vec<Vec<u8>> {
        words.iter().map(|word| word.as_bytes().to_vec()).collect()
    }

    /// The arguments that a program gets, of an image that says both.
    fn argv(
        given: &[&str],
        entrypoint: Option<&[&str]>,
        said: [&[&str]; 2],
    ) -> Option<Vec<String>> {
        let mut config = Config { argv: bytes(given), ..Config::default() };
        config.program = given.first().map(|program| Program::Path(program.into()));
        config.entrypoint = entrypoint.map(bytes);
        let [front, command] = said.map(words);
        let said = Said { entrypoint: &front, command: &command, ..Said::default() };
        let tree = Tree::open(None, &[]).unwrap();
        let found = Command::of(&mut config, &tree, Some(said)).ok()?;
        assert_eq!(program::path(&found.program), config.argv[0]);
        let texts = config.argv.into_iter().map(|word| String::from_utf8(word).unwrap());
        Some(texts.collect())
    }

    #[test]
    fn a_command_takes_the_place_of_the_images_and_stands_behind_its_entrypoint() {
        let image = [&["/run", "-x"][..], &["serve"]];
        let plain = [&[][..], &["sh", "-l"]];
        for (given, entrypoint, said, expected) in [
            (&[][..], None, image, &["/run", "-x", "serve"][..]),
            (&["ls", "/"], None, image, &["/run", "-x", "ls", "/"]),
            (&[], None, plain, &["sh", "-l"]),
            (&["ls"], None, plain, &["ls"]),
            (&["ls"], Some(&[][..]), image, &["ls"]),
            (&[], Some(&["/other"]), image, &["/other"]),
            (&["-v"], Some(&["/other", "a"]), image, &["/other", "a", "-v"]),
        ] {
            assert_eq!(argv(given, entrypoint, said), Some(words(expected)), "{given:?}");
        }
        assert_eq!(argv(&[], Some(&[]), image), None);
        assert_eq!(argv(&[], None, [&[], &[]]), None);
    }

    #[test]
    fn variables_user_and_directory_are_the_images_where_nothing_else_is_said() {
        let tree = Tree::open(None, &[]).unwrap();
        let env = words(&["A=1", "B=2", "", "C", "=D", "A=3"]);
        let said = Said { env: &env, directory: "srv", user: "7:8", ..Said::default() };
        let config = || Config {
            program: Some(Program::Path("p".into())),
            argv: bytes(&["p"]),
            envp: bytes(&["B=x"]),
            ..Config::default()
        };
        let mut first = config();
        let found = Command::of(&mut first, &tree, Some(said)).unwrap();
        let path = format!("PATH={DEFAULT_PATH}");
        assert_eq!(first.envp, bytes(&["A=1", &path, "HOME=/", "B=x"]));
        assert_eq!((found.user.user, found.user.group), (7, 8));
        assert_eq!(found.directory, b"/srv");
        let mut second = Config { directory: Some("/".into()), user: Some("9".into()), ..config() };
        let found = Command::of(&mut second, &tree, Some(said)).unwrap();
        assert_eq!((found.user.user, found.user.group), (9, 0));
        assert_eq!(found.directory, b"");
        // Without a root nothing is added.
        let mut third = config();
        Command::of(&mut third, &tree, None).unwrap();
        assert_eq!(third.envp, bytes(&["B=x"]));
    }
}

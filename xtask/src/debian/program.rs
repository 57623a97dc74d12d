//! A program of the system or of an unpacked tree, and how it is started.
//!
//! Used by the rig. An unpacked program must not meet the system's libraries,
//! which may be of another release; so its tree's own dynamic loader starts it
//! and looks for libraries in the tree alone. The loader is told by arguments, not
//! by the environment, so nothing is handed on to other programs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::libraries;

/// How a program is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// The program to execute and the first arguments to give it.
    words: Vec<OsString>,
    environment: Vec<(&'static str, PathBuf)>,
}

impl Program {
    /// A program that the system can start.
    pub(crate) fn of_system(file: PathBuf) -> Self {
        Self { words: vec![file.into()], environment: Vec::new() }
    }

    /// The program `file` of an unpacked tree.
    pub(crate) fn unpacked(tree: &Path, file: &str) -> Result<Self> {
        let file = tree.join(file);
        let loader = libraries::find(tree, libraries::LOADER);
        let loader = loader.with_context(|| format!("no loader in {}", tree.display()))?;
        let places = std::env::join_paths(libraries::directories(tree))
            .with_context(|| format!("no library can be found below {}", tree.display()))?;
        let words =
            [loader.into(), "--inhibit-cache".into(), "--library-path".into(), places, file.into()];
        Ok(Self { words: words.into(), environment: Vec::new() })
    }

    /// The same with a variable that names a place.
    pub(crate) fn env(mut self, name: &'static str, value: PathBuf) -> Self {
        self.environment.push((name, value));
        self
    }

    /// A command that starts it.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.words[0]);
        self.prepare(command.args(&self.words[1..]));
        command
    }

    /// A command that makes the program `before` start it, after its arguments.
    pub(crate) fn command_after(&self, before: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(before);
        self.prepare(command.args(arguments).args(&self.words));
        command
    }

    fn prepare(&self, command: &mut Command) {
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if self.words.len() > 1 {
            // A library of the system's that is to come before all others.
            command.env_remove("LD_PRELOAD");
        }
    }
}

/// A tree in which programs are looked for, but with an empty loader.
#[cfg(test)]
pub(crate) fn fake_tree() -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    let lib = tree.path().join("lib/x86_64-linux-gnu");
    std::fs::create_dir_all(&lib).unwrap();
    std::fs::write(lib.join(libraries::LOADER), "").unwrap();
    tree
}

/// Fails if a word or variable of the command names a place outside of the tree.
#[cfg(test)]
pub(crate) fn assert_names_only(tree: &Path, command: &Command) {
    let variables = command.get_envs().filter_map(|(_, value)| value);
    let words = command.get_args().chain(variables).map(|word| word.to_str().unwrap());
    for path in words.flat_map(|word| word.split(':')).filter(|word| word.contains('/')) {
        assert!(Path::new(path).starts_with(tree), "{path}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_the_system_is_started_as_it_is() {
        let command = Program::of_system("/usr/bin/xz".into()).command();
        assert_eq!(crate::sh::display(&command), "/usr/bin/xz");
        assert_eq!(command.get_envs().count(), 0);
    }

    #[test]
    fn an_unpacked_program_is_started_by_its_own_loader_and_names_nothing_outside() {
        let empty = tempfile::tempdir().unwrap();
        assert!(Program::unpacked(empty.path(), "usr/bin/x").is_err(), "there is no loader");
        let tree = fake_tree();
        let program = Program::unpacked(tree.path(), "usr/bin/x").unwrap();
        let program = program.env("SHARE", tree.path().join("usr/share"));
        let command = program.command_after(Path::new("/usr/bin/setpriv"), &["--"]);
        let words: Vec<_> = command.get_args().map(|word| word.to_str().unwrap()).collect();
        let path = |path: &str| tree.path().join(path).to_str().unwrap().to_owned();
        let lib = path("lib/x86_64-linux-gnu");
        let loader = format!("{lib}/ld-linux-x86-64.so.2");
        let places = format!("{lib}:{}", path("lib"));
        let program = path("usr/bin/x");
        assert_eq!(words, ["--", &loader, "--inhibit-cache", "--library-path", &places, &program]);
        assert!(command.get_envs().any(|variable| variable == ("LD_PRELOAD".as_ref(), None)));
        assert_names_only(tree.path(), &command);
    }
}

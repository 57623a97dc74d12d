//! What `bench-self` runs: built by cargo and, where there are compilers, from C.
//!
//! Called by `bench_self::main`. A program has one name everywhere: in the plans,
//! in the records, and in the rigs, where it lies in /bench.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::rig::RigFile;
use crate::sh;

const MUSL: &str = "x86_64-unknown-linux-musl";
const BARE: &str = "x86_64-unknown-none";
const RIG_DIR: &str = "/bench";

/// Says a line; with an argument it then waits for one.
const HELLO: &str = r#"#include <stdio.h>
int main(int argc, char **argv)
{
	puts("hello");
	fflush(stdout);
	return argc > 1 && getchar() == EOF;
}
"#;

/// C programs: name, and the compiler with its options.
const C_PROGRAMS: [(&str, &[&str]); 2] =
    [("hello-musl", &["musl-gcc", "-O2", "-static"]), ("hello-glibc", &["gcc", "-O2", "-static"])];

/// One program.
struct Program {
    name: String,
    file: PathBuf,
    is_static: bool,
}

/// All programs, and the directory that the C ones are in.
pub(super) struct Programs {
    programs: Vec<Program>,
    _work: TempDir,
}

impl Programs {
    /// Builds everything; a missing compiler is reported in `skipped`.
    pub(super) fn build(skipped: &mut Vec<String>) -> Result<Self> {
        let mut programs = Vec::new();
        let mut add = |built: Vec<(String, PathBuf)>, suffix, is_static| {
            programs.extend(built.into_iter().map(|(name, file)| {
                let name = format!("{name}{suffix}");
                Program { name, file, is_static }
            }));
        };
        let vmm = ["build", "--release", "-p", "trapgate-cli", "-p", "trapgate-measure"];
        let vmm = [&vmm[..], &["--bin", "trapgate", "--example", "bench_self"]].concat();
        add(sh::cargo_executables(&vmm)?, "", false);
        let vmm = [&vmm[..], &["--target", MUSL]].concat();
        add(sh::cargo_executables(&vmm)?, "-static", true);
        let images = ["build", "-p", "trapgate-images", "--target", BARE, "--profile", "bare"];
        add(sh::cargo_executables(&images)?, "", true);

        let work = tempfile::tempdir()?;
        let source = work.path().join("hello.c");
        fs::write(&source, HELLO)?;
        for (name, compiler) in C_PROGRAMS {
            let file = work.path().join(name);
            match compile(compiler, &source, &file) {
                Ok(()) => add(vec![(name.to_owned(), file)], "", true),
                Err(error) => skipped.push(format!("everything with {name}: {error:#}")),
            }
        }
        Ok(Self { programs, _work: work })
    }

    /// Whether every program that these words name is there.
    pub(super) fn has_all(&self, words: &[String]) -> bool {
        C_PROGRAMS
            .iter()
            .filter(|(name, _)| words.iter().any(|word| word == name))
            .all(|(name, _)| self.find(name).is_some())
    }

    fn find(&self, name: &str) -> Option<&Program> {
        self.programs.iter().find(|program| program.name == name)
    }

    /// The measuring program of this machine.
    pub(super) fn bench_self(&self) -> Result<&Path> {
        let program = self.find("bench_self").context("cargo built no bench_self")?;
        Ok(&program.file)
    }

    /// A word of a plan, with a program's name replaced by its file here.
    pub(super) fn here(&self, word: &str) -> PathBuf {
        self.find(word).map_or_else(|| word.into(), |program| program.file.clone())
    }

    /// The same for a rig.
    pub(super) fn in_rig(&self, word: &str) -> String {
        self.find(word).map_or_else(|| word.to_owned(), |_| format!("{RIG_DIR}/{word}"))
    }

    /// What goes into a rig: all that needs no libraries.
    pub(super) fn rig_files(&self) -> Vec<RigFile> {
        let programs = self.programs.iter().filter(|program| program.is_static);
        programs.map(|program| RigFile::new(&program.file, self.in_rig(&program.name))).collect()
    }
}

fn compile(compiler: &[&str], source: &Path, file: &Path) -> Result<()> {
    let (program, options) = compiler.split_first().context("a compiler has a name")?;
    sh::which(program).with_context(|| format!("there is no {program}"))?;
    sh::run(Command::new(program).args(options).arg("-o").args([file, source])).map(drop)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_measuring_program_is_there() {
        // Nothing else builds it by name.
        let measure = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vmm/measure");
        assert!(measure.join("examples/bench_self.rs").is_file());
    }
}

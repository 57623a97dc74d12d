//! Compilers for other C libraries than the system's: scripts that call the
//! system's gcc with the places in an unpacked tree.
//!
//! Written by `debian`; called by tests/build.rs, which knows their places.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Result;

/// A script that is called as gcc is.
#[derive(Clone, Copy)]
pub(crate) struct Compiler {
    /// Its place in the tree.
    pub(crate) file: &'static str,
    /// The words between `gcc` and the arguments, where `$tree` is the tree.
    pub(crate) words: &'static str,
}

impl Compiler {
    /// Only for static programs: of a shared C library, only the system has a
    /// loader.
    pub(crate) const MUSL: Self = Self {
        file: "bin/musl-gcc",
        words: "-nostdinc -isystem \"$tree/usr/include/x86_64-linux-musl\" \
                -isystem \"$(gcc -print-file-name=include)\" \
                -B \"$tree/usr/lib/x86_64-linux-musl\" -L \"$tree/usr/lib/x86_64-linux-musl\"",
    };

    /// The headers are those of 64 bits, which know both; asm/ is among them. The
    /// version in the tree is that of gcc when it was unpacked.
    pub(crate) const GCC_32: Self = Self {
        file: "bin/gcc-m32",
        words: "-m32 -isystem \"$tree/usr/include/x86_64-linux-gnu\" \
                -isystem /usr/include/x86_64-linux-gnu \
                -B \"$tree\"/usr/lib/gcc/x86_64-linux-gnu/*/32 \
                -B \"$tree/usr/lib32\" -L \"$tree/usr/lib32\" \
                -L \"$tree/lib32\" -Wl,-rpath-link,\"$tree/lib32\"",
    };

    /// Writes the script into the tree. It finds the tree by its own name, so the
    /// tree can be moved.
    pub(crate) fn write(&self, tree: &Path) -> Result<()> {
        let file = tree.join(self.file);
        fs::create_dir_all(file.parent().expect("a script lies in a directory"))?;
        let script = format!(
            "#!/bin/sh\n# Written by cargo xtask setup.\ntree=${{0%/bin/*}}\nexec gcc {} \"$@\"\n",
            self.words
        );
        let mut options = File::options();
        options.write(true).create(true).truncate(true).mode(0o755);
        options.open(file)?.write_all(script.as_bytes())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_script_calls_gcc_with_places_in_its_tree_wherever_that_is() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("a tree");
        let version = tree.join("usr/lib/gcc/x86_64-linux-gnu/12/32");
        fs::create_dir_all(&version).unwrap();
        // Instead of gcc: a program that prints its arguments, by the same means.
        let printer = Compiler { file: "bin/gcc", words: "" };
        printer.write(dir.path()).unwrap();
        fs::write(dir.path().join("bin/gcc"), "#!/bin/sh\nprintf '<%s>' \"$@\"\n").unwrap();
        let path = format!("{}:/usr/bin:/bin", dir.path().join("bin").display());
        let call = |compiler: Compiler| {
            compiler.write(&tree).unwrap();
            // By sh: a file that was just written may still be busy.
            let mut command = Command::new("sh");
            command.arg(tree.join(compiler.file)).arg("a file.c");
            let output = command.env("PATH", &path).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let musl = tree.join("usr/lib/x86_64-linux-musl");
        let words = call(Compiler::MUSL);
        assert!(words.ends_with(&format!("<-L><{}><a file.c>", musl.display())), "{words}");
        let words = call(Compiler::GCC_32);
        assert!(words.starts_with("<-m32>"), "{words}");
        assert!(words.contains(&format!("<-B><{}><-B>", version.display())), "{words}");
    }
}

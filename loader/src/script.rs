//! `#!` lines, as execve(2) reads them.
//!
//! Called by [`crate::image::parse`], which names the interpreter of a script
//! that it was given. The rules are those of Linux 6.1's load_script: the file's
//! first 256 bytes count; the path ends at a blank (space or tab), a NUL or the
//! line's end, and must not be cut off; what follows on the line is one argument.

/// Linux's BINPRM_BUF_SIZE: how much of a file it looks at. Behind the end of a
/// shorter one it has NULs.
pub const LOOKED_AT: usize = 256;

/// Whom a script asks to run it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script<'a> {
    /// The interpreter's path: its argument 0. It is empty where a NUL stands in
    /// its place: to Linux the working directory, which is no program (EACCES).
    pub interpreter: &'a [u8],
    /// What comes between the interpreter's path and the script's.
    pub argument: Option<&'a [u8]>,
}

/// The first line names no interpreter, or a path that may go on behind what
/// Linux looks at. Linux's ENOEXEC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoInterpreter;

/// What the first line says; none if the file is no script.
pub fn parse(file: &[u8]) -> Option<Result<Script<'_>, NoInterpreter>> {
    if !file.starts_with(b"#!") {
        return None;
    }
    let seen = &file[..file.len().min(LOOKED_AT)];
    let end = seen.iter().position(|byte| matches!(byte, b'\n' | 0)).unwrap_or(seen.len());
    // The last byte is never part of a word: Linux puts a NUL there.
    let last = LOOKED_AT - 1;
    let line = &seen[2..end.min(last)];
    let ends_in_nul = end < last && seen.get(end) != Some(&b'\n');
    let is_cut_off =
        end >= last && !matches!(seen.get(last), None | Some(b' ' | b'\t' | b'\n' | 0));
    Some(words(line, ends_in_nul, is_cut_off).ok_or(NoInterpreter))
}

fn words(line: &[u8], ends_in_nul: bool, is_cut_off: bool) -> Option<Script<'_>> {
    // Blanks at the end are no part of an argument; only before a NUL, where
    // Linux does not look for them, they are one, be it empty.
    let words = if ends_in_nul { line } else { trim_end(line) };
    let words = trim_start(words);
    if words.is_empty() && !ends_in_nul {
        return None;
    }
    let path_end = words.iter().position(is_blank);
    if path_end.is_none() && is_cut_off && !line.last().is_some_and(is_blank) {
        return None;
    }
    let (interpreter, rest) = words.split_at(path_end.unwrap_or(words.len()));
    let argument = path_end.map(|_| trim_start(rest));
    Some(Script { interpreter, argument })
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn trim_start(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !is_blank(byte)).unwrap_or(text.len());
    &text[start..]
}

fn trim_end(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| !is_blank(byte)).map_or(0, |last| last + 1);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    fn script<'a>(interpreter: &'a str, argument: Option<&'a str>) -> Script<'a> {
        Script { interpreter: interpreter.as_bytes(), argument: argument.map(str::as_bytes) }
    }

    #[test]
    fn a_first_line_has_a_path_and_perhaps_one_argument() {
        let parsed = |text: &'static str| parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!(parsed("#!/bin/sh\necho\n"), script("/bin/sh", None));
        assert_eq!(parsed("#! \t/bin/sh \t\n"), script("/bin/sh", None));
        let env = script("/usr/bin/env", Some("-S python3 -u"));
        assert_eq!(parsed("#!/usr/bin/env  -S python3 -u \n"), env);
        // Without a line's end, a blank is an argument.
        assert_eq!(parsed("#!/bin/sh"), script("/bin/sh", None));
        assert_eq!(parsed("#!/bin/sh "), script("/bin/sh", Some("")));
        assert_eq!(parsed("#!/bin/sh -x "), script("/bin/sh", Some("-x ")));
        assert_eq!(parsed("#!"), script("", None));
    }

    #[test]
    fn what_is_no_script_or_names_no_interpreter() {
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"#"), None);
        assert_eq!(parse(b" #!/bin/sh\n"), None);
        assert_eq!(parse(b"#!\n/bin/sh\n"), Some(Err(NoInterpreter)));
        assert_eq!(parse(b"#! \t \n"), Some(Err(NoInterpreter)));
    }

    #[test]
    fn a_path_must_end_within_256_bytes() {
        let line =
            |path: usize, end: &str| [b"#!", &b"x".repeat(path)[..], end.as_bytes()].concat();
        for end in ["\n", " ", "\t", "\0", ""] {
            assert_eq!(parse(&line(253, end)).unwrap().unwrap().interpreter.len(), 253, "{end:?}");
        }
        for end in ["x\n", "xx\n"] {
            assert_eq!(parse(&line(253, end)), Some(Err(NoInterpreter)));
        }
        // An argument may be cut off.
        let long = [b"#!x ", &b"y".repeat(300)[..]].concat();
        assert_eq!(parse(&long).unwrap().unwrap().argument.unwrap().len(), 251);
    }

    /// What Linux makes of it: what echo(1) says in the interpreter's place.
    fn linux(file: &[u8]) -> Result<Vec<u8>, i32> {
        let directory = std::env::temp_dir();
        let name = format!("trapgate-script-{}", std::process::id());
        let path = directory.join(name);
        std::fs::write(&path, file).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        let ran = loop {
            match Command::new(&path).output() {
                // Another test started a process while the file was written.
                Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {}
                other => break other,
            }
        };
        std::fs::remove_file(&path).unwrap();
        let output = ran.map_err(|error| error.raw_os_error().unwrap())?.stdout;
        let rest = [b" ", path.to_str().unwrap().as_bytes(), b"\n"].concat();
        Ok([b" ", &output[..]].concat().strip_suffix(&rest[..]).unwrap().to_vec())
    }

    const ENOEXEC: i32 = 8;
    const EACCES: i32 = 13;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        #[test]
        fn a_first_line_is_read_as_linux_reads_it(
            before in prop::collection::vec(prop::sample::select(b" \t"), 0..3),
            slashes in prop_oneof![Just(0usize), 230..250usize],
            after in prop::collection::vec(prop::sample::select(b" \t\n\0aa"), 0..16),
            path in prop_oneof![9 => Just("/bin/echo"), 1 => Just("")],
        ) {
            let slashes = "/".repeat(slashes);
            let file = [b"#!", &before[..], slashes.as_bytes(), path.as_bytes(), &after].concat();
            let ours = match parse(&file).unwrap() {
                Err(NoInterpreter) => Err(ENOEXEC),
                Ok(Script { interpreter: b"", .. }) => Err(EACCES),
                Ok(Script { interpreter, argument }) if interpreter.ends_with(b"/echo") => {
                    Ok(argument.map_or(Vec::new(), |argument| [b" ", argument].concat()))
                }
                // Of other names we know only that they are none of a program.
                Ok(_) => {
                    prop_assert!(linux(&file).is_err());
                    return Ok(());
                }
            };
            prop_assert_eq!(linux(&file), ours);
        }
    }
}

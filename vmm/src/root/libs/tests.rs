use super::*;
use crate::root::Cache;
use std::collections::BTreeSet;
use std::process::Command;

/// What ldd(1) says of a program: the files behind all links.
fn by_ldd(program: &str) -> BTreeSet<PathBuf> {
    let output = Command::new("ldd").arg(program).output().expect("ldd");
    let text = String::from_utf8(output.stdout).unwrap();
    // "NAME => PATH (ADDRESS)", or "PATH (ADDRESS)".
    let words = text.lines().filter_map(|line| line.split_whitespace().rev().nth(1));
    let paths = words.filter(|word| word.starts_with('/'));
    paths.map(|path| fs::canonicalize(path).unwrap()).collect()
}

#[test]
fn libraries_are_those_that_ldd_finds() {
    for program in ["/bin/sh", "/usr/bin/env", "/bin/ls", "/bin/tar", "/bin/bash"] {
        let files = Files::of_program(Path::new(program)).unwrap();
        let real: BTreeSet<_> = files.real().map(Path::to_owned).collect();
        let mut expected = by_ldd(program);
        expected.insert(fs::canonicalize(program).unwrap());
        let cache = fs::canonicalize(ld_cache::PATH);
        let besides: Vec<_> = real.symmetric_difference(&expected).collect();
        assert!(
            besides.iter().all(|path| cache.as_ref().is_ok_and(|cache| *path == cache)),
            "{program}: {besides:?}"
        );
    }
}

#[test]
fn their_image_has_each_by_the_path_that_it_is_found_by() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::at(directory.path());
    let image = cache.program("/bin/sh", &mut |_| {}).unwrap();
    image.check().unwrap();
    let files = Files::of_program(Path::new("/bin/sh")).unwrap();
    for (path, real) in &files.paths {
        let bytes = image.read_file(path.as_os_str().as_bytes()).unwrap();
        assert!(bytes == fs::read(real).unwrap(), "{path:?}");
    }
    let mut steps = 0;
    cache.program("/bin/sh", &mut |_| steps += 1).unwrap();
    assert_eq!(steps, 0, "it is kept, and its files are settled");
}

#[test]
fn what_is_no_program_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("text");
    fs::write(&text, "hello").unwrap();
    let error = |path: &Path| Files::of_program(path).unwrap_err().to_string();
    assert!(error(&text).ends_with("text: is no ELF file"), "{}", error(&text));
    fs::write(&text, b"\x7fELF\x02\x01\x01").unwrap();
    assert!(error(&text).contains("is malformed"), "{}", error(&text));
    assert!(error(&directory.path().join("none")).contains("cannot be read"));
}

#[test]
fn a_library_is_looked_for_by_the_rules_of_rpath_and_runpath() {
    let needs = |rpath: Option<&str>, runpath: Option<&str>| Needs {
        class: Class::X86_64,
        interpreter: None,
        libraries: vec![],
        rpath: rpath.map(Into::into),
        runpath: runpath.map(Into::into),
    };
    let directory = tempfile::tempdir().unwrap();
    // Any library will do.
    let sh = fs::canonicalize("/bin/sh").unwrap();
    for place in ["top", "own", "run"] {
        fs::create_dir(directory.path().join(place)).unwrap();
        fs::copy(&sh, directory.path().join(place).join("lib.so")).unwrap();
    }
    let system = System { class: Class::X86_64, cache: LdCache::default(), directories: vec![] };
    let object = |needs, by| Object { needs, origin: directory.path().to_owned(), by };
    let find = |top: Needs, own: Needs| {
        let objects = [object(top, None), object(own, Some(0))];
        let found = system.find(b"lib.so", &objects, 1)?;
        Some(found.path.strip_prefix(directory.path()).unwrap().to_owned())
    };
    let at = |place: &str| Some(Path::new(place).join("lib.so"));
    // Its own first, then that of who needs it; a DT_RUNPATH is nobody else's, and stands
    // in the place of both.
    let top = || needs(Some("$ORIGIN/top"), None);
    assert_eq!(find(top(), needs(Some("/none:${ORIGIN}/own"), None)), at("own"));
    assert_eq!(find(top(), needs(None, None)), at("top"));
    assert_eq!(find(top(), needs(Some("$ORIGIN/own"), Some("$ORIGIN/run"))), at("run"));
    assert_eq!(find(top(), needs(None, Some("/none"))), None);
    assert_eq!(find(needs(None, Some("$ORIGIN/top")), needs(None, None)), None);
    // One of another kind is none.
    let other = System { class: Class::I386, ..system };
    let objects = [object(top(), None)];
    assert!(other.find(b"lib.so", &objects, 0).is_none());
}

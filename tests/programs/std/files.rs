//! What a Rust program with its standard library does with files: writes, reads, walks,
//! renames, links, and the errors that it gets. It leaves files in /tmp.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

type Done = Result<(), Box<dyn Error>>;

fn main() -> ExitCode {
    let done = [contents, names, directories, errors, unwinding].map(|part| part());
    for error in done.iter().filter_map(|done| done.as_ref().err()) {
        println!("FAILED: {error}");
    }
    ExitCode::from(if done.iter().all(Result::is_ok) { 4 } else { 1 })
}

fn contents() -> Done {
    env::set_current_dir("/tmp")?;
    let mut writer = BufWriter::new(File::create("lines")?);
    for number in 0..5_000 {
        writeln!(writer, "{number} {:x}", number * number)?;
    }
    writer.flush()?;
    let mut counts = BTreeMap::new();
    for line in BufReader::new(File::open("lines")?).lines() {
        *counts.entry(line?.len()).or_insert(0) += 1;
    }
    println!("lengths {counts:?}");
    let mut file = OpenOptions::new().read(true).write(true).open("lines")?;
    file.seek(SeekFrom::End(-20))?;
    let mut end = String::new();
    file.read_to_string(&mut end)?;
    println!("the end {end:?} at {}", file.stream_position()?);
    file.write_all_at(b"in place", 1 << 20)?;
    file.set_len((1 << 20) + 4)?;
    println!("{} bytes, {} with content", file.metadata()?.len(), {
        let mut bytes = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        bytes.iter().filter(|byte| **byte != 0).count()
    });
    file.set_modified(UNIX_EPOCH + Duration::from_secs(1_700_000_000))?;
    file.sync_all()?;
    file.lock()?;
    file.unlock()?;
    let mut log = OpenOptions::new().append(true).create(true).open("log")?;
    for word in ["one ", "two ", "three\n"] {
        log.write_all(word.as_bytes())?;
    }
    println!("{:?} {}", fs::read_to_string("log")?, fs::copy("lines", "copied")?);
    println!("modified {:?}", fs::metadata("lines")?.modified()?.duration_since(UNIX_EPOCH)?);
    Ok(())
}

fn names() -> Done {
    fs::write("here", [0, 255, 10])?;
    fs::hard_link("here", "there")?;
    symlink("there", "pointed")?;
    fs::set_permissions("here", Permissions::from_mode(0o4640))?;
    let (own, followed) = (fs::symlink_metadata("pointed")?, fs::metadata("pointed")?);
    println!("{:?} {} {:o} {}", own.file_type(), own.size(), followed.mode(), followed.nlink());
    println!("{:?} {:?}", fs::read_link("pointed")?, fs::canonicalize("pointed")?);
    fs::rename("there", "elsewhere")?;
    println!("{} {}", Path::new("pointed").exists(), fs::read("elsewhere")?.len());
    fs::write(OsStr::from_bytes(b"not \xff text"), "")?;
    fs::write("\u{20ac} and \u{df}", "")?;
    Ok(())
}

fn directories() -> Done {
    fs::create_dir_all("a/b/c/d")?;
    for number in 0..300 {
        fs::write(format!("a/b/{number:03}"), format!("{number}"))?;
    }
    let mut sum = 0;
    let mut entries = fs::read_dir("a/b")?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(|entry| entry.file_name());
    for entry in &entries {
        if entry.file_type()?.is_file() {
            sum += fs::read_to_string(entry.path())?.parse::<u32>()?;
        }
    }
    println!("{} entries, sum {sum}, last {:?}", entries.len(), entries[300].file_name());
    fs::remove_dir_all("a/b")?;
    println!("{:?} in {}", fs::read_dir("a")?.next().is_none(), env::current_dir()?.display());
    println!("{:?} {:?}", env::temp_dir(), env::current_exe()?);
    Ok(())
}

fn errors() -> Done {
    let tried = [
        fs::write("/nowhere/x", ""),
        fs::rename("a", "a/inside"),
        fs::remove_file("a"),
        fs::remove_dir("a").and_then(|()| fs::remove_dir("a")),
        fs::create_dir("/tmp"),
        File::open("/tmp").and_then(|mut file| file.read(&mut [0]).map(|_| ())),
        fs::read_link("/tmp").map(|_| ()),
        File::open("here").and_then(|mut file| file.write_all(b"x")),
        File::open("nul\0inside").map(|_| ()),
    ];
    for tried in tried {
        println!("{:?}", tried.map_err(|error| (error.kind(), error.to_string())));
    }
    Ok(())
}

fn unwinding() -> Done {
    struct Noisy;
    impl Drop for Noisy {
        fn drop(&mut self) {
            println!("dropped while unwinding: {}", std::thread::panicking());
        }
    }
    std::panic::set_hook(Box::new(|_| {}));
    let caught = std::panic::catch_unwind(|| {
        let _noisy = Noisy;
        fs::read("/nowhere").expect("a file")
    });
    println!("caught {:?}", caught.map_err(|any| any.downcast_ref::<String>().cloned()));
    Ok(())
}

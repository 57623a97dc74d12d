//! What a program does with its own file, /proc/self/exe: its link, its bytes, where it
//! is in memory, and how it becomes itself again. One file for plain rustc.
//!
//! - `itself [words]`: says so, and executes itself by several names, one after the other

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::process::Command;

fn main() {
    let words: Vec<String> = env::args().collect();
    let exe = env::current_exe().expect("it is a file");
    let link = fs::read_link("/proc/self/exe").expect("it is a link");
    println!("{words:?}: {} {}", exe.display(), link == exe);

    let metadata = fs::metadata("/proc/self/exe").expect("it is there");
    let mut bytes = [0; 4096];
    let file = File::open("/proc/self/exe").expect("it can be read");
    file.read_exact_at(&mut bytes, 0).expect("its bytes can be read");
    println!("{} bytes, mode {:o}", metadata.len(), metadata.mode());
    println!("sum {}", bytes.iter().fold(0u64, |sum, &byte| sum.rotate_left(5) ^ u64::from(byte)));
    let mut named = [0; 4096];
    let by_name = File::open(&exe).and_then(|file| file.read_exact_at(&mut named, 0));
    println!("by its name: {}", by_name.is_ok() && named == bytes);
    match File::options().write(true).open("/proc/self/exe") {
        // Natively ETXTBSY, here it may be EROFS.
        Err(error) => println!("written: {}", error.kind() == ErrorKind::NotFound),
        Ok(_) => println!("it can be written"),
    }

    // Places are random natively, and how writable parts are cut is the loader's.
    let maps = fs::read_to_string("/proc/self/maps").expect("it can be read");
    let (mut lines, mut ours) = (maps.lines(), 0);
    while let Some(line) = lines.next() {
        let mut parts = line.split_ascii_whitespace();
        let (Some(place), Some(access), Some(offset)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let (inode, name) = (parts.nth(1), parts.next());
        if name.map(OsStr::new) == Some(exe.as_os_str()) {
            ours += 1;
            let there = inode == Some(&*metadata.ino().to_string());
            let (start, end) = place.split_once('-').expect("two addresses");
            let number = |text| u64::from_str_radix(text, 16).expect("hexadecimal");
            let (start, end, offset) = (number(start), number(end), number(offset));
            if access == "r-xp" {
                println!("{access} {offset:x}, {:x} bytes, inode {there}", end - start);
                // It is what is in memory there.
                let at = main as usize as u64;
                assert!((start..end).contains(&at));
                // SAFETY: a function of this program, in a part that was looked up just now.
                let code = unsafe { *(main as *const [u8; 16]) };
                let mut bytes = [0; 16];
                file.read_exact_at(&mut bytes, at - start + offset).expect("it is there");
                println!("the same code: {}", bytes == code);
            }
        }
    }
    println!("parts of it: {}", ours > 1);

    let next = match words.len() {
        1 => "/proc/self/exe".into(),
        2 => exe,
        _ => return,
    };
    let error = Command::new(next).args(&words[1..]).arg("more").exec();
    println!("not executed: {error}");
}

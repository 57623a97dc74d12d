//! execve(2): one program becomes another, in the sandbox as natively.

use std::fs;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use trapgate_tests::elf::{BASE, Elf, Segment};
use trapgate_tests::programs::{bytes, program};
use trapgate_tests::{Case, Ran, missing, needs_kvm};

/// Files that the first program puts into /tmp, at the same place natively and in the
/// sandbox; the native ones go with the value.
#[derive(Default)]
struct Files {
    paths: Vec<String>,
    archive: Vec<u8>,
}

impl Files {
    /// One more file; answers its path.
    fn with(&mut self, name: &str, bytes: &[u8]) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = format!("/tmp/trapgate-exec.{}.{count}.{name}", process::id());
        for length in [path.len(), bytes.len()] {
            self.archive.extend((length as u32).to_le_bytes());
        }
        self.archive.extend(path.as_bytes());
        self.archive.extend(bytes);
        self.paths.push(path.clone());
        path
    }

    /// The program `exec` puts them there and becomes the one of these arguments: the
    /// same in the sandbox as natively.
    fn run(&self, arguments: &[&str]) -> Ran {
        let first = program("exec");
        let case = Case::new(&first).args(arguments).env("A", "1").env("EMPTY", "");
        case.stdin_bytes(&self.archive).differential()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for path in &self.paths {
            let _ = fs::remove_file(path);
        }
    }
}

#[test]
fn a_program_becomes_another_with_its_arguments_and_nothing_of_the_old_one() {
    needs_kvm!();
    let mut files = Files::default();
    let path = files.with("execed", bytes("execed"));
    files.run(&[&path]).expect_status(0);
    files.run(&[&path, "one", "", "two words", "\u{fc}"]).expect_status(0);
    // The auxiliary vector.
    let path = files.with("auxv", bytes("auxv"));
    files.run(&[&path, "x"]).expect_status(0);
}

#[test]
fn programs_of_either_width_become_one_another() {
    needs_kvm!();
    let mut files = Files::default();
    let wide = files.with("execed", bytes("execed"));
    let narrow = files.with("exec.32", bytes("exec.32"));
    files.run(&[&narrow, &narrow, &narrow, &wide, "end"]).expect_status(0);
}

#[test]
fn a_static_pie_goes_where_linux_puts_it() {
    needs_kvm!();
    let mut files = Files::default();
    let mut elf = Elf::exiting(23);
    elf.kind = 3;
    let path = files.with("pie", &elf.bytes());
    files.run(&[&path]).expect_status(23);
}

#[test]
fn scripts_are_run_by_their_interpreters_five_deep() {
    needs_kvm!();
    let mut files = Files::default();
    let mut path = files.with("execed", bytes("execed"));
    for depth in 1..=6 {
        path = files.with("script", format!("#!{path} -x {depth} \nrest\n").as_bytes());
        let ran = files.run(&[&path, "argument"]);
        ran.expect_status(if depth > 5 { 3 } else { 0 });
    }
    let nowhere = files.with("script", b"#!/tmp/trapgate-exec.nowhere\n");
    files.run(&[&nowhere]).expect_status(3);
    let nothing = files.with("script", b"#! \n");
    files.run(&[&nothing]).expect_status(3);
}

#[test]
fn what_cannot_be_run_is_the_same_error_as_natively() {
    needs_kvm!();
    let mut files = Files::default();
    let good = Elf::exiting(0).bytes();
    let with = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    let mut cases: Vec<Vec<u8>> = vec![vec![], b"text\n".to_vec(), vec![0; 4096]];
    cases.extend([1, 4, 16, 63, 64, 100].map(|length| good[..length].to_vec()));
    // Machine, type, size and number of the program headers.
    cases.extend([(18, 40), (16, 1), (54, 55), (56, 0), (57, 0xff)].map(|(at, to)| with(at, to)));
    for (index, case) in cases.iter().enumerate() {
        let path = files.with(&index.to_string(), case);
        files.run(&[&path]).expect_status(3);
    }
    for path in ["", "/", "/tmp", "/dev/null", "/nowhere", "/dev/null/x", "/tmp/"] {
        files.run(&[path]).expect_status(3);
    }
}

#[test]
fn a_program_that_is_damaged_further_inside_kills_as_natively() {
    needs_kvm!();
    let mut files = Files::default();
    let load = |offset, address, file_size, memory_size| Segment {
        offset,
        file_size,
        memory_size,
        ..Segment::empty(address, 0)
    };
    for segment in [
        load(0, BASE + 0x1_0008, 8, 8),
        load(0, BASE + 0x1_0000, 9, 8),
        Segment::empty(0xffff_8000_0000_0000, 8),
        Segment::empty(0x7fff_ffff_f000, 8),
    ] {
        let path = files.with("damaged", &Elf::exiting(0).with(segment).bytes());
        files.run(&[&path]);
    }
}

/// The file is fine, and there is not so much memory on any machine: Linux finds that out
/// when the old program is gone.
#[test]
fn a_program_with_more_empty_memory_than_there_is_kills_as_natively() {
    needs_kvm!();
    if fs::read_to_string("/proc/sys/vm/overcommit_memory").is_ok_and(|mode| mode.trim() == "1") {
        return missing("overcommit with a limit, vm.overcommit_memory of 0");
    }
    let mut files = Files::default();
    let vast = Elf::exiting(0).with(Segment::empty(BASE + (1 << 30), 1 << 45));
    let path = files.with("vast", &vast.bytes());
    files.run(&[&path]).expect_status(139);
    let large = Elf::exiting(24).with(Segment::empty(BASE + (1 << 30), 64 << 20));
    let path = files.with("large", &large.bytes());
    files.run(&[&path]).expect_status(24);
}

//! /proc/PID/maps and smaps.

use super::*;
use crate::mm::vma::Marks;

/// A line of maps: addresses, access, the column of the name, and it.
fn parse_map(line: &str) -> (u64, u64, &str, Option<usize>, &str) {
    let mut words = line.split(' ');
    let (start, end) = words.next().unwrap().split_once('-').unwrap();
    let address = |text| u64::from_str_radix(text, 16).unwrap();
    let access = words.next().unwrap();
    let offset = words.next().unwrap();
    assert_eq!((access.len(), offset.len()), (4, 8), "{line}");
    let (major, minor) = words.next().unwrap().split_once(':').unwrap();
    assert!(major.len() >= 2 && minor.len() >= 2, "{line}");
    words.next().unwrap().parse::<u64>().unwrap();
    let name: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let name = name.first().copied().unwrap_or("");
    let column = (!name.is_empty()).then(|| line.find(name).unwrap());
    (address(start), address(end), access, column, name)
}

#[test]
fn mappings_are_shown_as_linux_shows_them() {
    let sandbox = sandbox();
    sandbox.call(nr64::BRK, [crate::tests::HEAP + PAGE_SIZE, 0, 0, 0, 0, 0]).unwrap();
    sandbox.store(crate::tests::HEAP, &[1]);
    let ours = sandbox.content_by("/proc/self/maps", 7);
    let lines: Vec<_> = ours.lines().map(parse_map).collect();
    let native = native("/proc/self/maps");
    let column = native.lines().filter_map(|line| parse_map(line).3).next().unwrap();
    assert!(lines.iter().all(|line| line.3.is_none_or(|ours| ours == column)), "{ours}");
    let found: Vec<_> =
        lines.iter().map(|&(start, _, access, _, name)| (start, access, name)).collect();
    assert_eq!(
        found[..3],
        [
            (crate::tests::TEXT, "r-xp", ""),
            (crate::tests::DATA, "rw-p", ""),
            (crate::tests::HEAP, "rw-p", "[heap]"),
        ]
    );
    assert_eq!(found[3].2, "[stack]");
    // smaps has the same lines, and others below each.
    let smaps = sandbox.content("/proc/self/smaps");
    let heads: Vec<&str> = smaps
        .lines()
        .filter(|line| line.as_bytes()[8] == b'-' || line.as_bytes()[12] == b'-')
        .collect();
    assert_eq!(heads, ours.lines().collect::<Vec<_>>());
    let heap = smaps.split("[heap]\n").nth(1).unwrap();
    let value = |text: &str, key: &str| -> u64 {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
    };
    assert_eq!(
        (value(heap, "Size:"), value(heap, "Rss:"), value(heap, "Private_Dirty:")),
        (4, 4, 4)
    );
    let status = sandbox.content("/proc/self/status");
    let sum: u64 =
        smaps.lines().filter(|line| line.starts_with("Rss:")).map(|line| value(line, "Rss:")).sum();
    assert_eq!(value(&status, "VmRSS:"), sum);
    assert_eq!(value(&sandbox.content("/proc/self/smaps_rollup"), "Rss:"), sum);
    let host = super::native("/proc/self/smaps");
    let entry = |text: &str| -> Vec<String> {
        keys(text)
            .into_iter()
            .skip(1)
            .take_while(|key| !key.contains('-'))
            .map(str::to_owned)
            .collect()
    };
    let (ours, host) = (entry(&smaps), entry(&host));
    assert!(ours.iter().all(|key| host.contains(key)), "{ours:?} {host:?}");
    assert_eq!(ours.len(), 23);
}

#[test]
fn what_was_resident_once_is_told_when_it_is_gone() {
    let sandbox = sandbox();
    let told = || {
        let status = sandbox.content("/proc/self/status");
        let value = |key: &str| -> i64 {
            let line = status.lines().find(|line| line.starts_with(key)).unwrap();
            line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
        };
        sandbox.call(nr64::GETRUSAGE, [0, BUFFER, 0, 0, 0, 0]).unwrap();
        // struct rusage: two times, and it.
        (sandbox.load_word(BUFFER + 32) as i64, value("VmHWM:"), value("VmRSS:"))
    };
    const LENGTH: u64 = 300 * PAGE_SIZE;
    let (before, _, resident) = told();
    let at = sandbox.call(nr64::MMAP, [0, LENGTH, 3, 0x22, u64::MAX, 0]).unwrap();
    (0..LENGTH).step_by(PAGE_SIZE as usize).for_each(|page| sandbox.store(at + page, &[1]));
    let (most, peak, now) = told();
    assert!(most >= before + 1200 && now == resident + 1200, "{before} {most} {now}");
    assert!(peak == most && peak >= now, "{peak} {most} {now}");
    sandbox.call(nr64::MUNMAP, [at, LENGTH, 0, 0, 0, 0]).unwrap();
    let (still, peak, now) = told();
    assert_eq!((still, peak, now), (most, most, resident));
    // What is used again does not raise it.
    let at = sandbox.call(nr64::MMAP, [0, LENGTH / 2, 3, 0x22, u64::MAX, 0]).unwrap();
    (0..LENGTH / 2).step_by(PAGE_SIZE as usize).for_each(|page| sandbox.store(at + page, &[1]));
    assert_eq!(told().0, most);
}

#[test]
fn a_mapped_file_has_its_name_its_device_and_its_inode() {
    let sandbox = sandbox();
    sandbox.file("/tmp/a file", b"abc");
    let stat = sandbox.stat("/tmp/a file").unwrap();
    let task = crate::process::task::current();
    let fd = sandbox.open("/tmp/a file", O_RDONLY).unwrap();
    let file = task.process.files.lock().file(fd as u32).unwrap();
    let crate::fs::inode::Kind::Regular(object) = &file.as_inode().unwrap().dentry.inode.kind
    else {
        panic!("a regular file");
    };
    use crate::mm::backing::{Mapped, Part};
    use crate::mm::space::map::{Place, Window};
    let mapped =
        Mapped { object: object.clone(), file: Some(file.clone()), may_write: true, stored: None };
    let part = Part { mapped: mapped.into(), first: 0 };
    let place = Place {
        fixed: false,
        replace: false,
        window: Window::NATIVE,
        shared: true,
        marks: Marks::NONE,
    };
    let read = crate::mm::vma::Prot::READ;
    task.process.memory.lock().map(0, PAGE_SIZE, read, place, Some(part), true).unwrap();
    let ours = sandbox.content("/proc/self/maps");
    let line = ours.lines().find(|line| line.ends_with("/tmp/a file")).unwrap();
    let ids = format!(" r--s 00000000 00:{:02x} {} ", stat.st_dev, stat.st_ino);
    assert!(line.contains(&ids), "{line}");
}

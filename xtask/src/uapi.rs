//! That each structure of `trapgate-uapi` is compared with the C header's. Compiling
//! does that, for each width when it is the target's; here only that none is left out.

use std::collections::BTreeSet;
use std::fs;

use crate::sh;

/// Structures whose header linux-raw-sys does not have: their sizes are asserted, and
/// that they have no padding.
const WITHOUT_TWIN: [(&str, &str); 24] = [
    ("CompatIpc64Perm", "asm-generic/ipcbuf.h"),
    ("CompatRtSigframe", "arch/x86/include/asm/sigframe.h"),
    ("CompatShmid64", "asm-generic/shmbuf.h"),
    ("CompatSigcontext", "asm/sigcontext.h"),
    ("CompatSigframe", "arch/x86/include/asm/sigframe.h"),
    ("CompatSiginfo", "asm-generic/siginfo.h"),
    ("CompatTms", "linux/times.h"),
    ("CompatUcontext", "asm/ucontext.h"),
    ("FOwnerEx", "asm-generic/fcntl.h"),
    ("FpxSwBytes", "asm/sigcontext.h"),
    ("FregsState", "asm/sigcontext.h"),
    ("Ipc64Perm", "asm-generic/ipcbuf.h"),
    ("OldItimerspec32", "linux/time32.h"),
    ("OldItimerval32", "linux/time32.h"),
    ("RtSigframe", "arch/x86/include/asm/sigframe.h"),
    ("SchedAttr", "linux/sched/types.h"),
    ("SchedParam", "linux/sched/types.h, which the C library has instead"),
    ("ShmInfo", "linux/shm.h"),
    ("Shmid64", "asm-generic/shmbuf.h"),
    ("Shminfo64", "asm-generic/shmbuf.h"),
    ("Sigcontext", "asm/sigcontext.h"),
    ("Siginfo", "asm-generic/siginfo.h"),
    ("Tms", "linux/times.h"),
    ("Ucontext", "asm/ucontext.h"),
];

/// The words behind each place where `before` stands.
fn words_after<'a>(text: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(before).map(move |(at, _)| {
        let rest = &text[at + before.len()..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    })
}

#[test]
fn every_structure_of_programs_is_compared_with_its_header() {
    let (mut all, mut without) = (0, BTreeSet::new());
    for entry in fs::read_dir(sh::root().join("uapi/src")).unwrap().flatten() {
        let text = fs::read_to_string(entry.path()).unwrap();
        if entry.file_name() == "macros.rs" {
            continue;
        }
        let compared: BTreeSet<&str> = words_after(&text, "same_layout!(").collect();
        for block in text.split("structure! {").skip(1) {
            let name = words_after(block, "pub struct ").next().unwrap();
            let head = block.split_once("pub struct ").unwrap().1.lines().next().unwrap();
            all += 1;
            if !head.contains('=') && !compared.contains(name) {
                without.insert(name.to_owned());
            }
        }
    }
    assert!(all > 25, "{all} structures");
    let expected: BTreeSet<String> = WITHOUT_TWIN.map(|(name, _)| name.to_owned()).into();
    assert_eq!(without, expected, "compared with nothing, as against listed");
}

//! /proc/cpuinfo: what CPUID says to the program, by Linux's names.

use crate::memory::Text;
use crate::proc::subject::Subject;
use crate::process::task::current;
use trapgate_arch::cpuid::cpuid;
use trapgate_uapi::Errno;

/// Where CPUID has feature bits: leaf, part, register (0: EAX).
type Word = (u32, u32, usize);

/// Names of features, bit by bit (`-`: none that Linux names), in Linux's order
/// (cpufeatures.h).
const FEATURES: [(Word, &str); 9] = [
    (
        (1, 0, 3),
        "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush \
         - dts acpi mmx fxsr sse sse2 ss ht tm ia64 pbe",
    ),
    (
        (0x8000_0001, 0, 3),
        "- - - - - - - - - - - syscall - - - - - - - mp nx - mmxext - - fxsr_opt pdpe1gb rdtscp \
         - lm 3dnowext 3dnow",
    ),
    (
        (1, 0, 2),
        "pni pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm \
         - pcid dca sse4_1 sse4_2 x2apic movbe popcnt tsc_deadline_timer aes xsave - avx f16c \
         rdrand hypervisor",
    ),
    (
        (0x8000_0001, 0, 2),
        "lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs \
         xop skinit wdt - lwp fma4 tce - nodeid_msr - tbm topoext perfctr_core perfctr_nb - bpext \
         ptsc perfctr_llc mwaitx",
    ),
    (
        (7, 0, 1),
        "fsgsbase tsc_adjust sgx bmi1 hle avx2 - smep bmi2 erms invpcid rtm cqm - mpx rdt_a \
         avx512f avx512dq rdseed adx smap avx512ifma - clflushopt clwb intel_pt avx512pf avx512er \
         avx512cd sha_ni avx512bw avx512vl",
    ),
    ((0xd, 1, 0), "xsaveopt xsavec xgetbv1 xsaves xfd"),
    (
        (0x8000_0008, 0, 1),
        "clzero irperf xsaveerptr - rdpru - - - - wbnoinvd - - amd_ibpb - amd_ibrs amd_stibp",
    ),
    (
        (7, 0, 2),
        "- avx512vbmi umip pku ospke waitpkg avx512_vbmi2 - gfni vaes vpclmulqdq avx512_vnni \
         avx512_bitalg tme avx512_vpopcntdq - la57 - - - - - rdpid - bus_lock_detect cldemote - \
         movdiri movdir64b enqcmd",
    ),
    (
        (7, 0, 3),
        "- - avx512_4vnniw avx512_4fmaps fsrm - - - avx512_vp2intersect - md_clear - - - serialize \
         - tsxldtrk pconfig arch_lbr - ibt - amx_bf16 avx512_fp16 amx_tile amx_int8",
    ),
];

/// One CPU, as Linux shows it.
///
/// # Errors
/// ENOMEM.
pub fn cpuinfo(_: Subject, text: &mut Text) -> Result<(), Errno> {
    let [level, b, c, d] = cpuid(0, 0);
    let extended = cpuid(0x8000_0000, 0)[0];
    let last_of = |leaf: u32| if leaf >> 31 == 0 { level } else { extended };
    let ask = |leaf: u32, part: u32| if leaf <= last_of(leaf) { cpuid(leaf, part) } else { [0; 4] };
    let [signature, other, _, _] = ask(1, 0);
    let (family, model) = family_and_model(signature);
    let khz = current().process.clock.counter_khz().unwrap_or(0);
    let apic = other >> 24;

    write!(text, "processor\t: 0\nvendor_id\t: ")?;
    add_printable(text, &[b, d, c])?;
    write!(text, "\ncpu family\t: {family}\nmodel\t\t: {model}\nmodel name\t: ")?;
    let name = [0x8000_0002, 0x8000_0003, 0x8000_0004].map(|leaf| ask(leaf, 0));
    if name[0] == [0; 4] {
        text.add(b"unknown")?;
    } else {
        add_printable(text, name.as_flattened())?;
    }
    writeln!(text, "\nstepping\t: {}", signature & 15)?;
    writeln!(text, "cpu MHz\t\t: {}.{:03}", khz / 1000, khz % 1000)?;
    let cache = ask(0x8000_0006, 0)[2] >> 16;
    if cache > 0 {
        writeln!(text, "cache size\t: {cache} KB")?;
    }
    write!(text, "physical id\t: 0\nsiblings\t: 1\ncore id\t\t: 0\ncpu cores\t: 1\n")?;
    write!(text, "apicid\t\t: {apic}\ninitial apicid\t: {apic}\nfpu\t\t: yes\n")?;
    write!(text, "fpu_exception\t: yes\ncpuid level\t: {level}\nwp\t\t: yes\nflags\t\t:")?;
    for ((leaf, part, register), names) in FEATURES {
        let bits = ask(leaf, part)[register];
        for (bit, name) in names.split_ascii_whitespace().enumerate() {
            if bits >> bit & 1 != 0 && name != "-" {
                write!(text, " {name}")?;
            }
        }
    }
    // The counter goes on at one rate.
    if ask(0x8000_0007, 0)[3] >> 8 & 1 != 0 {
        text.add(b" constant_tsc nonstop_tsc")?;
    }
    let line = (other >> 8 & 0xff) * 8;
    let [widths, ..] = ask(0x8000_0008, 0);
    write!(text, "\nbugs\t\t:\nbogomips\t: {}.{:02}\n", khz / 500, khz / 5 % 100)?;
    write!(text, "clflush size\t: {line}\ncache_alignment\t: {line}\n")?;
    let (physical, virtually) = (widths & 0xff, widths >> 8 & 0xff);
    writeln!(text, "address sizes\t: {physical} bits physical, {virtually} bits virtual")?;
    text.add(b"power management:\n\n")
}

/// Of CPUID.1:EAX, as both makers count them.
const fn family_and_model(signature: u32) -> (u32, u32) {
    let (family, model) = (signature >> 8 & 15, signature >> 4 & 15);
    let upper = signature >> 16 & 15;
    match family {
        15 => (15 + (signature >> 20 & 0xff), upper << 4 | model),
        6 => (6, upper << 4 | model),
        _ => (family, model),
    }
}

/// Text of the CPU's, less blanks around it, and what is none.
fn add_printable(text: &mut Text, words: &[u32]) -> Result<(), Errno> {
    // The longest has twelve words.
    let mut bytes = [0; 48];
    for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    let length = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let name = bytes[..length].trim_ascii();
    name.iter().filter(|byte| (b' '..=b'~').contains(byte)).try_for_each(|&byte| text.add(&[byte]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_and_models_are_counted_as_the_makers_do() {
        // Zen 3, Skylake, a Pentium.
        assert_eq!(family_and_model(0x00a0_0f11), (25, 1));
        assert_eq!(family_and_model(0x0005_0654), (6, 0x55));
        assert_eq!(family_and_model(0x0000_0543), (5, 4));
    }

    #[test]
    fn no_word_of_features_has_more_names_than_bits() {
        for (word, names) in FEATURES {
            assert!(names.split_ascii_whitespace().count() <= 32, "{word:x?}");
        }
    }
}

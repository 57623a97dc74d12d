//! The doors to the letter: what each does to registers, flags and segments,
//! and what it does where a program is wrong. Natively and trapped alike; the
//! host is the oracle.
//!
//! One module a door. The tests of a door that the CPU's maker has not belong
//! elsewhere; a test of its own shows that the program dies by SIGILL there.

use std::fs;
use trapgate::boot::kernel::{Kernel, PLAIN};
use trapgate::machine::kvm::Kind;
use trapgate::machine::memory::GuestRam;
use trapgate::mitigation::Hardening;
use trapgate_tests::sysenter_arrives;
use trapgate_tests::{Case, Death, Home, Place, elsewhere, needs_kvm, place, program};

const SIGILL: i32 = 4;
const SIGTRAP: i32 = 5;
const SIGSEGV: i32 = 11;

/// Whether AMD made this CPU: then 32-bit code has SYSCALL and no SYSENTER, on
/// other makers' it is the other way round.
fn is_amd() -> bool {
    let text = fs::read_to_string("/proc/cpuinfo").expect("there is /proc");
    text.lines().any(|line| line.starts_with("vendor_id") && line.contains("AuthenticAMD"))
}

/// Whether this machine has a door of 32-bit code. If not, says so.
fn has(door: &str) -> bool {
    let (home, why) = match door {
        "sysenter" if is_amd() => (Home::IntelRig, "AMD's CPUs have no SYSENTER in long mode"),
        "sysenter" if !sysenter_arrives() => {
            (Home::IntelRig, "this software KVM does not let SYSENTER come to its guest")
        }
        "syscall" if !is_amd() => {
            (Home::AmdRig, "only AMD's CPUs have SYSCALL in compatibility mode")
        }
        _ => return true,
    };
    elsewhere(home, why);
    false
}

/// Whether the CPU has the door that such a program uses: 64-bit code's are
/// everywhere.
fn can(program: &str, door: &str) -> bool {
    !program.ends_with(".32") || has(door)
}

/// The program compares for itself; natively it shows that it is right.
#[track_caller]
fn holds(name: &str, arguments: &[&str]) {
    let program = program(name);
    Case::new(&program).args(arguments).differential().expect_status(0);
}

/// What a door keeps of a register. Linux's entry of SYSENTER calculates before
/// it saves the flags, where it has page tables of its own.
fn kept(door: &str, name: &str, value: u64) -> Option<u64> {
    const ARITHMETIC: u64 = 0x8d5;
    let lost = if door == "sysenter" && name == "eflags" { ARITHMETIC } else { 0 };
    Some(value & !lost)
}

/// The program, whose first argument is a door, dies as natively, with the same
/// registers, by this signal.
#[track_caller]
fn dies(name: &str, arguments: &[&str], signal: i32) -> Death {
    let program = program(name);
    let door = arguments[0];
    let case = Case::new(&program).args(arguments);
    let death = case.same_death_in(|name, value| kept(door, name, value));
    assert_eq!(death.signal, signal, "{name} {arguments:?}");
    death
}

/// Whether 32-bit code runs on the CPU, where it can do all that it can do.
fn runs_32_bit_code() -> bool {
    let hardware = Kind::of_this_host() != Kind::Software;
    if !hardware {
        elsewhere(Home::Rig, "this software KVM interprets 32-bit code");
    }
    hardware
}

/// Whether ring 3 may use IRETQ and a far return to another selector here.
fn returns_far() -> bool {
    let right = place() != Place::Amd;
    if !right {
        let why = "QEMU does IRETQ and far returns in ring 3 wrongly with SMAP on";
        elsewhere(Home::IntelRig, why);
    }
    right
}

/// What every door of 32-bit code must do.
macro_rules! doors_of_32_bit_code {
    ($($module:ident $door:literal;)*) => {$(
        mod $module {
            use super::*;

            #[test]
            fn every_register_comes_back_but_the_result() {
                needs_kvm!();
                if has($door) {
                    holds("poison.32", &[$door]);
                }
            }

            #[test]
            fn flags_that_a_program_may_set_come_back_and_the_others_stay() {
                needs_kvm!();
                if has($door) {
                    holds("flags.32", &[$door]);
                }
            }

            #[test]
            fn the_nested_task_flag_comes_back() {
                needs_kvm!();
                if has($door) && runs_32_bit_code() {
                    holds("flags.32", &[$door, "nt"]);
                }
            }

            #[test]
            fn numbers_without_a_call_return_enosys() {
                needs_kvm!();
                if has($door) {
                    holds("numbers.32", &[$door]);
                }
            }

            #[test]
            fn segment_registers_keep_their_segments() {
                needs_kvm!();
                if has($door) {
                    holds("segments.32", &[$door]);
                }
            }

            #[test]
            fn linuxs_segments_keep_rights_and_limits() {
                needs_kvm!();
                if has($door) && runs_32_bit_code() {
                    holds("segments.32", &[$door, "attributes"]);
                }
            }

            #[test]
            fn the_door_probe_finds_it() {
                needs_kvm!();
                if has($door) {
                    holds("door-probe.32", &[$door]);
                }
            }
        }
    )*};
}

doors_of_32_bit_code! {
    int80_from_32_bit_code "int80";
    syscall_from_32_bit_code "syscall";
    sysenter_from_32_bit_code "sysenter";
    kernel_vsyscall "vsyscall";
}

/// What the instructions must do, in code of either width.
macro_rules! instructions {
    ($($module:ident $program:literal $step:literal $door:literal $last:expr;)*) => {$(
        mod $module {
            use super::*;

            #[test]
            fn half_an_instruction_before_a_hole_faults_there() {
                needs_kvm!();
                if can($program, $door) {
                    let death = dies($program, &[$door, "hole"], SIGSEGV);
                    let name = if $program == "placed" { "rip" } else { "eip" };
                    assert_eq!(death.register(name), 0x2000_0fff);
                }
            }

            #[test]
            fn half_an_instruction_before_a_page_that_is_no_code_faults_there() {
                needs_kvm!();
                if can($program, $door) {
                    dies($program, &[$door, "nx"], SIGSEGV);
                }
            }

            #[test]
            fn the_last_bytes_of_a_page_make_the_call() {
                needs_kvm!();
                if can($program, $door) {
                    let last: Option<i32> = $last;
                    match last {
                        Some(signal) => {
                            dies($program, &[$door, "last"], signal);
                        }
                        None => holds($program, &[$door, "last"]),
                    }
                }
            }

            #[test]
            fn an_instruction_on_two_pages_makes_the_call() {
                needs_kvm!();
                if can($program, $door) {
                    holds($program, &[$door, "across"]);
                }
            }

            #[test]
            fn a_jump_into_another_instructions_middle_makes_the_call() {
                needs_kvm!();
                if can($program, $door) {
                    holds($program, &[$door, "middle"]);
                }
            }

            #[test]
            fn a_single_step_over_it_stops_behind_the_next_instruction() {
                needs_kvm!();
                if can($program, $door) {
                    dies($step, &[$door], SIGTRAP);
                }
            }
        }
    )*};
}

instructions! {
    syscall_from_64_bit_code_placed "placed" "step" "syscall" Some(SIGSEGV);
    int80_from_64_bit_code_placed "placed" "step" "int80" Some(SIGSEGV);
    int80_from_32_bit_code_placed "placed.32" "step.32" "int80" Some(SIGSEGV);
    // These return to the vDSO.
    syscall_from_32_bit_code_placed "placed.32" "step.32" "syscall" None;
    sysenter_from_32_bit_code_placed "placed.32" "step.32" "sysenter" None;
}

/// What the doors must do that read the sixth argument from the program's
/// stack.
macro_rules! doors_with_a_stack {
    ($($module:ident $door:literal;)*) => {$(
        mod $module {
            use super::*;

            /// EFAULT at the landing pad, whose first POP then faults.
            #[track_caller]
            fn is_efault(kind: &str) {
                const EFAULT: u32 = 14;
                let death = death(kind);
                assert_eq!(death.register("eax"), u64::from(0u32.wrapping_sub(EFAULT)));
                assert_eq!(death.register("eip"), 0, "from the landing pad");
            }

            /// Dies as natively, but for what SYSRET or SYSEXIT takes its
            /// addresses from: the landing pad would have popped it.
            #[track_caller]
            fn death(kind: &str) -> Death {
                let program = program("bad-stack.32");
                let case = Case::new(&program).args([$door, kind]);
                case.same_death_in(|name, value| match name {
                    "ecx" | "edx" => None,
                    _ => kept($door, name, value),
                })
            }

            #[test]
            fn a_stack_that_is_not_there_is_efault() {
                needs_kvm!();
                if has($door) {
                    is_efault("unmapped");
                }
            }

            #[test]
            fn a_stack_without_access_is_efault() {
                needs_kvm!();
                if has($door) {
                    is_efault("none");
                }
            }

            #[test]
            fn a_stack_where_the_kernel_would_be_is_efault() {
                needs_kvm!();
                if has($door) {
                    is_efault("kernel");
                }
            }

            #[test]
            fn a_stack_across_the_end_of_4_gib_is_efault() {
                needs_kvm!();
                if has($door) && runs_32_bit_code() {
                    is_efault("wraps");
                }
            }

            #[test]
            fn a_stack_whose_word_is_half_there_is_efault() {
                needs_kvm!();
                if has($door) {
                    is_efault("straddles");
                }
            }

            #[test]
            fn a_stack_of_one_word_makes_the_call() {
                needs_kvm!();
                if has($door) {
                    const EBADF: u32 = 9;
                    let death = death("last-word");
                    assert_eq!(death.signal, SIGSEGV);
                    assert_eq!(death.register("eax"), u64::from(0u32.wrapping_sub(EBADF)));
                    assert_eq!(death.register("eip"), 1, "the second POP");
                }
            }

            #[test]
            fn a_misaligned_stack_makes_the_call() {
                needs_kvm!();
                if has($door) {
                    works("misaligned");
                }
            }

            #[test]
            fn a_stack_that_can_only_be_read_makes_the_call() {
                needs_kvm!();
                if has($door) {
                    works("read-only");
                }
            }

            /// The program prints where its landing pad is, so it is run apart.
            #[track_caller]
            fn works(kind: &str) {
                let program = program("bad-stack.32");
                let case = Case::new(&program).args([$door, kind]);
                for ran in [case.native(), case.sandboxed()] {
                    ran.expect_status(0);
                }
            }
        }
    )*};
}

doors_with_a_stack! {
    syscall_from_32_bit_code_on_a_stack "syscall";
    sysenter_from_32_bit_code_on_a_stack "sysenter";
}

mod doors_that_a_maker_has_not {
    use super::*;

    #[test]
    fn sysenter_on_amd_is_sigill() {
        needs_kvm!();
        if !is_amd() {
            elsewhere(Home::OtherCpu, "this CPU has the door");
        } else if place() == Place::Amd {
            elsewhere(Home::OtherCpu, "QEMU runs SYSENTER on an AMD model");
        } else {
            dies("placed.32", &["sysenter", "across"], SIGILL);
        }
    }

    #[test]
    fn sysenter_from_64_bit_code_on_amd_is_sigill() {
        needs_kvm!();
        if is_amd() && place() != Place::Amd {
            let program = program("door-probe");
            let case = Case::new(&program).args(["sysenter"]);
            case.differential().expect_status(128 + SIGILL);
        } else {
            elsewhere(Home::OtherCpu, "this CPU has the door, or is QEMU's, which runs it");
        }
    }

    #[test]
    fn syscall_from_32_bit_code_elsewhere_is_sigill() {
        needs_kvm!();
        if is_amd() {
            elsewhere(Home::IntelRig, "this CPU has the door");
        } else {
            dies("placed.32", &["syscall", "across"], SIGILL);
        }
    }
}

mod sysenter_from_64_bit_code {
    use super::*;

    #[test]
    fn it_makes_the_i386_call() {
        needs_kvm!();
        if has("sysenter") {
            holds("door-probe", &["sysenter"]);
        }
    }
}

mod syscall_from_64_bit_code {
    use super::*;

    #[test]
    fn the_resume_flag_is_not_in_r11() {
        needs_kvm!();
        if returns_far() {
            holds("step", &["syscall", "resume"]);
        }
    }

    #[test]
    fn the_last_instruction_before_the_users_end_comes_back_to_a_fault() {
        needs_kvm!();
        let death = dies("placed", &["syscall", "user-end"], SIGSEGV);
        assert_eq!(death.register("rip"), (1 << 47) - 4096);
    }

    #[test]
    fn no_code_can_end_where_canonical_addresses_end() {
        needs_kvm!();
        holds("canonical", &[]);
    }

    #[test]
    fn a_jump_out_of_the_canonical_addresses_faults_as_natively() {
        needs_kvm!();
        let program = program("crash");
        for name in ["noncanonical-jump", "jump-kernel"] {
            let case = Case::new(&program).args([name]);
            let (native, sandboxed) = (case.native(), case.sandboxed());
            native.expect_status(128 + SIGSEGV);
            sandboxed.expect_status(128 + SIGSEGV);
        }
    }

    #[test]
    fn x32s_numbers_are_answered_by_its_table_or_by_enosys() {
        needs_kvm!();
        let program = program("x32");
        Case::new(&program).differential().expect_status(0);
    }
}

mod int80_from_64_bit_code {
    use super::*;

    #[test]
    fn the_resume_flag_is_not_in_the_flags_behind_it() {
        needs_kvm!();
        if returns_far() {
            holds("step", &["int80", "resume"]);
        }
    }

    #[test]
    fn the_last_instruction_before_the_users_end_comes_back_to_a_fault() {
        needs_kvm!();
        dies("placed", &["int80", "user-end"], SIGSEGV);
    }

    #[test]
    fn upper_halves_are_ignored_and_come_back() {
        needs_kvm!();
        holds("halves", &[]);
    }
}

mod entries {
    use super::*;

    #[test]
    fn a_jump_to_the_32_bit_doors_entries_is_no_call() {
        needs_kvm!();
        let ram = GuestRam::new(4 << 20).expect("there is memory");
        let kernel = Kernel::load(PLAIN, &ram, &Hardening::NONE).expect("the kernel can be loaded");
        let program = program("crash");
        for entry in [kernel.note.syscall32, kernel.note.sysenter] {
            let case = Case::new(&program).args(["jump-lstar", &format!("{entry:#x}")]);
            let ran = case.differential();
            ran.expect_status(128 + SIGSEGV).expect_in_stderr("SIGSEGV");
        }
    }
}

mod modes {
    use super::*;

    #[test]
    fn a_32_bit_program_may_jump_into_64_bit_code_and_use_its_doors() {
        needs_kvm!();
        holds("to-64.32", &[]);
    }
}

mod segments_that_no_program_may_have {
    use super::*;

    #[test]
    fn code_gates_and_the_kernels_entries_cannot_be_asked_for() {
        needs_kvm!();
        holds("descriptors.32", &[]);
    }

    /// The kernel's code and data with both privilege levels asked for, the
    /// task-state segment, what is beyond the GDT, and the LDT.
    const SELECTORS: [&str; 12] =
        ["10", "13", "18", "1b", "40", "43", "48", "80", "83", "7", "f", "fffb"];

    /// Goes or loads there in these ways, and dies each time.
    #[track_caller]
    fn die(ways: &[&str]) {
        let program = program("descriptors.32");
        for selector in SELECTORS {
            for way in ways {
                let case = Case::new(&program).args([*way, selector]);
                // Where the first stack is, is a matter of chance natively.
                let death = case.same_death_in(|name, value| (name == "eip").then_some(value));
                assert_eq!(death.signal, SIGSEGV, "{way} {selector}");
            }
        }
    }

    #[test]
    fn the_kernels_selectors_cannot_be_loaded() {
        needs_kvm!();
        die(&["ds", "es", "fs", "gs", "ss"]);
    }

    #[test]
    fn the_kernels_segments_cannot_be_returned_to() {
        needs_kvm!();
        if returns_far() {
            die(&["return"]);
        }
    }

    #[test]
    fn the_kernels_segments_cannot_be_called() {
        needs_kvm!();
        if runs_32_bit_code() {
            die(&["call"]);
        }
    }
}

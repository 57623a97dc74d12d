//! Tells the linker where the kernel image goes. The addresses come from
//! `trapgate_abi::layout`, so that kernel.ld repeats no number. Of the host's
//! build, which only editors and lints want, nothing is said.

use trapgate_abi::layout::{self, Cpu, percpu};

fn main() {
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let own = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let script = format!("{own}/kernel.ld");
    println!("cargo:rerun-if-changed={script}");
    let instrumented = std::env::var_os("CARGO_FEATURE_INSTRUMENTED").is_some();
    let entry_align = if instrumented { layout::PAGE_SIZE } else { 16 };
    for argument in [
        format!("-T{script}"),
        format!("--defsym=KERNEL_BASE={:#x}", layout::KERNEL_BASE),
        format!("--defsym=KERNEL_PHYS={:#x}", layout::KERNEL_PHYS),
        format!("--defsym=KERNEL_PHYS_END={:#x}", layout::KERNEL_PHYS_END),
        format!("--defsym=BLOCK={:#x}", Cpu::FIRST.block()),
        format!("--defsym=BLOCK_PHYS={:#x}", Cpu::FIRST.area_phys() + percpu::BLOCK),
        format!("--defsym=ENTRY_ALIGN={entry_align}"),
        "-zmax-page-size=4096".to_owned(),
    ] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}

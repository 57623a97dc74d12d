//! Hands guest-rt's linker arguments to the linker, for programs that stand on
//! it alone: those of bare targets.

use std::env;

fn main() {
    let target = |part: &str| env::var(format!("CARGO_CFG_TARGET_{part}")).expect("cargo sets it");
    if target("OS") != "none" && target("ARCH") != "x86" {
        return;
    }
    let arguments = concat!(env!("CARGO_MANIFEST_DIR"), "/../guest-rt/program.args");
    println!("cargo:rerun-if-changed={arguments}");
    println!("cargo:rustc-link-arg-bins=@{arguments}");
}

//! Has the linker make a shared object of the program: which symbols it has,
//! and how it is laid out.

use std::env;

fn main() {
    let own = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let target = |part: &str| env::var(format!("CARGO_CFG_TARGET_{part}")).expect("cargo sets it");
    let (soname, version) = match (target("ARCH").as_str(), target("OS").as_str()) {
        ("x86", _) => ("linux-gate.so.1", "vdso32.map"),
        (_, "none") => ("linux-vdso.so.1", "vdso64.map"),
        // The host's: main.rs says what it is.
        _ => return,
    };
    for watched in ["vdso.lds", version] {
        println!("cargo:rerun-if-changed={own}/{watched}");
    }
    for argument in [
        // The last of -pie and -no-pie counts, and -pie is the compiler's.
        "-no-pie".to_owned(),
        "-shared".to_owned(),
        format!("-soname={soname}"),
        format!("-T{own}/vdso.lds"),
        format!("--version-script={own}/{version}"),
        "--hash-style=both".to_owned(),
        "--eh-frame-hdr".to_owned(),
        "--no-undefined".to_owned(),
        "-Bsymbolic".to_owned(),
        // No relocations: nobody would carry them out.
        "-ztext".to_owned(),
        "-zrodynamic".to_owned(),
        "-znorelro".to_owned(),
        "-zmax-page-size=4096".to_owned(),
    ] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}

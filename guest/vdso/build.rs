//! Has the linker make a shared object of the program: which symbols it has,
//! and how it is laid out.

use std::env;

fn main() {
    let own = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let (soname, version) = match env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
        Ok("x86") => ("linux-gate.so.1", "vdso32.map"),
        _ => ("linux-vdso.so.1", "vdso64.map"),
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

//! Has the linker put together what a start of `trapgate run` executes: functions
//! of some 170 KB, which otherwise lie all over 3.4 MB. Linux maps a program's
//! file in pieces of 64 KiB, and each piece costs a page fault and sixteen pages
//! that the end gives back.
//!
//! `start-order.ld` has their names. One that is not there any more changes
//! nothing; what is new lies somewhere else until it is in the list.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=start-order.ld");
    println!("cargo:rerun-if-env-changed=TRAPGATE_LINK_MAP");
    let is = |variable: &str, value: &str| env::var(variable).is_ok_and(|found| found == value);
    // The program that is handed out. Other linkers may not know the script.
    if is("CARGO_CFG_TARGET_ENV", "musl") && is("CARGO_CFG_TARGET_ARCH", "x86_64") {
        let own = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
        println!("cargo:rustc-link-arg-bins=-Wl,-T,{own}/start-order.ld");
    }
    // Asked for by `cargo xtask start-order`.
    if let Ok(map) = env::var("TRAPGATE_LINK_MAP") {
        println!("cargo:rustc-link-arg-bins=-Wl,-Map,{map}");
    }
}

//! Hands guest-rt's linker arguments to the linker.

fn main() {
    let arguments = concat!(env!("CARGO_MANIFEST_DIR"), "/../../guest-rt/program.args");
    println!("cargo:rerun-if-changed={arguments}");
    println!("cargo:rustc-link-arg-bins=@{arguments}");
}

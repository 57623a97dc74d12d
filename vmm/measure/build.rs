//! Builds what this crate embeds: the probes. And it finds out which commit the
//! figures of an optimised build are of.

use trapgate_build_guest::{BARE, BARE_32, Built, commit, embed};

/// What is built.
const BUILT: [Built; 5] = [
    Built::new("TRAPGATE_DOOR_PROBE", "trapgate-images", "door-probe", BARE),
    Built::new("TRAPGATE_DOOR_PROBE_32", "trapgate-images", "door-probe", BARE_32),
    Built::new("TRAPGATE_BENCH_PROBE", "trapgate-images", "bench-probe", BARE),
    Built::new("TRAPGATE_BENCH_PROBE_32", "trapgate-images", "bench-probe", BARE_32),
    Built::new("TRAPGATE_START_PROBE", "trapgate-images", "start-probe", BARE),
];

/// Directories between the workspace and this crate, and the crate.
const DEPTH: usize = 2;

fn main() {
    if let Some(commit) = commit(DEPTH) {
        println!("cargo:rustc-env=TRAPGATE_COMMIT={commit}");
    }
    embed(&BUILT, &["abi", "guest-rt", "images/src", "images/Cargo.toml", "uapi"], DEPTH);
}

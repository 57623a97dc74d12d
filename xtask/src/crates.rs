//! The arrows between the workspace's crates, and how many crates an embedder of
//! the library compiles. Only tests.
//!
//! They ask cargo, which reads the manifests: without a network.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::sh;

/// Which crates of the workspace a crate may depend on, from the floor up; a build
/// script's and a test's dependencies are counted with the others. A new crate has
/// a row here.
const MAY_USE: [(&str, &[&str]); 21] = [
    ("trapgate-uapi", &[]),
    ("trapgate-abi", &["trapgate-uapi"]),
    ("trapgate-loader", &["trapgate-abi", "trapgate-uapi"]),
    ("trapgate-erofs", &[]),
    // The guest. The kernel touches the machine only through `arch`.
    ("trapgate-arch", &["trapgate-abi", "trapgate-uapi"]),
    (
        "trapgate-kernel",
        &["trapgate-abi", "trapgate-uapi", "trapgate-loader", "trapgate-erofs", "trapgate-arch"],
    ),
    ("trapgate-job", &["trapgate-abi", "trapgate-uapi", "trapgate-arch", "trapgate-kernel"]),
    (
        "trapgate-guest",
        &["trapgate-abi", "trapgate-uapi", "trapgate-arch", "trapgate-kernel", "trapgate-job"],
    ),
    ("trapgate-vdso", &["trapgate-abi", "trapgate-uapi"]),
    // Ring 3.
    ("trapgate-rt", &["trapgate-abi", "trapgate-uapi"]),
    ("trapgate-images", &["trapgate-abi", "trapgate-uapi", "trapgate-rt"]),
    ("trapgate-programs", &["trapgate-abi", "trapgate-uapi", "trapgate-rt"]),
    ("trapgate-programs32", &["trapgate-abi", "trapgate-uapi", "trapgate-rt", "trapgate-programs"]),
    ("trapgate-ops", &["trapgate-abi", "trapgate-uapi", "trapgate-rt"]),
    ("trapgate-cases", &["trapgate-uapi", "trapgate-rt"]),
    // The host. The library knows nothing of measuring, and neither of the program.
    ("trapgate-build-guest", &[]),
    (
        "trapgate",
        &[
            "trapgate-abi",
            "trapgate-uapi",
            "trapgate-loader",
            "trapgate-erofs",
            "trapgate-build-guest",
        ],
    ),
    (
        "trapgate-measure",
        &["trapgate-abi", "trapgate-uapi", "trapgate-loader", "trapgate-build-guest", "trapgate"],
    ),
    ("trapgate-cli", &["trapgate-abi", "trapgate-loader", "trapgate", "trapgate-measure"]),
    (
        "trapgate-tests",
        &[
            "trapgate-abi",
            "trapgate-uapi",
            "trapgate-loader",
            "trapgate-erofs",
            "trapgate-build-guest",
            "trapgate",
            "trapgate-measure",
        ],
    ),
    // Everything around the product, of which it knows the programs only.
    ("xtask", &[]),
];

/// The most crates that an embedder compiles for `trapgate` with its default
/// features, `trapgate` among them: those of its build script too, but not what that
/// builds for the guest.
const MOST_CRATES: usize = 45;

/// The crates of the workspace, with those of it that each depends on.
fn arrows() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = ["metadata", "--offline", "--locked", "--no-deps", "--format-version=1"];
    let metadata = sh::capture(&mut sh::cargo(&metadata)).unwrap();
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    let uses = packages.iter().map(|package| {
        let all = package["dependencies"].as_array().unwrap().iter();
        // What has a path is the workspace's. The library's tests have its own
        // features by depending on it.
        let own = all.filter(|used| !used["path"].is_null()).map(name);
        (name(package), own.filter(|used| *used != name(package)).collect())
    });
    uses.collect()
}

#[test]
fn arrows_between_crates_point_downwards() {
    let may_use = BTreeMap::from(MAY_USE);
    for (package, uses) in arrows() {
        let may = may_use.get(package.as_str());
        let may = may.unwrap_or_else(|| panic!("{package} has no row in MAY_USE"));
        for used in uses {
            assert!(may.contains(&used.as_str()), "{package} depends on {used}");
        }
    }
}

#[test]
fn the_table_has_a_floor_and_no_circle() {
    let mut below = BTreeSet::new();
    for (package, may) in MAY_USE {
        assert!(may.iter().all(|used| below.contains(used)), "{package} stands too low");
        below.insert(package);
    }
}

#[test]
fn an_embedder_compiles_few_crates() {
    let tree = ["tree", "--offline", "--locked", "-p", "trapgate", "-e", "normal,build"];
    let mut tree = sh::cargo(&tree);
    let tree = sh::capture(tree.args(["--prefix", "none", "--format", "{p}"])).unwrap();
    // A mark stands behind what was listed before.
    let crates: BTreeSet<_> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    let crates: BTreeSet<_> = crates.into_iter().filter(|line| !line.is_empty()).collect();
    assert!(crates.len() > 10, "{tree}");
    assert!(crates.len() <= MOST_CRATES, "{}:\n{tree}", crates.len());
    for heavy in ["askama", "clap", "serde", "tabled", "toml"] {
        let is = |line: &&&str| line.split(' ').next() == Some(heavy);
        assert!(crates.iter().find(is).is_none(), "an embedder does not need {heavy}");
    }
}

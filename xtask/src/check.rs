//! `cargo xtask check`: what a change must pass before it is handed in.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::{setup, sh, test};

/// Format, lints, documentation, dependencies, then all tests: what CI would say.
///
/// Stops at the first step that fails. The tests are those of `cargo xtask test`
/// and take its options.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    #[command(flatten)]
    test: test::Args,
}

/// What is built for ring 0 and ring 3: much of it is not compiled for the host, so
/// it is linted apart, too.
const BARE: &str = "x86_64-unknown-none";
/// Ring 0, what it can use, and what it shows ring 3.
const KERNEL: [&str; 7] = [
    "trapgate-arch",
    "trapgate-erofs",
    "trapgate-guest",
    "trapgate-job",
    "trapgate-kernel",
    "trapgate-loader",
    "trapgate-vdso",
];
/// The target of 32-bit programs.
const BARE_32: &str = "i686-unknown-linux-musl";

fn steps() -> Vec<Command> {
    let mut doc = sh::cargo(&["doc", "--no-deps"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    let bare = |target: &str, packages: &[&str], features: &str| {
        // A panic there does not unwind.
        let mut command = sh::cargo(&["clippy", "--profile", "bare", "--target", target]);
        command.args(packages.iter().flat_map(|name| ["-p", name]));
        command.args(["--features", features, "--", "-D", "warnings"]);
        command
    };
    vec![
        sh::cargo(&["fmt", "--all", "--check"]),
        // What an editor runs, and a newcomer: all packages, for the host.
        sh::cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
        sh::cargo(&["build", "--workspace"]),
        // The kernel's two images.
        bare(BARE, &KERNEL, ""),
        bare(BARE, &KERNEL, "trapgate-guest/instrumented"),
        bare(BARE, &["trapgate-rt", "trapgate-images", "trapgate-programs"], ""),
        // And what kernel and programs agree on, held against i386's headers.
        bare(BARE_32, &["trapgate-uapi", "trapgate-rt", "trapgate-programs32"], "i386"),
        doc,
    ]
}

/// Licences, versions and sources of dependencies, by deny.toml. Not its list of
/// known faults, which has to be fetched: the workflow looks there.
///
/// cargo-deny takes minutes to build, so nobody is made to have it, in CI neither:
/// a machine on which nothing was installed by hand must pass. The workflow has a
/// job that cannot leave it out.
fn dependencies() -> Result<()> {
    let there = Command::new("cargo").args(["deny", "--version"]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        sh::bad("  SKIPPED  cargo deny (deny.toml): to have it, cargo install --locked cargo-deny");
        return Ok(());
    }
    let time = sh::run(&mut sh::cargo(&["deny", "check", "licenses", "bans", "sources"]))?;
    sh::good(&format!("    passed in {}", sh::seconds(time)));
    Ok(())
}

/// Runs the subcommand.
pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    setup::ensure(&args.test.uses())?;
    for mut command in steps() {
        let time = sh::run(&mut command)?;
        sh::good(&format!("    passed in {}", sh::seconds(time)));
    }
    dependencies()?;
    test::run(&args.test)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::PathBuf;

    use crate::sh;
    use crate::test::sources;

    /// The words of a text that a test's name could be.
    fn words(text: &str) -> BTreeSet<&str> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let is_long = |word: &&str| word.matches('_').count() >= 3;
        let is_name = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase());
        words.filter(is_long).filter(is_name).collect()
    }

    /// Their rows in Cargo.toml are by hand; without one, `cargo test --workspace`
    /// would link a program as a test.
    #[test]
    fn programs_for_ring_3_are_no_tests_on_the_host() {
        let arguments = ["metadata", "--no-deps", "--offline", "--format-version", "1"];
        let metadata = sh::capture(&mut sh::cargo(&arguments)).unwrap();
        let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
        let mut programs = 0;
        for package in metadata["packages"].as_array().unwrap() {
            let name = package["name"].as_str().unwrap();
            let is_i386 = name == "trapgate-programs32";
            if !is_i386 && !["trapgate-images", "trapgate-programs"].contains(&name) {
                continue;
            }
            let targets = package["targets"].as_array().unwrap();
            for program in targets.iter().filter(|target| target["kind"][0] == "bin") {
                programs += 1;
                assert_eq!(program["test"], false, "{name}: {program}");
                assert_eq!(program["doc"], false, "{name}: {program}");
                let needs_feature = program["required-features"][0] == "i386";
                assert_eq!(needs_feature, is_i386, "{name}: {program}");
            }
        }
        assert!(programs > 40, "{programs}");
    }

    #[test]
    fn every_test_that_the_specification_names_is_there() {
        let specification = fs::read_to_string(sh::root().join("SPECIFICATION.md")).unwrap();
        let rooms = [
            "abi", "erofs", "guest", "guest-rt", "images", "loader", "tests", "uapi", "vmm",
            "xtask",
        ];
        let sources: String = rooms.map(|room| sources(&sh::root().join(room))).concat();
        let there = words(&sources);
        let named = words(&specification);
        assert!(named.len() > 200, "{} names", named.len());
        let gone: Vec<_> = named.difference(&there).collect();
        assert!(gone.is_empty(), "no such test: {gone:?}");
    }

    /// Where a crate's sources are, by the name that SPECIFICATION.md has for it.
    fn crate_sources(name: &str) -> Option<PathBuf> {
        let directory = match name {
            "measure" | "cli" => format!("vmm/{name}"),
            _ => name.to_owned(),
        };
        Some(sh::root().join(directory).join("src")).filter(|sources| sources.is_dir())
    }

    /// The modules that a row says its tests are in, as `crate: a::b::tests::name`.
    fn modules(row: &str) -> impl Iterator<Item = (&str, &str)> {
        let tests = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        tests.split(';').filter_map(|part| part.trim().split_once(": ")).flat_map(
            |(name, tests)| {
                let tests = tests.split(',').filter_map(|test| test.trim().split_once("::tests"));
                tests.map(move |(module, _)| (name, module))
            },
        )
    }

    #[test]
    fn every_module_that_the_specification_names_is_there() {
        let specification = fs::read_to_string(sh::root().join("SPECIFICATION.md")).unwrap();
        let rows = specification.lines().filter(|line| line.starts_with('|'));
        let mut named = 0;
        for (name, module) in rows.flat_map(modules) {
            let Some(sources) = crate_sources(name) else { continue };
            named += 1;
            let path = sources.join(module.replace("::", "/"));
            let there = path.is_dir() || path.with_extension("rs").is_file();
            assert!(there, "no such module: {name}: {module}");
        }
        assert!(named > 80, "{named} modules");
    }
}

//! `cargo xtask`: everything around the product.
//!
//! Called by people and by `.ci/run`. Each subcommand is one module; `sh` runs
//! other programs, `needs` knows what a machine must have, `debian` fetches what
//! it lacks, `rig` is the throw-away Linux with a real kvm_amd or kvm_intel,
//! `builder_paths` keeps this machine's directories out of what is handed out.

#[cfg(test)]
mod arrows;
mod bench_self;
mod builder_paths;
mod check;
mod counts;
#[cfg(test)]
mod crates;
mod debian;
mod demo;
mod dist;
mod lines;
mod man;
mod needs;
mod package;
mod rig;
mod setup;
mod sh;
mod start_order;
mod test;
#[cfg(test)]
mod uapi;
#[cfg(test)]
mod unsafety;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Everything around trapgate: set it up, show it, test it, check it.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Setup(setup::Args),
    Demo(demo::Args),
    Test(test::Args),
    Check(check::Args),
    BenchSelf(bench_self::Args),
    Counts(counts::Args),
    StartOrder(start_order::Args),
    Man(man::Args),
    Rig(rig::cli::Args),
    Package(package::Args),
    Dist(dist::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    sh::watch_signals();
    let result = match cli.command {
        Command::Setup(args) => setup::main(&args),
        Command::Demo(args) => demo::main(&args),
        Command::Test(args) => test::main(&args),
        Command::Check(args) => check::main(&args),
        Command::BenchSelf(args) => bench_self::main(&args),
        Command::Package(args) => package::main(&args),
        Command::Dist(args) => dist::main(&args),
        Command::StartOrder(args) => start_order::main(&args),
        Command::Man(args) => man::main(&args),
        // These statuses have meanings of their own, errors included.
        Command::Counts(args) => return counts::main(&args),
        Command::Rig(args) => return rig::cli::main(&args),
    };
    match result {
        _ if sh::interrupted() => ExitCode::from(sh::STATUS_INTERRUPTED),
        Ok(code) => code,
        Err(error) => {
            sh::error(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}

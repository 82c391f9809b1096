//! The helper that the initrd runs: `grow` enlarges the partition and its file system when the disk has grown,
//! `assemble` makes the root file system out of store paths.
//!
//! One static binary instead of a script: under emulation the script's forks took ten seconds, this takes a fraction
//! of one. What is to be done is worked out by pure functions (`grow::table`, `accounts::merge`, `assemble::plan`)
//! that are tested without a machine; the code that touches the machine is thin.

mod accounts;
mod assemble;
mod cmdline;
mod error;
mod grow;

use std::path::Path;
use std::process::ExitCode;

use cmdline::Parameters;
use error::{Context, Error};

fn main() -> ExitCode {
    let command = std::env::args().nth(1).unwrap_or_default();
    let result = match command.as_str() {
        "grow" => parameters().and_then(|p| grow::run(&p)),
        "assemble" => parameters().and_then(|p| assemble::run(&p, Path::new("/sysroot"))),
        _ => Err(Error::new("usage: cairn-stage1 grow|assemble")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cairn-stage1 {command}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parameters() -> Result<Parameters, Error> {
    let line = std::fs::read_to_string("/proc/cmdline").context("reading /proc/cmdline")?;
    Ok(Parameters::parse(&line))
}

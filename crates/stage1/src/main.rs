//! The helper of the boot. In the initrd, `grow` enlarges the partition and its file system when the disk has grown,
//! and `assemble` makes the root file system out of store paths. `trial`, `good` and `failed` see to a generation that
//! has not proved itself yet, there and in the running system.
//!
//! One static binary instead of a script: under emulation the script's forks took ten seconds, this takes a fraction
//! of one. What is to be done is worked out by pure functions (`grow::table`, `accounts::merge`, `assemble::plan`)
//! that are tested without a machine; the code that touches the machine is thin.

mod accounts;
mod assemble;
mod cmdline;
mod error;
mod folder;
mod grow;
mod notes;
mod root;
mod trial;

use std::path::Path;
use std::process::ExitCode;

use cmdline::Parameters;
use error::{Context, Error};

fn main() -> ExitCode {
    let command = std::env::args().nth(1).unwrap_or_default();
    let result = match command.as_str() {
        "grow" => parameters().and_then(|p| grow::run(&p)),
        "assemble" => parameters().and_then(|p| assemble::run(&p, Path::new("/sysroot"))),
        "trial" => trial::begin(),
        "good" => trial::good(),
        "failed" => parameters().and_then(|p| trial::failed(&p)),
        _ => Err(Error::new("usage: cairn-stage1 grow|assemble|trial|good|failed")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cairn-stage1 {}: {}", notes::clean(&command), notes::clean(&error.to_string()));
            ExitCode::FAILURE
        }
    }
}

fn parameters() -> Result<Parameters, Error> {
    let line = std::fs::read_to_string("/proc/cmdline").context("reading /proc/cmdline")?;
    Ok(Parameters::parse(&line))
}

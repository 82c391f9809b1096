//! The helper of the boot. It is the initrd's first process ([`init`]), which does all that a plain root needs and leaves the rest
//! to systemd. There, `grow` enlarges the partition and its file system when the disk has grown, and `assemble` makes the root
//! file system out of store paths; `fill` gives partitions below `/var` what is theirs. `trial`, `good` and `failed` see to a generation that
//! has not proved itself yet, there and in the running system.
//!
//! One static binary instead of a script: under emulation the script's forks took ten seconds, this takes a fraction
//! of one. What is to be done is worked out by pure functions (`grow::table`, `accounts::merge`, `assemble::plan`)
//! that are tested without a machine; the code that touches the machine is thin.
//!
//! It is a library for those who try it with strangers' bytes; `main.rs` is the program.

pub mod accounts;
pub mod assemble;
pub mod cmdline;
mod error;
mod folder;
pub mod grow;
pub mod init;
mod notes;
mod root;
pub mod trial;

use std::path::Path;
use std::process::ExitCode;

use cmdline::Parameters;
use error::Context;
pub use error::Error;
pub use notes::Notes;
pub use root::Root;

/// Does what one of the commands says.
pub fn run(command: &str) -> ExitCode {
    let result = match command {
        "root" => parameters().and_then(|p| init::prepare(&p)),
        "grow" => parameters().and_then(|p| grow::run(&p)),
        "assemble" => parameters().and_then(|p| assemble(&p)),
        "fill" => parameters().and_then(|p| assemble::apart::run(&p)),
        "trial" => trial::begin(),
        "good" => trial::good(),
        "failed" => parameters().and_then(|p| trial::failed(&p)),
        _ => Err(Error::new("usage: cairn-stage1 root|grow|assemble|fill|trial|good|failed")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cairn-stage1 {}: {}", notes::clean(command), notes::clean(&error.to_string()));
            ExitCode::FAILURE
        }
    }
}

/// After the initrd's systemd has mounted the root.
fn assemble(parameters: &Parameters) -> Result<(), Error> {
    if parameters.medium.is_some() {
        return Err(init::medium::remind());
    }
    assemble::run(parameters, Path::new(init::NEW_ROOT))
}

fn parameters() -> Result<Parameters, Error> {
    let line = std::fs::read_to_string("/proc/cmdline").context("reading /proc/cmdline")?;
    Ok(Parameters::parse(&line))
}

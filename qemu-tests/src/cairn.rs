//! The built command.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::command::Cmd;

/// Where the command and the tests' own files are.
#[derive(Debug, Clone)]
pub struct Cairn {
    /// The command.
    pub command: PathBuf,
    /// What is kept from one run to the next: the cache, the built example.
    pub work: PathBuf,
}

/// The repository.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

impl Cairn {
    /// The command that the variable `CAIRN` names, or else the one in the target folder.
    pub fn find() -> Result<Cairn> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
        let work = target.join("qemu-tests");
        std::fs::create_dir_all(&work)?;
        if let Some(command) = std::env::var_os("CAIRN").filter(|c| !c.is_empty()) {
            let command = PathBuf::from(command);
            if !command.is_file() {
                bail!("CAIRN names {}, which is not there", command.display());
            }
            return Ok(Cairn { command: command.canonicalize()?, work });
        }
        let built = ["release", "debug"].map(|profile| target.join(profile).join("cairn"));
        match built.into_iter().find(|c| c.is_file()) {
            Some(command) => Ok(Cairn { command, work }),
            None => bail!("no cairn in {}: `cargo build --release -p cairn` makes it", target.display()),
        }
    }

    /// `cairn ARGS`, with a cache of the tests' own.
    pub fn cmd<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Cmd {
        Cmd::new(&self.command).args(args).env("XDG_CACHE_HOME", self.cache())
    }

    /// The cache: packages, bases, systems.
    pub fn cache(&self) -> PathBuf {
        self.work.join("cache")
    }
}

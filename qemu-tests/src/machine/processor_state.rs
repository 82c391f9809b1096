//! Processors with more registers than user-mode Linux knows; see `processor_state.c`.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::Cmd;

const SOURCE: &str = include_str!("processor_state.c");

/// A library that the kernel's process loads before all others; made once.
pub fn library(work: &Path) -> Result<PathBuf> {
    let print = format!("{:x}", Sha256::digest(SOURCE));
    let library = work.join(format!("uml-{}.so", &print[..16]));
    let turn = File::create(work.join("uml.turn"))?;
    turn.lock().context("waiting for the others")?;
    if !library.exists() {
        let (source, new) = (library.with_extension("c"), library.with_extension("new"));
        std::fs::write(&source, SOURCE)?;
        Cmd::new("cc").args(["-O2", "-shared", "-fPIC", "-o"]).arg(&new).arg(&source).ok()?;
        std::fs::rename(new, &library)?;
    }
    Ok(library)
}

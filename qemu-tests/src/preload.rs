//! Libraries in C that a process loads before all others.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::Cmd;

/// More room for the registers of a processor than user-mode Linux knows of.
pub const PROCESSOR_STATE: (&str, &str) = ("uml", include_str!("preload/processor_state.c"));
/// A signal at the words that a process says.
pub const AT_WORDS: (&str, &str) = ("at-words", include_str!("preload/at_words.c"));

/// One of these, compiled once.
///
/// # Errors
/// The compiler's.
pub fn library(work: &Path, (name, text): (&str, &str)) -> Result<PathBuf> {
    let print = format!("{:x}", Sha256::digest(text));
    let library = work.join(format!("{name}-{}.so", &print[..16]));
    let turn = File::create(work.join(format!("{name}.turn")))?;
    turn.lock().context("waiting for the others")?;
    if !library.exists() {
        let (source, new) = (library.with_extension("c"), library.with_extension("new"));
        std::fs::write(&source, text)?;
        Cmd::new("cc").args(["-O2", "-shared", "-fPIC", "-o"]).arg(&new).arg(&source).ok()?;
        std::fs::rename(new, &library)?;
    }
    Ok(library)
}

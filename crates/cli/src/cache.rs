//! Where made things are kept between runs.

use std::path::PathBuf;

use anyhow::Context;

/// The cache: `$XDG_CACHE_HOME/cairn`, else `~/.cache/cairn`. It is made when somebody writes into it.
pub fn folder() -> anyhow::Result<PathBuf> {
    let given = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    given
        .or_else(|| std::env::home_dir().filter(|h| h.is_absolute()).map(|home| home.join(".cache")))
        .map(|base| base.join("cairn"))
        .context("finding a folder for the cache: set HOME or XDG_CACHE_HOME to an absolute path")
}

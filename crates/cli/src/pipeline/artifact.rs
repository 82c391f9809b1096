//! Kernels and initrds in the store, as the boot set wants them.

use std::path::Path;

use anyhow::Context;
use cairn_boot::Artifact;
use cairn_store::{EntryKind, Store, StorePath};

/// The file at an absolute path in the store, with its hash from the path's listing.
pub fn of(store: &Store, path: &Path) -> anyhow::Result<Artifact> {
    let text = path.to_str().context("a path in the store is not UTF-8")?;
    let (top, inside) = text
        .strip_prefix("/nix/store/")
        .and_then(|rest| rest.split_once('/'))
        .with_context(|| format!("{text} is no file of a store path"))?;
    match store.listed(&StorePath::from_basename(top)?, inside)?.map(|entry| entry.kind) {
        Some(EntryKind::File { size, sha256, .. }) => Ok(Artifact { store_path: text.to_string(), sha256, size }),
        _ => anyhow::bail!("{text} is not a file in the store"),
    }
}

//! What of the tests' cache belongs to one image. The cache has the packages of all scenarios; nobody wants a copy of all of it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{Cairn, Cmd};

/// The names of the store paths in an image.
pub fn closure(cairn: &Cairn, image: &Path) -> Result<Vec<String>> {
    let text = cairn.cmd(["inspect", "--json"]).arg(image).ok()?;
    let json: Value = serde_json::from_str(&text).context("reading what `cairn inspect` says")?;
    let closure = json["closure"].as_array().context("the image has no closure")?;
    let names = closure.iter().filter_map(|one| one["path"].as_str()?.strip_prefix("/nix/store/"));
    Ok(names.map(String::from).collect())
}

/// The name of the store path with an image's packages.
pub fn base(cairn: &Cairn, image: &Path) -> Result<String> {
    let mut names = closure(cairn, image)?.into_iter();
    names.find(|name| name.ends_with("-base")).context("the image has no base")
}

/// Copies store paths, with what the cache knows of them and of a base by its lock, into another cache. `more` are words for cp(1).
pub fn copy(cairn: &Cairn, names: &[String], to: &Path, more: &[&str]) -> Result<()> {
    let cache = cairn.cache().join("cairn");
    let mut parts = Vec::new();
    for entry in fs::read_dir(cache.join("bases"))? {
        let path = entry?.path();
        if fs::read_to_string(&path).is_ok_and(|text| names.iter().any(|name| name == text.trim_end())) {
            parts.push(path.strip_prefix(&cache)?.to_path_buf());
        }
    }
    for name in names {
        let [listing, info] = [format!("nix/var/cairn/listing/{name}"), format!("nix/var/cairn/info/{name}.json")];
        parts.extend([listing, info, format!("nix/store/{name}")].map(PathBuf::from));
    }
    for part in parts {
        let to = to.join("cairn").join(&part);
        fs::create_dir_all(to.parent().context("a path without a folder")?)?;
        Cmd::new("cp").arg("-a").args(more).arg(cache.join(part)).arg(to).ok()?;
    }
    Ok(())
}

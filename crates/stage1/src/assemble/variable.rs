//! `/var` and `/usr/local`: what the base has there and the machine has not. What is there is the machine's and is left alone.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use super::modes::Special;
use super::plan::is_generations_own;
use crate::error::{Context, Error};

/// Makes everything below `from` (a base's `part`, such as `var`) that is missing below `to`.
pub fn fill(from: &Path, part: &Path, to: &Path, special: &[Special]) -> Result<(), Error> {
    let special: BTreeMap<&Path, &Special> = special.iter().map(|s| (&*s.path, s)).collect();
    if from.is_dir() { folder(from, part, to, &special) } else { Ok(()) }
}

fn folder(from: &Path, part: &Path, to: &Path, special: &BTreeMap<&Path, &Special>) -> Result<(), Error> {
    let doing = || format!("making {}", to.display());
    let mut names: Vec<_> = fs::read_dir(from).and_then(Iterator::collect::<Result<Vec<_>, _>>).with_context(doing)?;
    names.sort_by_key(fs::DirEntry::file_name);
    for entry in names {
        let inner = part.join(entry.file_name());
        if is_generations_own(&inner) {
            continue;
        }
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let doing = || format!("making {}", target.display());
        let kind = entry.file_type().with_context(doing)?;
        if fs::symlink_metadata(&target).is_err() {
            // Made under another name and renamed when it is whole: a power cut leaves nothing half made.
            let mut unfinished = target.as_os_str().to_owned();
            unfinished.push(".cairn-new");
            let _ = fs::remove_file(&unfinished).or_else(|_| fs::remove_dir(&unfinished));
            if kind.is_dir() {
                fs::create_dir(&unfinished).with_context(doing)?;
            } else if kind.is_symlink() {
                fs::read_link(&source).and_then(|to| symlink(to, &unfinished)).with_context(doing)?;
            } else {
                fs::copy(&source, &unfinished).with_context(doing)?;
            }
            if !kind.is_symlink() {
                let executable = entry.metadata().with_context(doing)?.permissions().mode() & 0o111 != 0;
                let usual = if executable { 0o755 } else { 0o644 };
                let (mode, uid, gid) = special.get(&*inner).map_or((usual, 0, 0), |s| (s.mode, s.uid, s.gid));
                chown(&unfinished, Some(uid), Some(gid)).with_context(doing)?;
                fs::set_permissions(&unfinished, fs::Permissions::from_mode(mode)).with_context(doing)?;
            }
            fs::rename(&unfinished, &target).with_context(doing)?;
        }
        if kind.is_dir() {
            folder(&source, &inner, &target, special)?;
        }
    }
    Ok(())
}

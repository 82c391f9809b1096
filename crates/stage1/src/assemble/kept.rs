//! What the machine's own layer of `/etc` need not keep: files of `/etc/cairn` that are what the generation has anyway.
//!
//! Whoever edits `/etc/cairn/machine.yaml` and upgrades has the edited text in the layer and in the new generation. It
//! leaves the layer when that generation boots, so that the file is that of the running generation again, and another
//! generation's is not hidden by it. During the generation's trial it stays: if that fails, whoever wrote the text
//! wants to go on from it.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder below `/etc`.
const FOLDER: &str = "cairn";

/// The files below `upper` that are the same below `etc`, sorted. What cannot be read stays.
pub fn same(upper: &Path, etc: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![PathBuf::from(FOLDER)];
    while let Some(folder) = waiting.pop() {
        let Ok(entries) = fs::read_dir(upper.join(&folder)) else { continue };
        for entry in entries.flatten() {
            let inside = folder.join(entry.file_name());
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                waiting.push(inside);
            } else if kind.is_file() && is_same(&upper.join(&inside), &etc.join(&inside)) {
                found.push(upper.join(inside));
            }
        }
    }
    found.sort();
    found
}

fn is_same(one: &Path, other: &Path) -> bool {
    let plain = fs::symlink_metadata(other).is_ok_and(|meta| meta.is_file());
    plain && matches!((fs::read(one), fs::read(other)), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_the_same_is_found() {
        let dir = std::env::temp_dir().join(format!("cairn-stage1-kept-{}", std::process::id()));
        let (upper, etc) = (dir.join("upper"), dir.join("etc"));
        let put = |path: PathBuf, text: &str| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put(upper.join("passwd"), "same");
        put(etc.join("passwd"), "same");
        put(upper.join("cairn/machine.yaml"), "same");
        put(etc.join("cairn/machine.yaml"), "same");
        put(upper.join("cairn/files/a"), "edited");
        put(etc.join("cairn/files/a"), "old");
        put(upper.join("cairn/files/b"), "same");
        put(etc.join("cairn/files/b"), "same");
        put(upper.join("cairn/own"), "same");
        let found = same(&upper, &etc);
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(found, [upper.join("cairn/files/b"), upper.join("cairn/machine.yaml")]);
    }
}

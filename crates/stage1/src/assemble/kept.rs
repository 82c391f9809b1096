//! What the machine's own layer of `/etc` need not keep: files of `/etc/cairn` that are what the generation has anyway.
//!
//! Whoever edits `/etc/cairn/machine.yaml` and upgrades has the edited text in the layer and in the new generation. It
//! leaves the layer when that generation boots, so that the file is that of the running generation again, and another
//! generation's is not hidden by it. During the generation's trial it stays: if that fails, whoever wrote the text
//! wants to go on from it.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::folder::{Folder, Kind, MOST_TEXT};
use crate::root::Root;

/// The folder below `/etc`.
const FOLDER: &str = "cairn";
/// There are not more folders in it.
const MOST_FOLDERS: usize = 10_000;

/// The files below `upper` that are the same below `etc`, sorted. What cannot be read stays.
pub fn same(root: &Root, upper: &Folder, etc: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![PathBuf::from(FOLDER)];
    for _ in 0..MOST_FOLDERS {
        let Some(inside) = waiting.pop() else { break };
        let Ok(folder) = upper.below(&inside) else { continue };
        for name in folder.names().unwrap_or_default() {
            let path = inside.join(&name);
            match folder.kind(&name) {
                Ok(Some(Kind::Folder)) => waiting.push(path),
                Ok(Some(Kind::File)) if is_same(root, &folder, &path, &etc.join(&path)) => found.push(path),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

fn is_same(root: &Root, folder: &Folder, one: &Path, other: &Path) -> bool {
    let (Some(name), Ok(Kind::File)) = (one.file_name(), root.kind(other)) else { return false };
    let read = |file: std::fs::File| {
        let mut bytes = Vec::new();
        match file.metadata()?.len() {
            ..=MOST_TEXT => file.take(MOST_TEXT).read_to_end(&mut bytes).map(|_| bytes),
            _ => Err(ErrorKind::FileTooLarge.into()),
        }
    };
    matches!((folder.file(name).and_then(read), root.file(other).and_then(read)), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use std::fs;

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
        let found = same(&Root::open(&dir).unwrap(), &Folder::open(&upper).unwrap(), Path::new("/etc"));
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(found, [PathBuf::from("cairn/files/b"), PathBuf::from("cairn/machine.yaml")]);
    }
}

//! The rules that the whole workspace keeps, as tests: what DESIGN and ARCHITECTURE promise, a machine holds to.

mod dependencies;
mod documents;
mod generated;
mod sources;

use std::fs;
use std::path::{Path, PathBuf};

/// The workspace's folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

/// Every file of ours below a folder of the workspace, sorted, by path relative to the workspace.
fn files(folder: &str) -> Vec<String> {
    fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            // Built things, and what git keeps for itself.
            if ["target", ".git", "out"].contains(&name) {
                continue;
            }
            if path.is_dir() {
                walk(root, &path, found);
            } else if path.is_file() {
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_string());
            }
        }
    }
    let (root, mut found) = (root(), Vec::new());
    walk(&root, &root.join(folder), &mut found);
    found.sort();
    found
}

fn rust_files() -> impl Iterator<Item = (String, String)> {
    files("").into_iter().filter(|f| f.ends_with(".rs")).map(|f| {
        let text = read(&f);
        (f, text)
    })
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

/// Fails with the whole list, so that one run shows all there is to mend.
#[track_caller]
fn nothing_wrong(rule: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{rule}:\n  {}", wrong.join("\n  "));
}

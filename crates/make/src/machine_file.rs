//! Machine files on the disk: reading them with what they include, and the places beside them.

use std::path::{Path, PathBuf};

use cairn_machine::{Checked, Problem, Problems, SourceFile, check};

use crate::plain_file::{self, TEXT, Unread};

/// Reads and checks a machine file with the hardware file that it includes.
///
/// # Errors
/// All that is wrong with it.
pub fn load(path: &Path) -> Result<Checked, Problems> {
    load_read(path, plain_file::read(path, TEXT))
}

/// The same for a file that is looked at once and that nothing is made of: it may come through a pipe.
///
/// # Errors
/// See [`load`].
pub fn load_once(path: &Path) -> Result<Checked, Problems> {
    load_read(path, plain_file::read_argument(path, TEXT))
}

fn load_read(path: &Path, bytes: Result<Vec<u8>, Unread>) -> Result<Checked, Problems> {
    let name = path.display().to_string();
    let bytes = bytes.map_err(|e| unreadable(&name, &e))?;
    let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
    let mut read = |file: &str| plain_file::read(&folder.join(file), TEXT).map_err(|e| e.to_string());
    check(&SourceFile { name, bytes }, &mut read)
}

fn unreadable(name: &str, error: &Unread) -> Problem {
    let help = error.is_missing().then(|| match name {
        // Elsewhere this means standard input.
        "-" => {
            "a file of this name is looked for; `cairn check /dev/stdin` reads what comes through a pipe".to_string()
        }
        _ => format!("`cairn init {name}` writes one"),
    });
    Problem { file: name.into(), line: 1, column: 1, message: format!("cannot be read: {error}"), help }
}

/// The lock file of a machine file: beside it, ending in `.lock`.
pub fn lock_path(machine_file: &Path) -> PathBuf {
    machine_file.with_extension("lock")
}

/// Whether an argument that may be a machine file or an image means a machine file: its name tells.
pub fn is_machine_file(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("yaml") || e.eq_ignore_ascii_case("yml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_stands_beside_its_machine_file() {
        assert_eq!(lock_path(Path::new("a/machine.yaml")), Path::new("a/machine.lock"));
    }

    #[test]
    fn the_name_tells_a_machine_file_from_an_image() {
        assert!(is_machine_file(Path::new("m.yaml")) && is_machine_file(Path::new("M.YML")));
        assert!(!is_machine_file(Path::new("m.raw")) && !is_machine_file(Path::new("yaml")));
    }
}

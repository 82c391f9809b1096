//! Machine files on the disk: reading them with what they include, and the places beside them.

use std::path::{Path, PathBuf};

use cairn_machine::{Checked, Problem, Problems, SourceFile, check};

/// Reads and checks a machine file with the hardware file that it includes.
pub fn load(path: &Path) -> Result<Checked, Problems> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|e| unreadable(&name, &e))?;
    let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
    let mut read = |file: &str| std::fs::read(folder.join(file)).map_err(|e| plain(&e));
    check(&SourceFile { name, bytes }, &mut read)
}

fn unreadable(name: &str, error: &std::io::Error) -> Problem {
    let help = (error.kind() == std::io::ErrorKind::NotFound).then(|| format!("`cairn init {name}` writes one"));
    Problem { file: name.into(), line: 1, column: 1, message: format!("cannot be read: {}", plain(error)), help }
}

/// The system's words without its number.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
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

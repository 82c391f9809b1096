//! Machine files on the disk: reading them with what they include, and the places beside them.

use std::path::{Path, PathBuf};

use cairn_machine::{Checked, Problem, Problems, SourceFile, check};

use crate::plain_file::{self, TEXT, Unread};

/// Reads and checks a machine file with the hardware file that it includes.
pub fn load(path: &Path) -> Result<Checked, Problems> {
    load_read(path, plain_file::read(path, TEXT))
}

/// The same for a file that is looked at once and that nothing is made of: it may come through a pipe.
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

/// Checks the machine file that a system carries, on a machine's disk or in its image: not the caller's own, so nothing
/// that it says is a path of this computer. `read` gives the system's `machine.yaml` and, if that includes one, its
/// `hardware.yaml`: a system has it under this name, whatever it is called in the machine file.
pub fn load_own(name: String, read: &mut dyn FnMut(&str) -> Result<Vec<u8>, String>) -> Result<Checked, Problems> {
    let bytes = read("machine.yaml").map_err(|why| Problem {
        file: name.clone(),
        line: 1,
        column: 1,
        message: format!("cannot be read: {why}"),
        help: None,
    })?;
    check(&SourceFile { name, bytes }, &mut |_| read("hardware.yaml"))
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
    fn what_a_machines_own_file_names_is_never_a_path_of_this_computer() {
        let machine = |hardware: &str| {
            format!(
                "version: 1\nhostname: m\nsource: {{debian: {{}}}}\ndisks: {{main: {{layout: uefi}}}}\nhardware: {hardware}\n"
            )
        };
        for named in ["/etc/shadow", "../../etc/shadow", "/dev/zero", "hw/laptop.yaml"] {
            let mut asked = Vec::new();
            let mut read = |name: &str| {
                asked.push(name.to_string());
                Ok(if name == "machine.yaml" { machine(named).into_bytes() } else { b"version: 1\n".to_vec() })
            };
            let checked = load_own("disk:machine.yaml".into(), &mut read).unwrap();
            assert!(checked.hardware.is_some());
            assert_eq!(asked, ["machine.yaml", "hardware.yaml"], "{named}");
        }
        let mut none = |name: &str| match name {
            "machine.yaml" => Ok(machine("/etc/shadow").into_bytes()),
            _ => Err("it is not there".into()),
        };
        let told = load_own("disk:machine.yaml".into(), &mut none).unwrap_err().to_string();
        assert!(told.starts_with("disk:machine.yaml:5:11: reading `/etc/shadow`: it is not there"), "{told}");
    }

    #[test]
    fn the_name_tells_a_machine_file_from_an_image() {
        assert!(is_machine_file(Path::new("m.yaml")) && is_machine_file(Path::new("M.YML")));
        assert!(!is_machine_file(Path::new("m.raw")) && !is_machine_file(Path::new("yaml")));
    }
}

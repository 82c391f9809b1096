//! Files outside of /etc, and lines of tmpfiles.d: what the machine gets at a boot and has for itself from then on.
//!
//! The contents lie in the system's `/usr`, which nobody writes to; systemd-tmpfiles copies one where nothing is.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cairn_machine::model::Machine;
use cairn_machine::nearest;
use cairn_machine::pointer::child;

use super::accounts::Ids;
use crate::error::SystemError;
use crate::tree::Tree;

/// Where the contents are, below `/usr`.
const CONTENTS: &str = "lib/cairn/files";

/// Puts the lines.
///
/// # Errors
/// When an owner is not among the accounts.
pub fn apply(tree: &mut Tree, machine: &Machine, ids: &Ids) -> Result<(), SystemError> {
    let mut text = String::new();
    for (path, file) in outside(machine) {
        let pointer = child("/files", path);
        owner(&ids.users, "user", file.user.as_deref(), &child(&pointer, "user"))?;
        owner(&ids.groups, "group", file.group.as_deref(), &child(&pointer, "group"))?;
        let _ = match &file.link {
            Some(target) => writeln!(text, "L {path} - - - - {}", target.replace('%', "%%")),
            // `:` is for what is made: what somebody changes on the machine stays changed.
            None => writeln!(
                text,
                "C {path} :{:04o} :{} :{} - /usr/{CONTENTS}{path}",
                file.mode_bits(),
                file.user.as_deref().unwrap_or("root"),
                file.group.as_deref().unwrap_or("root"),
            ),
        };
    }
    for (i, line) in machine.tmpfiles.iter().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let word = |at: usize| words.get(at).map(|word| word.trim_start_matches(':')).filter(|word| *word != "-");
        owner(&ids.users, "user", word(3), &format!("/tmpfiles/{i}"))?;
        owner(&ids.groups, "group", word(4), &format!("/tmpfiles/{i}"))?;
        let _ = writeln!(text, "{}", line.trim());
    }
    if text.is_empty() { Ok(()) } else { tree.file("tmpfiles.d/machine.conf", text) }
}

/// Puts the contents into a system's `/usr`.
///
/// # Errors
/// When a file has no contents.
pub fn contents(tree: &mut Tree, machine: &Machine, sources: &BTreeMap<String, Vec<u8>>) -> Result<(), SystemError> {
    for (path, file) in outside(machine).filter(|(_, file)| file.link.is_none()) {
        let bytes = file.text.as_ref().map(|text| text.as_bytes()).or_else(|| sources.get(path).map(Vec::as_slice));
        let Some(bytes) = bytes else {
            return Err(SystemError::refused(child("/files", path), format!("{path} has no contents")));
        };
        tree.file(&format!("{CONTENTS}{path}"), bytes)?;
    }
    Ok(())
}

fn outside(machine: &Machine) -> impl Iterator<Item = (&String, &cairn_machine::model::EtcFile)> {
    machine.files.iter().filter(|(path, _)| !path.starts_with("/etc/"))
}

fn owner(ids: &BTreeMap<String, u32>, what: &str, name: Option<&str>, pointer: &str) -> Result<(), SystemError> {
    let known = |name: &str| ids.contains_key(name) || name.bytes().all(|b| b.is_ascii_digit());
    let Some(name) = name.filter(|name| !known(name)) else { return Ok(()) };
    let help = nearest(name, ids.keys().map(String::as_str)).map(|near| format!("did you mean {near}?"));
    Err(SystemError::refused_with(pointer, format!("there is no {what} {name}"), help))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(more: &str) -> Machine {
        let text = format!(r#"{{"version":1,"hostname":"h","source":{{"debian":{{}}}},"disks":{{}},{more}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    fn ids() -> Ids {
        let of = |names: &[&str]| names.iter().map(|name| (name.to_string(), 1)).collect();
        Ids { users: of(&["root", "www-data"]), groups: of(&["root", "www-data"]) }
    }

    #[test]
    fn a_file_of_the_machines_own_is_copied_once_and_its_contents_are_in_the_system() {
        let machine = machine(
            r#""files":{"/srv/www/index.html":{"text":"hello","user":"www-data"},"/opt/x":{"source":"x","mode":"0750"},
                "/var/lib/y":{"link":"/srv/100%"},"/etc/z":{"text":"z"}},"tmpfiles":["d /srv/www 0755 www-data - 10d"," x /tmp/keep"]"#,
        );
        let mut tree = Tree::default();
        apply(&mut tree, &machine, &ids()).unwrap();
        assert_eq!(
            tree.text("tmpfiles.d/machine.conf").unwrap(),
            "C /opt/x :0750 :root :root - /usr/lib/cairn/files/opt/x\n\
             C /srv/www/index.html :0644 :www-data :root - /usr/lib/cairn/files/srv/www/index.html\n\
             L /var/lib/y - - - - /srv/100%%\nd /srv/www 0755 www-data - 10d\nx /tmp/keep\n"
        );
        let mut usr = Tree::default();
        let sources = [("/opt/x".to_string(), b"from a file".to_vec())].into();
        contents(&mut usr, &machine, &sources).unwrap();
        assert_eq!(usr.text("lib/cairn/files/opt/x").unwrap(), "from a file");
        assert_eq!(usr.text("lib/cairn/files/srv/www/index.html").unwrap(), "hello");
        assert_eq!(usr.iter().count(), 2);
        assert!(contents(&mut usr, &machine, &BTreeMap::new()).is_err());
    }

    #[test]
    fn an_owner_who_is_not_there_is_told_at_its_place() {
        for (more, pointer) in [
            (r#""files":{"/srv/a":{"text":"a","user":"www-dta"}}"#, "/files/~1srv~1a/user"),
            (r#""files":{"/srv/a":{"text":"a","group":"nobody"}}"#, "/files/~1srv~1a/group"),
            (r#""tmpfiles":["d /srv/a 0755 1000 root -","d /srv/b 0755 www-dta root -"]"#, "/tmpfiles/1"),
        ] {
            let error = apply(&mut Tree::default(), &machine(more), &ids()).unwrap_err();
            assert_eq!(error.pointer(), Some(pointer), "{error}");
        }
    }
}

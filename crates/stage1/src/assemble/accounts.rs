//! Reads the accounts of both sides. What is the machine's and cannot be read is set aside later, not written over.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::plan::{STATE, UPPER};
use crate::accounts::files::{Accounts, NAMES};
use crate::accounts::merge::Input;
use crate::accounts::record::Record;
use crate::accounts::subordinate;
use crate::error::{Context, Error};
use crate::folder::MOST_TEXT;
use crate::notes::Notes;
use crate::root::Root;

/// The record of accounts, in [`STATE`].
pub const RECORD: &str = "accounts";
const FIRST_PASSWORDS: &str = "/var/lib/cairn/passwords";
/// No hash is longer, and there are not more of them.
const MOST_HASH: u64 = 4096;
const MOST_PASSWORDS: usize = 10_000;

/// What was read.
#[derive(Debug, Default)]
pub struct Read {
    pub input: Input,
    /// The text of the record.
    pub record: String,
    /// subuid and subgid: what the generation declares, and what the machine has, if it has any.
    pub subordinate: [(String, Option<String>); 2],
    /// Files of the upper layer that cannot be read, or are none.
    pub unreadable: Vec<&'static str>,
}

/// Reads everything.
///
/// # Errors
/// When what the generation declares cannot be read: without it, everybody whom it declares would be taken for gone.
pub fn read(root: &Root, etc: &Path, notes: &mut Notes) -> Result<Read, Error> {
    let mut declared = [const { String::new() }; 4];
    for (text, name) in declared.iter_mut().zip(NAMES) {
        let path = etc.join(name);
        *text = or_empty(root.text(&path)).with_context(|| format!("reading {}", path.display()))?;
    }
    let mut machine = [const { String::new() }; 4];
    let mut unreadable = Vec::new();
    if let Ok(upper) = root.folder(Path::new(UPPER)) {
        for (text, name) in machine.iter_mut().zip(NAMES) {
            match or_empty(upper.text(name, MOST_TEXT)) {
                Ok(found) => *text = found,
                // Somebody's decision, as the running machine sees it.
                Err(_) if upper.is_deletion(name) => {}
                Err(e) => {
                    notes.say(format!("reading /etc/{name}: {e}; it is set aside"));
                    unreadable.push(name);
                }
            }
        }
    }
    let mut subordinate = [const { (String::new(), None) }; 2];
    let upper = root.folder(Path::new(UPPER));
    for ((declared, machine), name) in subordinate.iter_mut().zip(subordinate::NAMES) {
        // Without them containers do not start; that is no reason for a boot to fail.
        *declared = root.text(&etc.join(name)).unwrap_or_default();
        let Ok(upper) = &upper else { continue };
        match upper.text(name, MOST_TEXT) {
            Ok(found) => *machine = Some(found),
            Err(e) if e.kind() == ErrorKind::NotFound || upper.is_deletion(name) => {}
            Err(e) => {
                notes.say(format!("reading /etc/{name}: {e}; it is set aside"));
                unreadable.push(name);
            }
        }
    }
    let path = Path::new(STATE).join(RECORD);
    let record = or_empty(root.text(&path)).unwrap_or_else(|e| {
        notes.say(format!("reading {}: {e}", path.display()));
        String::new()
    });
    let parse = |texts: [String; 4]| Accounts::parse([&texts[0], &texts[1], &texts[2], &texts[3]]);
    let input = Input {
        declared: parse(declared),
        machine: parse(machine),
        record: Record::parse(&record),
        first_passwords: first_passwords(root, notes),
    };
    Ok(Read { input, record, subordinate, unreadable })
}

fn or_empty(text: io::Result<String>) -> io::Result<String> {
    match text {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(String::new()),
        other => other,
    }
}

fn first_passwords(root: &Root, notes: &mut Notes) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let Ok(folder) = root.folder(Path::new(FIRST_PASSWORDS)) else { return found };
    for name in folder.names().unwrap_or_default().into_iter().take(MOST_PASSWORDS) {
        match folder.text(&name, MOST_HASH) {
            Ok(hash) => {
                // A line break or a colon would make another line or field of shadow.
                let hash = hash.trim();
                if let (Ok(name), false) = (name.into_string(), hash.is_empty() || hash.contains([':', '\n'])) {
                    found.insert(name, hash.to_string());
                }
            }
            Err(e) => notes.say(format!("reading {FIRST_PASSWORDS}/{}: {e}", name.display())),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_first_password_that_would_break_shadow_is_left_out() {
        let dir = std::env::temp_dir().join(format!("cairn-stage1-first-{}", std::process::id()));
        let folder = dir.join("var/lib/cairn/passwords");
        fs::create_dir_all(folder.join("dan")).unwrap();
        for (name, text) in [("ann", "$y$j9T$x\n"), ("bob", "a:b"), ("cat", "a\nroot::0"), ("eve", &"a".repeat(5000))] {
            fs::write(folder.join(name), text).unwrap();
        }
        let found = first_passwords(&Root::open(&dir).unwrap(), &mut Notes::default());
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(found, [("ann".to_string(), "$y$j9T$x".to_string())].into());
    }
}

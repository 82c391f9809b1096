//! A machine's files given back: what its generation was made from, as it would be made again.

use std::collections::BTreeMap;

use cairn_machine::model::wifi_secret;
use cairn_machine::names::RelPath;
use cairn_machine::{FilePurpose, wifi_passphrase};

use crate::observed::{Observed, Usable};
use crate::view::{Files, View};
use crate::{ObserveError, made_from};

/// The accounts' passwords, in the machine's own state.
const SHADOW: &str = "/var/lib/cairn/etc/upper/shadow";
/// And those of a machine that has not started yet: a file for each.
const FIRST: &str = "/var/lib/cairn/passwords";
/// And passphrases of wireless networks.
const WIFI: &str = "/var/lib/cairn/wifi";
/// Thousands of accounts.
const MOST_SHADOW: u64 = 4 << 20;

/// The files of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captured {
    /// What the machine is called.
    pub hostname: String,
    /// The generation that they are of.
    pub generation: u64,
    /// The files by their names: `machine.yaml`, its lock, and what it names.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Names of the files that hold hashes of passwords, and passphrases: nobody else's business.
    pub secret: Vec<String>,
    /// What could not be had, each in words.
    pub missing: Vec<String>,
}

/// Reads the files of a generation: of this one, or of the one that runs, or else of the newest.
///
/// # Errors
/// What is no machine, or has no such generation; what reading meets.
pub fn capture(machine: View<'_>, generation: Option<u64>) -> Result<Captured, ObserveError> {
    let files = std::rc::Rc::clone(&machine.root);
    let observed = Observed::of(machine)?;
    let one: &Usable<'_> = match generation.or(observed.booted) {
        Some(number) => observed.find(number)?,
        None => observed.newest()?,
    };
    let checked = one.checked()?;
    let made_from::Found { files: found, missing } = one.made_from.files(&checked)?;
    let mut captured = Captured {
        hostname: checked.machine.hostname.clone(),
        generation: one.boot.number,
        files: found,
        missing,
        ..Captured::default()
    };
    // The machine has the hash of a first password in its accounts only, and by now it may be another one.
    let shadow = files.read(SHADOW, MOST_SHADOW);
    let shadow = shadow.ok().flatten().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    for named in checked.named_files() {
        let user = match &named.purpose {
            FilePurpose::PasswordHash(user) => user,
            FilePurpose::WifiPassphrase(network) => {
                captured.passphrase(&named.path, network, files.as_ref());
                continue;
            }
            _ => continue,
        };
        let first = || {
            let bytes = files.read(&format!("{FIRST}/{user}"), MOST_SHADOW).ok().flatten()?;
            cairn_machine::password_hash(&bytes).ok().map(str::to_string)
        };
        // The file may be a stranger's: what it names becomes the name of a file.
        let name = match RelPath::beside(&named.path) {
            Ok(name) if !captured.files.contains_key(name.as_str()) => name.into_string(),
            Ok(_) => continue,
            Err(why) => {
                let what =
                    format!("{}, the password of {user}, which did not lie beside the machine file: {why}", named.path);
                captured.missing.push(what);
                continue;
            }
        };
        match hash(&shadow, user).map(str::to_string).or_else(first) {
            Some(hash) => {
                captured.files.insert(name.clone(), format!("{hash}\n").into_bytes());
                captured.secret.push(name);
            }
            None => captured.missing.push(format!("{name}: the password of {user} (root may read it)")),
        }
    }
    Ok(captured)
}

impl Captured {
    /// Takes the passphrase of a wireless network, which the machine has in its own state.
    fn passphrase(&mut self, path: &str, network: &str, files: &dyn Files) {
        let what = || format!("the passphrase of the wireless network {network}");
        // The file may be a stranger's: what it names becomes the name of a file.
        let name = match RelPath::beside(path) {
            Ok(name) if !self.files.contains_key(name.as_str()) => name.into_string(),
            Ok(_) => return,
            Err(why) => {
                return self
                    .missing
                    .push(format!("{path}, {}, which did not lie beside the machine file: {why}", what()));
            }
        };
        let line = files.read(&format!("{WIFI}/{}", wifi_secret(network)), MOST_SHADOW).ok().flatten();
        let line = line.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        match passphrase(&line).filter(|it| wifi_passphrase(it.as_bytes()).is_ok()) {
            Some(passphrase) => {
                self.files.insert(name.clone(), format!("{passphrase}\n").into_bytes());
                self.secret.push(name);
            }
            None => self.missing.push(format!("{name}: {} (root may read it)", what())),
        }
    }
}

/// The passphrase, or the key, in a line of wpa_supplicant.conf(5).
fn passphrase(line: &str) -> Option<&str> {
    let value = line.trim_end_matches('\n').strip_prefix("psk=")?;
    Some(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value))
}

/// The hash of an account's password, where it has one.
fn hash<'s>(shadow: &'s str, user: &str) -> Option<&'s str> {
    let line = shadow.lines().find_map(|line| line.strip_prefix(user)?.strip_prefix(':'))?;
    let hash = line.split(':').next()?;
    hash.starts_with('$').then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_what_was_given() {
        assert_eq!(passphrase("psk=\"a \"b\" c\"\n"), Some("a \"b\" c"));
        assert_eq!((passphrase("psk=0f0f\n"), passphrase("ssid=x"), passphrase("")), (Some("0f0f"), None, None));
    }

    #[test]
    fn only_a_hash_is_taken_for_a_password() {
        let shadow = "root:!:1::::::\nanna:$6$a$b:2:0:99999:7:::\nannabell:$y$c:1::::::\nlocked:!$6$x:1\n";
        assert_eq!(hash(shadow, "anna"), Some("$6$a$b"));
        assert_eq!((hash(shadow, "root"), hash(shadow, "ann"), hash(shadow, "locked")), (None, None, None));
    }
}
